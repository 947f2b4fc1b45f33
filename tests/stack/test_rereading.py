"""Workers that come back to read other topics than before, on a real Kafka: at once, and everything is there once."""

from tests.crash.matrix import PARTITIONS
from tests.stack.bench import Bench, Worker

GOOD = (0, 0, ())
ALL = list(range(PARTITIONS))
PATIENT = ("--set", "session_timeout_s", "300")
"""A session far longer than anything is waited for: the group never gives up the place of who has gone."""

LESS = (*PATIENT, "--skips", "milestones")
"""How a worker is that does not read one of the topics."""


def shared_out(*workers: Worker) -> bool:
    """Return whether workers hold each partition once."""
    return sorted(number for each in workers for number in each.holds()) == ALL


def open_of(bench: Bench, topic: str) -> int:
    """Return how many records of a topic, by its field of `Topics`, the group has not acknowledged."""
    return bench.lag_of(topic).open


def goes_on(bench: Bench, worker: Worker, *topics: str) -> None:
    """Feed, and wait until a worker has acknowledged all there is of some topics."""
    bench.feed(500)
    worker.waits(lambda: not any(open_of(bench, topic) for topic in topics), f"has taken in {topics}")


def restart(worker: Worker, *how: str) -> None:
    """Stop a worker, and start it again in some way; wait until it works."""
    worker.stop()
    worker.begin(*how).starts().is_ready()


def test_a_worker_that_is_back_at_once_reads_the_topics_added_meanwhile_from_their_beginning(bench: Bench) -> None:
    worker = bench.worker("A").begin(*LESS)
    goes_on(bench, worker, "time", "facts")
    assert open_of(bench, "milestones") > 0
    restart(worker, *PATIENT)
    assert worker.holds() == ALL
    bench.feed(500)
    bench.drains(worker)
    worker.stop()
    assert bench.verdict() == GOOD


def test_a_worker_that_is_back_at_once_leaves_alone_the_topics_taken_out_until_they_are_there_again(
    bench: Bench,
) -> None:
    worker = bench.worker("A").begin(*PATIENT)
    bench.feed(500)
    bench.drains(worker)
    restart(worker, *LESS)
    assert worker.holds() == ALL
    goes_on(bench, worker, "time", "facts")
    assert open_of(bench, "milestones") > 0
    restart(worker, *PATIENT)
    bench.drains(worker)
    worker.stop()
    assert bench.verdict() == GOOD


def test_topics_are_added_and_taken_out_in_a_rolling_restart_while_records_come(bench: Bench) -> None:
    workers = [bench.worker(name).begin(*LESS) for name in "ABC"]
    with bench.coming():
        workers[0].waits(lambda: shared_out(*workers), "shares")
        for how in (PATIENT, LESS, PATIENT):
            for each in workers:
                restart(each, *how)
            workers[0].waits(lambda: shared_out(*workers), "shares")
            assert [each.ask("/health")[1]["held"] for each in workers] == [{}, {}, {}]
    bench.drains(*workers)
    for each in workers:
        each.stop()
    assert bench.verdict() == GOOD


def test_what_only_workers_together_have_all_topics_of_waits_until_the_last_is_restarted_and_the_rest_goes_on(
    bench: Bench,
) -> None:
    topics = bench.run.topics
    workers = [bench.worker(name) for name in "ABC"]
    for each in workers:
        each.folder.mkdir(parents=True)
        (each.folder / "identity").write_text(f"{each.name}\n")  # partitions go to workers by the order of these
        each.begin(*LESS)
    first, second, last = workers
    first.waits(lambda: [each.holds() for each in workers] == [[0, 1, 2], [3, 4, 5], [6, 7]], "shares")
    for each in (first, second):
        restart(each, *PATIENT)
    first.waits(lambda: [each.holds() for each in workers] == [[0, 1, 2], [4, 5], [6, 7]], "shares")
    held = [set(each.ask("/health")[1]["held"]) for each in workers]
    more = topics.milestones
    assert held == [{f"{more}/3"}, {f"{topics.facts}/3", f"{topics.time}/3", f"{more}/6", f"{more}/7"}, set()]
    bench.feed(2_000)
    waits = {"partition": "3", "topic": topics.time}
    second.waits(lambda: second.metric("lag_records", **waits) > 0, "says how many wait")
    first.waits(lambda: open_of(bench, "time") == second.metric("lag_records", **waits), "takes in the rest")
    restart(last, *PATIENT)
    bench.drains(*workers)
    assert [each.ask("/health")[1]["held"] for each in workers] == [{}, {}, {}]
    for each in workers:
        each.stop()
    assert bench.verdict() == GOOD
