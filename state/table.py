"""Typed tables over a store, with writes kept aside until they are flushed.

Values are immutable (NamedTuple, str, int, tuple): what a step has read can never change under it, and dropping the
unflushed writes is all that undoing a crash needs.
"""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec
from sortedcontainers import SortedList

from state.store import Store

END = "\U0010ffff"
"""Sorts after every key that begins with the same prefix."""

CACHED_VALUES_MAX = 4_000
"""Decoded values a table keeps for reading: bounds memory, never changes a result."""

_encode = msgspec.msgpack.Encoder(decimal_format="string").encode
_MISSING = object()

Value = TypeVar("Value")


class Table(Generic[Value]):
    """One named, ordered map of a partition's state: string keys, immutable typed values."""

    def __init__(self, name: str, value_type: Any, store: Store) -> None:
        self.name = name
        self._store = store
        self._decode = msgspec.msgpack.Decoder(value_type).decode
        self._dirty: dict[str, Value | None] = {}
        self._order: SortedList[str] | None = None  # of the dirty keys; kept only once somebody scans
        self._clean: dict[str, Value | None] = {}

    def get(self, key: str) -> Value | None:
        """Return the value of a key, or None."""
        value: Any = self._dirty.get(key, _MISSING)
        if value is _MISSING:
            value = self._clean.get(key, _MISSING)
            if value is _MISSING:
                stored = self._store.get(self.name, key)
                value = None if stored is None else self._decode(stored)
                self._remember(key, value)
        return value  # type: ignore[no-any-return]

    def put(self, key: str, value: Value) -> None:
        """Set the value of a key."""
        if self._order is not None and key not in self._dirty:
            self._order.add(key)
        self._dirty[key] = value

    def delete(self, key: str) -> None:
        """Forget a key; deleting what is not there is no error."""
        if self._store.get(self.name, key) is None:
            # Nothing stored to delete: without a mark, scans need not step over what came and went between flushes.
            if key in self._dirty:
                del self._dirty[key]
                if self._order is not None:
                    self._order.remove(key)
            self._remember(key, None)
        else:
            if self._order is not None and key not in self._dirty:
                self._order.add(key)
            self._dirty[key] = None

    def scan(self, prefix: str) -> list[tuple[str, Value]]:
        """Return all pairs whose key begins with the prefix, in key order."""
        return list(self.between(prefix, prefix + END))

    def between(self, start: str, end: str, reverse: bool = False) -> Iterator[tuple[str, Value]]:
        """Return pairs with start <= key < end in key order, or backwards.

        Writing to the table while iterating is not allowed: take what is needed first.
        """
        stored = self._store.scan(self.name, start, end, reverse)
        if not self._dirty:
            return self._decoded(stored)
        if self._order is None:
            self._order = SortedList(self._dirty)
        pending = self._order.irange(start, end, inclusive=(True, False), reverse=reverse)
        return self._merge(stored, pending, reverse)

    def _decoded(self, stored: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, Value]]:
        clean, decode = self._clean, self._decode
        for key, encoded in stored:
            known = clean.get(key)
            yield key, decode(encoded) if known is None else known

    def _merge(
        self, stored: Iterator[tuple[str, bytes]], pending: Iterator[str], reverse: bool
    ) -> Iterator[tuple[str, Value]]:
        dirty, clean, decode = self._dirty, self._clean, self._decode
        waiting = next(pending, None)
        for key, encoded in stored:
            while waiting is not None and waiting != key and (waiting > key) == reverse:
                value = dirty[waiting]
                if value is not None:
                    yield waiting, value
                waiting = next(pending, None)
            if waiting == key:
                continue  # the unflushed value is yielded in its turn, above or below
            known = clean.get(key)
            yield key, decode(encoded) if known is None else known
        while waiting is not None:
            value = dirty[waiting]
            if value is not None:
                yield waiting, value
            waiting = next(pending, None)

    def take_writes(self) -> dict[str, bytes | None]:
        """Return the unflushed writes as bytes and keep their values for reading."""
        writes = {key: None if value is None else _encode(value) for key, value in self._dirty.items()}
        if len(self._clean) + len(self._dirty) > CACHED_VALUES_MAX:
            self._clean = {}
        self._clean.update(self._dirty)
        self._dirty = {}
        self._order = None
        return writes

    def unflushed(self) -> int:
        """Return how many keys have been written since the last flush."""
        return len(self._dirty)

    def _remember(self, key: str, value: Value | None) -> None:
        if len(self._clean) >= CACHED_VALUES_MAX:
            self._clean = {}
        self._clean[key] = value


class State:
    """The memory of one step on one partition: its tables, flushed to the store together."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._tables: dict[str, Table[Any]] = {}

    def table(self, name: str, value_type: Any) -> Table[Any]:
        """Return the table of that name; the first call says what type its values have."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = Table(name, value_type, self.store)
        return table

    def unflushed(self) -> int:
        """Return how many keys have been written since the last flush."""
        return sum(table.unflushed() for table in self._tables.values())

    def flush(self) -> None:
        """Write everything since the last flush to the store, at once."""
        writes = {name: changes for name, table in self._tables.items() if (changes := table.take_writes())}
        if writes:
            self.store.apply(writes)

    def close(self) -> None:
        """Release the store; unflushed writes are dropped, as a crash would drop them."""
        self.store.close()
