"""How fresh a feed is: of which topics, by which place, and how it is shown."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from connect.configuration import Configuration
from connect.database import SlotLook
from connect.freshness import Freshness, SnapshotLook, TopicsLook, Unknown, snapshot_progress, topics_of
from connect.rest import Standing, Task
from connect.status import Line, age, lines, size

PSA = Configuration(
    name="psa",
    config={
        "connector.class": "org.example.Source",
        "topic.prefix": "delivery",
        "table.include.list": "public.clients, public.projects",
    },
)
FEED = Configuration(name="hr", config={"connector.class": "throughline.workday"})
RUNS = Standing("RUNNING", "", (Task(0, "RUNNING", ""),))
FAILED = Standing("RUNNING", "", (Task(0, "FAILED", "java.io.IOException: gone\n\tat a.b"), Task(1, "RUNNING", "")))


def requested(*tables: str) -> str:
    return json.dumps([{"incremental_snapshot_collections_id": table} for table in tables])


def test_the_topics_of_a_connector_are_those_of_its_tables_and_its_heartbeats() -> None:
    assert topics_of(PSA) == ["delivery.public.clients", "delivery.public.projects", "__debezium-heartbeat.delivery"]
    assert topics_of(FEED) == ["__debezium-heartbeat.hr"]


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        ({"lsn": 1}, ""),
        ({"snapshot": "INITIAL", "last_snapshot_record": False}, "first snapshot under way"),
        ({"snapshot": "INITIAL", "last_snapshot_record": True}, ""),
        ({"incremental_snapshot_collections": requested("public.a")}, "reading public.a, 0 to follow"),
        ({"incremental_snapshot_collections": requested("public.a", "b.c")}, "reading public.a, 1 to follow"),
        ({"incremental_snapshot_collections": "[]"}, ""),
        ({"incremental_snapshot_collections": None}, ""),
    ],
)
def test_how_far_a_snapshot_is_stands_with_the_offsets(offset: Mapping[str, Any], said: str) -> None:
    assert snapshot_progress([offset]) == said


def test_a_connector_that_has_read_nothing_has_no_snapshot_under_way() -> None:
    assert snapshot_progress([]) == ""


def test_places_complete_each_other_and_what_one_cannot_say_is_told_once() -> None:
    asked: list[list[str]] = []

    def newest(topics: Iterable[str]) -> Mapping[str, int]:
        asked.append([*topics])
        return {"delivery.public.clients": 5_000, "__debezium-heartbeat.delivery": 9_000} if len(asked) == 2 else {}

    def offsets(_name: str) -> list[Mapping[str, Any]]:
        raise Unknown("Connect does not answer")

    looks = (TopicsLook(newest), SnapshotLook(offsets))
    other = PSA.model_copy(update={"name": "other"})
    found, unknown = lines({"hr": FEED, "psa": PSA, "other": other}, {"psa": RUNS, "stray": FAILED}, looks)
    assert found == [
        Line("hr", "feed", None, Freshness()),
        Line("other", "not there", None, Freshness(9_000)),
        Line("psa", "RUNNING", RUNS, Freshness()),
        Line("stray", "RUNNING", FAILED, Freshness()),
    ]
    assert unknown == ["Connect does not answer"]
    assert asked[1] == topics_of(other)
    assert [line.as_wanted for line in found] == [True, False, True, False]


def test_a_database_that_cannot_be_asked_is_unknown_and_a_feed_has_none() -> None:
    config = {"connector.class": "a", "slot.name": "s", "database.hostname": "${env:NOWHERE_TO_BE_FOUND}"}
    with pytest.raises(Unknown, match=r"\$\{env:NOWHERE_TO_BE_FOUND\} refers to nothing"):
        SlotLook().look(Configuration(name="psa", config=config))
    refused = config | {"database.hostname": "127.0.0.1", "database.port": "1", "database.dbname": "psa"}
    with pytest.raises(Unknown, match=r"psa: its database: .*refused"):
        SlotLook().look(Configuration(name="psa", config=refused))
    assert SlotLook().look(FEED) == Freshness()


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        (
            Line("psa", "RUNNING", RUNS, Freshness(1_000, 2_048, "")),
            ("psa", "RUNNING", "1 RUNNING", "59 s ago", "2 KiB", "-", "-"),
        ),
        (
            Line("psa", "RUNNING", FAILED, Freshness(60_001, 0, "reading a", "lost")),
            ("psa", "RUNNING", "1 FAILED, 1 RUNNING", "0 s ago", "0 B", "lost", "reading a"),
        ),
        (
            Line("psa", "UNASSIGNED", Standing("UNASSIGNED", "", ()), Freshness()),
            ("psa", "UNASSIGNED", "none", *"----"),
        ),
        (Line("hr", "feed", None, Freshness()), ("hr", "feed", *"-----")),
    ],
)
def test_a_line_shows_what_is_known(line: Line, cells: tuple[str, ...]) -> None:
    assert line.cells(60_000) == cells


@pytest.mark.parametrize(
    ("newest", "age_s_max", "stale"),
    [(None, None, False), (None, 10, True), (50_000, 10, False), (49_999, 10, True), (70_000, 0, False)],
)
def test_what_is_older_than_allowed_is_stale(newest: int | None, age_s_max: float | None, stale: bool) -> None:
    assert Line("psa", "RUNNING", RUNS, Freshness(newest)).stale(60_000, age_s_max) is stale


def test_a_sink_brings_nothing_and_is_never_stale() -> None:
    sink = Configuration(name="analytics", config={"connector.class": "org.example.Sink", "topics": "a,b"})
    assert topics_of(sink) == []
    (line,), unknown = lines({"analytics": sink}, {"analytics": RUNS}, [TopicsLook(lambda _: {})])
    assert (line.brings, line.stale(60_000, 10), line.as_wanted, unknown) == (False, False, True, [])


def test_times_and_sizes_are_in_their_largest_unit() -> None:
    assert [age(s) for s in (0, 59, 60, 3_599, 3_600, 86_399, 86_400)] == [
        "0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d",
    ]  # fmt: skip
    assert [size(b) for b in (0, 1_023, 1_024, 1 << 20, 1 << 30)] == ["0 B", "1023 B", "1 KiB", "1 MiB", "1 GiB"]


def test_failures_are_told_by_who_failed() -> None:
    ended = Standing("FAILED", "", (Task(3, "FAILED", "a" * 999 + "z"),))
    assert ended.failures == ["connector failed: no reason given", f"task 3 failed: {'a' * 200} … {'a' * 199}z"]
    assert FAILED.failures == ["task 0 failed: java.io.IOException: gone"]
    assert RUNS.failures == []
    assert (RUNS.runs, FAILED.runs, Standing("RUNNING", "", ()).runs) == (True, False, False)
