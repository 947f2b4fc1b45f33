"""The changelog on a real Kafka: state comes back from it whole, or the worker says what is lost and does not start."""

import re
import signal
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, ResourceType  # type: ignore[attr-defined]

from stack.kafka import Kafka
from streams.engine.cluster import changelog_of
from tests.crash.matrix import PARTITIONS
from tests.crash.verdict import (
    Count,
    changelog_state,
    committed,
    database_state,
    folder_differs,
    hold_outputs,
    hold_state,
)
from tests.stack.bench import Bench, Worker, wait_until
from tests.support.kafka import ANSWER_SECONDS_MAX, alter

GOOD = (0, 0, ())
NUMBERS = range(PARTITIONS)
COMPACTS_SOON = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "100"}
LOST_BEFORE = 10
LEFT_OPEN_MS = 2_000


def changelog(bench: Bench) -> str:
    return changelog_of(bench.run.name)


def admin(bench: Bench) -> AdminClient:
    return AdminClient({"bootstrap.servers": bench.run.brokers})


def records(bench: Bench) -> int:
    """Return how many committed records the changelog holds."""
    return sum(1 for _ in committed(bench.run.brokers, changelog(bench)))


def works_off(bench: Bench, count: int, *how: str) -> Worker:
    """Return a worker that has taken in so many entries, and is stopped."""
    bench.feed(count)
    worker = bench.worker("A").begin(*how)
    bench.drains(worker)
    worker.stop()
    return worker


def restored(worker: Worker) -> int:
    """Return how many records it told that it restored."""
    told = re.findall(r"restored ([\d,]+) records", worker.told())
    return sum(int(number.replace(",", "")) for number in told)


def goes_on(bench: Bench, worker: Worker) -> None:
    """Let a worker take in further entries, and hold all that is there then against the batch."""
    bench.feed(500)
    bench.drains(worker)
    worker.stop()
    assert bench.verdict() == GOOD
    assert folder_differs(worker.folder, changelog_state(bench.run)) == set()


def write(bench: Bench, end: Callable[[Producer], object]) -> None:
    """Write a record that must never be seen to every partition, in a transaction that comes to some end."""
    producer = Producer(
        {
            "bootstrap.servers": bench.run.brokers,
            "transactional.id": f"{bench.run.name}-stranger",
            "transaction.timeout.ms": LEFT_OPEN_MS,
        }
    )
    producer.init_transactions(ANSWER_SECONDS_MAX)
    producer.begin_transaction()
    for number in NUMBERS:
        producer.produce(changelog(bench), b"never", b"notes/entries\x00C00000|999999999", number)
    assert producer.flush(ANSWER_SECONDS_MAX) == 0
    end(producer)


def aborted(producer: Producer) -> None:
    producer.abort_transaction(ANSWER_SECONDS_MAX)


def left_open(producer: Producer) -> None:
    """Nothing: brokers abort it after its timeout."""


@pytest.fixture
def eager_cleaner(kafka: Kafka) -> Iterator[None]:
    """A broker that looks for something to compact all the time."""
    client, number = AdminClient({"bootstrap.servers": kafka.bootstrap}), str(kafka.brokers[0].node.number)
    alter(client, ResourceType.BROKER, number, {"log.cleaner.backoff.ms": "100"})
    yield
    alter(client, ResourceType.BROKER, number, {"log.cleaner.backoff.ms": None})


@pytest.mark.usefixtures("eager_cleaner")
def test_state_comes_back_from_a_changelog_that_was_compacted(bench: Bench) -> None:
    works_off(bench, 4_000)
    worker = works_off(bench, 4_000)  # totals, and how far was read, are written again
    written = records(bench)
    alter(admin(bench), ResourceType.TOPIC, changelog(bench), COMPACTS_SOON)
    works_off(bench, 100)  # what is written now closes the segments before
    wait_until(
        lambda: records(bench) < written,
        lambda: f"{records(bench)} records, {written} before: nothing was compacted",
    )
    worker.empty()
    worker.begin()
    worker.is_ready()
    assert 0 < restored(worker) < written
    goes_on(bench, worker)


@pytest.mark.parametrize("folder", ["kept", "gone"])
def test_a_changelog_that_ends_in_marks_is_read_to_its_end(bench: Bench, folder: str) -> None:
    worker = works_off(bench, 2_000)
    write(bench, aborted)
    if folder == "gone":
        worker.empty()
    worker.begin()
    worker.is_ready()
    assert (restored(worker) > 0) == (folder == "gone")
    goes_on(bench, worker)


