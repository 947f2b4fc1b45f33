"""Fetching: the thread that owns the Kafka consumer.

Calls on one consumer wait for each other, so everything is done on this thread, which never waits long for anything: it
fetches while there is room, and keeps polling when there is none, or rebalances would stall.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import groupby
from typing import Any, Protocol

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition
from faust.types import TP

from streams.engine.transport.batch import Batch
from streams.engine.transport.midstream import Midstream
from streams.engine.transport.returning import Returning
from streams.engine.transport.room import Room

log = logging.getLogger("throughline.fetching")

FETCHED_RECORDS_MAX = 5_000
"""Records taken from the client at once."""

_POLL_SECONDS = 0.05
_ROOM_SECONDS = 0.5
_LOOK_SECONDS = 0.1
_ENDS_SECONDS = 1.0
_HELD_ENDS_SECONDS = 5.0
_SERVE_SECONDS = 0.005
_ANSWER_SECONDS_MAX = 30.0
_COMMIT_SECONDS_MAX = 60.0
_REBALANCE_SECONDS_MAX = 280.0
"""How long a rebalance may take to be dealt with; the group waits for max.poll.interval.ms, 300 s."""

_FINAL = frozenset(
    (
        KafkaError._FATAL,  # the client says so of a static member whose place another has taken
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    )
)
"""Errors after which the client does nothing any more."""


class FetchError(Exception):
    """Fetching cannot go on: a topic is gone, access is denied, or records still to be read have been deleted."""


class Listener(Protocol):
    """Who is told what the thread does. Called on the thread; what returns a future is waited for."""

    def fetched(self, batches: Sequence[Batch]) -> None:
        """Batches have been fetched, in their order."""

    def assigned(self, committed: Mapping[TP, int | None], generation: int, member: object) -> Future[None]:
        """Partitions were assigned, with the group's committed offsets; nothing is fetched before `resume`."""

    def revoked(self) -> Future[None]:
        """All partitions are to be given up; what is taken in may still be committed, until the future is done."""

    def lost(self) -> Future[None]:
        """All partitions are gone already: nothing of theirs may be committed."""

    def failed(self, error: Exception) -> Future[None]:
        """The thread has ended with an error."""


