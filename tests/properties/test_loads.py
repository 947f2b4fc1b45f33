"""The law over a history that is loaded while a live feed goes on: whichever comes first, what is live wins.

A live feed begins at some moment, and tells all that changes from then on, perhaps also what it found. The history was
written out at that moment or later, and may say of a row what the live feed has long overtaken. The batch is made from
the whole history of each row, as its source had it.
"""

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connect.feeds.contract import position
from tests.oracle.compare import disagreements
from tests.oracle.firms import UNTIL, by_row, interleave, random_firm
from tests.support.streams import JsonRecord, file_run, service_run

pytestmark = pytest.mark.properties

SEEDS = st.integers(min_value=0, max_value=10**9)
MOMENTS = st.floats(min_value=0, max_value=1)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def moment(records: list[JsonRecord], share: float) -> int:
    """The time by which so much of everything had happened, in milliseconds."""
    times = sorted(record["value"]["source"]["ts_ms"] for record in records if record["value"] is not None)
    return int(times[min(int(share * len(times)), len(times) - 1)])


def told_by(history: list[JsonRecord], at_ms: int) -> list[JsonRecord]:
    """What of a row's records had happened by a moment, tombstones left out."""
    return [record for record in history if record["value"] and record["value"]["source"]["ts_ms"] <= at_ms]


def loaded(record: JsonRecord) -> list[JsonRecord]:
    """A row as a load tells it; nothing of one that was gone. Its positions are times, beyond any of the live feed."""
    value = record["value"]
    if value["op"] == "d":
        return []
    at = value["source"]["ts_ms"]
    source = {**value["source"], "name": "history", "position": position(at, 1), "snapshot": True}
    return [{**record, "value": {**value, "op": "r", "before": None, "source": source}}]


def apart(records: list[JsonRecord], begins: float, written: float, random: Random) -> tuple[Any, Any]:
    """What a live feed tells that begins at a moment, and a history that was written out then or later."""
    begins_ms = moment(records, begins)
    written_ms = max(begins_ms, moment(records, written))
    live, history = list[JsonRecord](), list[JsonRecord]()
    for row in by_row(records).values():
        before = told_by(row, begins_ms)
        follows = row[row.index(before[-1]) + 1 :] if before else row
        if before and before[-1]["value"]["op"] != "d" and random.random() < 0.3:
            live.append(before[-1])  # what it found as it began
        elif before and follows and follows[0]["value"] is None:
            follows = follows[1:]  # the tombstone of a delete that it did not see
        live += follows
        if written_rows := told_by(row, written_ms):
            history += loaded(written_rows[-1])
    return live, history


def together(live: list[JsonRecord], history: list[JsonRecord], random: Random) -> list[JsonRecord]:
    """Both in one random order; each row's live records keep theirs."""
    arrived = interleave(live, random)
    for record in history:
        for _ in range(1 + (random.random() < 0.1)):  # now and then it is loaded twice
            arrived.insert(random.randint(0, len(arrived)), record)
    return arrived


@FEW
@given(SEEDS, MOMENTS, MOMENTS)
def test_a_load_in_a_file_run_equals_the_batch(seed: int, begins: float, written: float) -> None:
    random = Random(seed)
    records = random_firm(seed, 2, spoiled=False)
    arrived = together(*apart(records, begins, written, random), random)
    assert disagreements(records, file_run(arrived, UNTIL), UNTIL) == []


@FEW
@given(SEEDS, MOMENTS, MOMENTS, st.sampled_from([1, 4]))
def test_a_load_beside_live_changes_equals_the_batch(seed: int, begins: float, written: float, partitions: int) -> None:
    random = Random(seed)
    records = random_firm(seed, 2, spoiled=False)
    arrived = together(*apart(records, begins, written, random), random)
    assert disagreements(records, service_run(arrived, random, partitions, 0.05, UNTIL), UNTIL) == []


@FEW
@given(SEEDS, MOMENTS, st.sampled_from([1, 4]))
def test_what_was_deleted_live_stays_deleted_when_its_history_comes(seed: int, begins: float, partitions: int) -> None:
    random = Random(seed)
    records = random_firm(seed, 2, spoiled=False)
    live, history = apart(records, begins, begins, random)
    arrived = [*interleave(live, random), *history]
    assert disagreements(records, service_run(arrived, random, partitions, until=UNTIL), UNTIL) == []
