"""The feed: a first reading, then events as they come or polls, and what closes a gap.

A subscription from now on is opened before anything is read, and the reading is repeated until its first answer has
come, and once more then: so there is no moment that neither saw. What both saw is told apart by what is remembered.
"""

from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any, Final, NamedTuple, Protocol

from connect.feeds.contract import Batch, Fatal, Memory, Retriable, position
from connect.feeds.salesforce.capture import Capture, Columns, follow, new_children
from connect.feeds.salesforce.draft import Draft
from connect.feeds.salesforce.events import Order
from connect.feeds.salesforce.known import (
    STREAM,
    Horizon,
    Stream,
    horizon,
    horizon_bytes,
    horizon_key,
    landed,
    outdated,
    stream,
    stream_bytes,
    unswept_key,
)
from connect.feeds.salesforce.objects import Children, Object
from connect.feeds.salesforce.pubsub import RefusedReplay, RefusedToken
from connect.feeds.salesforce.queries import Page, Queries
from connect.feeds.salesforce.values import instant_text
from connect.gone import too_many_gone

_SAYS_NOTHING: Final = Batch()
_DAY_MS: Final = 86_400_000
_FORGOTTEN_AFTER_MS: Final = 30 * _DAY_MS  # twice as long as a deleted record can be brought back


class Subscribed(Protocol):
    """A stream of answers."""

    def next(self, timeout_s: float, stop: Event) -> Any:
        """Return the next answer, None if there is none within the time."""

    def answers(self, stop: Event) -> Iterator[Any]:
        """Yield answers until `stop` is set."""

    def close(self) -> None:
        """End it."""


class Events(Protocol):
    """The Pub/Sub API."""

    def subscribe(self, channel: str, replay: bytes | None) -> Subscribed:
        """Open a subscription after a replay id; None: from now on."""

    def schema(self, schema_id: str) -> str:
        """Return a schema as JSON text."""

    def check(self, channel: str) -> None:
        """Raise Fatal if the channel may not be subscribed to."""

    def close(self) -> None:
        """Close it."""


class Renewing(Protocol):
    """Who keeps the token."""

    def renew(self) -> None:
        """Let the token in use go: it was refused."""


class Plan(NamedTuple):
    """How a feed reads. `channel` None: by polling. `overlap_ms` is read again by each poll, since a long transaction
    stamps its records before others can see them. `poll_s`: how often is polled until a subscription has answered.
    `recheck_ms`: how often what changed is read beside events; None: never. `gone_percent_max`: how many rows of an
    object may be found gone at once.
    """

    feed: str
    objects: Sequence[Object]
    channel: str | None
    overlap_ms: int
    poll_s: float
    recheck_ms: int | None
    gone_percent_max: int


