"""The checkpoint: outputs, state and acknowledgement as one.

A round, in this order:

1. every partition fires its due timers and emits what it emits once per commit;
2. outputs, the changelog's entries and the offsets taken in are written to Kafka: with `exactly_once` in one
   transaction, under the generation of the group in which the records were fetched;
3. each partition writes its state to its database, in one batch with the changelog position it corresponds to.

While 2 waits for brokers, steps take in what is of the next round, and see what the one under way has changed.

A round begins an interval after the last one *ended*; earlier, an interval after it *began*, if all there was is taken
in, as nothing is gained by waiting then; and at once when it is full.

With `exactly_once`, a crash before the commit leaves nothing that a reader of committed records sees; a crash after it,
before 3, is healed by reading the changelog on from the position in the database. The database is never ahead of the
changelog. A worker that has been given up by its group, such as one that was stopped and wakes, cannot commit.

With `at_least_once` a crash within 2 writes some outputs twice, with the same identities, and the round that is taken
in again may hold more records than the first, such as a correction, and then say another amount under one identity.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, Protocol

from faust.types import TP
from mode import Service

from schemas.registry import RegistryUnavailable
from streams.domain.made import made
from streams.engine.assignment import Assignment
from streams.engine.kit import Kit
from streams.engine.metrics import bytes_of
from streams.engine.partition import Hold, Settled
from streams.engine.round import Commit, MembershipOver, Writer
from streams.engine.transport.batch import Batch
from streams.engine.transport.producer import ANY_PARTITION, Encoded
from streams.step import Output, Step

log = logging.getLogger("throughline.worker")

_IDLE_SECONDS = 1.0
"""How often offsets are committed that have moved past no record."""

_WRITE_SECONDS_USUAL = 2.0
"""A round that takes longer to be written waits for brokers."""

_WAIT_SECONDS_FIRST = 0.25
_WAIT_SECONDS_MAX = 5.0

_WRITTEN = itemgetter(1)  # of an entry of the changelog

_ROUND = ""
"""Who waits, beside the steps by their names."""


class Agents(Protocol):
    """Agents of single events, as a checkpoint sees them: what they have sent and acknowledged."""

    def take_sent(self) -> Sequence[tuple[Encoded, asyncio.Future[Any]]]:
        """Return what agents have sent since the last call."""

    def advanced(self) -> dict[TP, int]:
        """Return the offsets up to which agents have acknowledged all, where they have moved."""

    def committed(self, offsets: dict[TP, int]) -> None:
        """Note offsets as committed."""

    def fence(self) -> dict[TP, int]:
        """Return an offset up to which agents have acknowledged all, though it has not moved."""

    def caught_up(self) -> bool:
        """Return whether all there was has been taken in, as far as fetching knows: there may be more by now."""

    def hold(self, tp: TP, generation: int) -> None:
        """Fetch nothing more of a partition in this assignment."""


@dataclass
class _Round:
    """A round under way."""

    now: int
    began: float
    settled: Mapping[int, Settled]
    outputs: Sequence[Output]
    ages: Sequence[tuple[int, int]]
    acked: dict[TP, int]
    commit: Commit


class Checkpoints(Service):
    """Lets steps take in batches, and runs the rounds, one at a time. A batch is of one round as a whole."""

    def __init__(self, assignment: Assignment, writer: Writer, agents: Agents, kit: Kit, **service: Any) -> None:
        super().__init__(**service)
        self._one_round = asyncio.Lock()
        self._still = asyncio.Lock()  # taken after the other; who holds it has no batch taken in meanwhile
        self._assignment = assignment
        self._writer = writer
        self._agents = agents
        self._kit = kit
        self._metrics = kit.metrics
        self._interval_s = kit.settings.checkpoint_interval_ms / 1000
        self._records_max = kit.settings.checkpoint_records_max
        self._thread = ThreadPoolExecutor(1, "writer")
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._taken = 0
        self._sent: list[tuple[Encoded, asyncio.Future[Any]]] = []
        self._ages: list[tuple[int, int]] = []
        self._committed_at = 0.0
        self._broken = False
        self._waiting: dict[str, str] = {}
        self._writing_at: float | None = None
        self._hurry = asyncio.Event()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[None]:
        """Wait for the round under way, and let nothing be taken in: for whoever changes the assignment."""
        async with self._one_round, self._still:
            yield

    def waits_for(self) -> str | None:
        """Return what outside of the worker is waited for now, or None. May be called by any thread."""
        writing_at = self._writing_at
        if writing_at is not None and (took := time.monotonic() - writing_at) > _WRITE_SECONDS_USUAL:
            return f"brokers: a round has been under way for {took:.0f} s"
        return next(iter(self._waiting.copy().values()), None)

    async def on_start(self) -> None:
        """Get ready to write. Raises `streams.engine.writer.WriteError`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.open)

    async def on_stop(self) -> None:
        """Let go of the brokers."""
        self._thread.submit(self._writer.close)
        self._thread.shutdown(wait=True)

    async def take(self, step: Step, batch: Batch) -> None:
        """Let a step take in a batch; returns when there is room for the next.

        A batch of an assignment that is over, or of a partition not assigned, is left: it comes again. So is what a
        step cannot read, with all behind it in its topic and partition, until another assignment.
        """
        waits = _backoff()
        while True:
            await self._room.wait()
            async with self._still:
                try:
                    self._take(step, batch)
                    if self._waiting.pop(step.name, None) is not None:
                        self._tell_waits(step, False)
                    break
                except RegistryUnavailable as error:
                    wait = self._told_to_wait(step.name, error, waits)
                    self._tell_waits(step, True)
            await self.sleep(wait)
        if self._taken >= self._records_max:
            self._room.clear()
            self._full.set()

    def _tell_waits(self, step: Step, waits: bool) -> None:
        for partition in self._assignment.partitions.values():
            partition.waits(step.name, waits)

    def _take(self, step: Step, batch: Batch) -> None:
        partition = self._assignment.partitions.get(batch.tp.partition)
        if self._broken or batch.generation != self._assignment.generation or not partition or not partition.ready:
            return
        began, holds = time.monotonic(), len(partition.held)
        taken = partition.take(step.name, batch, self._kit.clock())
        if len(partition.held) > holds:
            self._hold(partition.held[step.name, batch.tp.topic], batch)
        self._metrics.taken_in(step.name, batch.tp.topic, taken.records, taken.size, time.monotonic() - began)
        if taken.records:
            self._ages.append((taken.timestamp, taken.records))
        self._taken += taken.records

    def _hold(self, hold: Hold, batch: Batch) -> None:
        """Tell of a topic that is held on one more partition; the log says it once for all of them."""
        held = [
            (topic, each)
            for partition in self._assignment.partitions.values()
            for (_, topic), each in partition.held.items()
        ]
        if [each.why for _, each in held].count(hold.why) == 1:
            log.error("held: %s (partition %d, offset %d)", hold.why, batch.tp.partition, hold.offset)
        self._metrics.held(Counter((topic, column) for topic, each in held for column in each.columns or ("",)))
        self._agents.hold(batch.tp, batch.generation)

    async def run(self) -> bool:
        """Run a round, unless there is nothing to write; return whether it was committed.

        Raises what a step or the writer raises; nothing is written or acknowledged from then on.
        """
        async with self._one_round:
            if self._broken:
                return False
            try:
                async with self._still:
                    this = await self._settle()
                    if this is None:
                        return False
                    writing = await self._queue(this.commit)
                await self._store(this, writing)
                return True
            except MembershipOver as error:
                log.warning("%s: the partitions are given up, and what was taken in since the last checkpoint", error)
                async with self._still:
                    await self._assignment.release()
                    self.drop_sent()
                    self._make_room()
                return False
            except BaseException:
                self._broken = True  # what partitions hold now is half a round: it must never be written
                self._make_room()
                raise

    def _make_room(self) -> Sequence[tuple[int, int]]:
        """Count anew what is taken in; return how old what was counted so far is."""
        ages, self._ages, self._taken = self._ages, [], 0
        self._full.clear()
        self._room.set()
        return ages

    async def _settle(self) -> _Round | None:
        """Return all that is to be written, or None if nothing is."""
        now, began, ages = self._kit.clock(), time.monotonic(), self._make_room()
        if self._assignment.generation < 0:
            return None
        acked = self._agents.advanced()
        self._sent += self._agents.take_sent()
        ready = [partition for partition in self._assignment.partitions.values() if partition.ready]
        if not self._sent and not any(partition.busy(now) for partition in ready):
            moved = bool(acked) or any(partition.moved() for partition in ready)
            if not moved or began - self._committed_at < _IDLE_SECONDS:
                return None
        settled = {partition.number: partition.settle(now) for partition in ready}
        outputs = [output for part in settled.values() for output in part.outputs]
        offsets = dict(acked)
        for part in settled.values():
            offsets.update(part.offsets)
        if self._sent and not offsets:
            offsets.update(self._agents.fence())
        encoded = [*await self._encoded(outputs), *(record for record, _ in self._sent)]
        changes = {number: part.changes for number, part in settled.items() if part.changes}
        if not offsets and not encoded and not changes:
            # Steps had their turn and have nothing to say: what they wait to begin waits for no commit.
            for partition in ready:
                partition.committed()
            return None
        if not offsets:
            offsets.update(ready[0].fence())
        commit = Commit(encoded, changes, offsets, self._assignment.member)
        self._kit.probe("settled")
        return _Round(now, began, settled, outputs, ages, acked, commit)

    async def _queue(self, commit: Commit) -> asyncio.Future[None]:
        """Begin to write, and return once the client has all records: until then the two would only slow each other."""
        loop, queued = asyncio.get_running_loop(), asyncio.Event()
        commit.queued = partial(loop.call_soon_threadsafe, queued.set)
        self._writing_at = time.monotonic()
        writing = loop.run_in_executor(self._thread, self._writer.write, commit)
        writing.add_done_callback(lambda _: queued.set())
        await queued.wait()
        return writing

    async def _store(self, this: _Round, writing: asyncio.Future[None]) -> None:
        """Wait until the brokers have a round, and bring it to the databases; batches are taken in meanwhile."""
        commit = this.commit
        try:
            await writing
        finally:
            self._writing_at = None
        for number in commit.changes:
            self._assignment.partitions[number].store_changes(this.settled[number], commit.ends[number], this.now)
        for number in this.settled:
            self._assignment.partitions[number].committed()
        self._kit.probe("stored")
        self._metrics.outcomes.count(this.outputs)
        self._agents.committed(this.acked)
        sent, self._sent = self._sent, []
        for _, future in sent:
            if not future.done():
                future.set_result(None)
        self._told(this)

    async def _encoded(self, outputs: Sequence[Output]) -> list[Encoded]:
        """Return outputs as bytes; waits for a registry that does not answer, as the round cannot be taken back.

        Who wants the partitions does not wait with it: the round is dropped with them.
        """
        waits = _backoff()
        try:
            while True:
                try:
                    return self._bytes_of(outputs)
                except RegistryUnavailable as error:
                    wait = self._told_to_wait(_ROUND, error, waits)
                    if self._hurry.is_set():
                        raise MembershipOver(str(error)) from error
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), wait)
        finally:
            self._waiting.pop(_ROUND, None)

    def drop_sent(self) -> None:
        """Drop what agents have sent and no checkpoint has written: the events that led to it come again."""
        for _, future in (*self._sent, *self._agents.take_sent()):
            future.cancel()  # who waits for it must not wait for ever
        self._sent = []

    def _told_to_wait(self, who: str, error: RegistryUnavailable, waits: Iterator[float]) -> float:
        wait = next(waits)
        self._waiting[who] = str(error)
        log.warning("%s; asked again in %.1f s", error, wait)
        return wait

    def hurry(self, hurry: bool) -> None:
        """Let no round wait for a registry from now on, as the partitions are to go; or let it wait again."""
        if hurry:
            self._hurry.set()
        else:
            self._hurry.clear()

    def _bytes_of(self, outputs: Sequence[Output]) -> list[Encoded]:
        write = self._kit.wire.write
        return [
            made(
                Encoded,
                (
                    topic,
                    None if key is None else key.encode("utf-8", "surrogateescape"),
                    write(topic, value),
                    timestamp,
                    ANY_PARTITION if partition is None else partition,
                    list(headers) if headers else None,  # the client takes no tuple
                ),
            )
            for topic, key, value, timestamp, partition, headers in outputs
        ]

    def _told(self, this: _Round) -> None:
        self._committed_at = time.monotonic()
        now, commit = self._kit.clock(), this.commit
        size = self._metrics.written(commit.outputs)
        size += sum(bytes_of(map(_WRITTEN, entries)) for entries in commit.changes.values())
        self._metrics.checkpoint(self._committed_at - this.began, size)
        for timestamp, records in this.ages:
            self._metrics.latency(max(0, now - timestamp) / 1000, records)

    def stop_all(self) -> None:
        """Write and acknowledge nothing from now on."""
        self._broken = True

    @Service.task
    async def _rounds(self) -> None:
        began = ended = time.monotonic()
        while not self.should_stop:
            await self._until_due(began, ended)
            began = time.monotonic()
            await self.run()
            ended = time.monotonic()

    async def _until_due(self, began: float, ended: float) -> None:
        """Wait until the round after one that began and ended at these times of the monotonic clock is due."""
        if not await self._filled(began + self._interval_s) and not self._agents.caught_up():
            await self._filled(ended + self._interval_s)

    async def _filled(self, until: float) -> bool:
        """Wait for a round to be full, at most until a time of the monotonic clock; return whether it is."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._full.wait(), max(0.0, until - time.monotonic()))
        return self._full.is_set()


def _backoff() -> Iterator[float]:
    """Yield seconds to wait between attempts: longer every time, up to five."""
    wait = _WAIT_SECONDS_FIRST
    while True:
        yield wait
        wait = min(wait * 2, _WAIT_SECONDS_MAX)