class Fetching(threading.Thread):
    """A consumer in a thread of its own. What the group has not read yet is read from the beginning.

    `config` is that of the client, `listener` is told what comes and goes, `derived` names the topics of which most is
    taken in before more of the others is fetched.
    """

    def __init__(
        self, config: Mapping[str, Any], topics: Iterable[str], listener: Listener, derived: Iterable[str] = ()
    ) -> None:
        super().__init__(name="fetching", daemon=True)
        self.generation = 0
        self.room = Room()
        self.ends: Mapping[TP, int] = {}
        """Up to where the assigned partitions can be read, as of about a second ago."""
        self.topics = frozenset(topics)
        self._listener = listener
        self._consumer = Consumer(dict(config), logger=log)
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._resumes: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self.assigned: frozenset[TP] = frozenset()
        self._returning = Returning(self.topics, static="group.instance.id" in config)
        self._named: Iterable[str] | None = self.topics  # to be subscribed to next
        self._midstream = Midstream(derived)
        self._looked_at = 0.0
        self._resumed: frozenset[TP] = frozenset()
        self._ends_asked_at = 0.0
        self._seen_ends: dict[TP, int] = {}
        """Ends that were seen since records of theirs came. What lies behind one is of a transaction that is open."""
        self._held: frozenset[TP] = frozenset()
        self._held_ends: Mapping[TP, int] = {}
        """Where held partitions end: of what is not fetched, the client hears only if it asks."""
        self._held_ends_asked_at = 0.0

    # -- called from other threads

    def caught_up(self) -> bool:
        """Return whether the ends of all partitions were seen, and what was fetched is taken in by its last readers.

        Records may have come to the brokers since, and some lie in the client behind the ends that were seen. Of what
        is held nobody waits to see the end.
        """
        return len(self._seen_ends.keys() | self._held) == len(self.assigned) and not self.room.held()

    def waiting(self) -> frozenset[TP]:
        """Return the partitions of sources that wait for what is under way."""
        return self._midstream.sources(self.assigned) if self._midstream.sources_wait else frozenset()

    def resume(self, tps: Iterable[TP], generation: int) -> None:
        """Begin to fetch partitions of an assignment, unless it is over."""
        chosen = frozenset(tps)

        def resume() -> None:
            if generation == self.generation:
                ready = chosen & self.assigned
                self._resumed |= ready
                self._consumer.resume(_places(ready - self.waiting()))

        self._resumes.put(resume)
        self.room.wake()

    def hold(self, tp: TP, generation: int) -> None:
        """Fetch nothing more of a partition of an assignment, unless that is over."""

        def hold() -> None:
            if generation == self.generation:
                self._held |= {tp}
                self._consumer.pause(_places([tp]))

        self._commands.put(hold)
        self.room.wake()

    def commit(self, offsets: Mapping[TP, int]) -> None:
        """Commit offsets of the group, and wait for it. Raises `KafkaException`; for who does without transactions."""
        done: Future[None] = Future()

        def commit() -> None:
            try:
                places = [TopicPartition(*tp, offset) for tp, offset in offsets.items()]
                self._consumer.commit(offsets=places, asynchronous=False)
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._commands.put(commit)
        self.room.wake()
        done.result(_COMMIT_SECONDS_MAX)

    def stop(self) -> None:
        """Leave the group, unless membership is static, and end the thread; partitions must be given up before."""
        self._stopping.set()
        self.room.wake()
        if self.ident is not None:
            self.join()

    # -- the thread

    def run(self) -> None:
        """Fetch until stopped."""
        try:
            while not self._stopping.is_set():
                self._turn()
        except Exception as error:
            if not self._stopping.is_set():
                self._wait_for(self._listener.failed(_explained(error)))
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        if self._named is not None:
            named, self._named = sorted(self._named), None
            self._consumer.subscribe(named, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        for waiting in (self._commands, self._resumes):
            while not waiting.empty():
                waiting.get_nowait()()
        self._note_ends()
        self._let_sources_wait()
        self._resume_where_drained()
        if not self.room.wait(_ROOM_SECONDS):
            self._pause_where_full()
        generation = self.generation
        # The first record ends the wait, whereas asking for many at once would wait for the last of them.
        first = self._consumer.poll(_POLL_SECONDS)
        if first is not None:
            rest = self._consumer.consume(FETCHED_RECORDS_MAX - 1, 0) if self.room.left() else []
            self._hand_over([first, *rest], generation)

    def _hand_over(self, messages: Sequence[Message], generation: int) -> None:
        """Hand over what was fetched in a generation.

        After a rebalance within the poll, records are of the former assignment, and would make the step skip what comes
        before them in the new one. Nothing is of the new one: it is resumed between two polls. But that the client
        does nothing any more is told once, whenever.
        """
        if generation != self.generation:
            for message in messages:
                if (final := message.error()) is not None and _is_final(final):
                    _check(message, final)
            return
        runs: dict[tuple[str, int], list[Message]] = {}
        ends: dict[tuple[str, int], int] = {}
        told = list(filter(Message.error, messages))
        for message in told:
            error: Any = message.error()
            if error.code() == KafkaError._PARTITION_EOF:
                place: Any = (message.topic(), message.partition())
                ends[place] = _offset(message)
                runs.setdefault(place, [])
            else:
                _check(message, error)
        records = [message for message in messages if message.error() is None] if told else messages
        # Neighbours are mostly of one partition; what is called for each record is C, as every record comes by here.
        for topic, neighbours in groupby(records, Message.topic):
            for partition, run in groupby(neighbours, Message.partition):
                place = (topic, partition)
                runs.setdefault(place, []).extend(run)
        batches = []
        for place, held in runs.items():
            tp, end = TP(*place), ends.get(place, 0)
            after = _offset(held[-1]) + 1 if held else 0
            batches.append(Batch(tp, held, max(end, after), self.generation))
            self.room.take(tp, len(held))
            self._midstream.fetched(tp, max(end, after))
            if end >= after:
                self._seen_ends[tp] = end
            else:
                self._seen_ends.pop(tp, None)
        if batches:
            self._listener.fetched(batches)

    def _pause_where_full(self) -> None:
        """Stop fetching what is held most: something takes its records in slowly, and others must not wait for it."""
        full = self.room.pause_fullest()
        if full:
            self._consumer.pause(_places(full))

    def _resume_where_drained(self) -> None:
        drained = self.room.resume_drained() - self._held - self.waiting()
        if drained:
            self._consumer.resume(_places(drained))

    def _let_sources_wait(self) -> None:
        """Pause sources while much of what they led to is under way, and let them come again after."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        if self._midstream.look(self._cached_end, self.room.held_of):
            sources = self._midstream.sources(self._resumed) - self._held
            if self._midstream.sources_wait:
                self._consumer.pause(_places(sources))
            else:
                self._consumer.resume(_places(sources - self.room.paused()))

    def _cached_end(self, tp: TP) -> int:
        return int(self._consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)[1])

    def _note_ends(self) -> None:
        now = time.monotonic()
        if now - self._ends_asked_at >= _ENDS_SECONDS:
            self._ends_asked_at = now
            ends = dict(self._ends_of_held(now))
            for tp in self.assigned - ends.keys():
                end = self._seen_ends.get(tp)
                if end is None:
                    end = self._cached_end(tp)
                if end >= 0:
                    ends[tp] = end
            self.ends = ends

    def _ends_of_held(self, now: float) -> Mapping[TP, int]:
        """Ask now and then, and not for long: a rebalance must not wait."""
        if self._held and now - self._held_ends_asked_at >= _HELD_ENDS_SECONDS:
            self._held_ends_asked_at = now
            asked = [TopicPartition(*tp, OFFSET_END) for tp in self._held]
            with suppress(KafkaException):  # brokers are away: what was known stands
                found = self._consumer.offsets_for_times(asked, timeout=_ENDS_SECONDS)
                self._held_ends = {TP(p.topic, p.partition): p.offset for p in found if p.offset >= 0}
        return self._held_ends

    # -- rebalances, called back from within `poll`

    def _on_assign(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        self._named = self._returning.names({place.topic for place in given})
        if self._named is not None:
            consumer.assign([])
            return
        places = [place for place in given if place.topic in self.topics]  # what was had may be of topics taken out
        self._begin_generation(TP(place.topic, place.partition) for place in places)
        # Waits until no offset of these partitions is in a transaction that may still be committed: from here on, what
        # the former owner wrote is written.
        committed = self._committed(places) if places else {}
        # Who has taken in nothing begins with what there is, which need not be at offset 0.
        starts = [TopicPartition(*tp, offset or OFFSET_BEGINNING) for tp, offset in committed.items()]
        consumer.assign(starts)
        if starts:
            consumer.pause(starts)
        self._wait_for(self._listener.assigned(committed, self.generation, consumer.consumer_group_metadata()))

    def _committed(self, places: list[TopicPartition]) -> dict[TP, int | None]:
        """Return the group's offsets; waits for brokers that do not answer, as long as the group waits for us."""
        deadline = time.monotonic() + _REBALANCE_SECONDS_MAX
        while True:
            try:
                found = self._consumer.committed(places, timeout=_ANSWER_SECONDS_MAX)
                for place in found:
                    if place.error is not None:
                        raise KafkaException(place.error)
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if time.monotonic() > deadline or self._stopping.is_set():
                    raise
                log.warning("the group's offsets: %s; asked again", error.str())
                time.sleep(_POLL_SECONDS)
            else:
                return {TP(p.topic, p.partition): p.offset if p.offset >= 0 else None for p in found}

    def _on_revoke(self, *_: Any) -> None:
        self._end_generation(self._listener.revoked)

    def _on_lost(self, *_: Any) -> None:
        self._end_generation(self._listener.lost)

    def _end_generation(self, tell: Callable[[], Future[None]]) -> None:
        if self._returning.over:  # before, nothing was taken over
            self._wait_for(tell())
            self._begin_generation(())

    def _wait_for(self, answer: Future[None]) -> None:
        """Wait for the listener, and serve it meanwhile: it may want to commit before it answers."""
        deadline = time.monotonic() + _REBALANCE_SECONDS_MAX
        while not answer.done():
            if time.monotonic() > deadline:
                raise FetchError(f"a rebalance was not dealt with in {_REBALANCE_SECONDS_MAX:.0f} s")
            with suppress(queue.Empty):
                self._commands.get(timeout=_SERVE_SECONDS)()
        answer.result()

    def _begin_generation(self, assigned: Iterable[TP]) -> None:
        self.generation += 1
        self.assigned = frozenset(assigned)
        self._resumed = frozenset()
        self._midstream.begin(self.assigned)
        self._seen_ends = {}
        self.ends = {}
        self._held, self._held_ends, self._held_ends_asked_at = frozenset(), {}, 0.0
        self.room.begin(self.generation)


def _places(tps: Iterable[TP]) -> list[TopicPartition]:
    return [TopicPartition(*tp) for tp in tps]


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None  # everything fetched has one
    return offset


def _is_final(error: KafkaError) -> bool:
    return error.fatal() or error.code() in _FINAL


def _check(message: Message, error: KafkaError) -> None:
    """Raise for what fetching cannot get over; the client itself gets over the rest."""
    code = error.code()
    if code == KafkaError._AUTO_OFFSET_RESET:
        raise FetchError(
            f"{message.topic()}, partition {message.partition()}: records that were still to be read, from offset "
            f"{message.offset()} on, are not there any more; was the topic's retention shorter than the outage? "
            "Restore them, or rebuild under another group"
        )
    if _is_final(error):
        fenced = "fenced" in error.str()
        why = "; another worker goes by the identity of this one's state folder" if fenced else ""
        raise FetchError(f"{message.topic() or 'consumer'}: {error.str()}{why}")
    log.warning("%s: %s", message.topic() or "consumer", error.str())


def _explained(error: Exception) -> Exception:
    if isinstance(error, KafkaException):
        cause = error.args[0]
        return FetchError(f"fetching failed: {cause.str() if isinstance(cause, KafkaError) else cause}")
    return error
