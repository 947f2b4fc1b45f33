"""Workers come, go, and come back, on a real Kafka: who has which partitions, and that everything is there once."""

import signal
from collections.abc import Sequence

from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from streams.engine.cluster import changelog_of
from tests.crash.matrix import PARTITIONS
from tests.crash.verdict import changelog_state, committed, folder_differs
from tests.stack.bench import Bench, Worker

GOOD = (0, 0, ())
ALL = list(range(PARTITIONS))
PATIENT = ("--set", "session_timeout_s", "300")
"""A session far longer than anything is waited for: nothing comes about by its end."""

BATCH = "restored a batch"


def shared(*workers: Worker) -> list[list[int]]:
    """Wait until workers share all partitions as equally as can be, and have restored them; return who has which."""
    fewest, over = divmod(PARTITIONS, len(workers))
    counts = [fewest] * (len(workers) - over) + [fewest + 1] * over
    workers[0].waits(lambda: sorted(len(each.holds()) for each in workers) == counts, f"one of {counts}")
    for each in workers:
        each.is_ready()
    held = [each.holds() for each in workers]
    assert sorted(number for numbers in held for number in numbers) == ALL
    return held


def take_in(workers: Sequence[Worker]) -> None:
    """Wait until each of some workers has taken in a record that was not there yet."""
    before = [each.taken_in() for each in workers]
    for each, count in zip(workers, before, strict=True):
        each.waits(lambda each=each, count=count: each.taken_in() > count, "takes records in")  # type: ignore[misc]


def test_from_one_worker_to_three_and_back_to_one_everything_is_there_once(bench: Bench) -> None:
    guest = ("--guest", *PATIENT)  # a member whose partitions are free as soon as it has gone
    first, *others = workers = [bench.worker(name) for name in "ABC"]
    with bench.coming():
        first.begin(*guest)
        assert shared(first) == [ALL]
        for each in others:
            each.begin(*guest)
        shared(*workers)
        take_in(workers)
        for each in others:
            each.stop()
        assert shared(first) == [ALL]
        take_in([first])
    bench.drains(first)
    first.stop()
    assert bench.verdict() == GOOD


def test_a_worker_that_is_back_in_time_finds_its_partitions_and_the_other_has_no_rebalance(bench: Bench) -> None:
    first, second = workers = [bench.worker(name).begin(*PATIENT) for name in "AB"]
    with bench.coming():
        for back, other, leave in ((first, second, first.kill), (second, first, second.stop)):  # one leads the group
            held, rebalances = shared(back, other), other.rebalances()
            leave()
            take_in([other])
            take_in([back.begin(*PATIENT).starts()])
            assert shared(back, other) == held
            assert other.rebalances() == rebalances
    bench.drains(*workers)
    for each in workers:
        each.stop()
    assert bench.verdict() == GOOD


def test_in_a_rolling_restart_no_partition_moves(bench: Bench) -> None:
    workers = [bench.worker(name).begin(*PATIENT) for name in "ABC"]
    with bench.coming():
        held = shared(*workers)
        for restarted in workers:
            others = [each for each in workers if each is not restarted]
            rebalances = [each.rebalances() for each in others]
            restarted.stop()
            restarted.begin(*PATIENT).is_ready()
            assert [each.holds() for each in workers] == held
            assert [each.rebalances() for each in others] == rebalances
        take_in(workers)
    bench.drains(*workers)
    for each in workers:
        each.stop()
    assert bench.verdict() == GOOD


def test_without_static_membership_a_restart_moves_partitions_twice(bench: Bench) -> None:
    guest = ("--guest", *PATIENT)
    restarted, other = [bench.worker(name).begin(*guest) for name in "AB"]
    with bench.coming():
        shared(restarted, other)
        assigned, revoked, lost = other.rebalances()
        restarted.stop()
        assert shared(other) == [ALL]
        assert other.rebalances() == (assigned + 1, revoked + 1, lost)
        restarted.begin(*guest)
        shared(restarted, other)
        assert other.rebalances() == (assigned + 2, revoked + 2, lost)
    bench.drains(restarted, other)
    for each in (restarted, other):
        each.stop()
    assert bench.verdict() == GOOD


