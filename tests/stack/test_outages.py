"""Brokers that are away: a worker waits for them, or ends and is started again; nothing is lost or there twice."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from stack.kafka import Kafka
from tests.crash.job import Run
from tests.stack.bench import WAIT_SECONDS_MAX, Bench, Worker, wait_until
from tests.stack.conftest import say

GOOD = (0, 0, ())
WAITS = "brokers: a round has been under way for"
LASTING = ("--set", "session_timeout_s", "120", "--set", "transaction_timeout_ms", "120000")
"""Membership and transactions outlast every outage here."""

MINUTE_SECONDS = 60.0
START_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka that the tests of this module kill and suspend."""
    with Kafka(tmp_path_factory.mktemp("fragile"), say=say) as broker:
        yield broker


@pytest.fixture
def own(fragile: Kafka, fresh: Callable[[str], str], tmp_path: Path) -> Iterator[Bench]:
    """A run of the crash job on it; it is up again, whatever the test before did."""
    fragile.resume()
    fragile.start()
    made = Bench(Run(fresh("job"), fragile.bootstrap, tmp_path, seed=3, records=0))
    yield made
    made.close()


def within_a_round(bench: Bench, point: str, *how: str) -> Worker:
    """Return a worker that is suspended at a point of its second round."""
    bench.feed(2_000)
    worker = bench.worker("A").begin("--stops", point, "2", *how)
    worker.works()
    bench.feed(2_000)
    worker.is_suspended()
    return worker


def wakes(worker: Worker) -> None:
    """Let a worker go on that is suspended."""
    worker.child.send_signal(signal.SIGCONT)


def is_back(bench: Bench) -> None:
    """Wait until brokers that were started again answer for the group."""
    until = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            bench.lag()
            return
        except KafkaException:
            assert time.monotonic() < until, "the group's coordinator does not come back"


def ends_without_a_traceback(worker: Worker) -> str:
    """Wait until a worker has ended with exit code 1 and an explanation; return what it has told."""
    assert worker.ends() == 1
    told = worker.told()
    assert "Traceback" not in told
    return told


def ends_or_goes_on(bench: Bench, worker: Worker) -> bool:
    """Wait until a worker has taken everything in, or has ended; return whether it has ended."""
    is_back(bench)
    wait_until(lambda: not worker.runs or not bench.lag().open, worker.told)
    return not worker.runs


def all_is_there_once(bench: Bench, worker: Worker) -> None:
    """Let a worker take in what is left, and further entries; hold what has come of all of them against the batch."""
    is_back(bench)
    bench.feed(1_000)
    bench.drains(worker)
    assert worker.is_ready()["waits_for"] == "nothing"
    worker.stop()
    assert bench.verdict() == GOOD


def test_brokers_that_hang_for_a_moment_are_waited_for(fragile: Kafka, own: Bench) -> None:
    worker = within_a_round(own, "offsets sent", *LASTING)
    fragile.suspend()
    wakes(worker)
    assert worker.is_ready(False)["waits_for"].startswith(WAITS)
    fragile.resume()
    all_is_there_once(own, worker)


def test_a_worker_without_work_outlasts_a_restart_of_the_brokers(fragile: Kafka, own: Bench) -> None:
    own.feed(2_000)
    worker = own.worker("A").begin()
    own.drains(worker)
    fragile.kill()
    fragile.start()
    all_is_there_once(own, worker)


def test_brokers_that_are_away_for_a_minute_are_waited_for(fragile: Kafka, own: Bench) -> None:
    worker = within_a_round(own, "produced", *LASTING)
    fragile.kill()
    began = time.monotonic()
    wakes(worker)
    worker.waits(lambda: time.monotonic() - began >= MINUTE_SECONDS, "is there after a minute")
    assert worker.is_ready(False)["waits_for"].startswith(WAITS)
    fragile.start()
    all_is_there_once(own, worker)


def test_a_transaction_that_the_outage_outlasts_is_written_anew_or_ends_the_worker(fragile: Kafka, own: Bench) -> None:
    """Whether worker or broker is first to abort it when the broker goes on is chance; what comes of it is not."""
    worker = within_a_round(own, "produced", "--set", "transaction_timeout_ms", "1000")
    fragile.suspend()
    wakes(worker)
    worker.is_ready(False)
    fragile.resume()
    if ends_or_goes_on(own, worker):
        assert "was away for longer than its transaction may last" in ends_without_a_traceback(worker)
        worker.begin()
    all_is_there_once(own, worker)


def test_brokers_that_are_away_for_longer_than_the_patience_end_the_worker_and_a_start_without_them_names_them(
    fragile: Kafka, own: Bench
) -> None:
    worker = within_a_round(own, "settled", *LASTING, "--set", "patience_s", "3")
    before = own.acknowledged()
    fragile.kill()
    wakes(worker)
    assert "stopping: " in ends_without_a_traceback(worker)
    began = time.monotonic()
    told = ends_without_a_traceback(worker.begin())
    assert time.monotonic() - began < START_SECONDS_MAX
    assert f"brokers {own.run.brokers}: no answer within 15 s" in told
    fragile.start()
    is_back(own)
    assert own.acknowledged() == before
    all_is_there_once(own, worker.begin())
