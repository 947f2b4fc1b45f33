"""The crash job on the real Kafka, one run a test: entries in, workers that start and stop, and what must be there."""

import http.client
import itertools
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import IsolationLevel, Producer

from stack.ports import free_ports
from streams.engine.drained import Ends, GroupLag, Lag, Place
from tests.crash.entries import batch_result, entries
from tests.crash.fates import Fate
from tests.crash.job import INPUTS, Run
from tests.crash.matrix import ASSIGNED, PARTITIONS, make_topics
from tests.crash.ours import commands
from tests.crash.slot import Slot
from tests.crash.verdict import Verdict, committed, verdict

WAIT_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.05
ENTRIES_MAX = 1_000_000
_COMING = 20
"""How many entries come at once while they come all the while."""

REBALANCES = ("assigned", "revoked", "lost")
"""What can happen to an assignment, as labels of a metric."""


def wait_until(reached: Callable[[], bool], told: Callable[[], str]) -> None:
    """Wait until something holds; fail with what is told where it does not in time."""
    until = time.monotonic() + WAIT_SECONDS_MAX
    while not reached():
        assert time.monotonic() < until, told()
        time.sleep(_LOOK_SECONDS)  # between two looks, as neither brokers nor workers tell when they are there


class Worker(Slot):
    """A worker of a run, in a folder of its own, which answers its watchers."""

    def __init__(self, run: Run, name: str, *how: str) -> None:
        self.port = free_ports(1)[0]
        self.run = run
        self.how(*how)
        super().__init__(name, run.out, self._words, ASSIGNED)

    def how(self, *how: str) -> "Worker":
        """Say how it is to be when it is started next: options of `tests.crash.worker`."""
        self._how = how
        return self

    def _words(self, folder: Path, fate: Fate | None) -> list[str]:
        port = ("--set", "metrics_port", str(self.port))
        return list(commands(self.run, *self._how, *port).worker(folder, fate))

    def begin(self, *how: str) -> "Worker":
        """Start it, in some way."""
        self.how(*how).start(None)
        return self

    def works(self) -> None:
        """Wait until it has been told its partitions."""
        self.waits(lambda: bool(self.worked_s()), "has partitions")

    def says(self, words: str) -> None:
        """Wait until it has written some words since its start."""
        self.waits(lambda: words in self.told(), f"says {words!r}")

    def comes_back(self) -> int | None:
        """Wait until it has been told its partitions a second time, or has ended; return the exit code, if so."""
        wait_until(
            lambda: not self.runs or self.told().count(ASSIGNED.decode()) >= 2,
            lambda: f"worker {self.name} neither ended nor came back: {self.told()}",
        )
        return self.child.returncode

    def is_ready(self, ready: bool = True) -> dict[str, Any]:
        """Wait until `/ready` answers 200, or 503; return what it says."""
        self.waits(lambda: self.ask("/ready")[0] == (200 if ready else 503), f"ready: {ready}")
        return self.ask("/ready")[1]

    def is_suspended(self) -> None:
        """Wait until it has stopped where it is."""
        status = Path(f"/proc/{self.child.pid}/status")
        self.waits(lambda: "\nState:\tT" in status.read_text(), "is suspended")

    def ends(self) -> int:
        """Wait until it has ended by itself; return the exit code."""
        return self.child.wait(WAIT_SECONDS_MAX)

    def holds(self) -> list[int]:
        """Return the partitions it holds, restored or not, in their order."""
        return sorted(map(int, self.ask("/health")[1].get("waiting_records", ())))

    def starts(self) -> "Worker":
        """Wait until it answers its watchers."""
        self.waits(lambda: self.ask("/health")[0] > 0, "answers")
        return self

    def restores(self) -> None:
        """Wait until it has restored something."""
        self.starts()
        self.waits(lambda: self.metric("restore_records_total") > 0, "has restored something")

    def taken_in(self) -> float:
        """Return how many entries it has taken in since its start."""
        topics = (getattr(self.run.topics, name) for name in INPUTS)
        return sum(self.metric("records_in_total", step="notes", topic=topic) for topic in topics)

    def rebalances(self) -> tuple[float, float, float]:
        """Return how many assignments began since its start, and how many were revoked and lost."""
        assigned, revoked, lost = (self.metric("rebalances_total", event=event) for event in REBALANCES)
        return assigned, revoked, lost

    def waits(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until something holds, while it runs."""

        def reached_by_one_that_runs() -> bool:
            if reached():
                return True
            assert self.runs, f"worker {self.name} ended with {self.child.returncode}: {self.told()}"
            return False

        wait_until(reached_by_one_that_runs, lambda: f"worker {self.name}: not {what} in time: {self.told()}")

    def told(self) -> str:
        """Return what it has written since its start."""
        with self.log.open("rb") as log:
            log.seek(self.log_begins)
            return log.read().decode(errors="replace")

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and answer of one of its pages; (0, {}) if it does not answer, or not to the end."""
        try:
            try:
                answer = urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5)
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric, 0 if it is not there."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
        name = f"throughline_{name}" + (f"{{{wanted}}}" if wanted else "")
        return next((float(line.split()[-1]) for line in lines if line.rsplit(" ", 1)[0] == name), 0.0)


