"""A batch in the making: what is landed, and what will be remembered once it is.

Positions. A version that an event tells of has the time of its commit and its sequence. One that was read has the end
of the second of its SystemModstamp: it contains whatever was committed up to then, so it must stand above every event
of that second. Whatever comes next for the record stands above what was landed before it, whatever clocks say.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from connect.feeds.contract import SEQUENCE_MAX, Batch, Change, Memory, Reject, position
from connect.feeds.salesforce.events import Order
from connect.feeds.salesforce.known import (
    Child,
    Known,
    Owner,
    child_bytes,
    child_key,
    child_of,
    known_bytes,
    known_of,
    landed,
    owner_bytes,
    owner_key,
    owner_of,
    row_key,
)
from connect.feeds.salesforce.objects import Object

_SECOND_MS: Final = 1000


class Record(NamedTuple):
    """A record as a query found it. `row` None: deleted. `children` are the child records in the row, by id.

    `own_ms` is its SystemModstamp, `at_ms` the newest of it and its children's, deleted ones included.
    """

    id: str
    row: Mapping[str, Any] | None
    own_ms: int
    at_ms: int
    lookups: Mapping[str, str | None] = {}
    children: Mapping[str, Mapping[str, Any]] = {}


class Draft:
    """Collects one batch over what was landed before it.

    `renamed`: ids of records whose key has changed. `left`: records, by object and id, that a child record has left for
    another one, and when. Of both others must be read, too: see `capture.follow`.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._fresh: dict[str, bytes | None] = {}
        self._changes: list[Change] = []
        self._rejects: list[Reject] = []
        self._gaps: list[str] = []
        self.renamed: set[str] = set()
        self.left: dict[tuple[str, str], int] = {}

    def known(self, read: Object, record_id: str) -> Known | None:
        """Return what is known of a record, this batch included."""
        return known_of(self._look(row_key(read, record_id)))

    def child(self, object_name: str, record_id: str) -> Child | None:
        """Return what is known of a child record, this batch included."""
        return child_of(self._look(child_key(object_name, record_id)))

    def showing(self, read: Object) -> list[str]:
        """Return the ids of the records of an object that go through a lookup to one that was renamed."""
        rows = landed(self._memory, read)
        return [record_id for record_id, known in rows if self.renamed & {*known.lookups.values()}]

    def remember(self, key: str, value: bytes | None) -> None:
        """Remember bytes under a key, or forget it."""
        if self._memory.get(key) != value or key in self._fresh:
            self._fresh[key] = value

    def gap(self, words: str) -> None:
        """Say what is missing."""
        self._gaps.append(words)

    def merged(self, read: Object, record_id: str, row: Mapping[str, Any] | None, order: Order) -> None:
        """Land what an event made of a record; None: it was deleted."""
        known = self.known(read, record_id) or Known(None, -1)
        floor = position(order.at_ms, min(order.sequence, SEQUENCE_MAX))
        self._land(read, record_id, known, known._replace(row=row, order=order, position=floor), order.at_ms)

    def found(self, read: Object, record: Record, order: Order | None = None, *, snapshot: bool = False,
              first: bool = False) -> None:  # fmt: skip
        """Land what a query found, if it is not what was landed last. `order`: the last event that it answers.

        `first`: the object is read for the first time, so its rows are no creates; `snapshot`: and it is not its end.
        """
        known = self.known(read, record.id)
        if known is None and record.row is None:
            return
        known = known or Known(None, -1)
        floor = position(record.at_ms // _SECOND_MS * _SECOND_MS + _SECOND_MS - 1, SEQUENCE_MAX)
        happened_ms = record.at_ms
        if order is not None:
            floor = max(floor, position(order.at_ms, min(order.sequence, SEQUENCE_MAX)))
            happened_ms = max(happened_ms, order.at_ms)
        orders = [each for each in (known.order, order) if each is not None]
        fresh = Known(record.row, floor, record.own_ms, max(orders) if orders else None, record.lookups,
                      tuple(record.children))  # fmt: skip
        self._children(read, record, known)
        self._land(read, record.id, known, fresh, happened_ms, op="r" if first else "c", snapshot=snapshot)

    def absent(self, read: Object, record_id: str, order: Order) -> None:
        """Land that a record is not there at all any more, which was found when an event or a reading asked for it."""
        known = self.known(read, record_id)
        if known is not None:
            self._children(read, Record(record_id, None, 0, 0), known)
            self.merged(read, record_id, None, order)

    def batch(self, *, alive: bool = False) -> Batch:
        """Return the batch."""
        return Batch(tuple(self._changes), tuple(self._rejects), self._fresh, tuple(self._gaps), alive)

    def _land(self, read: Object, record_id: str, known: Known, fresh: Known, happened_ms: int, *, op: str = "c",
              snapshot: bool = False) -> None:  # fmt: skip
        key = None if fresh.row is None else fresh.row[read.key]
        if fresh.row is not None and not key:
            if not known.refused:
                self._refuse(read, record_id, fresh.row)
            fresh = fresh._replace(row=None, refused=True)
        if fresh.row == known.row:
            self._keep(read, record_id, fresh._replace(position=known.position))
            return
        at = max(fresh.position, known.position + 1, self._floor(read, record_id, fresh.row))
        before = self._landed(read, record_id, known.row, fresh.row)
        if known.row is not None and (fresh.row is None or known.row[read.key] != key):
            if self._owns(read, record_id, known.row):
                self._change(read, "d", known.row, None, happened_ms, at)
            if read.identity is None:  # the same row, under another key
                before = None
        if fresh.row is not None:
            is_new = before is None
            self._change(read, op if is_new else "u", before, fresh.row, happened_ms, at, snapshot and is_new)
        self._own(read, record_id, known.row, fresh.row, at)
        self._keep(read, record_id, fresh._replace(position=at))

    def _keep(self, read: Object, record_id: str, known: Known) -> None:
        self.remember(row_key(read, record_id), known_bytes(known))

    def _change(self, read: Object, op: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None,
                happened_ms: int, at: int, snapshot: bool = False) -> None:  # fmt: skip
        row = before if after is None else after
        assert row is not None
        self._changes.append(Change(read.topic, row[read.key], op, before, after, happened_ms, at, snapshot))

    def _refuse(self, read: Object, record_id: str, row: Mapping[str, Any]) -> None:
        message = f"{read.key} is empty, and it is the record's key; give the record one in Salesforce: it lands then"
        self._rejects.append(Reject(read.topic, None, orjson.dumps(row), f"{read.object} {record_id}", message))

    def _landed(
        self, read: Object, record_id: str, known: Mapping[str, Any] | None, row: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """The row that stands where this one lands: this record's, or that of another whose identity it takes over."""
        if read.identity is None or row is None:
            return known
        owner = owner_of(self._look(owner_key(read, row[read.identity])))
        if owner.id == record_id:
            return known
        other = None if owner.id is None else self.known(read, owner.id)
        return None if other is None else other.row

    def _floor(self, read: Object, record_id: str, row: Mapping[str, Any] | None) -> int:
        """The position above which a version must stand because another record had its identity before."""
        if read.identity is None or row is None:
            return 0
        owner = owner_of(self._look(owner_key(read, row[read.identity])))
        return 0 if owner.id == record_id else owner.position + 1

    def _owns(self, read: Object, record_id: str, row: Mapping[str, Any]) -> bool:
        """Whether the row under an identity is this record's: another may have taken it over meanwhile."""
        if read.identity is None:
            return True
        return owner_of(self._look(owner_key(read, row[read.identity]))).id == record_id

    def _own(self, read: Object, record_id: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None,
             at: int) -> None:  # fmt: skip
        if read.identity is None:
            return
        left = None if before is None else before[read.identity]
        taken = None if after is None else after[read.identity]
        if before is not None and left != taken and self._owns(read, record_id, before):
            self.remember(owner_key(read, str(left)), owner_bytes(Owner(None, at)))
        if left is not None and taken is not None and left != taken:
            self.renamed.add(record_id)
        if taken is not None:
            self.remember(owner_key(read, taken), owner_bytes(Owner(record_id, at)))

    def _children(self, read: Object, record: Record, known: Known) -> None:
        if read.children is None:
            return
        for child_id in known.children:
            child = self.child(read.children.object, child_id)
            if child is not None and child.parent == record.id and child_id not in record.children:
                self.remember(child_key(read.children.object, child_id), None)
        for child_id, entry in record.children.items():
            child = self.child(read.children.object, child_id)
            if child is not None and child.parent != record.id:
                self.left[read.object, child.parent] = record.at_ms
            self.remember(child_key(read.children.object, child_id), child_bytes(Child(record.id, entry)))

    def _look(self, key: str) -> bytes | None:
        return self._fresh[key] if key in self._fresh else self._memory.get(key)
