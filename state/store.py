"""Stores: where a partition's bytes live. Memory here, RocksDB in `state.rocks`."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from sortedcontainers import SortedList

Writes = Mapping[str, Mapping[str, bytes | None]]
"""Table name to key to new value; None deletes."""


Entry = tuple[bytes, bytes | None]
"""A write as changelog and database have it: `table NUL key`, and the new value; None deletes."""


def entry_key(table: str, key: str) -> bytes:
    """Return the key of a table's key in database and changelog."""
    return f"{table}\x00{key}".encode()


def entries_of(writes: Writes) -> list[Entry]:
    """Return writes as entries."""
    return [(entry_key(table, key), value) for table, rows in writes.items() for key, value in rows.items()]


class Store(Protocol):
    """Byte values under string keys, in named tables. Keys order by code point, which is UTF-8 byte order."""

    def get(self, table: str, key: str) -> bytes | None:
        """Return the value of a key, or None."""

    def scan(self, table: str, start: str, end: str, reverse: bool = False) -> Iterator[tuple[str, bytes]]:
        """Return pairs with start <= key < end in key order, or backwards."""

    def apply(self, writes: Writes) -> None:
        """Make all writes visible at once."""

    def close(self) -> None:
        """Release what the store holds; it is not used afterwards."""


_ENTRY_BYTES = 150
"""What an entry takes beside the characters of its key and the bytes of its value: objects, a dict's slot, an order."""


class MemoryStore:
    """A store that lives as long as the object: for file runs and tests. `bytes_held` is about what it takes."""

    def __init__(self) -> None:
        self.bytes_held = 0
        self._tables: dict[str, dict[str, bytes]] = {}
        self._orders: dict[str, SortedList[str]] = {}  # the keys of tables that somebody scans

    def get(self, table: str, key: str) -> bytes | None:
        """Return the value of a key, or None."""
        rows = self._tables.get(table)
        return None if rows is None else rows.get(key)

    def scan(self, table: str, start: str, end: str, reverse: bool = False) -> Iterator[tuple[str, bytes]]:
        """Yield pairs with start <= key < end in key order, or backwards."""
        rows = self._tables.get(table)
        if not rows:
            return
        order = self._orders.get(table)
        if order is None:
            order = self._orders[table] = SortedList(rows)
        for key in order.irange(start, end, inclusive=(True, False), reverse=reverse):
            yield key, rows[key]

    def apply(self, writes: Writes) -> None:
        """Make all writes visible at once."""
        for table, changes in writes.items():
            rows = self._tables.setdefault(table, {})
            if table in self._orders:
                self._reorder(table, rows, changes)
            for key, value in changes.items():
                before = rows.get(key)
                if before is not None:
                    self.bytes_held -= len(before) + len(key) + _ENTRY_BYTES
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
                    self.bytes_held += len(value) + len(key) + _ENTRY_BYTES

    def take_tables(self) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """Yield the tables, and forget each after it was taken."""
        self._orders.clear()
        while self._tables:
            yield self._tables.popitem()
        self.bytes_held = 0

    def _reorder(self, table: str, rows: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> None:
        order = self._orders[table]
        for key, value in changes.items():
            if (key in rows) != (value is not None):
                if value is None:
                    order.remove(key)
                else:
                    order.add(key)

    def close(self) -> None:
        """Nothing to release."""
