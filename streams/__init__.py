"""What happens: changes become facts, facts move ledgers, ledgers yield decisions. Begin with `streams.topology`."""
