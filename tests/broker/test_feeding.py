"""A generated firm in topics: as its feeds write it, and held back by its readers."""

import pytest
from confluent_kafka import Consumer, TopicPartition
from typer.testing import CliRunner

from firm.history import History
from firm.size import FirmSize
from firm.topics import SOURCE_TOPICS, Target
from schemas.codec import Codec
from schemas.registry import Manifest
from streams.cli import app
from streams.engine.drained import Ends
from streams.engine.feeding import FlowControl, open_topics

pytestmark = pytest.mark.broker

SIZE = FirmSize(20, 3, days=60)


class WorkerGoneError(Exception):
    """What the group's owner says when the group will never read."""


def test_each_change_stands_in_its_topic_and_reads_as_the_same_change(brokers: str) -> None:
    changes = list(History(SIZE).records())
    written = open_topics(Target(brokers, "throughline", None)).write(changes, lambda _number, _change: None)
    assert written == len(changes)
    ends = Ends(brokers)
    assert sum(ends.of(ends.places(SOURCE_TOPICS)).values()) == len(changes)
    codec = Codec(Manifest())
    wanted = {
        topic: next(change for change in changes if change.topic == topic)
        for topic in ("crm.Contract", "psa.public.projects")
    }
    for topic, change in wanted.items():
        read = codec.decode(topic, _first_of_key(brokers, topic, change.key))
        assert {name: read["source"][name] for name in ("name", "position", "ts_ms")} == {
            name: change.value["source"][name] for name in ("name", "position", "ts_ms")
        }
        assert read["op"] == change.value["op"]


def test_the_command_line_writes_a_firm_into_topics(brokers: str) -> None:
    arguments = ["generate", "--time-entries", "20", "--seed", "3", "--days", "60", "--brokers", brokers]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    ends = Ends(brokers)
    assert sum(ends.of(ends.places(SOURCE_TOPICS)).values()) == len(list(History(SIZE).records()))


def test_a_writer_ahead_of_a_group_that_is_gone_hears_of_it(brokers: str) -> None:
    def gone() -> None:
        raise WorkerGoneError

    open_topics(Target(brokers, "throughline", None)).write(History(SIZE).records(), lambda _number, _change: None)
    flow = FlowControl(brokers, "throughline", SOURCE_TOPICS, 10, gone)
    with pytest.raises(WorkerGoneError):
        flow.wait()
    everything = flow.look()
    assert everything.open == everything.written > 10
    assert flow.wait(everything.open) == everything
    flow.close()


def _first_of_key(brokers: str, topic: str, key: str) -> bytes:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "reader", "log_level": 2})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    while True:
        for message in consumer.consume(100, timeout=10):
            value = message.value()
            if message.key() == key.encode() and value is not None:
                consumer.close()
                return value
