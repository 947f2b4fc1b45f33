"""Answers of a subscription become batches: what each event means for its records, and what must be read for it.

Whatever stands in an answer was committed before the answer came. So a record that is read because of one event of the
answer has all others of that answer in it, and they are done with.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Event as ThreadEvent
from typing import Any, Final, NamedTuple, Protocol

from connect.feeds.contract import Batch, Fatal, Memory
from connect.feeds.salesforce import values
from connect.feeds.salesforce.draft import Draft
from connect.feeds.salesforce.events import Event, EventSchema, Order, Shape, Undecodable, value_at
from connect.feeds.salesforce.judging import Verdict, judged
from connect.feeds.salesforce.known import STREAM, Stream, stream, stream_bytes
from connect.feeds.salesforce.objects import Children, Object
from connect.feeds.salesforce.queries import Queries, changed_type
from connect.feeds.salesforce.values import WrongType

_OVERFLOW: Final = "GAP_OVERFLOW"
_DELETIONS: Final = ("DELETE", "GAP_DELETE")


class Schemas(Protocol):
    """Where schemas come from."""

    def schema(self, schema_id: str) -> str:
        """Return a schema as JSON text."""


class Columns(Protocol):
    """Where it is known which fields an object has."""

    def columns(self, object_name: str) -> frozenset[str]:
        """Return the names of all fields of an object."""


class Closing(Protocol):
    """What reads an object anew, to close a gap."""

    def closed(self, objects: Sequence[Object], memory: Memory, stop: ThreadEvent) -> Iterator[Batch]:
        """Yield what changed of objects since they were last known, by query."""


class Wanted(NamedTuple):
    """A record to be read: for which event, the newest one."""

    read: Object
    id: str
    order: Order


class Gap(NamedTuple):
    """What is missing, in words, and the objects that are read to close it."""

    words: str
    objects: tuple[Object, ...]


class Capture:
    """Makes batches of answers. Schemas are kept by id: a new one is one call."""

    def __init__(
        self,
        feed: str,
        objects: Sequence[Object],
        schemas: Schemas,
        columns: Columns,
        queries: Queries,
        closing: Closing,
    ) -> None:
        self._feed = feed
        self._objects = {read.object: read for read in objects}
        self._children = {read.children.object: (read, read.children) for read in objects if read.children is not None}
        self._schemas: dict[str, EventSchema] = {}
        self._shapes: dict[tuple[str, str], Shape | None] = {}
        self._source = schemas
        self._columns = columns
        self._queries = queries
        self._closing = closing

    def batches(self, answer: Any, memory: Memory, stop: ThreadEvent) -> Iterator[Batch]:
        """Yield what an answer gives; the last batch says how far the stream was read.

        Raises:
            Retriable: What must be read cannot be read now.
            Fatal: A field of ours was dropped or changed.
        """
        at_ms = stream(memory).at_ms
        segment: list[Event] = []
        for received in answer.events:
            event, gap = self._seen(received)
            if event is not None:
                at_ms = max(at_ms, event.order.at_ms)
                segment.append(event)
            elif gap is not None:
                yield from self._closed(segment, gap, memory, stop)
                if stop.is_set():
                    return
                segment = []
        draft = Draft(memory)
        self._apply(segment, draft)
        replay = answer.events[-1].replay_id if answer.events else answer.latest_replay_id
        draft.remember(STREAM, stream_bytes(Stream(replay or stream(memory).replay, at_ms)))
        yield draft.batch(alive=not answer.events)

    def _seen(self, received: Any) -> tuple[Event | None, Gap | None]:
        """What was received: an event of an object of ours, a gap, or nothing that concerns us."""
        try:
            event = self._schema(received.event.schema_id).event(received.event.payload)
        except Undecodable as error:
            return None, Gap(f"{error}: closed by reading what changed since", tuple(self._objects.values()))
        if event.object in self._objects or event.object in self._children:
            if event.change != _OVERFLOW:
                return event, None
            words = f"{event.object}: too many changes at once for events: closed by reading them"
            return None, Gap(words, (self._read_of(event.object),))
        return None, None

    def _closed(self, segment: Sequence[Event], gap: Gap, memory: Memory, stop: ThreadEvent) -> Iterator[Batch]:
        """Yield the events before a gap, then what closes it; how far the stream was read stays as it was."""
        draft = Draft(memory)
        self._apply(segment, draft)
        draft.gap(gap.words)
        yield draft.batch()
        yield from self._closing.closed(gap.objects, memory, stop)

    def _schema(self, schema_id: str) -> EventSchema:
        if schema_id not in self._schemas:
            self._schemas[schema_id] = EventSchema(schema_id, self._source.schema(schema_id))
        return self._schemas[schema_id]

    def _read_of(self, object_name: str) -> Object:
        return self._children[object_name][0] if object_name in self._children else self._objects[object_name]

    def _apply(self, events: Sequence[Event], draft: Draft) -> None:
        wanted: dict[tuple[str, str], Wanted] = {}
        for event in events:  # first, so that a record that comes with its child records is landed once, with them
            if event.object in self._children:
                for parent in self._parents(event, draft):
                    self._want(wanted, self._children[event.object][0], parent, event.order)
        for event in events:
            if event.object not in self._objects:
                continue
            read = self._objects[event.object]
            shape = self._shape(read, event.schema_id)
            for record_id in event.ids:
                is_wanted = (read.object, record_id) in wanted
                if is_wanted or self._applied(event, read, record_id, shape, draft) is Verdict.READ:
                    self._want(wanted, read, record_id, event.order)
        self._read(wanted.values(), draft)
        follow(self._objects.values(), self._queries, draft)

    def _want(self, wanted: dict[tuple[str, str], Wanted], read: Object, record_id: str, order: Order) -> None:
        before = wanted.get((read.object, record_id))
        newest = order if before is None else max(before.order, order)
        wanted[read.object, record_id] = Wanted(read, record_id, newest)

    def _applied(self, event: Event, read: Object, record_id: str, shape: Shape | None, draft: Draft) -> Verdict:
        known = draft.known(read, record_id)
        verdict = judged(event, known, shape)
        if verdict is Verdict.DELETE:
            draft.absent(read, record_id, event.order)
        elif verdict is Verdict.CREATE and shape is not None:
            row = self._changed(event, read, record_id, shape, whole=True)
            draft.merged(read, record_id, row, event.order)
        elif verdict is Verdict.MERGE and shape is not None and known is not None:
            row = {**(known.row or {}), **self._changed(event, read, record_id, shape, whole=False)}
            draft.merged(read, record_id, row, event.order)
        return verdict

    def _changed(self, event: Event, read: Object, record_id: str, shape: Shape, *, whole: bool) -> dict[str, Any]:
        """The fields of a row that an event gives: all, or those that changed."""
        row: dict[str, Any] = {}
        for field in read.fields:
            place = shape.places.get(field)
            if field.constant is not None:
                row[field.name] = field.constant
            elif field.path == "Id":
                row[field.name] = record_id
            elif place is not None and (whole or place in event.fields):
                try:
                    row[field.name] = values.of_event(field, value_at(event.values, place))
                except WrongType as error:
                    raise changed_type(self._feed, read.object, field, str(error)) from None
        if whole and read.children is not None:
            row[read.children.field] = []
        return row

    def _shape(self, read: Object, schema_id: str) -> Shape | None:
        """How events of a schema become rows of an object; None if some field of ours is in none of them."""
        if (read.object, schema_id) not in self._shapes:
            shape = Shape(read, self._schema(schema_id))
            for field, said in shape.wrong.items():
                raise changed_type(self._feed, read.object, field, f"it is {said} now")
            if shape.absent:
                self._check_absent(read, shape)
            self._shapes[read.object, schema_id] = None if shape.absent or shape.blind else shape
        return self._shapes[read.object, schema_id]

    def _check_absent(self, read: Object, shape: Shape) -> None:
        """Raise Fatal for a field that the object has no longer; formulas and the like are only in no event."""
        there = self._columns.columns(read.object)
        for field in shape.absent:
            if field.path not in there:
                raise Fatal(
                    f"{self._feed}: {read.object}.{field.path} is no longer in Salesforce: {field.name} is read from "
                    f"it. Bring it back, or name another field for {field.name} in the configuration; the feed goes "
                    "on from where it stopped"
                )

    def _parents(self, event: Event, draft: Draft) -> list[str]:
        """The ids of the records whose list has changed: the parents that child records have now, and had before."""
        _, children = self._children[event.object]
        named = value_at(event.values, children.parent)
        parents = [named] if named is not None else []
        unknown = []
        for child_id in event.ids:
            child = draft.child(event.object, child_id)
            if child is not None:
                parents.append(child.parent)
            elif named is None and event.change not in _DELETIONS:
                unknown.append(child_id)
        if unknown or (event.change.startswith("GAP_") and event.change not in _DELETIONS):
            parents += self._queries.parents(children, event.ids)
        return sorted(set(parents))

    def _read(self, wanted: Iterable[Wanted], draft: Draft) -> None:
        by_object: dict[str, dict[str, Wanted]] = {}
        for each in wanted:
            by_object.setdefault(each.read.object, {})[each.id] = each
        for records in by_object.values():
            read = next(iter(records.values())).read
            left = dict(records)
            for record in self._queries.by_ids(read, records):
                draft.found(read, record, left.pop(record.id).order)
            for record_id, missing in left.items():
                draft.absent(read, record_id, missing.order)


def follow(objects: Iterable[Object], queries: Queries, draft: Draft) -> None:
    """Read the records anew that others of the batch changed: Salesforce says nothing of them themselves.

    These are records that a child record has left for another one, and those that show the key of another record by a
    dotted path, where that key has changed.
    """
    for read in objects:
        left = {parent: at_ms for (name, parent), at_ms in draft.left.items() if name == read.object}
        for record in queries.by_ids(read, left):
            draft.found(read, record._replace(at_ms=max(record.at_ms, left[record.id])))
    for read in objects if draft.renamed else ():
        for record in queries.by_ids(read, draft.showing(read) if read.lookups else ()):
            draft.found(read, record)


def new_children(
    children: Children, page: Iterable[Mapping[str, Any]], queries: Queries, draft: Draft
) -> dict[str, int]:
    """Return the ids of the records whose list has changed, of a page of child records, each with when it last did."""
    parents: dict[str, int] = {}
    for record in page:
        child = draft.child(children.object, record["Id"])
        parent = None if record["IsDeleted"] else record[children.parent]
        if child is None and parent is None:
            continue
        if child is not None and child.parent == parent and child.entry == queries.entry(children, record):
            continue
        at_ms = values.instant(record["SystemModstamp"])
        for each in (parent, None if child is None else child.parent):
            if each is not None:
                parents[each] = max(at_ms, parents.get(each, 0))
    return parents
