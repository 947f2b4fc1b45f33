"""The landing of feeds on the embedded broker: what stands in topics after a batch, and what is remembered of it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from confluent_kafka import Message
from pydantic import ValidationError

from connect.configuration import Configuration
from connect.feeds.contract import Batch, Change, Fatal, Reject, position
from connect.feeds.runner import NotLanded
from schemas.codec import Codec
from schemas.registry import Layered, Manifest, RegistryUnavailable, UnknownSchema
from streams.config import Contracts, Settings
from streams.engine.embedded import EmbeddedBroker
from streams.engine.feed_bytes import Feed
from streams.engine.feeding import SourceBytes
from streams.engine.landing import KafkaLanding, identity_of
from streams.partitioning import partition_of
from tests.broker.bench import feed as write
from tests.support.feed import Feed as Changes
from tests.support.kafka import read_to_end
from tests.support.registry import Numbered

AT = 1_772_366_400_000
NOW = AT + 5_000
WORKER = {"EmployeeId": "E1", "Name": "Ada", "Region": "EU", "WeeklyCapacityHours": "37.5"}


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


def landing(brokers: str, name: str) -> KafkaLanding:
    settings = Settings(brokers=brokers, group="g", patience_s=20)
    return KafkaLanding(settings, Feed(name, "workday"), Manifest())


def change(topic: str = "hr.Worker", key: str = "E1", op: str = "c", **fields: Any) -> Change:
    before, after = fields.pop("before", None), fields.pop("after", None)
    return Change(topic, key, op, before, after, AT, position(AT, 1), **fields)


def of_feed(brokers: str, topic: str, name: str) -> list[Message]:
    """The records of a topic that a feed has landed, which tests of one broker tell apart by the feed's name."""
    codec = Codec(Manifest())
    return [m for m in read_to_end(brokers, topic) if codec.decode(topic, m.value() or b"")["source"]["name"] == name]


def test_a_change_stands_in_its_topic_in_the_envelope_of_its_contract(brokers: str) -> None:
    feed = landing(brokers, "whole")
    assert feed.open() == {}
    landed = feed.land(Batch((change(after=WORKER), change(op="d", before={"EmployeeId": "E1"}))), NOW, beat=False)
    assert (dict(landed.records), dict(landed.rejects), landed.newest_ms) == ({"hr.Worker": 2}, {}, AT)
    made, gone = of_feed(brokers, "hr.Worker", "whole")
    assert (made.key(), made.timestamp()[1], made.partition()) == (b"E1", AT, partition_of("E1", 4))
    codec = Codec(Manifest())
    envelope = codec.decode("hr.Worker", made.value() or b"")
    assert envelope["source"] == {
        "connector": "workday", "name": "whole", "ts_ms": AT, "snapshot": False, "position": position(AT, 1),
    }  # fmt: skip
    assert (envelope["op"], envelope["ts_ms"], envelope["before"]) == ("c", NOW, None)
    assert {name: value for name, value in envelope["after"].items() if value is not None} == {
        **WORKER, "WeeklyCapacityHours": envelope["after"]["WeeklyCapacityHours"],
    }  # fmt: skip
    assert str(envelope["after"]["WeeklyCapacityHours"]) == "37.5000"
    assert codec.decode("hr.Worker", gone.value() or b"")["before"]["EmployeeId"] == "E1"
    feed.close()


def test_what_is_remembered_is_what_was_landed_and_each_feed_has_its_own(brokers: str) -> None:
    one, other = landing(brokers, "memory"), landing(brokers, "memory-2")
    assert (one.open(), other.open()) == ({}, {})
    one.land(Batch(memory={"since": b"1", "row/ü:1": b"\x00x"}), NOW, beat=False)
    other.land(Batch(memory={"since": b"9"}), NOW, beat=False)
    one.land(Batch(memory={"since": b"2", "row/ü:1": None, "row/2": b"y"}), NOW, beat=False)
    one.close()
    assert landing(brokers, "memory").open() == {"since": b"2", "row/2": b"y"}
    entries = [m for m in read_to_end(brokers, "feed.memory") if (m.key() or b"").startswith(b"memory:")]
    assert {m.partition() for m in entries} == {partition_of("memory", 4)}


