"""What a worker tells its watchers, over HTTP: how it is, what goes through it, and what needs somebody's eye."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.registry import Manifest
from stack.ports import free_ports
from streams.engine.embedded import PARTITIONS, EmbeddedBroker
from streams.engine.feeding import SourceBytes
from streams.partitioning import partition_of
from tests.broker.bench import WAIT_SECONDS_MAX, feed
from tests.support.feed import Feed
from tests.support.registry import ComingAndGoing

pytestmark = pytest.mark.broker

WORKER = "from streams.cli import main; main()"
_PAUSE_SECONDS = 0.2
HERE = str(partition_of("P1", PARTITIONS))
ENTRIES = "psa.public.time_entries"
PROJECTS = "psa.public.projects"


class Watched:
    """A worker of the whole topology, as its watchers see it."""

    def __init__(self, brokers: str, folder: Path, **settings: str) -> None:
        (self._port,) = free_ports(1)
        self.log = folder / "worker.log"
        told = {"brokers": brokers, "metrics_port": self._port, "guarantee": "at_least_once", **settings}
        surroundings = {f"THROUGHLINE_{name.upper()}": str(value) for name, value in told.items()}
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-c", WORKER, "worker"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **surroundings},
                stderr=log,
            )

    def ask(self, path: str) -> tuple[int, str]:
        """The status and the body of an answer; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 before the worker is up."""
        for family in text_string_to_metric_families(self.ask("/metrics")[1]):
            for sample in family.samples:
                if sample.name == f"throughline_{name}" and sample.labels == labels:
                    return sample.value
        return 0.0

    def wait(self, there: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not there():
            assert self.child.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text() + self.ask("/metrics")[1]
            time.sleep(_PAUSE_SECONDS)


@contextmanager
def watched(brokers: str, folder: Path, **settings: str) -> Iterator[Watched]:
    worker = Watched(brokers, folder, **settings)
    try:
        yield worker
    finally:
        if worker.child.poll() is None:
            worker.child.kill()
        worker.child.wait(WAIT_SECONDS_MAX)


def write(brokers: str, contents: list[dict[str, Any]]) -> None:
    """Write changes as their feeds do."""
    encoded = SourceBytes(Manifest())
    feed(brokers, [(c["topic"], c["key"], encoded.of(c["topic"], c["value"])) for c in contents])


def test_a_worker_tells_how_it_is_and_what_needs_somebody(tmp_path: Path) -> None:
    changes = Feed()
    changes.entry("T1")
    changes.entry("T2")
    with EmbeddedBroker() as broker:
        brokers = broker.bootstrap
        write(brokers, changes.records)
        feed(brokers, [(ENTRIES, "P1", b"not ours")])
        with watched(brokers, tmp_path) as worker:
            worker.wait(lambda: worker.metric("parked_records", partition=HERE) == 2)
            assert worker.metric("parked_oldest_age_seconds", partition=HERE) > 0
            assert worker.metric("records_in_total", step="intake", topic=ENTRIES) == 3
            worker.wait(lambda: worker.metric("records_out_total", topic="dead.letters") == 1)
            assert worker.metric("dead_letters_total", error="Undecodable") == 1
            assert f"a record of {ENTRIES} (partition {HERE}, offset 2) is a dead letter: Un" in worker.log.read_text()
            assert worker.metric("exceptions_total", kind="undecodable", state="open") == 1
            assert worker.metric("exceptions_total", kind="unmapped_value", state="open") == 0
            assert worker.metric("ready") == 1
            assert worker.metric("assigned_partitions") == PARTITIONS

            worker.wait(lambda: worker.metric("lag_records", topic=ENTRIES, partition=HERE) == 0)
            assert "a worker of group throughline" in worker.log.read_text()
            assert "steps pure Python (PURE_PYTHON is set)" in worker.log.read_text()

            status, body = worker.ask("/health")
            health = json.loads(body)
            assert (status, health["ok"], health["without_progress_s"]) == (200, True, {})
            assert health["waiting_records"].keys() == {str(number) for number in range(PARTITIONS)}
            status, body = worker.ask("/ready")
            told = {"assigned": True, "restored": True, "registry": "none set", "waits_for": "nothing"}
            assert (status, json.loads(body)) == (200, {"ok": True, **told})

            arrives = changes.project()
            write(brokers, [arrives])
            worker.wait(lambda: worker.metric("parked_records", partition=HERE) == 0)
            assert worker.metric("parked_oldest_age_seconds", partition=HERE) == 0


def test_a_worker_whose_registry_is_away_waits_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    changes, registry = Feed(), ComingAndGoing()
    changes.entry("T1")
    changes.entry("T2")
    registry.comes()
    with (
        EmbeddedBroker() as broker,
        watched(broker.bootstrap, tmp_path, contracts__registry_url=registry.url) as worker,
    ):
        write(broker.bootstrap, changes.records)
        worker.wait(lambda: worker.metric("parked_records", partition=HERE) == 2)

        registry.goes()
        write(broker.bootstrap, [changes.project()])  # an id that was not seen before
        worker.wait(lambda: json.loads(worker.ask("/ready")[1] or "{}").get("waits_for", "nothing") != "nothing")
        status, body = worker.ask("/ready")
        told = json.loads(body)
        assert (status, told["ok"], told["assigned"], told["restored"]) == (503, False, True, True)
        assert told["registry"].startswith("schema registry: ")
        assert told["waits_for"].startswith("schema registry: ")
        assert worker.metric("records_in_total", step="intake", topic=PROJECTS) == 0
        assert worker.metric("parked_records", partition=HERE) == 2

        registry.comes()
        worker.wait(lambda: worker.metric("parked_records", partition=HERE) == 0)
        assert worker.metric("records_in_total", step="intake", topic=PROJECTS) == 1
        assert worker.metric("records_in_total", step="intake", topic=ENTRIES) == 2
        status, body = worker.ask("/ready")
        told = {"assigned": True, "restored": True, "registry": "ok", "waits_for": "nothing"}
        assert (status, json.loads(body)) == (200, {"ok": True, **told})
    registry.goes()
