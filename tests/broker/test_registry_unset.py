"""A worker without the registry that its feeds have: it says so, makes nothing of their rows, and loses none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.registry import Registry
from streams.engine.feeding import SourceBytes
from tests.broker.bench import WAIT_SECONDS_MAX, feed, read_messages
from tests.broker.test_told import Watched, watched
from tests.support.feed import Feed, firm
from tests.support.registry import ComingAndGoing, Numbered

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

CLIENTS = "psa.public.clients"


@pytest.fixture
def registry() -> Iterator[ComingAndGoing]:
    registry = ComingAndGoing(first=1)
    registry.comes()
    yield registry
    registry.goes()


def write(brokers: str, told: Feed, ids: Registry) -> None:
    encoded = SourceBytes(ids)
    feed(brokers, [(c["topic"], c["key"], encoded.of(c["topic"], c["value"])) for c in told.records])


def billing() -> Feed:
    """A firm with an entry that bills."""
    told = firm()
    told.put("psa.public.time_entries", id="T1")
    return told


def billed(brokers: str) -> int:
    return len(read_messages(brokers, "billing.triggers"))


def held(worker: Watched) -> dict[str, str]:
    found: dict[str, str] = json.loads(worker.ask("/health")[1] or "{}").get("held", {})
    return found


def test_topics_are_held_until_the_registry_is_set_and_then_every_row_comes_in(
    brokers: str, registry: ComingAndGoing, tmp_path: Path
) -> None:
    told = billing()
    write(brokers, told, Numbered())
    topics = {record["topic"] for record in told.records}
    with watched(brokers, tmp_path) as worker:
        worker.wait(lambda: {place.partition("/")[0] for place in held(worker)} == topics)
        status, body = worker.ask("/ready")
        assert (status, json.loads(body)["registry"]) == (200, "none set")
        assert worker.metric("held_partitions", topic=CLIENTS, column="") > 0
        said = [line for line in worker.log.read_text().splitlines() if f"held: {CLIENTS}: schema id " in line]
        assert len(said) == 1
        assert "no registry is set: set contracts.registry_url" in said[0]
    assert [read_messages(brokers, topic) for topic in ("dead.letters", "exceptions")] == [[], []]
    with watched(brokers, tmp_path, contracts__registry_url=registry.url) as worker:
        worker.wait(lambda: billed(brokers) == 1)
        assert held(worker) == {}
        assert json.loads(worker.ask("/ready")[1])["registry"] == "ok"
    assert read_messages(brokers, "dead.letters") == []


def test_a_group_that_has_run_with_a_registry_ends_in_one_line_without_it(
    brokers: str, registry: ComingAndGoing, tmp_path: Path
) -> None:
    write(brokers, billing(), Numbered())
    with watched(brokers, tmp_path, contracts__registry_url=registry.url) as worker:
        worker.wait(lambda: billed(brokers) == 1)
    # Another group takes in from the beginning what the first one has written to topics of our own.
    with watched(brokers, tmp_path, state_folder="other", group="other") as worker:
        assert worker.child.wait(WAIT_SECONDS_MAX) == 1
        log = worker.log.read_text()
    assert "Traceback" not in log
    assert "no registry is set: workers have written here with one; set contracts.registry_url" in log


def test_what_was_written_before_a_registry_was_set_is_read_with_it(
    brokers: str, registry: ComingAndGoing, tmp_path: Path
) -> None:
    told = billing()
    write(brokers, told, Numbered(first=100_001))
    with watched(brokers, tmp_path) as worker:
        worker.wait(lambda: billed(brokers) == 1)
    with watched(brokers, tmp_path, state_folder="o", group="o", contracts__registry_url=registry.url) as worker:
        worker.wait(lambda: billed(brokers) >= 2)
    assert read_messages(brokers, "dead.letters") == []
