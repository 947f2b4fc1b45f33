"""A run of the crash matrix: a feed, two workers that die by plan and come back, and the end they come to."""

import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from streams.engine.cluster import changelog_of
from streams.engine.drained import GroupLag
from tests.crash.fates import EMPTY, LATE, REBALANCE_POINTS, SIGNAL, ZOMBIE, Fate
from tests.crash.feed import Feed
from tests.crash.job import INPUTS, REMINDER_MS, Run
from tests.crash.slot import Command, Slot
from tests.crash.worker import SESSION_SECONDS

PARTITIONS = 8
WORKERS = ("A", "B")
GUEST = "guest"
ASSIGNED = b"assigned: partitions"

PATIENCE_SECONDS = 25.0
"""After this long a worker that has not met its fate is killed from outside."""

HELD_AFTER_SECONDS = 1.0
WOKEN_AFTER_SECONDS = HELD_AFTER_SECONDS + SESSION_SECONDS * 1.5
ZOMBIE_SECONDS = WOKEN_AFTER_SECONDS + 2.0
"""The life of a zombie: held while it works, woken when the group has given it up, with time to write."""

QUIET_SECONDS = 4 * REMINDER_MS / 1000
"""How long nothing waits at the end: the last timers fall due meanwhile."""

MOMENT_SECONDS = 0.25
DRAIN_SECONDS_MAX = 300.0
_KNOWN_SECONDS_MAX = 30.0
_LOOK_SECONDS = 0.05
_TELL_SECONDS = 5.0

Say = Callable[[str], None]


class Commands(NamedTuple):
    """How workers are started: those that die, and the guest that comes and goes."""

    worker: Command
    guest: Command
    assigned: bytes = ASSIGNED
    """What a worker's log says when it has partitions."""


