"""Typed tables over a store, with writes kept aside until they are stored.

A write is unflushed, then in flight, then stored. What is in flight is on its way to somewhere that must have it before
the store does, such as a changelog; the table can be read and written meanwhile as if it were stored.

Values are immutable (NamedTuple, str, int, tuple): what a step has read can never change under it, and dropping the
unflushed writes is all that undoing a crash needs.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import msgspec

from state.cache import DECODED_TIMES, ENTRY_BYTES, CacheBudget
from state.store import Store

END: Final = "\U0010ffff"
"""Sorts after every key that begins with the same prefix."""

FIRST: Final = "\x00"
"""Put to a key, makes the one that sorts right after it."""

LOADS_PER_WEIGHING = 512
"""How many values may be loaded before a table looks how much it holds."""

_encode = msgspec.msgpack.Encoder(decimal_format="string").encode

Value = TypeVar("Value")


class _Values(dict[str, Any]):
    """Decoded values by key, None where there is none; a key that is missing is loaded."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        self._load = load

    def __missing__(self, key: str) -> Any:
        return self._load(key)


class Table(Generic[Value]):
    """One named, ordered map of a partition's state: string keys, immutable typed values."""

    get: Callable[[str], Value | None]
    """Returns the value of a key, or None. It is the lookup of a dict itself: nothing is called as often."""

    def __init__(self, name: str, value_type: Any, store: Store, cache: CacheBudget) -> None:
        self.name = name
        self._cache = cache
        self._held = 0  # of the cache's budget, when it was weighed last
        self._sizes_seen = 0
        self._bytes_seen = 0
        self._loads = 0
        self._store = store
        self._decode = msgspec.msgpack.Decoder(value_type).decode
        self._values = _Values(self._load)  # all that is not stored yet, and a cache of what is
        self.get = self._values.__getitem__
        self._unflushed: set[str] = set()
        self._in_flight: set[str] = set()
        self._order: list[str] | None = None  # of the keys of both; kept only once somebody scans

    def _load(self, key: str) -> Value | None:
        stored = self._store.get(self.name, key)
        value: Value | None = None
        if stored is not None:
            value = self._decode(stored)
            self._sizes_seen += 1
            self._bytes_seen += len(stored)
        self._loads += 1
        if self._loads >= LOADS_PER_WEIGHING:
            self._weigh()
        self._values[key] = value
        return value

    def count_hits(self, counted: bool) -> None:
        """Begin or end to count hits: for a while only, since a lookup costs four times as much while it is counted."""
        self.get = self._counted if counted else self._values.__getitem__

    def _counted(self, key: str) -> Value | None:
        self._cache.hits += key in self._values
        value: Value | None = self._values[key]
        return value

    def put(self, key: str, value: Value) -> None:
        """Set the value of a key."""
        self._values[key] = value
        if key not in self._unflushed:
            self._mark(key)

    def delete(self, key: str) -> None:
        """Forget a key; deleting what is not there is no error."""
        stored = self._is_stored(key)
        self._values[key] = None  # before it is marked: what is unflushed has a value
        if key in self._unflushed:
            # Nothing stored to delete: without a mark, scans need not step over what came and went between flushes.
            if not stored:
                self._unmark(key)
        elif stored:
            self._mark(key)

    def _is_stored(self, key: str) -> bool:
        """Tell whether the store has a key, or will once it has what is in flight. It is asked where nobody knows."""
        if key in self._in_flight:
            return True
        if key in self._values and key not in self._unflushed:
            return self._values[key] is not None
        return self._store.get(self.name, key) is not None

    def _mark(self, key: str) -> None:
        self._unflushed.add(key)
        if self._order is not None and key not in self._in_flight:
            insort(self._order, key)

    def _unmark(self, key: str) -> None:
        self._unflushed.remove(key)
        if self._order is not None:
            del self._order[bisect_left(self._order, key)]

    def scan(self, prefix: str) -> list[tuple[str, Value]]:
        """Return all pairs whose key begins with the prefix, in key order."""
        return list(self.between(prefix, prefix + END))

    def between(self, start: str, end: str, reverse: bool = False) -> Iterator[tuple[str, Value]]:
        """Return pairs with start <= key < end in key order, or backwards.

        Writing to the table while iterating is not allowed: take what is needed first.
        """
        stored = self._store.scan(self.name, start, end, reverse)
        if not self._unflushed and not self._in_flight:
            return self._decoded(stored)
        if self._order is None:
            self._order = sorted(self._unflushed | self._in_flight)
        low, high = bisect_left(self._order, start), bisect_left(self._order, end)
        if low == high:
            return self._decoded(stored)
        pending = self._order[low:high]
        if reverse:
            pending.reverse()
        return self._merge(stored, pending, reverse)

    def _decoded(self, stored: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, Value]]:
        values, decode = self._values, self._decode
        for key, encoded in stored:
            known = values.get(key)
            yield key, decode(encoded) if known is None else known

    def _merge(
        self, stored: Iterator[tuple[str, bytes]], pending: Sequence[str], reverse: bool
    ) -> Iterator[tuple[str, Value]]:
        values, decode, kept_aside = self._values, self._decode, iter(pending)
        waiting = next(kept_aside, None)
        for key, encoded in stored:
            while waiting is not None and waiting != key and (waiting > key) == reverse:
                value = values[waiting]
                if value is not None:
                    yield waiting, value
                waiting = next(kept_aside, None)
            if waiting == key:
                continue  # the newer value is yielded in its turn, above or below
            known = values.get(key)
            yield key, decode(encoded) if known is None else known
        while waiting is not None:
            value = values[waiting]
            if value is not None:
                yield waiting, value
            waiting = next(kept_aside, None)

    def take_writes(self) -> dict[str, bytes | None]:
        """Return the unflushed writes as bytes: they are in flight now, and kept for reading until `stored`."""
        values, encode = self._values, _encode
        writes: dict[str, bytes | None] = {}
        for key in self._unflushed:
            value = values[key]
            if value is None:
                writes[key] = None
            else:
                encoded = writes[key] = encode(value)
                self._bytes_seen += len(encoded)
                self._sizes_seen += 1
        self._in_flight, self._unflushed = self._unflushed, set()
        self._weigh()
        return writes

    def stored(self) -> None:
        """Note that the store has what was in flight."""
        if self._in_flight:
            self._in_flight = set()
            self._order = None

    def unflushed(self) -> int:
        """Return how many keys have been written since writes were taken last."""
        return len(self._unflushed)

    def _weigh(self) -> None:
        """See how much the decoded values take, and give back the older half if the budget says so."""
        cache = self._cache
        cache.loads += self._loads
        self._loads = 0
        held = self._weight()
        if cache.settle(self._held, held):
            unflushed, in_flight, values = self._unflushed, self._in_flight, self._values
            for key in list(islice(values, len(values) // 2)):
                if key not in unflushed and key not in in_flight:
                    del values[key]
            before, held = held, self._weight()
            cache.settle(before, held)
        self._held = held

    def _weight(self) -> int:
        size = self._bytes_seen // self._sizes_seen if self._sizes_seen else 0
        return len(self._values) * (ENTRY_BYTES + DECODED_TIMES * size)

    def release(self) -> None:
        """Give back what the table holds of the budget; it is not used afterwards."""
        self._cache.settle(self._held, 0)
        self._held = 0


class State:
    """The memory of one step on one partition: its tables, flushed to the store together.

    `name` sets its tables apart from those of other steps in the same store; `cache` may be shared between states.
    """

    def __init__(self, store: Store, name: str = "", cache: CacheBudget | None = None) -> None:
        self.store = store
        self._cache = CacheBudget() if cache is None else cache
        self._prefix = f"{name}/" if name else ""
        self._tables: dict[str, Table[Any]] = {}

    def table(self, name: str, value_type: Any) -> Table[Any]:
        """Return the table of that name; the first call says what type its values have."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = Table(self._prefix + name, value_type, self.store, self._cache)
        return table

    def count_hits(self, counted: bool) -> None:
        """Begin or end to count the hits of all tables."""
        for table in self._tables.values():
            table.count_hits(counted)

    def unflushed(self) -> int:
        """Return how many keys have been written since writes were taken last."""
        return sum(table.unflushed() for table in self._tables.values())

    def take_writes(self) -> dict[str, dict[str, bytes | None]]:
        """Return all unflushed writes by table, for the caller to bring to the store, and to call `stored` then."""
        return {table.name: changes for table in self._tables.values() if (changes := table.take_writes())}

    def stored(self) -> None:
        """Note that the store has what was taken; to be called before writes are taken again."""
        for table in self._tables.values():
            table.stored()

    def flush(self) -> None:
        """Write everything since the last flush to the store, at once."""
        writes = self.take_writes()
        if writes:
            self.store.apply(writes)
            self.stored()

    def close(self) -> None:
        """Release the store; unflushed writes are dropped, as a crash would drop them."""
        self.release()
        self.store.close()

    def release(self) -> None:
        """Give back what is held of the cache's budget."""
        for table in self._tables.values():
            table.release()
