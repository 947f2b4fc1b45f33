"""How long what has failed is left alone: twice as long after each further failure, up to a limit."""

_DOUBLINGS_MAX = 32  # outlast any limit, and keep the number small in a long outage


def longest_wait_ms(first_ms: int, limit_ms: int, failures_before: int) -> int:
    """Return the longest wait in milliseconds after a failure, given how many came before; chance shortens it."""
    return min(first_ms << min(failures_before, _DOUBLINGS_MAX), limit_ms)