class Matrix:
    """One run. `say` gets a line for each kill."""

    def __init__(self, run: Run, commands: Commands, say: Say) -> None:
        self.slots = [Slot(name, run.out, commands.worker, commands.assigned) for name in WORKERS]
        self.zombies = 0
        self.unmet = 0
        self._guest = Slot(GUEST, run.out, commands.guest, commands.assigned)
        self._asked = run
        self._say = say
        self._done = 0
        self._kills = 0
        self._feed = Feed(run)

    def run(self, plan: list[list[Fate]], drain_seconds_max: float = DRAIN_SECONDS_MAX) -> None:
        """Let every worker meet its fates, then come to the end of the input.

        Raises `AssertionError` if a worker ends otherwise than by its fate, or the end is not reached.
        """
        self._kills = sum(map(len, plan))
        try:
            self._feed.start()
            for slot, fates in zip(self.slots, plan, strict=True):
                slot.fates = list(fates)
                self._start(slot)
            while self._done < self._kills:
                self._feed.allowed = (self._done + 1) / self._kills
                self._look_after()
            self._feed.allowed = 1.0
            self._drain(drain_seconds_max)
            self._feed.verify_written()
            self._end()
        finally:
            self._feed.stop()
            for slot in (*self.slots, self._guest):
                slot.close()

    def _start(self, slot: Slot) -> None:
        slot.start(slot.fates.pop(0) if slot.fates else None)

    def _look_after(self) -> None:
        for slot in self.slots:
            self._look(slot)
        self._invite()
        time.sleep(_LOOK_SECONDS)

    def _look(self, slot: Slot) -> None:
        """See to a slot: bring back who is dead and due, note who has died."""
        if slot.back_at:
            if time.monotonic() >= slot.back_at:
                self._start(slot)
            return
        if slot.runs:
            if not self._ends_now(slot):
                return
            slot.kill()
        fate = slot.fate
        if fate is None or slot.child.returncode != -signal.SIGKILL:
            self._ended_by_itself(slot)
            return
        self._done += 1
        where = f"worker {slot.name} at {fate}; {self._feed.fed:,} records fed"
        self._say(f"kill {self._done:>3} of {self._kills}: {where}")
        if fate.comes_back == EMPTY:
            slot.empty()
        slot.back_at = time.monotonic() + (SESSION_SECONDS * 1.5 if fate.comes_back == LATE else 0.0)

    def _ended_by_itself(self, slot: Slot) -> None:
        raise AssertionError(f"worker {slot.name} ended by itself with {slot.child.returncode}; see {slot.log}")

    def _ends_now(self, slot: Slot) -> bool:
        """Return whether a worker that runs is to be killed from outside: its fate, or it does not come to its own."""
        fate, worked_s = slot.fate, slot.worked_s()
        if fate is None:
            return False
        if fate.point == ZOMBIE and worked_s:
            slot.hold(HELD_AFTER_SECONDS <= worked_s < WOKEN_AFTER_SECONDS)
            self.zombies += worked_s >= ZOMBIE_SECONDS
            return worked_s >= ZOMBIE_SECONDS
        if fate.point == SIGNAL and worked_s:
            return worked_s >= fate.times * MOMENT_SECONDS
        if time.monotonic() - slot.started_at < PATIENCE_SECONDS:
            return False
        self.unmet += 1
        slot.fate = Fate(f"signal, as it did not come to {fate.point}", 1, fate.comes_back)
        return True

    def _invite(self) -> None:
        """Let a third worker come for as long as one waits to be told that its partitions are to go."""
        waiting = [
            slot
            for slot in self.slots
            if slot.runs and slot.fate is not None and slot.fate.point in REBALANCE_POINTS and slot.worked_s()
        ]
        if waiting and not self._guest.runs:
            self._guest.start(None)
        elif not waiting and self._guest.runs and self._guest.worked_s():
            self._guest.stop()

    def _drain(self, seconds_max: float) -> None:
        topics = self._asked.topics
        lag = GroupLag(self._asked.brokers, self._asked.name)
        until, told_at = time.monotonic() + seconds_max, 0.0
        busy_at = time.monotonic()
        while True:
            self._look_after()
            now = lag.of([getattr(topics, name) for name in (*INPUTS, "facts")])
            if time.monotonic() - told_at >= _TELL_SECONDS:
                told_at = time.monotonic()
                self._say(f"all kills done; {self._feed.fed:,} records fed, {now.open:,} wait")
            at_work = all(slot.runs and slot.worked_s() for slot in self.slots) and not self._guest.runs
            if not at_work or self._feed.is_alive() or now.open:
                busy_at = time.monotonic()
            if time.monotonic() - busy_at >= QUIET_SECONDS:
                break
            if time.monotonic() > until:
                raise AssertionError(f"{now.open} records still wait after {seconds_max:.0f} s")
        lag.close()

    def _end(self) -> None:
        for slot in self.slots:
            slot.stop()


def make_topics(run: Run) -> None:
    """Make the topics of a run."""
    wanted = [NewTopic(topic, PARTITIONS, 1) for topic in run.topics]
    wanted.append(NewTopic(changelog_of(run.name), PARTITIONS, 1, config={"cleanup.policy": "compact"}))
    client = AdminClient({"bootstrap.servers": run.brokers, "log_level": 0})
    for made in client.create_topics(wanted).values():
        made.result(30)
    # A broker learns of new partitions one by one: a record for one that it does not know yet is refused, not held.
    until = time.monotonic() + _KNOWN_SECONDS_MAX
    while not _are_known(client, wanted):
        assert time.monotonic() < until, f"topics of {run.name} are not known to the broker in time"
        time.sleep(_LOOK_SECONDS)  # the broker tells nobody what it has learnt: it is asked


def _are_known(client: AdminClient, wanted: Sequence[NewTopic]) -> bool:
    known = client.list_topics(timeout=_KNOWN_SECONDS_MAX).topics
    ready = {name: sum(part.leader >= 0 for part in topic.partitions.values()) for name, topic in known.items()}
    return all(ready.get(topic.topic) == topic.num_partitions for topic in wanted)
