"""The cache's budget: what the decoded values of several tables may take in memory together."""

MEGABYTE = 1024 * 1024

DEFAULT_BYTES_MAX = 8 * MEGABYTE
"""For a state that is given no budget."""

DECODED_TIMES = 10
"""How many times the bytes of its encoding a value takes in memory: about 8 for time entries, 12 for ledger items."""

ENTRY_BYTES = 150
"""What an entry takes beside its value: the key, and its place in a dict."""


class CacheBudget:
    """Bytes that decoded values may take, of all tables that share the budget; an estimate, held to about the limit.

    `loads` counts values that had to be read from the store: misses of the cache. `hits` counts lookups that asked for
    none, while a table counted them.
    """

    def __init__(self, bytes_max: int = DEFAULT_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0
        self.tables = 0
        self.loads = 0
        self.hits = 0

    def settle(self, before: int, after: int) -> bool:
        """Note that a table holds so much now, and not what it held before; return whether it should give some back.

        It should if all hold too much and it holds more than its share.
        """
        self.bytes_held += after - before
        self.tables += (after > 0) - (before > 0)
        return self.bytes_held > self.bytes_max and after * self.tables > self.bytes_max