def test_a_worker_refuses_topics_with_another_number_of_partitions_and_says_which(bench: Bench) -> None:
    topics, more = bench.run.topics, PARTITIONS + 1
    admin = AdminClient({"bootstrap.servers": bench.run.brokers})
    for made in admin.create_partitions([NewPartitions(name, more) for name in (topics.time, topics.facts)]).values():
        made.result(30)
    bench.feed(100)
    worker = bench.worker("A").begin()
    assert worker.ends() == 1
    line = worker.told().splitlines()[-1]
    assert f"every topic must have {PARTITIONS} partitions (setting partitions)" in line
    assert f"these differ: {topics.facts} ({more} partitions), {topics.time} ({more} partitions);" in line
    assert bench.lag().open == 100  # nothing was taken in


def emptied(bench: Bench) -> Worker:
    """Return a worker that has worked on all partitions, and has lost its databases while records came."""
    worker = bench.worker("A").begin("--guest")
    bench.feed(8_000)
    bench.drains(worker)
    worker.stop()
    worker.empty()
    bench.feed(1_000)
    return worker


def changes(bench: Bench) -> int:
    """Return how many records the changelog has."""
    return sum(1 for _ in committed(bench.run.brokers, changelog_of(bench.run.name)))


def ends_whole(bench: Bench, restored: Worker, *others: Worker) -> None:
    """Let the others go: one that has restored in several pieces has all then, and has read each change once."""
    for each in others:
        each.stop()
    assert shared(restored) == [ALL]
    bench.drains(restored)
    assert restored.metric("restore_records_total") <= changes(bench)
    restored.stop()
    assert folder_differs(restored.folder, changelog_state(bench.run)) == set()
    assert bench.verdict() == GOOD


def test_another_worker_that_comes_in_mid_restore_gets_its_share_and_what_was_restored_is_kept(bench: Bench) -> None:
    worker, other = emptied(bench), bench.worker("B")
    worker.begin("--holds", BATCH, "1", "revoking", *PATIENT).restores()
    other.begin("--guest", *PATIENT)
    shared(worker, other)
    bench.drains(worker, other)
    ends_whole(bench, worker, other)


def test_partitions_whose_state_is_there_do_not_wait_for_those_that_are_restored(bench: Bench) -> None:
    worker = bench.worker("A").begin()
    bench.feed(4_000)
    bench.drains(worker)
    worker.stop()
    kept, gone = ALL[:3], ALL[3:]
    worker.empty(*gone)
    worker.begin("--holds", BATCH, str(len(kept) + 1), "revoking").restores()  # each of the kept passes once
    with bench.coming():
        take_in([worker])
    assert worker.ask("/ready")[0] == 503
    waiting = worker.ask("/health")[1]["waiting_records"]
    assert [number for number in ALL if waiting[str(number)] == "restoring"] == gone
    worker.stop()
    worker.begin()
    bench.drains(worker)
    worker.stop()
    assert folder_differs(worker.folder, changelog_state(bench.run)) == set()
    assert bench.verdict() == GOOD


def test_a_worker_stopped_in_mid_restore_goes_on_where_it_was(bench: Bench) -> None:
    worker = emptied(bench)
    all_changes = changes(bench)
    worker.begin("--holds", BATCH, "1", "revoking", *PATIENT).restores()
    worker.stop()
    worker.begin(*PATIENT)
    assert shared(worker) == [ALL]
    assert worker.metric("restore_records_total") < all_changes
    ends_whole(bench, worker)


def test_a_worker_that_is_given_up_in_mid_restore_goes_on_with_it_when_it_wakes(bench: Bench) -> None:
    worker, other = emptied(bench), bench.worker("B")
    worker.begin("--stops", BATCH, "2").is_suspended()
    other.begin("--guest")
    bench.drains(other)
    worker.child.send_signal(signal.SIGCONT)
    worker.says("the group has given this worker's partitions to others")
    shared(worker, other)
    ends_whole(bench, worker, other)


def test_a_worker_killed_in_mid_restore_leaves_its_partitions_to_another_and_restores_when_it_is_back(
    bench: Bench,
) -> None:
    worker, other = emptied(bench), bench.worker("B").begin()
    shared(other)
    worker.begin("--dies", BATCH, "2")
    assert worker.ends() == -signal.SIGKILL
    bench.feed(1_000)
    assert shared(other) == [ALL]
    bench.drains(other)
    worker.begin()
    shared(worker, other)
    bench.feed(1_000)
    bench.drains(worker, other)
    for each in (worker, other):
        each.stop()
    state = changelog_state(bench.run)
    assert folder_differs(worker.folder, state) & folder_differs(other.folder, state) == set()
    assert bench.verdict() == GOOD
