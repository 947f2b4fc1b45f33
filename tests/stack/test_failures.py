"""What each failure of a worker does, on a real Kafka: nothing is lost, nothing is there twice."""

import signal
import time

import pytest

from tests.crash.verdict import committed
from tests.stack.bench import Bench

GOOD = (0, 0, ())
FENCED = "was away for longer than its transaction may last"
GIVEN_UP = "the group has given this worker's partitions to others"


def test_stopped_by_a_signal_everything_taken_in_is_committed_and_a_restart_repeats_nothing(bench: Bench) -> None:
    bench.feed(20_000)
    worker = bench.worker("A").begin()
    worker.works()
    worker.stop()  # in the middle of the work; the exit code is 0
    first = bench.lag()
    facts = sum(1 for _ in committed(bench.run.brokers, bench.run.topics.facts))
    bench.feed(1_000)
    worker.begin()
    bench.drains(worker)
    assert worker.metric("records_redelivered_total", step="notes", topic=bench.run.topics.time) == 0
    worker.stop()
    assert bench.verdict() == GOOD
    assert 0 <= first.open <= 20_000 + facts


def test_an_error_in_a_rule_stops_the_worker_and_a_corrected_one_goes_on(bench: Bench) -> None:
    bench.feed(5_000)
    worker = bench.worker("A").begin()
    bench.drains(worker)
    worker.stop()
    before = bench.lag()
    bench.feed(1_000)
    worker.begin("--fails", "5500")
    assert worker.ends() == 1
    assert "entry 5500 cannot be reckoned with" in worker.told()
    assert 0 < bench.lag().open - before.open <= 1_000 + 1_000
    worker.begin()
    bench.drains(worker)
    worker.stop()
    assert bench.verdict() == GOOD


def test_a_second_worker_on_a_copy_of_the_identity_stops_the_first_with_a_clear_message(bench: Bench) -> None:
    bench.feed(2_000)
    first, second = bench.worker("A").begin(), bench.worker("B")
    bench.drains(first)
    second.folder.mkdir()
    (second.folder / "identity").write_text((first.folder / "identity").read_text())
    second.begin()
    second.works()
    bench.feed(2_000)
    assert first.ends() == 1
    assert "another worker" in first.told()
    assert "Traceback" not in first.told()
    bench.drains(second)
    second.stop()
    assert bench.verdict() == GOOD


def test_a_transaction_of_others_that_stays_open_ends_no_worker(bench: Bench) -> None:
    bench.feed(2_000)
    worker = bench.worker("A").begin("--set", "stall_s", "1")
    bench.drains(worker)
    with bench.open_transaction():
        began = time.monotonic()
        worker.waits(lambda: time.monotonic() - began > 5, "has worked beside an open transaction for 5 s")
        status, told = worker.ask("/health")
        assert (status, told["without_progress_s"]) == (200, {})
        bench.feed(1_000)  # behind it, so it cannot be read as long as it is open
    bench.drains(worker)
    worker.stop()
    assert bench.verdict() == GOOD


@pytest.mark.parametrize("point", ["offsets sent", "produced"])
def test_a_worker_that_sleeps_within_a_transaction_for_too_long_has_it_aborted(bench: Bench, point: str) -> None:
    bench.feed(2_000)
    worker = bench.worker("A").begin("--stops", point, "2", "--set", "transaction_timeout_ms", "1000")
    worker.works()
    bench.feed(2_000)
    worker.is_suspended()
    other = bench.worker("B").begin()
    bench.drains(other)  # which waits until the transaction of the first is over
    written = bench.ends()
    worker.child.send_signal(signal.SIGCONT)
    assert worker.ends() == 1
    assert FENCED in worker.told()
    assert bench.ends() == written
    worker.begin()
    worker.works()
    for each in (worker, other):
        each.stop()
    assert bench.verdict() == GOOD


def test_a_worker_that_the_group_has_given_up_fires_no_timer_when_it_wakes(bench: Bench) -> None:
    """Nothing is taken in with a round in which only timers fire, and yet brokers must know whose it is."""
    bench.feed(2_000)
    worker = bench.worker("A").begin("--reminds-after", "5000", "--stops", "timer", "1")
    worker.is_suspended()
    assert bench.lag().open == 0
    other = bench.worker("B").begin("--reminds-after", "5000")
    bench.drains(other)
    written = bench.ends()
    worker.child.send_signal(signal.SIGCONT)
    assert worker.comes_back() is None
    worker.is_ready()
    assert bench.ends() == written
    for each in (worker, other):
        each.stop()
    assert bench.verdict() == GOOD


@pytest.mark.parametrize("point", ["batch", "settled", "begun"])
def test_a_worker_that_the_group_has_given_up_writes_nothing_when_it_wakes(bench: Bench, point: str) -> None:
    bench.feed(20_000)
    worker = bench.worker("A").begin("--stops", point, "2")
    worker.is_suspended()
    other = bench.worker("B").begin()
    bench.drains(other)
    written = bench.ends()
    worker.child.send_signal(signal.SIGCONT)
    if worker.comes_back() is None:
        assert GIVEN_UP in worker.told()
    else:  # a transaction that is open for too long ends it; there may be one before and after these points
        assert FENCED in worker.told()
        worker.begin()
    worker.is_ready()
    assert bench.ends() == written  # not even what is aborted
    bench.feed(1_000)
    bench.drains(worker, other)
    for each in (worker, other):
        each.stop()
    assert bench.verdict() == GOOD
