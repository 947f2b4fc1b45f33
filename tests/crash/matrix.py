"""A run of the crash matrix: a feed, two workers that die by plan and come back, and the end they come to."""

import itertools
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from streams.engine.cluster import changelog_of
from streams.engine.drained import GroupLag
from tests.crash.entries import entries
from tests.crash.fates import EMPTY, LATE, SIGNAL, ZOMBIE, Fate
from tests.crash.job import FACTS, INPUTS, TOPICS
from tests.crash.worker import GROUP, SESSION_SECONDS

PARTITIONS = 8
WORKERS = ("A", "B")
PATIENCE_SECONDS = 25.0
"""After this long a worker that has not met its fate is killed from outside."""

STOPPED_AFTER_SECONDS = 5.0
WOKEN_AFTER_SECONDS = STOPPED_AFTER_SECONDS + SESSION_SECONDS * 2
KILLED_AFTER_SECONDS = WOKEN_AFTER_SECONDS + 2.0
"""The life of a zombie."""

DRAIN_SECONDS_MAX = 300.0
_LOOK_SECONDS = 0.05

Say = Callable[[str], None]


class Feed(threading.Thread):
    """Writes the input little by little, up to the share it is allowed, so that all kills find work under way."""

    def __init__(self, brokers: str, seed: int, records: int) -> None:
        super().__init__(name="feed", daemon=True)
        self.allowed = 0.0
        self.fed = 0
        self._records = records
        self._entries = entries(seed, records)
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        """Feed until all is fed."""
        portion = max(self._records // 2_000, 1)
        while self.fed < self._records:
            if self.fed < self.allowed * self._records:
                for entry in itertools.islice(self._entries, portion):
                    self._producer.produce(entry.topic, orjson.dumps([entry.number, entry.hours]), entry.contract)
                    self.fed += 1
                self._producer.poll(0)
            time.sleep(0.01)
        self._producer.flush()


class Slot:
    """A place for a worker: a folder, and the process that works in it now."""

    def __init__(self, name: str, brokers: str, out: Path) -> None:
        self.name = name
        self.folder = out / f"state-{name}"
        self.fate: Fate | None = None
        self.started_at = 0.0
        self.back_at = 0.0
        self.stopped = False
        self.process: subprocess.Popen[bytes] | None = None
        self._brokers = brokers
        self._log = (out / f"worker-{name}.log").open("ab")

    def start(self, fate: Fate | None) -> None:
        """Start a worker that meets a fate, or one that lives."""
        dies = fate is not None and fate.point not in (SIGNAL, ZOMBIE)
        arguments = [fate.point, str(fate.times)] if fate is not None and dies else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.worker", self._brokers, str(self.folder), str(PARTITIONS), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.fate, self.started_at, self.stopped = fate, time.monotonic(), False

    def stop_and_wake(self, age: float) -> None:
        """Let a zombie of some age stop, and wake when the group has given it up, with time to write."""
        assert self.process is not None
        stopped = STOPPED_AFTER_SECONDS <= age < WOKEN_AFTER_SECONDS
        if stopped != self.stopped:
            self.stopped = stopped
            self.process.send_signal(signal.SIGSTOP if stopped else signal.SIGCONT)

    def stop(self) -> int:
        """Stop it in good order; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def close(self) -> None:
        """Kill what still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self._log.close()


class Matrix:
    """One run. `say` gets a line for each kill."""

    def __init__(self, brokers: str, out: Path, seed: int, records: int, say: Say) -> None:
        self.slots = [Slot(name, brokers, out) for name in WORKERS]
        self.zombies = 0
        self._brokers = brokers
        self._say = say
        self._records = records
        make_topics(brokers, TOPICS, [changelog_of(GROUP)])
        self._feed = Feed(brokers, seed, records)

    def run(self, kills: int, plan: Iterator[Fate]) -> None:
        """Kill so many times, then let the workers come to the end of the input."""
        try:
            self._feed.start()
            self._kill(kills, plan)
            self._feed.allowed = 1.0
            for slot in self.slots:
                if slot.process is None or slot.process.poll() is not None:
                    slot.start(None)
            self._drain()
            for slot in self.slots:
                code = slot.stop()
                if code:
                    raise AssertionError(f"worker {slot.name} ended with {code}; see {slot.folder.parent}")
        finally:
            for slot in self.slots:
                slot.close()

    def _kill(self, kills: int, plan: Iterator[Fate]) -> None:
        for slot in self.slots:
            slot.start(next(plan))
        done = 0
        while done < kills:
            self._feed.allowed = (done + 1) / kills
            for slot in self.slots:
                done += self._look(slot, done, kills, plan)
            time.sleep(_LOOK_SECONDS)
        for slot in self.slots:  # who still runs was to die: its successor is to live
            assert slot.process is not None
            slot.process.send_signal(signal.SIGCONT)
            slot.process.kill()
            slot.process.wait()
            slot.back_at = 0.0

    def _look(self, slot: Slot, done: int, kills: int, plan: Iterator[Fate]) -> int:
        """See to a slot: bring back who is dead and due, note who has died; return how many have."""
        assert slot.process is not None
        if slot.back_at:
            if time.monotonic() >= slot.back_at:
                slot.back_at = 0.0
                slot.start(next(plan))
            return 0
        fate, age = slot.fate, time.monotonic() - slot.started_at
        assert fate is not None
        if slot.process.poll() is None:
            if fate.point == ZOMBIE:
                slot.stop_and_wake(age)
            limit = {SIGNAL: PATIENCE_SECONDS / 4, ZOMBIE: KILLED_AFTER_SECONDS}.get(fate.point, PATIENCE_SECONDS)
            if age < limit:
                return 0
            slot.process.kill()
            slot.process.wait()
            if fate.point == ZOMBIE:
                self.zombies += 1
            else:
                fate = fate._replace(point=SIGNAL, times=1)
        if slot.process.returncode != -signal.SIGKILL:
            raise AssertionError(f"worker {slot.name} ended by itself with {slot.process.returncode}; see its log")
        self._say(f"kill {done + 1:>3} of {kills}: worker {slot.name} at {fate}; {self._feed.fed:,} records fed")
        self._bring_back(slot, fate)
        return 1

    def _bring_back(self, slot: Slot, fate: Fate) -> None:
        wait = SESSION_SECONDS * 1.5 if fate.comes_back == LATE else 0.0
        if fate.comes_back == EMPTY:
            for path in slot.folder.glob("partition-*"):
                shutil.rmtree(path)
        slot.back_at = time.monotonic() + wait

    def _drain(self) -> None:
        lag = GroupLag(self._brokers, GROUP)
        until = time.monotonic() + DRAIN_SECONDS_MAX
        while True:
            now = lag.of((*INPUTS, FACTS))
            self._say(f"all kills done; {self._feed.fed:,} records fed, {now.open:,} wait")
            if not self._feed.is_alive() and now.open == 0:
                break
            for slot in self.slots:
                if slot.process is not None and slot.process.poll() is not None:
                    raise AssertionError(f"worker {slot.name} ended with {slot.process.returncode}; see its log")
            if time.monotonic() > until:
                raise AssertionError(f"{now.open} records still wait after {DRAIN_SECONDS_MAX:.0f} s")
            time.sleep(1.0)
        lag.close()


def make_topics(brokers: str, topics: tuple[str, ...], compacted: list[str]) -> None:
    """Make topics, of which some are compacted."""
    wanted = [NewTopic(topic, PARTITIONS, 1) for topic in topics]
    wanted += [NewTopic(topic, PARTITIONS, 1, config={"cleanup.policy": "compact"}) for topic in compacted]
    client = AdminClient({"bootstrap.servers": brokers})
    for made in client.create_topics(wanted).values():
        made.result(30)
