"""Faust's consumer over the fetching thread: batches in, rebalances announced, nothing committed by itself."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol, cast

from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP, ConsumerMessage

from streams.engine.transport.acks import Acks
from streams.engine.transport.batch import Batch
from streams.engine.transport.fetching import Fetching
from streams.engine.transport.refusal import NotOffered
from streams.partitioning import partition_of


class Owner(Protocol):
    """Who owns the partitions assigned: opens and closes their state, and commits for them."""

    derived: frozenset[str]
    """The topics that steps write for each other."""

    def client_config(self) -> Mapping[str, Any]:
        """Return the settings of the Kafka consumer."""

    async def assigned(self, committed: Mapping[TP, int | None], generation: int, member: object) -> None:
        """Take partitions over; `Consumer.resume` then lets their records come."""

    async def revoked(self) -> None:
        """Commit what is taken in, and let go of all partitions."""

    async def lost(self) -> None:
        """Let go of all partitions; nothing may be committed."""


class Consumer(FaustConsumer):
    """The consumer of a worker. Its app must be an `EngineApp`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fetching: Fetching | None = None
        self._batches: asyncio.Queue[Sequence[Batch]] = asyncio.Queue()

    @property
    def acks(self) -> Acks:
        """Return what agents of single events have acknowledged."""
        return cast(Any, self.app).acks  # type: ignore[no-any-return]

    @property
    def owner(self) -> Owner:
        """Return who owns the partitions."""
        return cast(Any, self.app).owner  # type: ignore[no-any-return]

    # -- what Faust asks

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group for these topics, once; Faust asks again whenever an agent has come or gone."""
        chosen = frozenset(topics)
        if self._fetching is None:
            listener = _OnLoop(self, asyncio.get_running_loop())
            self._fetching = Fetching(self.owner.client_config(), chosen, listener, self.owner.derived)
            self._fetching.start()
        elif chosen - self._fetching.topics:
            raise NotOffered(f"topics subscribed to after the start: {', '.join(chosen)}")

    async def _drain_messages(self, fetcher: Any) -> None:
        while not (self.should_stop or fetcher.should_stop):
            for batch in await self._batches.get():
                if batch.generation == self.app.consumer_generation_id:
                    await self.callback(_event_of(batch))

    def assignment(self) -> set[TP]:
        """Return the partitions assigned."""
        return set(self._fetching.assigned) if self._fetching is not None else set()

    def highwater(self, tp: TP) -> int:
        """Return up to where a partition can be read, as of about a second ago; 0 where it is not known."""
        return self._fetching.ends.get(tp, 0) if self._fetching is not None else 0

    def ack(self, message: Any) -> bool:
        """Note a single event as acknowledged. Batches are not: a step knows its own position."""
        if message.acked or message.generation_id != self.app.consumer_generation_id:
            return False
        message.acked = True
        self.acks.done(message.tp, message.offset)
        return True

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, Faust's
        """Nothing: the next checkpoint commits what is acknowledged."""
        return False

    async def wait_empty(self) -> None:
        """Nothing: what is under way at the end comes again."""

    async def on_stop(self) -> None:
        """Leave the group."""
        if self._fetching is not None:
            await asyncio.to_thread(self._fetching.stop)

    # -- what the engine asks

    def resume(self, tps: Iterable[TP], generation: int) -> None:
        """Let the records of partitions come."""
        if self._fetching is not None:
            self._fetching.resume(tps, generation)

    def hold(self, tp: TP, generation: int) -> None:
        """Let no more records of a partition come, as long as this assignment lasts."""
        if self._fetching is not None:
            self._fetching.hold(tp, generation)

    def commit_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit offsets of the group from another thread than the event loop's, and wait for it."""
        if self._fetching is not None:
            self._fetching.commit(offsets)

    def taken(self, tp: TP, records: int, generation: int) -> None:
        """Note records as taken in, which makes room for others."""
        if self._fetching is not None:
            self._fetching.room.give_back(tp, records, generation)

    def waiting(self) -> frozenset[TP]:
        """Return the partitions of sources that wait for what is under way; it is what must not stand still then."""
        return self._fetching.waiting() if self._fetching is not None else frozenset()

    def caught_up(self) -> bool:
        """Return whether all there was has been taken in, as far as fetching knows."""
        return self._fetching is not None and self._fetching.caught_up()

    # -- rebalances, on the event loop

    async def begin(self, committed: Mapping[TP, int | None], generation: int, member: object) -> None:
        """Tell Faust and the owner of an assignment."""
        if not self.app.rebalancing:  # the first assignment ends none
            self.app.on_rebalance_start()
        self.app.consumer_generation_id = generation
        self.acks.begin({tp: offset or 0 for tp, offset in committed.items()})
        await self.on_partitions_assigned(set(committed), generation)
        self.app.flow_control.resume()
        self.resume_flow()
        await cast(Any, self.app)._fetcher.maybe_start()
        await self.owner.assigned(committed, generation, member)
        self.app.on_rebalance_end()

    async def end(self, lost: bool) -> None:
        """Tell the owner and Faust that the assignment is over."""
        self.app.on_rebalance_start()
        await (self.owner.lost() if lost else self.owner.revoked())
        self.app.consumer_generation_id = -1
        await self.on_partitions_revoked(self.assignment())
        self.acks.begin({})

    # -- known from the state, or from `throughline topics apply`

    def topic_partitions(self, topic: str) -> int | None:  # noqa: ARG002
        """Return the number of partitions of a topic."""
        return int(self.app.conf.topic_partitions)

    def key_partition(self, _topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition of a key, unless one is given."""
        if partition is not None or key is None:
            return partition
        return partition_of(key.decode(errors="surrogateescape"), self.app.conf.topic_partitions)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the ends of partitions, as of about a second ago."""
        return {tp: self.highwater(tp) for tp in partitions}

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    # -- never asked for: there are no Faust tables, checkpoints commit, and positions follow the state

    async def create_topic(self, *_args: Any, **_kwargs: Any) -> None:
        """Refuse."""
        raise _not_here("create_topic")

    async def position(self, tp: TP) -> int | None:  # noqa: ARG002
        """Refuse."""
        raise _not_here("position")

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:  # noqa: ARG002
        """Refuse."""
        raise _not_here("seek_wait")

    async def earliest_offsets(self, *_partitions: TP) -> Mapping[TP, int]:
        """Refuse."""
        raise _not_here("earliest_offsets")

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Refuse."""
        raise _not_here("seek_to_committed")

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:  # noqa: ARG002
        raise _not_here("_commit")

    async def _seek(self, partition: TP, offset: int) -> None:  # noqa: ARG002
        raise _not_here("_seek")

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ARG002
        raise _not_here("_getmany")

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:  # noqa: ARG002
        raise _not_here("_to_message")


def _not_here(name: str) -> NotOffered:
    return NotOffered(f"{name}: not offered by this transport; state belongs to steps, commits to checkpoints")


def _event_of(batch: Batch) -> ConsumerMessage:
    topic, partition = batch.tp
    return ConsumerMessage(
        topic, partition, batch.end, 0.0, 0, None, None, cast(Any, batch), None, 0, 0, batch.tp,
        generation_id=batch.generation,
    )  # fmt: skip


def message_of(tp: TP, record: Any, generation: int) -> ConsumerMessage:
    """Return a single record as Faust's message."""
    kind, timestamp_ms = record.timestamp()
    key, value = record.key(), record.value()
    return ConsumerMessage(
        tp.topic, tp.partition, record.offset(), timestamp_ms / 1000, kind, record.headers(), key, value, None,
        len(key or b""), len(value or b""), tp, generation_id=generation,
    )  # fmt: skip


class _OnLoop:
    """Brings what the thread tells to the event loop."""

    def __init__(self, consumer: Consumer, loop: asyncio.AbstractEventLoop) -> None:
        self._consumer = consumer
        self._loop = loop

    def fetched(self, batches: Sequence[Batch]) -> None:
        self._loop.call_soon_threadsafe(self._consumer._batches.put_nowait, batches)

    def assigned(self, committed: Mapping[TP, int | None], generation: int, member: object) -> Future[None]:
        return self._run(self._consumer.begin(committed, generation, member))

    def revoked(self) -> Future[None]:
        return self._run(self._consumer.end(lost=False))

    def lost(self) -> Future[None]:
        return self._run(self._consumer.end(lost=True))

    def failed(self, error: Exception) -> Future[None]:
        return self._run(self._consumer.crash(error))

    def _run(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
