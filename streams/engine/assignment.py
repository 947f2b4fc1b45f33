"""The assignment: the partitions this worker has been given, from their opening to their release."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from faust.types import TP

from state.cache import CacheBudget
from state.rocks import RocksMemory, RocksStore, StoreCorrupt, set_aside
from streams.engine.changelog import Changelog, Extent, Interrupted, Restore
from streams.engine.kit import Kit
from streams.engine.partition import COUNTED_ROUNDS, Partition
from streams.engine.state_folder import StateFolder
from streams.step import Step

log = logging.getLogger("throughline.worker")

_MEGABYTE = 1024 * 1024

_SHORT_RECORDS_MAX = 1_000
"""What lacks no more records of the changelog than this is restored in a moment, before what lacks more."""


_NAMED_MAX = 3
"""So many missing topics are named in a line of the log; by them it is seen who has them."""

_APART = (
    "the others of its topics are with workers of the group that read other topics; it goes on when all of them are "
    "restarted with the same topics"
)


class AssignmentError(Exception):
    """A topic has more partitions than all others: what is keyed alike would not meet any more."""


class MissingStateError(Exception):
    """The group has read on from records of whose state neither the folder nor the changelog knows anything."""


class MemoryHeld(NamedTuple):
    """Bytes that databases and decoded values take in memory, and how many values had to be read from the databases.

    `hits` is about how many did not have to be.
    """

    database_bytes: int
    cache_bytes: int
    loads: int
    hits: int


class Assignment:
    """Opens, restores and closes partitions. Used on the event loop; waits for disk and brokers in threads.

    A partition whose database is damaged, of another format, or does not fit the changelog is set aside and rebuilt
    from it. Nothing of a partition is read before it is restored.
    """

    def __init__(self, steps: tuple[Step, ...], kit: Kit, changelog: Changelog, folder: StateFolder) -> None:
        self.steps = steps
        self.partitions: dict[int, Partition] = {}
        self.generation = -1
        self.member: Any = None
        self.apart: Mapping[TP, int] = {}
        """What is assigned, and not read: other topics of the same partition are with another worker, which reads other
        topics, as while workers are restarted one by one with a topic more. Up to where the group has read it."""
        self._kit = kit
        self._changelog = changelog
        self._folder = folder
        half = kit.settings.state_memory_mb * _MEGABYTE // 2
        self._memory, self._cache = RocksMemory(half), CacheBudget(half)
        self._restore: Restore | None = None
        self._opened = False

    def ready(self) -> bool:
        """Return whether an assignment is held and restored; it may be empty."""
        return self._opened and all(partition.ready for partition in self.partitions.values())

    def held(self) -> dict[str, str]:
        """Return why topics are held, by topic and partition. May be called by any thread."""
        held = {
            f"{topic}/{number}": hold.why
            for number, partition in sorted(self.partitions.copy().items())
            for (_, topic), hold in partition.held.copy().items()
        }
        return held | {f"{tp.topic}/{tp.partition}": _APART for tp in sorted(self.apart)}

    async def take_over(self, committed: Mapping[TP, int | None], generation: int, member: object) -> None:
        """Open the partitions of a new assignment.

        Raises `AssignmentError`, `StoreUnavailable`.
        """
        numbers = self._set_apart(committed)
        self.generation, self.member = generation, member
        stores = await asyncio.to_thread(self._open_all, numbers)
        self.partitions = {
            number: Partition(number, self.steps, store, self._kit, self._cache) for number, store in stores.items()
        }
        self._opened = True
        self._kit.probe("opened")
        log.info("assigned: partitions %s", ", ".join(map(str, numbers)) or "none")

    def _set_apart(self, committed: Mapping[TP, int | None]) -> list[int]:
        """Return the partitions assigned of all topics that steps read; what is left of others stands apart.

        No other worker of which all topics are assigned has these, so the state is opened once at most.
        """
        read = {topic for step in self.steps for topic in step.reads}
        given = {tp: offset or 0 for tp, offset in committed.items() if tp.topic in read}
        for topic, number in sorted(given):
            if number >= self._kit.settings.partitions:
                raise AssignmentError(
                    f"topic {topic} has a partition {number}, but every topic must have "
                    f"{self._kit.settings.partitions} partitions (setting partitions), or what is keyed alike does not "
                    "meet; see docs/operating.md#changing-the-number-of-partitions"
                )
        numbers = {tp.partition for tp in given}
        lacking = {number: sorted(topic for topic in read if TP(topic, number) not in given) for number in numbers}
        missing = {number: topics for number, topics in lacking.items() if topics}
        self.apart = {tp: offset for tp, offset in given.items() if tp.partition in missing}
        for number, topics in sorted(missing.items()):
            more = len(topics) - _NAMED_MAX
            named = ", ".join(topics[:_NAMED_MAX]) + (f" and {more} others" if more > 0 else "")
            log.warning("partition %d waits: it was assigned without %s; %s", number, named, _APART)
        return sorted(numbers - missing.keys())

    def _open_all(self, numbers: Iterable[int]) -> dict[int, RocksStore]:
        return {number: self._open(number) for number in numbers}

    def _open(self, number: int) -> RocksStore:
        path = self._folder.database(number)
        try:
            return RocksStore(path, self._memory)
        except StoreCorrupt as error:
            log.warning(
                "%s: set aside as %s, and rebuilt from the changelog", error, set_aside(path, self._kit.clock()).name
            )
            return RocksStore(path, self._memory)

    async def restore(self, committed: Mapping[TP, int | None], resume: Callable[[Iterable[TP], int], None]) -> None:
        """Bring all partitions up to the changelog, and let their records come: first where little is missing.

        Returns early if the assignment ends meanwhile. Raises `LostChangelogError`, `MissingStateError`,
        `ForeignStateError`, `StoreUnavailable`.
        """
        generation, partitions = self.generation, dict(self.partitions)
        for partition in partitions.values():
            partition.check(self._changelog.cluster)
        restore = self._restore = self._changelog.restore()
        gaps = await self._gaps(partitions) if partitions else {}
        # One worker's end makes others restore what it had: what they have themselves does not wait for that.
        long = {number for number, gap in gaps.items() if gap.end - gap.start > _SHORT_RECORDS_MAX}
        soon = {tp.partition for tp in committed} - long  # also those that only agents of single events read
        for numbers in (soon, long):
            lacking = {number: gap for number, gap in gaps.items() if number in numbers}
            if lacking and not await self._fill(restore, lacking, partitions):
                return
            if generation != self.generation:
                return
            self._begin(numbers & partitions.keys(), committed)
            resume([tp for tp in committed if tp.partition in numbers and tp not in self.apart], generation)
        self._kit.probe("restored")

    def _begin(self, numbers: Iterable[int], committed: Mapping[TP, int | None]) -> None:
        for number in sorted(numbers):
            self.partitions[number].begin(self._changelog.cluster)
            self._check_known(self.partitions[number], committed)
            self.partitions[number].reads_from(committed)

    async def _gaps(self, partitions: Mapping[int, Partition]) -> dict[int, Extent]:
        """Return what each partition lacks of the changelog; one that lacks nothing is left out."""
        generation = self.generation
        extents = await asyncio.to_thread(self._changelog.extents, sorted(partitions))
        gaps: dict[int, Extent] = {}
        for number, partition in partitions.items():
            if generation != self.generation:
                return {}
            start = self._changelog.start_of(partition.store, extents[number], self._kit.clock())
            if start is None:
                partition.store.close()
                aside = set_aside(self._folder.database(number), self._kit.clock())
                log.warning(
                    "partition %d: its state is of no use against the changelog; set aside as %s", number, aside
                )
                partition.store = RocksStore(self._folder.database(number), self._memory)
                start = self._changelog.start_of(partition.store, extents[number], self._kit.clock())
            assert start is not None  # an empty store starts somewhere, or an error says why not
            if start < extents[number].end:
                gaps[number] = Extent(start, extents[number].end)
        return gaps

    async def _fill(self, restore: Restore, gaps: Mapping[int, Extent], partitions: Mapping[int, Partition]) -> bool:
        """Read what is missing; return whether it is here now, and not given up on the way."""
        starts = {number: gap.start for number, gap in gaps.items()}
        ends = {number: gap.end for number, gap in gaps.items()}
        stores = {number: partitions[number].store for number in gaps}
        try:
            await asyncio.to_thread(restore.run, starts, ends, stores)
        except Interrupted:
            log.info("the restore ends early, as its partitions go; what was restored so far is kept")
            return False
        return True

    def _check_known(self, partition: Partition, committed: Mapping[TP, int | None]) -> None:
        for tp, offset in committed.items():
            readers = partition.readers(tp.topic)
            if tp.partition != partition.number or not readers or not offset:
                continue
            if all(partition.position(step.name, tp.topic) is None for step in readers):
                raise MissingStateError(
                    f"group {self._kit.settings.group} has read {tp.topic}, partition {tp.partition} up to {offset}, "
                    f"but neither {self._folder.path} nor topic {self._changelog.topic} holds any state of it; bring "
                    "back the one or the other, or use another group to begin from the start"
                )
            for step in readers:
                position = partition.position(step.name, tp.topic)
                if position is not None and position < offset:
                    raise MissingStateError(
                        f"group {self._kit.settings.group} reads on from {offset} in {tp.topic}, partition "
                        f"{tp.partition}, but the state of step {step.name} knows it up to {position} only; was the "
                        f"group's offset set by hand? Set it back to {position}, or nothing of what is between is seen"
                    )

    async def release(self) -> None:
        """Close all partitions, so that others may have them. What was not committed is dropped."""
        self.generation, self.member, self._opened = -1, None, False
        partitions, self.partitions, self.apart = self.partitions, {}, {}
        restore, self._restore = self._restore, None
        if restore is not None:
            await asyncio.to_thread(restore.stop)
        for partition in partitions.values():
            await asyncio.to_thread(partition.close)

    def memory(self) -> "MemoryHeld":
        """Return what the state takes in memory, of `state_memory_mb`, and how often it was not there."""
        cache = self._cache
        return MemoryHeld(self._memory.bytes_held(), cache.bytes_held, cache.loads, cache.hits * COUNTED_ROUNDS)