def test_a_load_and_a_feed_of_one_name_are_two(brokers: str) -> None:
    settings = Settings(brokers=brokers, group="g", patience_s=20)
    feed, load = Feed("history", "files"), Feed("history", "files", "load")
    assert (identity_of(settings, feed), identity_of(settings, load)) == ("g-feed-history", "g-load-history")
    one, other = KafkaLanding(settings, feed, Manifest()), KafkaLanding(settings, load, Manifest())
    assert (one.open(), other.open()) == ({}, {})
    one.land(Batch(memory={"files": b"[1, 1]"}), NOW, beat=False)
    other.land(Batch(memory={"files": b"[2, 2]"}), NOW, beat=False)
    other.close()
    one.land(Batch(memory={"file": b"begun"}), NOW, beat=False)
    one.close()
    assert KafkaLanding(settings, feed, Manifest()).open() == {"files": b"[1, 1]", "file": b"begun"}
    assert KafkaLanding(settings, load, Manifest()).open() == {"files": b"[2, 2]"}


@pytest.mark.parametrize("name", ["load/history", "history:files"])
def test_no_feed_can_have_the_memory_of_a_load_or_of_another_feed(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Configuration(name=name, config={})


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("digits", {"after": {**WORKER, "WeeklyCapacityHours": "37.123456"}}, "after.WeeklyCapacityHours: "),
        ("number", {"after": {**WORKER, "WeeklyCapacityHours": "many"}}, "ConversionSyntax"),
        ("field", {"after": {**WORKER, "Nickname": "A"}}, "the contract has no field Nickname in Value"),
        ("identity", {"after": {"Name": "nobody"}}, "after.EmployeeId: is missing"),
        ("text", {"after": {**WORKER, "Name": "\ud800"}}, r"after.Name: '\ud800' is no string"),
        ("key", {"after": WORKER, "key": ""}, "the record has no key"),
    ],
)
def test_a_change_that_does_not_fit_is_a_dead_letter_and_stops_nothing(
    brokers: str, name: str, wrong: Mapping[str, Any], said: str
) -> None:
    feed = landing(brokers, name)
    feed.open()
    landed = feed.land(Batch((change(**wrong), change(key="E2", after={**WORKER, "EmployeeId": "E2"}))), NOW, False)
    feed.close()
    assert (dict(landed.records), dict(landed.rejects)) == ({"hr.Worker": 1}, {"hr.Worker": 1})
    letter = letter_of(read_to_end(brokers, "dead.letters"), said)
    assert dict(letter.headers() or [])["__connect.errors.topic"] == b"hr.Worker"
    assert json.loads(letter.value() or b"") == wrong["after"]
    assert len(of_feed(brokers, "hr.Worker", name)) == 1


def letter_of(letters: list[Message], said: str) -> Message:
    name = "__connect.errors.exception.message"
    (found,) = [m for m in letters if said.encode() in cast(bytes, dict(m.headers() or [])[name])]
    return found