class Salesforce:
    """Reads one organisation. `closing` closes what is below `queries`."""

    def __init__(
        self,
        plan: Plan,
        queries: Queries,
        columns: Columns,
        events: Events | None,
        session: Renewing,
        clock: Callable[[], int],
        closing: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._queries = queries
        self._events = events
        self._session = session
        self._clock = clock
        self._closing = closing
        self._renewed = False
        self._tidied_ms = -_DAY_MS
        self._capture = Capture(plan.feed, plan.objects, events, columns, queries, self) if events else None

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what there is, and go on with events as they come; when polling, end.

        Raises:
            Retriable: Salesforce cannot answer now.
            Fatal: A person must act.
        """
        if self._events is None or self._plan.channel is None:
            yield from self._looked(self._plan.objects, memory, stop)
            yield Batch(memory=self._forgotten(memory), alive=True)
            return
        while not stop.is_set():
            try:
                yield from self._streamed(self._events, self._plan.channel, memory, stop)
            except RefusedToken as error:
                if self._renewed:
                    raise Fatal(f"{error}; a new token was refused, too: look at the rights of the user") from error
                self._session.renew()
                self._renewed = True
            except RefusedReplay as error:
                read_to = stream(memory)
                if read_to.replay is None:
                    raise Retriable(str(error)) from error
                since = instant_text(read_to.at_ms)
                words = f"events after {since} are no longer kept: closed by reading what changed since"
                yield Batch(memory={STREAM: stream_bytes(Stream(None, read_to.at_ms))}, gaps=(words,))

    def closed(self, objects: Sequence[Object], memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what changed of objects since they were last known, by query, and what is not there any more."""
        known = [read for read in objects if horizon(memory, read.object).at_ms is not None]
        yield from self._looked(objects, memory, stop)
        for read in known:
            if not stop.is_set():
                yield from self._swept(read, memory)

    def close(self) -> None:
        """Close connections."""
        if self._events is not None:
            self._events.close()
        self._closing()

    def _streamed(self, events: Events, channel: str, memory: Memory, stop: Event) -> Iterator[Batch]:
        assert self._capture is not None
        events.check(channel)
        replay = stream(memory).replay
        subscription = events.subscribe(channel, replay)
        try:
            if replay is None:
                yield from self._caught_up(subscription, memory, stop)
            else:
                fresh = [read for read in self._plan.objects if not _complete(read, memory)]
                yield from self._looked(fresh, memory, stop)
                for read in self._plan.objects:
                    if unswept_key(read.object) in memory:
                        yield from self._swept(read, memory)
            if forgotten := self._forgotten(memory):
                yield Batch(memory=forgotten)
            rechecked_ms = self._clock()
            for answer in subscription.answers(stop):
                self._renewed = False
                yield from self._capture.batches(answer, memory, stop)
                if self._plan.recheck_ms is not None and self._clock() >= rechecked_ms + self._plan.recheck_ms:
                    rechecked_ms = self._clock()
                    yield from self._rechecked(rechecked_ms, memory, stop)
        finally:
            subscription.close()

    def _caught_up(self, subscription: Subscribed, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Read by query until the subscription has answered, so that it stands, and what came up to then."""
        assert self._capture is not None
        yield from self.closed(self._plan.objects, memory, stop)
        while (answer := subscription.next(self._plan.poll_s, stop)) is None:
            if stop.is_set():
                return
            yield from self._looked(self._plan.objects, memory, stop)
            yield Batch(alive=True)
        yield from self._looked(self._plan.objects, memory, stop)
        if not stop.is_set():
            yield from self._capture.batches(answer, memory, stop)

    def _rechecked(self, now_ms: int, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what no event told of, though it is older than any event can be late; it is a gap, and closed so."""
        for batch in self._looked(self._plan.objects, memory, stop, events_ms=0):
            missed = [change for change in batch.changes if change.happened_ms < now_ms - self._plan.overlap_ms]
            topics = ", ".join(sorted({change.topic for change in missed}))
            words = f"{topics}: {len(missed)} changes that no event told of: closed by reading them; look whether the"
            yield batch._replace(gaps=(f"{words} object is selected for change events",)) if missed else batch

    def _looked(
        self, objects: Sequence[Object], memory: Memory, stop: Event, events_ms: int | None = None
    ) -> Iterator[Batch]:
        """Yield what changed of objects since they were last read, or since their events were, read up to then."""
        if events_ms is None:
            events_ms = stream(memory).at_ms
        for read in objects:
            if stop.is_set():
                return
            yield from filter(_SAYS_NOTHING.__ne__, self._read(read, memory, stop, events_ms))
            if read.children is not None and not stop.is_set():
                children = self._read_children(read, read.children, memory, stop, events_ms)
                yield from filter(_SAYS_NOTHING.__ne__, children)

    def _read(self, read: Object, memory: Memory, stop: Event, events_ms: int) -> Iterator[Batch]:
        """Yield what changed of an object, a batch a page."""
        since_ms, complete = self._since(read.object, read.way, memory, events_ms)
        for page in self._queries.changed(read, since_ms):
            draft = Draft(memory)
            for record in page.records:
                found = self._queries.record(read, record)
                draft.found(read, found, snapshot=not complete and not page.last, first=not complete)
            follow(self._plan.objects, self._queries, draft)
            self._kept(draft, read.object, page, memory, Horizon(page.read_to_ms, complete or page.last, read.way))
            yield draft.batch()
            if stop.is_set():
                return
        yield from self._ended(read.object, read.way, memory)

    def _read_children(
        self, read: Object, children: Children, memory: Memory, stop: Event, events_ms: int
    ) -> Iterator[Batch]:
        """Yield the records anew whose child records have changed. At the first time they were read with them."""
        since_ms, complete = self._since(children.object, read.way, memory, events_ms)
        for page in self._queries.changed_children(children, since_ms):
            draft = Draft(memory)
            parents = new_children(children, page.records, self._queries, draft)
            for record in self._queries.by_ids(read, parents):
                draft.found(read, record._replace(at_ms=max(record.at_ms, parents[record.id])))
            follow(self._plan.objects, self._queries, draft)
            self._kept(draft, children.object, page, memory, Horizon(page.read_to_ms, complete or page.last, read.way))
            yield draft.batch()
            if stop.is_set():
                return
        yield from self._ended(children.object, read.way, memory)

    def _since(self, object_name: str, way: str, memory: Memory, events_ms: int) -> tuple[int | None, bool]:
        """From which SystemModstamp on an object is read, None for all of it, and whether it was read to its end."""
        found = horizon(memory, object_name)
        if found.at_ms is None or found.way != way:
            return None, False
        known_ms = max(found.at_ms, events_ms) if found.complete else found.at_ms
        return max(0, known_ms - self._plan.overlap_ms), found.complete

    def _kept(self, draft: Draft, object_name: str, page: Page, memory: Memory, read_to: Horizon) -> None:
        """Remember how far an object was read: never less far than before, in the same way."""
        before = horizon(memory, object_name)
        if before.at_ms is not None and before.way == read_to.way:
            read_to = read_to._replace(at_ms=max(page.read_to_ms, before.at_ms))
        draft.remember(horizon_key(object_name), horizon_bytes(read_to))

    def _ended(self, object_name: str, way: str, memory: Memory) -> Iterator[Batch]:
        """Remember that an object was read to its end, where no page has said so: none, or an empty last one."""
        found = horizon(memory, object_name)
        if not found.complete or found.way != way:
            at_ms = (found.at_ms or 0) if found.way == way else 0
            yield Batch(memory={horizon_key(object_name): horizon_bytes(Horizon(at_ms, True, way))})

    def _swept(self, read: Object, memory: Memory) -> Iterator[Batch]:
        """Yield deletions of records that are gone from the bin, too, so that no query tells of them."""
        rows = dict(landed(memory, read))
        if not rows:
            return
        missing, draft = self._queries.absent(read, rows), Draft(memory)
        if not missing and unswept_key(read.object) not in memory:
            return
        for record in self._queries.by_ids(read, tuple(missing)):
            draft.found(read, record)
            missing.remove(record.id)
        refused = too_many_gone(read.object, len(missing), len(rows), self._plan.gone_percent_max)
        draft.remember(unswept_key(read.object), b"1" if refused else None)
        if refused:
            draft.gap(refused)
        else:
            at_ms = horizon(memory, read.object).at_ms or 0
            for record_id in missing:
                draft.absent(read, record_id, Order(at_ms, 0, 0))
        yield draft.batch()

    def _forgotten(self, memory: Memory) -> dict[str, bytes | None]:
        """What need not be remembered any longer of deleted records; it is looked for once a day."""
        horizons = [horizon(memory, read.object).at_ms or 0 for read in self._plan.objects]
        newest = max(stream(memory).at_ms, *horizons)
        if newest < self._tidied_ms + _DAY_MS:
            return {}
        self._tidied_ms = newest
        before = position(max(0, newest - _FORGOTTEN_AFTER_MS))
        return {key: None for read in self._plan.objects for key in outdated(memory, read, before)}


def _complete(read: Object, memory: Memory) -> bool:
    names = [read.object] if read.children is None else [read.object, read.children.object]
    return all(found.complete and found.way == read.way for found in (horizon(memory, name) for name in names))
