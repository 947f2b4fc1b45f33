"""`throughline topics apply` and `check` against a real broker of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ResourceType  # type: ignore[attr-defined]

from connect.catalogue import names_of, notice_topics_of
from connect.configuration import CONNECTORS_FOLDER
from stack.kafka import Kafka
from streams.topics import TOPICS, Role
from tests.stack.conftest import say
from tests.support.kafka import alter

SOURCES = sorted(name for name, topic in TOPICS.items() if topic.role is Role.SOURCE)
BESIDE = len(names_of(CONNECTORS_FOLDER)) + len(notice_topics_of(CONNECTORS_FOLDER))
ALL = len(TOPICS) + 1 + BESIDE  # and the changelog, and what connectors and feeds say beside their changes


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Kafka(tmp_path_factory.mktemp("kafka-of-topics"), say=say) as kafka:
        yield kafka.bootstrap


def topics(brokers: str, what: str, **settings: str) -> tuple[int, str, str]:
    """Run a command; return its exit code, what it wrote, and what it complained of."""
    given = {f"THROUGHLINE_{name.upper()}": value for name, value in {"brokers": brokers, **settings}.items()}
    done = subprocess.run(
        [Path(sys.executable).with_name("throughline"), "topics", what],
        env={**os.environ, **given, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def set_to(brokers: str, name: str, setting: str, value: str) -> None:
    alter(AdminClient({"bootstrap.servers": brokers}), ResourceType.TOPIC, name, {setting: value})


def lines_of(told: str, state: str) -> list[str]:
    return [line for line in told.splitlines() if f"  {state}" in line]


def test_topics_are_made_checked_and_mended_and_what_cannot_be_is_told(broker: str) -> None:
    code, told, complaint = topics(broker, "check")
    assert (code, len(lines_of(told, "missing"))) == (1, ALL)
    assert f"{ALL} of {ALL} topics are not as they should be" in complaint

    code, told, complaint = topics(broker, "apply")
    assert (code, len(lines_of(told, "made")), complaint) == (0, ALL, "")
    code, told, complaint = topics(broker, "check")
    assert (code, len(lines_of(told, "as it should be")), complaint) == (0, ALL, "")

    set_to(broker, "billing.triggers", "retention.ms", "1000")
    code, told, _ = topics(broker, "check")
    (line,) = lines_of(told, "differs")
    assert (code, line.split()[0]) == (1, "billing.triggers")
    assert "retention.ms 1000 → -1" in line
    code, told, _ = topics(broker, "apply")
    assert (code, len(lines_of(told, "set"))) == (0, 1)

    code, told, _ = topics(broker, "check", sources_kept_days="30")
    assert code == 1
    assert sorted(line.split()[0] for line in lines_of(told, "differs")) == SOURCES
    assert all(f"retention.ms -1 → {30 * 86_400_000}" in line for line in lines_of(told, "differs"))

    set_to(broker, "billing.triggers", "retention.ms", "1000")  # can be set, though partitions cannot
    code, told, complaint = topics(broker, "apply", partitions="8")
    assert (code, len(lines_of(told, "differs, for good"))) == (1, ALL)
    assert "partitions and replicas stay as a topic was made" in complaint
    assert topics(broker, "check")[0] == 0


def test_brokers_that_are_not_there_are_named() -> None:
    code, told, complaint = topics("127.0.0.1:1", "check")
    assert (code, told) == (2, "")
    assert complaint.startswith("throughline: brokers 127.0.0.1:1: ")
    assert "check the setting brokers" in complaint