def test_a_reject_goes_to_the_dead_letters_as_it_came(brokers: str) -> None:
    feed = landing(brokers, "rejects")
    feed.open()
    reject = Reject("hr.Worker", "E7", b"E7;;\xff", "workers.csv, line 12", "three fields, there should be five")
    feed.land(Batch(rejects=(reject,)), NOW, beat=False)
    feed.close()
    letter = letter_of(read_to_end(brokers, "dead.letters"), "three fields")
    assert (letter.key(), letter.value()) == (b"E7", b"E7;;\xff")
    assert letter.headers() == [
        ("__connect.errors.topic", b"hr.Worker"),
        ("__connect.errors.partition", b"-1"),
        ("__connect.errors.offset", b"-1"),
        ("__connect.errors.exception.class.name", b"UnreadableRow"),
        ("__connect.errors.exception.message", b"workers.csv, line 12: three fields, there should be five"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
    ]


def test_a_heartbeat_is_shaped_as_debezium_shapes_it(brokers: str) -> None:
    feed = landing(brokers, "beats")
    feed.open()
    feed.land(Batch(alive=True), NOW, beat=True)
    feed.land(Batch(alive=True), NOW + 1, beat=False)
    feed.close()
    (beat,) = read_to_end(brokers, "__debezium-heartbeat.beats")
    assert beat.key() == b"Struct{serverName=beats}"
    assert Codec(Manifest()).decode("__debezium-heartbeat.beats", beat.value() or b"") == {"ts_ms": NOW}


def test_a_topic_without_contract_stops_the_feed(brokers: str) -> None:
    feed = landing(brokers, "stray")
    feed.open()
    with pytest.raises(Fatal, match=r"stray: there is no contract for topic hr\.Wroker; correct the topic"):
        feed.land(Batch((change(topic="hr.Wroker", after=WORKER),)), NOW, beat=False)
    feed.close()


def test_a_contract_that_the_registry_refuses_stops_the_feed_and_blames_no_row(brokers: str) -> None:
    class Refusing(Manifest):
        def id_of(self, subject: str, schema: Any) -> int:  # noqa: ARG002
            raise UnknownSchema(f"the registry refuses contract {subject!r}")

    feed = KafkaLanding(Settings(brokers=brokers, group="g"), Feed("refused", "workday"), Refusing())
    feed.open()
    with pytest.raises(Fatal, match=r"refused: the registry refuses contract 'hr\.Worker'"):
        feed.land(Batch((change(after=WORKER),)), NOW, beat=False)
    feed.close()


def test_while_the_registry_does_not_answer_nothing_lands_and_it_is_tried_again(brokers: str) -> None:
    class Away(Manifest):
        def id_of(self, subject: str, schema: Any) -> int:  # noqa: ARG002
            raise RegistryUnavailable("schema registry: no answer")

    feed = KafkaLanding(Settings(brokers=brokers, group="g"), Feed("away", "workday"), Away())
    feed.open()
    with pytest.raises(NotLanded, match="away: schema registry: no answer"):
        feed.land(Batch((change(after=WORKER),), memory={"since": b"1"}), NOW, beat=False)
    feed.close()
    assert landing(brokers, "away").open() == {}


def test_brokers_that_are_not_there_are_named() -> None:
    feed = KafkaLanding(Settings(brokers="127.0.0.1:1", group="g", patience_s=1), Feed("nobody", "workday"), Manifest())
    with pytest.raises(NotLanded, match=r"nobody: brokers 127\.0\.0\.1:1: no answer within 15 s .* check the setting"):
        feed.open()
    feed.close()


def test_without_a_registry_nothing_is_landed_where_topics_were_written_with_one() -> None:
    project = Changes().project()
    numbered, shipped = SourceBytes(Numbered()), SourceBytes(Manifest())
    topic, key, value = project["topic"], project["key"], project["value"]
    with EmbeddedBroker() as broker:
        write(broker.bootstrap, [(topic, key, shipped.of(topic, value))])
        feed = landing(broker.bootstrap, "unset")
        feed.open()
        feed.close()
        payload = numbered.of(topic, value)
        number = int.from_bytes(payload[1:5], "big")
        write(broker.bootstrap, [(topic, key, payload)])
        said = f"unset: {topic}: schema id {number} is not among the ids shipped with the contracts, and no registry is"
        with pytest.raises(Fatal, match=f"^{said} set: set contracts.registry_url"):
            landing(broker.bootstrap, "unset").open()
        passed = Settings(brokers=broker.bootstrap, contracts=Contracts(passed_schemas=(number,)))
        known = Settings(brokers=broker.bootstrap)
        for settings, registry in ((passed, Manifest()), (known, Layered(Numbered(), Manifest()))):
            feed = KafkaLanding(settings, Feed("unset", "workday"), registry)
            feed.open()
            feed.close()
