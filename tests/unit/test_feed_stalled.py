"""Silence of feeds, with the clock in the test's hand: exactly these alerts, on any number of partitions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.debezium import HEARTBEAT_PREFIX
from streams.behaviour import Behaviour
from streams.config import Settings
from streams.engine.topic_setup import wanted_topics
from streams.intake.reading import Reader
from streams.partitioning import partition_of
from streams.policy import SHIPPED, load_policy
from streams.simulator import Simulator
from streams.step import Record, Step
from streams.topics import ALERTS, AUDIT, DRIFT_CLAIMS
from streams.topology import Rulebook, topology
from tests.support.feed import Feed
from tests.support.streams import Collected, Stores, file_run, instant_of, reader, record_of, rulebook

START = "2026-03-02T08:00:00Z"
MINUTE, LIMIT = 60_000, 15 * 60_000
PARTITIONS = pytest.mark.parametrize("partitions", [1, 4])


class Listener(Behaviour):
    """Notes of which alerts something is claimed."""

    def __init__(self, claimed: list[str]) -> None:
        self._claimed = claimed

    def on_records(self, records: Sequence[Record]) -> None:
        self._claimed.extend(record.key or "" for record in records)

    def on_timer(self, key: str) -> None:
        raise AssertionError(key)

    def before_commit(self) -> None:
        pass


class Service:
    """A service at work, with what it tells of alerts, and what its steps tell each other of them."""

    def __init__(
        self,
        feeds: tuple[str, ...] = ("psa",),
        partitions: int = 1,
        start: str | int = START,
        stores: Stores | None = None,
        rules: Rulebook | None = None,
    ) -> None:
        self.told = Collected()
        rules = rules or rulebook()
        steps = topology(rules, Reader(rules.mappings, lambda *_: {}), feeds)
        self.claimed: list[str] = []
        listener = Step("listener", "alert id", (DRIFT_CLAIMS,), (), lambda _: Listener(self.claimed))
        self.stores = stores or Stores()
        self.simulator = Simulator([*steps, listener], self.told, partitions, self.stores.begin())
        self.simulator.now = instant_of(start) if isinstance(start, str) else start
        self.pass_(0)

    @property
    def now(self) -> int:
        return self.simulator.now

    def pass_(self, milliseconds: int) -> None:
        """Let time pass: what falls due is done in its time, and is committed."""
        self.simulator.advance(self.simulator.now + milliseconds)
        self.simulator.flush()

    def beat(self, feed: str = "psa", key: str = "a key", written_at: int = 0) -> None:
        """Let a heartbeat come, on the partition of its key."""
        record = Record(HEARTBEAT_PREFIX + feed, key, b"", written_at)
        value = reader().read(record)
        self.simulator.feed(record._replace(value=value))
        self.simulator.settle()
        self.simulator.flush()

    def stories(self) -> list[tuple[str, str, int]]:
        """Each time an alert was told: its id, its state, and so many minutes after the beginning."""
        begun = instant_of(START)
        return [
            (record["value"]["alert_id"], record["value"]["state"], (record["timestamp"] - begun) // MINUTE)
            for record in self.told.records
            if record["topic"] == ALERTS
        ]


def keys_of_all(partitions: int) -> list[str]:
    """A key on every partition, in their order."""
    found: dict[int, str] = {}
    for number in range(1000):
        found.setdefault(partition_of(f"key {number}", partitions), f"key {number}")
    return [found[partition] for partition in range(partitions)]


@PARTITIONS
def test_a_feed_that_falls_silent_has_stalled_until_it_is_heard(partitions: int) -> None:
    service = Service(partitions=partitions)
    for _ in range(10):
        service.pass_(MINUTE)
        service.beat()
    service.pass_(LIMIT - 1)
    assert service.stories() == []
    service.pass_(30 * MINUTE)
    service.beat()
    service.pass_(10 * MINUTE)
    assert service.stories() == [("feed_stalled:psa", "open", 25), ("feed_stalled:psa", "resolved", 54)]


@PARTITIONS
def test_what_an_alert_says(partitions: int) -> None:
    service = Service(partitions=partitions)
    service.pass_(2 * MINUTE)
    service.beat()
    service.pass_(20 * MINUTE)
    (alert,) = service.told.of(ALERTS)
    assert alert == {
        "alert_id": "feed_stalled:psa", "kind": "feed_stalled", "severity": "critical", "state": "open",
        "entity_kind": "feed", "entity_id": "psa", "project_id": None, "contract_number": None, "client_id": None,
        "owner": "integration", "opened_at": "2026-03-02T08:17:00Z", "due_at": None, "resolved_at": None,
        "measure": "15.000000", "threshold": "15.000000", "unit": "minutes",
        "evidence": {"heard_at": "2026-03-02T08:02:00Z"},
    }  # fmt: skip
    (audit,) = service.told.of(AUDIT)
    assert (audit["action"], audit["entity_id"]) == ("alert_open", "feed_stalled:psa")
    assert {record["topic"] for record in service.told.records} == {ALERTS, AUDIT, "analytics.delivery"}


@PARTITIONS
def test_a_feed_that_was_never_heard_has_stalled_too(partitions: int) -> None:
    service = Service(("psa", "hr"), partitions)
    service.pass_(5 * MINUTE)
    service.beat("hr")
    service.pass_(12 * MINUTE)
    assert service.stories() == [("feed_stalled:psa", "open", 15)]
    assert service.told.of(ALERTS)[0]["evidence"] == {}


def test_a_record_is_as_good_as_a_heartbeat_and_may_be_as_old_as_it_likes() -> None:
    service = Service(partitions=4)
    old = Feed("2019-01-01T00:00:00Z")
    for number in range(40):
        content = old.put("psa.public.clients", id=f"CL{number}")
        service.pass_(MINUTE)
        record = record_of(content, number)
        service.simulator.feed_to("intake", record._replace(value=reader().read(record)))
        service.simulator.settle()
    assert service.stories() == []
    service.pass_(LIMIT)
    assert service.stories() == [("feed_stalled:psa", "open", 55)]


@pytest.mark.parametrize("spoilt", ["of another feed", "without a name", "refused", "seen before"])
def test_what_counts_is_who_brought_it_not_what_it_says(spoilt: str) -> None:
    service = Service()
    service.pass_(10 * MINUTE)
    content = Feed().put("psa.public.projects", id="P1", **({"stage": "No Such"} if spoilt == "refused" else {}))
    if spoilt == "of another feed":
        content["value"]["source"]["name"] = "psa-2"
    if spoilt == "without a name":
        del content["value"]["source"]["name"]
    record = record_of(content, 0)
    for _ in range(2 if spoilt == "seen before" else 1):
        service.simulator.feed(record._replace(value=reader().read(record)))
        service.simulator.settle()
    service.pass_(6 * MINUTE)
    heard = spoilt in ("refused", "seen before")
    assert service.stories() == ([] if heard else [("feed_stalled:psa", "open", 15)])


def test_a_feed_may_come_on_any_partition() -> None:
    keys = keys_of_all(4)
    service = Service(partitions=4)
    for turn in range(12):
        service.pass_(10 * MINUTE)
        service.beat(key=keys[turn % 4])
    assert service.stories() == []
    service.pass_(16 * MINUTE)
    service.beat(key=keys[2])
    service.pass_(15 * MINUTE)
    service.beat(key=keys[3])
    assert service.stories() == [
        ("feed_stalled:psa", "open", 135),
        ("feed_stalled:psa", "resolved", 136),
        ("feed_stalled:psa", "open", 151),
        ("feed_stalled:psa", "resolved", 151),
    ]


def test_while_feeds_are_heard_nothing_is_told_whatever_comes() -> None:
    service = Service(("psa", "crm"))
    for _ in range(1000):
        service.pass_(1000)
        service.beat("psa")
        service.beat("crm")
    assert (service.claimed, service.told.records) == ([], [])
    service.pass_(LIMIT)
    assert service.claimed == ["feed_stalled:crm", "feed_stalled:psa"]


# -- absences


@PARTITIONS
def test_a_worker_that_was_away_does_not_accuse_feeds_of_its_own_absence(partitions: int) -> None:
    service = Service(partitions=partitions)
    service.pass_(MINUTE)
    service.beat()
    back = Service(partitions=partitions, start=service.now + 60 * MINUTE, stores=service.stores)
    back.pass_(2 * MINUTE)
    back.beat(written_at=service.now + MINUTE)  # it lay in the topic
    back.pass_(14 * MINUTE)
    assert (service.stories(), back.stories()) == ([], [])
    back.pass_(MINUTE)
    assert back.stories() == [("feed_stalled:psa", "open", 78)]


@PARTITIONS
def test_what_was_listened_to_before_a_restart_counts(partitions: int) -> None:
    """Workers that come and go every six minutes hear of a feed that has ended all the same."""
    service = Service(partitions=partitions)
    told = [service]
    for _ in range(4):
        told[-1].pass_(6 * MINUTE)
        told.append(Service(partitions=partitions, start=told[-1].now + MINUTE, stores=service.stores))
    stories = [story for each in told for story in each.stories()]
    # Of six minutes, those since the last look are not known to the next: a quarter of the limit at most.
    assert stories == [("feed_stalled:psa", "open", 24)]


@PARTITIONS
def test_an_alert_stays_open_over_a_restart_and_is_resolved_by_what_comes_after(partitions: int) -> None:
    service = Service(partitions=partitions)
    service.pass_(16 * MINUTE)
    back = Service(partitions=partitions, start=service.now + 5 * MINUTE, stores=service.stores)
    back.pass_(40 * MINUTE)
    assert (service.stories(), back.stories()) == ([("feed_stalled:psa", "open", 15)], [])
    back.beat()
    back.beat()
    assert back.stories() == [("feed_stalled:psa", "resolved", 61)]


def test_a_partition_that_nobody_holds_accuses_nobody() -> None:
    """Heartbeats come on partition 2, which stands still while the others go on."""
    keys = keys_of_all(4)
    service = Service(partitions=4)
    service.beat(key=keys[2])
    held = [seat for seat in service.simulator.seats if seat.partition != 2]
    for _ in range(60):
        service.simulator.now += MINUTE
        while busy := [seat for seat in service.simulator.busy() if seat in held]:
            service.simulator._fire(busy[0])
            service.simulator.take(busy[0], 10)
            service.simulator.commit(busy[0])
    assert service.stories() == []
    back = Service(partitions=4, start=service.now, stores=service.stores)
    back.pass_(14 * MINUTE)
    assert back.stories() == []
    back.pass_(MINUTE)
    assert back.stories() == [("feed_stalled:psa", "open", 75)]


def test_a_worker_that_was_suspended_has_not_listened() -> None:
    service = Service()
    service.pass_(MINUTE)
    service.beat()
    service.simulator.now += 60 * MINUTE  # and no timer has fired meanwhile
    service.simulator.settle()
    service.pass_(0)
    service.pass_(10 * MINUTE)
    assert service.stories() == []
    service.pass_(5 * MINUTE)
    assert [story[:2] for story in service.stories()] == [("feed_stalled:psa", "open")]


def test_while_records_cannot_be_taken_in_nothing_is_heard_and_nobody_accused() -> None:
    service = Service()
    service.pass_(5 * MINUTE)
    intake = next(seat.task.context for seat in service.simulator.seats if seat.step.name == "intake")
    intake.waits = True
    service.pass_(60 * MINUTE)
    intake.waits = False
    service.pass_(7 * MINUTE)
    assert service.stories() == []
    service.pass_(5 * MINUTE)
    assert [story[:2] for story in service.stories()] == [("feed_stalled:psa", "open")]


# -- what is expected, and by which policy


def with_limit(folder: Path, minutes: Any) -> Rulebook:
    content = yaml.safe_load(SHIPPED.read_text("utf-8"))
    content["alerts"]["feed_stalled"] |= {"limits": {"after_minutes": minutes}, "owner": "on_call"}
    (path := folder / "policy.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return rulebook().__class__(rulebook().mappings, rulebook().ownership, load_policy(path))


@PARTITIONS
def test_a_feed_that_is_expected_no_more_is_forgiven(partitions: int) -> None:
    service = Service(("psa", "hr"), partitions)
    service.pass_(20 * MINUTE)
    back = Service(("hr",), partitions, start=service.now, stores=service.stores)
    back.pass_(60 * MINUTE)
    assert sorted(service.stories()) == [("feed_stalled:hr", "open", 15), ("feed_stalled:psa", "open", 15)]
    assert back.stories() == [("feed_stalled:psa", "resolved", 20)]


@PARTITIONS
def test_a_longer_patience_closes_what_it_would_not_have_opened(partitions: int, tmp_path: Path) -> None:
    service = Service(partitions=partitions)
    service.pass_(20 * MINUTE)
    patient = with_limit(tmp_path, 40)
    back = Service(partitions=partitions, start=service.now, stores=service.stores, rules=patient)
    back.pass_(26 * MINUTE)
    stories = [(r["state"], r["threshold"], r["owner"]) for r in back.told.of(ALERTS)]
    # It was known to be silent for 15 minutes at the restart: 25 more are wanted.
    assert stories == [("resolved", "15.000000", "on_call"), ("open", "40.000000", "on_call")]


def test_limits_of_a_few_seconds_hold(tmp_path: Path) -> None:
    service = Service(rules=with_limit(tmp_path, 0.05))
    for _ in range(20):
        service.pass_(900)
        service.beat()
    assert service.stories() == []
    service.pass_(2_999)
    assert service.stories() == []
    service.pass_(1)
    assert [story[:2] for story in service.stories()] == [("feed_stalled:psa", "open")]


def test_a_file_run_accuses_nobody() -> None:
    feed = Feed("2026-01-02T09:00:00Z")
    records = [feed.put("psa.public.clients", id="CL1"), feed.at("2026-03-01T00:00:00Z").put("erp.Customer", Id="CU1")]
    assert [r["value"]["kind"] for r in file_run(records, "2026-12-31T00:00:00Z") if r["topic"] == ALERTS] == []


def test_heartbeats_of_the_feeds_expected_are_read_and_their_topics_made() -> None:
    intake, *others = topology(rulebook(), reader(), ("psa", "salesforce"))
    heartbeats = {"__debezium-heartbeat.psa", "__debezium-heartbeat.salesforce"}
    assert heartbeats <= set(intake.reads)
    assert not any(heartbeats & {*step.reads} for step in others)
    made = {wanted.name: wanted.config for wanted in wanted_topics(Settings(feeds_expected=("psa", "salesforce")))}
    assert {name for name in made if name.startswith(HEARTBEAT_PREFIX)} == heartbeats
    assert made["__debezium-heartbeat.psa"]["cleanup.policy"] == "delete"