@pytest.mark.parametrize("end", [aborted, left_open])
def test_a_changelog_with_nothing_but_what_was_never_committed_is_empty(
    bench: Bench, end: Callable[[Producer], object]
) -> None:
    write(bench, end)
    worker = bench.worker("A").begin()
    worker.is_ready()
    assert restored(worker) == 0
    goes_on(bench, worker)


def truncate(bench: Bench) -> None:
    """Let the head of every partition be lost, as it would be where retention is set for some time."""
    client = admin(bench)
    alter(client, ResourceType.TOPIC, changelog(bench), {"cleanup.policy": "compact,delete"})
    places = [TopicPartition(changelog(bench), number, LOST_BEFORE) for number in NUMBERS]
    for answer in client.delete_records(places).values():
        answer.result(ANSWER_SECONDS_MAX)
    alter(client, ResourceType.TOPIC, changelog(bench), {"cleanup.policy": "compact"})


def test_a_changelog_that_has_lost_its_head_is_refused_where_the_databases_are_gone(bench: Bench) -> None:
    worker = works_off(bench, 2_000)
    acknowledged = bench.acknowledged()
    truncate(bench)
    worker.empty()
    worker.begin()
    assert worker.ends() == 1
    told = worker.told()
    assert f"{changelog(bench)} begins at offset {LOST_BEFORE}: what was before is lost" in told
    assert "was its cleanup.policy ever other than compact?" in told
    assert "Traceback" not in told
    assert bench.acknowledged() == acknowledged


def test_a_changelog_that_has_lost_its_head_does_no_harm_where_the_databases_have_it(bench: Bench) -> None:
    worker = works_off(bench, 2_000)
    truncate(bench)
    worker.begin()
    bench.feed(500)
    bench.drains(worker)
    worker.stop()
    assert list(worker.folder.glob("*.set-aside-*")) == []
    count = Count()
    hold_outputs(count, bench.run, bench.expected())
    hold_state(count, database_state(worker.folder, NUMBERS), bench.expected())
    assert count.verdict() == GOOD


@pytest.mark.parametrize("folder", ["kept", "gone"])
def test_a_group_whose_changelog_was_made_anew_is_refused(bench: Bench, folder: str) -> None:
    worker = works_off(bench, 2_000)
    acknowledged = bench.acknowledged()
    makes_anew(bench)
    if folder == "gone":
        worker.empty()
    worker.begin()
    assert worker.ends() == 1
    told = worker.told()
    assert f"group {bench.run.name} has read {bench.run.name}." in told
    assert f"topic {changelog(bench)} holds any state of it" in told
    assert "Traceback" not in told
    assert bench.acknowledged() == acknowledged
    aside = [path.name.partition(".")[0] for path in worker.folder.glob("*.set-aside-*")]
    assert sorted(aside) == ([f"partition-{number}" for number in NUMBERS] if folder == "kept" else [])


def makes_anew(bench: Bench) -> None:
    """Delete the changelog, and make it again."""
    client, topic = admin(bench), changelog(bench)
    client.delete_topics([topic])[topic].result(ANSWER_SECONDS_MAX)
    wait_until(
        lambda: topic not in client.list_topics(timeout=ANSWER_SECONDS_MAX).topics, lambda: f"{topic} is still there"
    )
    made = client.create_topics([NewTopic(topic, PARTITIONS, 1, config={"cleanup.policy": "compact"})])
    made[topic].result(ANSWER_SECONDS_MAX)


def test_a_restore_that_was_stopped_goes_on_where_it_was(bench: Bench) -> None:
    worker = works_off(bench, 60_000)
    written = records(bench)
    worker.empty()
    worker.begin("--stops", "restored a batch", "1")  # of the first fetch, which is less than there is
    worker.is_suspended()
    worker.child.send_signal(signal.SIGTERM)
    worker.child.send_signal(signal.SIGCONT)
    assert worker.ends() == 0
    worker.begin()
    worker.is_ready()
    assert 0 < restored(worker) < written
    goes_on(bench, worker)


def test_a_restore_that_was_killed_begins_with_what_had_reached_the_disk(bench: Bench) -> None:
    worker = works_off(bench, 20_000)
    written = records(bench)
    worker.empty()
    worker.begin("--dies", "restored a batch", "4")
    assert worker.ends() == -signal.SIGKILL
    worker.begin()
    worker.is_ready()
    assert 0 < restored(worker) <= written
    goes_on(bench, worker)
