"""What a worker refuses to work with, and how it says so."""

from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.engine.embedded import PARTITIONS, EmbeddedBroker
from tests.broker.bench import commit, drain, feed, read_all, worker

pytestmark = pytest.mark.broker


def test_the_embedded_broker_listens_on_loopback_and_is_gone_after_the_block() -> None:
    with EmbeddedBroker() as broker:
        assert broker.bootstrap.startswith("127.0.0.1:")
        producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        assert len(producer.list_topics("some.topic", timeout=10).topics["some.topic"].partitions) == PARTITIONS
    with pytest.raises(Exception, match=r"transport|timed out|Timed out"):
        Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0}).list_topics(timeout=1)


def test_state_of_another_cluster_is_refused(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [("toy.orders", "c1", b"1")])
    with worker(brokers, tmp_path / "here") as child:
        drain(brokers, 2, child)
        assert child.stop() == 0
    with EmbeddedBroker() as other, worker(other.bootstrap, tmp_path / "here") as child:
        assert child.ended() == 1
        assert "was made on Kafka cluster" in child.messages
        assert "give another state_folder, or remove this one" in child.messages
        assert "Traceback" not in child.messages


def test_an_empty_folder_is_filled_from_the_changelog(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [("toy.orders", "c1", b"1"), ("toy.orders", "c2", b"5")])
    with worker(brokers, tmp_path / "here") as child:
        drain(brokers, 4, child)
        assert child.stop() == 0
    feed(brokers, [("toy.orders", "c1", b"2")])
    with worker(brokers, tmp_path / "there") as child:
        drain(brokers, 6, child)
        assert child.stop() == 0
    moves = [(key, value["owed"], value["records"]) for _, key, value in read_all(brokers, "toy.moves")]
    assert sorted(moves) == [("c1", 1, 1), ("c1", 3, 2), ("c2", 5, 1)]


def test_a_group_whose_state_is_nowhere_is_refused(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [("toy.orders", "c1", b"1")])
    commit(brokers, "throughline", "toy.orders", 1)
    with worker(brokers, tmp_path) as child:
        assert child.ended() == 1
        assert "group throughline has read toy.orders" in child.messages
        assert "holds any state of it" in child.messages
        assert "Traceback" not in child.messages


def test_brokers_out_of_reach_are_named(tmp_path: Path) -> None:
    with worker("127.0.0.1:1", tmp_path) as child:
        assert child.ended() == 1
        assert "brokers 127.0.0.1:1: no answer" in child.messages
        assert "Traceback" not in child.messages
