"""What happens: changes become facts, facts move ledgers, ledgers yield decisions. Begin with `streams.topology`."""

from streams import compiled

compiled.prefer()  # before any of its modules is loaded