class Bench:
    """One run: its topics, its entries, and its workers, which end with it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.fed = 0
        self._workers: list[Worker] = []
        self._producer = Producer(
            {
                "bootstrap.servers": run.brokers,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "log_level": 2,
            }
        )
        self._entries: Iterator[Any] = entries(run.seed, ENTRIES_MAX)
        self._lag = GroupLag(run.brokers, run.name)
        make_topics(run)

    def worker(self, name: str, *how: str) -> Worker:
        """Return a worker that is not started yet."""
        worker = Worker(self.run, name, *how)
        self._workers.append(worker)
        return worker

    def feed(self, count: int) -> None:
        """Write so many further entries."""
        for entry in itertools.islice(self._entries, count):
            topic = getattr(self.run.topics, entry.topic)
            self._producer.produce(topic, orjson.dumps([entry.number, entry.hours]), entry.contract)
        assert self._producer.flush(WAIT_SECONDS_MAX) == 0
        self.fed += count

    @contextmanager
    def open_transaction(self) -> Iterator[None]:
        """Have somebody else write to all inputs, who takes it back in the end."""
        other = Producer({"bootstrap.servers": self.run.brokers, "transactional.id": f"{self.run.name}-other"})
        other.init_transactions(WAIT_SECONDS_MAX)
        other.begin_transaction()
        for name, number in itertools.product(INPUTS, range(PARTITIONS)):
            other.produce(getattr(self.run.topics, name), b"[0, 0]", b"nobody", number)
        assert other.flush(WAIT_SECONDS_MAX) == 0
        try:
            yield
        finally:
            other.abort_transaction(WAIT_SECONDS_MAX)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Write entries all the while, a few at a time."""
        ended = threading.Event()

        def feed() -> None:
            while not ended.wait(_LOOK_SECONDS):
                self.feed(_COMING)

        with ThreadPoolExecutor(1, "coming") as pool:
            feeding = pool.submit(feed)
            try:
                yield
            finally:
                ended.set()
            feeding.result()

    def lag(self) -> Lag:
        """Return how many records there are, and how many the group has not acknowledged."""
        return self._lag.of([getattr(self.run.topics, name) for name in (*INPUTS, "facts")])

    def lag_of(self, topic: str) -> Lag:
        """Return the same of one topic, by its field of `Topics`."""
        return self._lag.of([getattr(self.run.topics, topic)])

    def acknowledged(self) -> int:
        """Return how far the group has come, in records.

        Where topics end is no measure of it: the mark of a transaction's end comes a moment after its commit.
        """
        lag = self.lag()
        return lag.written - lag.open

    def drains(self, *workers: Worker) -> None:
        """Wait until everything fed is acknowledged and the last reminders have fallen due, while workers run."""
        reminders = len(self.expected().hours)
        for worker in workers:
            worker.waits(lambda: self.lag().open == 0, "has taken everything in")
        for worker in workers:
            worker.waits(lambda: self.count("reminders") == reminders, "has reminded of everything")

    def ends(self) -> dict[Place, int]:
        """Return where the outputs end by partition, once no transaction is open there.

        Anything written moves an end, marks and what is aborted, too.
        """
        topics = self.run.topics
        asked = Ends(self.run.brokers)
        places = asked.places([topics.facts, topics.triggers, topics.margins, topics.reminders])
        found: dict[Place, int] = {}

        def all_over() -> bool:
            found.update(asked.of(places))
            return found == asked.of(places, IsolationLevel.READ_COMMITTED)

        wait_until(all_over, lambda: "a transaction is still open")
        return found

    def count(self, topic: str) -> int:
        """Return how many committed records there are, by the topic's field of `Topics`."""
        return sum(1 for _ in committed(self.run.brokers, getattr(self.run.topics, topic)))

    def expected(self) -> Any:
        """Return what the entries fed so far come to."""
        return batch_result(self.run.seed, self.fed)

    def verdict(self) -> Verdict:
        """Return how what is there differs from what must be."""
        return verdict(self.run, self.expected())

    def close(self) -> None:
        """Kill what still runs."""
        for worker in self._workers:
            worker.close()
        self._lag.close()
