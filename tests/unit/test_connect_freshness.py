"""How fresh a feed is: of which topics, by which place, and how it is shown."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from connect.configuration import Configuration
from connect.database import SlotLook
from connect.freshness import Freshness, SinkLook, SnapshotLook, TopicsLook, Unknown, snapshot_progress, topics_of
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
        Line("hr", "feed", None, Freshness(heard=False), may_be_silent=True),
        Line("other", "not there", None, Freshness(9_000, heard=True)),
        Line("psa", "RUNNING", RUNS, Freshness(heard=False)),
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
            ("psa", "RUNNING", "1 RUNNING", "59 s ago", "-", "2 KiB", "-", "-"),
        ),
        (
            Line("psa", "RUNNING", FAILED, Freshness(60_001, 0, "reading a", "lost")),
            ("psa", "RUNNING", "1 FAILED, 1 RUNNING", "0 s ago", "-", "0 B", "lost", "reading a"),
        ),
        (
            Line("psa", "UNASSIGNED", Standing("UNASSIGNED", "", ()), Freshness()),
            ("psa", "UNASSIGNED", "none", *"-----"),
        ),
        (Line("hr", "feed", None, Freshness(heard=False)), ("hr", "feed", "-", "never", *"----")),
        (
            Line("facts", "RUNNING", RUNS, Freshness(behind_records=1_234, oldest_ms=0), brings=False),
            ("facts", "RUNNING", "1 RUNNING", "-", "1,234, 1 min old", *"---"),
        ),
        (
            Line("facts", "RUNNING", RUNS, Freshness(behind_records=0), brings=False),
            ("facts", "RUNNING", "1 RUNNING", "-", "0", *"---"),
        ),
    ],
)
def test_a_line_shows_what_is_known(line: Line, cells: tuple[str, ...]) -> None:
    assert line.cells(60_000) == cells


@pytest.mark.parametrize(
    ("fresh", "age_s_max", "said"),
    [
        (Freshness(), None, ""),
        (Freshness(), 10, "not known when anything came"),
        (Freshness(heard=False), 10, "nothing ever came"),
        (Freshness(50_000, heard=True), 10, ""),
        (Freshness(49_999, heard=True), 10, "nothing came for 10 s or longer"),
        (Freshness(70_000, heard=True), 0, ""),
    ],
)
def test_what_is_older_than_allowed_is_stale(fresh: Freshness, age_s_max: float | None, said: str) -> None:
    assert Line("psa", "RUNNING", RUNS, fresh).stale(60_000, age_s_max) == said


@pytest.mark.parametrize(
    ("feed", "newest_ms", "expected", "said"),
    [
        ("workday", None, (), ""),
        ("workday", None, ("hr",), "nothing ever came"),
        ("workday", 1, (), "nothing came for 10 s or longer"),
        ("files", None, (), ""),
        ("files", 1, (), ""),
        ("files", 1, ("hr",), "nothing came for 10 s or longer"),
    ],
)
def test_a_feed_that_never_came_or_comes_on_demand_may_be_silent_unless_it_is_expected(
    feed: str, newest_ms: int | None, expected: tuple[str, ...], said: str
) -> None:
    files = {"hr": Configuration(name="hr", config={"connector.class": f"throughline.{feed}"})}
    topics = TopicsLook(lambda topics: {} if newest_ms is None else dict.fromkeys(topics, newest_ms))
    (line,), _ = lines(files, {}, [topics], expected)
    assert line.stale(60_000, 10) == said


def asked_of_a_sink(**config: str) -> tuple[Freshness, str, list[str]]:
    """What is known of a sink that is behind, and of which group and topics it was asked."""
    asked: list[tuple[str, list[str]]] = []

    def behind(group: str, chosen: Callable[[str], bool]) -> tuple[int, int | None]:
        asked.append((group, [*filter(chosen, ("a", "ab", "b", "c"))]))
        return 5, 40_000

    settings = {name.replace("_", "."): value for name, value in config.items()}
    fresh = SinkLook(behind).look(Configuration(name="analytics", config={"connector.class": "x.Sink", **settings}))
    (place,) = asked
    return fresh, *place


def test_a_sink_is_as_far_as_its_group_has_taken_its_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Freshness(behind_records=5, oldest_ms=40_000)
    assert asked_of_a_sink(topics="a, b") == (known, "connect-analytics", ["a", "b"])
    assert asked_of_a_sink(topics_regex="a.*") == (known, "connect-analytics", ["a", "ab"])
    assert asked_of_a_sink(topics="b", consumer_override_group_id="own") == (known, "own", ["b"])
    monkeypatch.setenv("FACTS", "c")
    assert asked_of_a_sink(topics="${env:FACTS}") == (known, "connect-analytics", ["c"])
    with pytest.raises(Unknown, match=r"^analytics: topics.regex: 'a\(' cannot be followed here: .*; name its topics$"):
        asked_of_a_sink(topics_regex="a(")


def test_of_what_is_no_sink_no_group_is_asked() -> None:
    def never(group: str, _chosen: Callable[[str], bool]) -> tuple[int, int | None]:
        raise AssertionError(group)

    assert SinkLook(never).look(PSA) == SinkLook(never).look(FEED) == Freshness()


@pytest.mark.parametrize(
    ("fresh", "said"),
    [
        (Freshness(), "not known how far it is behind"),
        (Freshness(behind_records=0), ""),
        (Freshness(behind_records=9, oldest_ms=50_000), ""),
        (Freshness(behind_records=1, oldest_ms=49_999), "what it has still to take is 10 s old, or older"),
    ],
)
def test_a_sink_brings_nothing_and_is_stale_where_it_takes_nothing(fresh: Freshness, said: str) -> None:
    sink = Configuration(name="analytics", config={"connector.class": "org.example.Sink", "topics": "a,b"})
    assert topics_of(sink) == []
    behind = SinkLook(lambda _group, _chosen: (fresh.behind_records or 0, fresh.oldest_ms))
    looks = [TopicsLook(lambda _: {}), *([behind] if fresh.behind_records is not None else ())]
    (line,), unknown = lines({"analytics": sink}, {"analytics": RUNS}, looks)
    assert (line.freshness, line.brings, line.as_wanted, unknown) == (fresh, False, True, [])
    assert (line.stale(60_000, None), line.stale(60_000, 10)) == ("", said)


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
