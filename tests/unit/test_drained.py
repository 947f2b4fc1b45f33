"""How far a group has come, asked of brokers that have just started."""

from collections.abc import Iterable

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition

from streams.engine import drained
from streams.engine.drained import GroupLag, Lag, Place


class FakeEnds:
    """Two partitions with five records each."""

    def __init__(self, _brokers: str) -> None:
        pass

    def places(self, topics: Iterable[str]) -> list[Place]:
        return [(topic, number) for topic in topics for number in (0, 1)]

    def of(self, places: Iterable[Place], _isolation: IsolationLevel) -> dict[Place, int]:
        return dict.fromkeys(places, 5)


class FakeConsumer:
    """A group that has read three records of partition 0; brokers answer with these errors first."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:  # noqa: ARG002
        if self.errors:
            raise KafkaException(KafkaError(self.errors.pop(0)))
        return [TopicPartition(place.topic, place.partition, -1001 if place.partition else 3) for place in asked]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    fake = FakeConsumer()
    monkeypatch.setattr(drained, "Consumer", lambda _config: fake)
    monkeypatch.setattr(drained, "Ends", FakeEnds)
    monkeypatch.setattr(drained, "_PAUSE_SECONDS", 0.0)
    return fake


def test_brokers_that_do_not_know_yet_who_keeps_the_group_are_asked_again(client: FakeConsumer) -> None:
    client.errors = [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS]
    assert GroupLag("nowhere", "group").of(["orders"]) == Lag(written=10, open=7)
    assert GroupLag("nowhere", "group").reached(["orders"]) == {("orders", 0): (3, 5), ("orders", 1): (0, 5)}


def test_any_other_error_is_told_at_once(client: FakeConsumer) -> None:
    client.errors = [KafkaError.GROUP_AUTHORIZATION_FAILED]
    with pytest.raises(KafkaException):
        GroupLag("nowhere", "group").of(["orders"])
    assert client.errors == []


def test_brokers_that_never_know_are_given_up(client: FakeConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drained, "_ANSWER_SECONDS_MAX", -1.0)
    client.errors = [KafkaError.NOT_COORDINATOR] * 2
    with pytest.raises(KafkaException):
        GroupLag("nowhere", "group").of(["orders"])
    assert len(client.errors) == 1
