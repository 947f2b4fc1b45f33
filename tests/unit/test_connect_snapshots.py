"""How far a snapshot is, as a connector's notices tell: those of a real run, in shape and order."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from connect.configuration import Configuration
from connect.freshness import Freshness, Unknown
from connect.snapshots import NoticesLook, Snapshot, followed

TOPIC = "__debezium-notification.psa"
PSA = Configuration(
    name="psa",
    config={"connector.class": "org.example.Source", "topic.prefix": "psa", "notification.sink.topic.name": TOPIC},
)
FIRST, REQUESTED = "Initial Snapshot", "Incremental Snapshot"
ALL = "public.clients,public.projects,public.expenses"


def notice(kind: str, what: str, at: int = 0, **more: str) -> dict[str, Any]:
    return {
        "id": f"{kind}-{what}-{at}", "type": what, "aggregate_type": kind, "timestamp": at,
        "additional_data": {"connector_name": "psa", **more},
    }  # fmt: skip


def reading(kind: str, table: str, at: int = 0, of: str = ALL) -> dict[str, Any]:
    return notice(kind, "IN_PROGRESS", at, current_collection_in_progress=table, data_collections=of)


def read(kind: str, table: str, rows: int, at: int = 0) -> dict[str, Any]:
    # Of a first snapshot it lists the signal table, too, which is not read.
    listed = f"{ALL},public.debezium_signal" if kind == FIRST else ALL
    more = {"scanned_collection": table, "total_rows_scanned": str(rows), "data_collections": listed}
    return notice(kind, "TABLE_SCAN_COMPLETED", at, status="SUCCEEDED", **more)


STARTED = notice(FIRST, "STARTED", 100)
BEGUN = [STARTED, reading(FIRST, "public.clients", 110), read(FIRST, "public.clients", 30_000, 120)]
ENDED = [
    reading(FIRST, "public.projects", 121), read(FIRST, "public.projects", 5, 122),
    reading(FIRST, "public.expenses", 123), read(FIRST, "public.expenses", 0, 124), notice(FIRST, "COMPLETED", 125),
]  # fmt: skip
ON_REQUEST = [
    notice(REQUESTED, "STARTED", 200, data_collections="public.clients,public.projects"),
    reading(REQUESTED, "public.clients", 201, "public.clients,public.projects"),
    reading(REQUESTED, "public.clients", 205, "public.clients,public.projects"),
]


class Topics:
    """Hands out notices once, and counts what was written since."""

    def __init__(self, *notices: Mapping[str, Any]) -> None:
        self.waiting: Sequence[Mapping[str, Any]] = notices
        self.counted: list[tuple[str, int]] = []

    def notices(self, topic: str) -> Sequence[Mapping[str, Any]]:
        assert topic == TOPIC
        told, self.waiting = self.waiting, ()
        return told

    def count_since(self, topic: str, since_ms: int) -> int:
        self.counted.append((topic, since_ms))
        return 1_234


@pytest.mark.parametrize(
    ("notices", "said", "rows", "left"),
    [
        ([STARTED], "first snapshot: 0 rows, 0 of 0 tables left", 0, 0),
        (BEGUN[:2], "first snapshot: 1,234 rows, 3 of 3 tables left, reading public.clients", 1_234, 3),
        (BEGUN, "first snapshot: 30,000 rows, 2 of 3 tables left", 30_000, 2),
        ([*BEGUN, *ENDED], "", 30_005, 0),
        (
            [*BEGUN, *ENDED, *ON_REQUEST],
            "on request: 1,234 rows, 2 of 2 tables left, reading public.clients",
            1_234,
            2,
        ),
        ([*BEGUN, notice(FIRST, "ABORTED")], "first snapshot broken off", 30_000, 2),
        ([*ON_REQUEST, notice(REQUESTED, "STOPPED")], "on request stopped", 0, 2),
        (
            [*ON_REQUEST, notice(REQUESTED, "PAUSED"), notice(REQUESTED, "RESUMED")],
            "on request: 1,234 rows, 2 of 2 tables left, reading public.clients",
            1_234,
            2,
        ),
    ],
)
def test_how_far_a_snapshot_is(notices: list[dict[str, Any]], said: str, rows: int, left: int) -> None:
    topics = Topics(*notices)
    found = NoticesLook(topics.notices, topics.count_since).look(PSA)
    assert found == Freshness(snapshot=said, snapshot_rows=rows, snapshot_tables_left=left)


def test_a_table_is_counted_from_when_its_reading_began_and_told_on_from_what_was_known() -> None:
    topics = Topics(*BEGUN, *ENDED, *ON_REQUEST)
    look = NoticesLook(topics.notices, topics.count_since)
    look.look(PSA)
    assert topics.counted == [("psa.public.clients", 201)]
    assert look.look(PSA).snapshot_rows == 1_234
    topics.waiting = [read(REQUESTED, "public.clients", 3, 210)]
    assert look.look(PSA).snapshot == "on request: 3 rows, 1 of 2 tables left"
    topics.waiting = [read(REQUESTED, "public.projects", 4, 211), notice(REQUESTED, "COMPLETED", 212)]
    assert look.look(PSA) == Freshness(snapshot="", snapshot_rows=7, snapshot_tables_left=0)


def test_a_first_snapshot_that_begins_anew_counts_anew() -> None:
    found = followed([*BEGUN, STARTED, reading(FIRST, "public.clients", 300)])
    assert found == Snapshot(FIRST, frozenset(ALL.split(",")), {}, "public.clients", 300)


def test_notices_of_other_connectors_and_of_other_things_say_nothing() -> None:
    other = {**STARTED, "additional_data": {"connector_name": "tryton"}}
    without = {**STARTED, "additional_data": None}
    topics = Topics(other, without, notice("Heartbeat", "STARTED"))
    look = NoticesLook(topics.notices, topics.count_since)
    assert look.look(PSA) == Freshness()
    tryton = PSA.model_copy(update={"name": "tryton", "config": {**PSA.config, "topic.prefix": "tryton"}})
    assert look.look(tryton).snapshot == "first snapshot: 0 rows, 0 of 0 tables left"
    assert look.look(Configuration(name="hr", config={"connector.class": "throughline.workday"})) == Freshness()


def test_topics_that_cannot_be_asked_leave_what_was_known() -> None:
    topics = Topics(*BEGUN)

    def unknown(_topic: str, _since_ms: int) -> int:
        raise Unknown("brokers do not answer")

    look = NoticesLook(topics.notices, unknown)
    assert look.look(PSA).snapshot_rows == 30_000
    topics.waiting = ENDED[:1]
    with pytest.raises(Unknown):
        look.look(PSA)
    topics.waiting = ENDED[1:]
    assert look.look(PSA) == Freshness(snapshot="", snapshot_rows=30_005, snapshot_tables_left=0)
