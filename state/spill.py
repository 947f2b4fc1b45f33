"""A store in memory that moves to disk once it has grown: a file run of any size in bounded memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

from state.rocks import RocksStore
from state.store import MemoryStore, Store, Writes

_KEYS_AT_ONCE = 10_000
_SMALL = 8
"""A store with less than this part of the budget stays: moving it would free little."""


class Budget:
    """Bytes that several stores may hold in memory together."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes_held = 0


class SpillingStore:
    """Holds its entries in memory while the budget lasts; beyond that it moves to RocksDB in `folder`, for good.

    It lives as long as the object: the folder is the caller's to remove. Raises `state.rocks.StoreUnavailable` if the
    move fails.
    """

    get: Callable[[str, str], bytes | None]
    """Returns the value of a key, or None."""

    def __init__(self, folder: Path, budget: Budget) -> None:
        self._folder = folder
        self._budget = budget
        self._memory: MemoryStore | None = MemoryStore()
        self._use(self._memory)

    def _use(self, store: Store) -> None:
        self._store = store
        self.get = store.get

    def scan(self, table: str, start: str, end: str, reverse: bool = False) -> Iterator[tuple[str, bytes]]:
        """Return pairs with start <= key < end in key order, or backwards."""
        return self._store.scan(table, start, end, reverse)

    def apply(self, writes: Writes) -> None:
        """Make all writes visible at once."""
        memory, budget = self._memory, self._budget
        if memory is None:
            self._store.apply(writes)
            return
        budget.bytes_held -= memory.bytes_held
        memory.apply(writes)
        if budget.bytes_held + memory.bytes_held > budget.bytes_max <= memory.bytes_held * _SMALL:
            self._spill(memory)
        else:
            budget.bytes_held += memory.bytes_held

    def _spill(self, memory: MemoryStore) -> None:
        disk = RocksStore(self._folder)
        for table, rows in memory.take_tables():
            keys = list(rows)
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                disk.apply({table: {key: rows[key] for key in keys[start : start + _KEYS_AT_ONCE]}})
        self._memory = None
        self._use(disk)

    def close(self) -> None:
        """Release what the store holds."""
        self._store.close()
