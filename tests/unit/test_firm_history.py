"""The generated firm: the same from the same size, as large as asked for, with histories that hold together."""

import tracemalloc
from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache
from itertools import pairwise

import pytest

from firm.history import History
from firm.jsonl import line_of
from firm.size import FirmSize
from firm.wire import Record
from tests.unit.firm_fields import FIELDS, identity_of, key_of, misfits

ENTRIES = "psa.public.time_entries"
MEDIUM = FirmSize(6_000, seed=3)


@cache
def firm(size: FirmSize = MEDIUM) -> tuple[Record, ...]:
    return tuple(History(size).records())


def row_of(record: Record) -> dict[str, object]:
    row: dict[str, object] = record.value["after"] or record.value["before"]
    return row


def histories() -> dict[tuple[str, str], list[Record]]:
    rows = defaultdict(list)
    for record in firm():
        rows[identity_of(record.topic, row_of(record))].append(record)
    return rows


def test_the_same_size_gives_the_same_bytes() -> None:
    size = FirmSize(800, seed=11, days=90)
    first = b"".join(line_of(record) for record in History(size).records())
    again = b"".join(line_of(record) for record in History(size).records())
    assert first == again


@pytest.mark.parametrize(
    "other",
    [FirmSize(800, seed=12, days=90), FirmSize(801, seed=11, days=90), FirmSize(800, seed=11, days=91)],
    ids=["seed", "entries", "days"],
)
def test_another_size_gives_another_firm(other: FirmSize) -> None:
    size = FirmSize(800, seed=11, days=90)
    assert [line_of(one) for one in firm(size)] != [line_of(one) for one in firm(other)]


@pytest.mark.parametrize(
    "size",
    [
        FirmSize(1),
        FirmSize(37, days=28),
        FirmSize(999, seed=5, months=1),
        FirmSize(5_000, seed=2, months=3, start=date(2024, 2, 29)),
        FirmSize(3_000, seed=8, months=36),
    ],
    ids=str,
)
def test_it_has_exactly_as_many_time_entries_as_asked_for(size: FirmSize) -> None:
    ids = {row_of(record)["id"] for record in firm(size) if record.topic == ENTRIES}
    assert len(ids) == size.time_entries


def test_people_and_contracts_grow_with_the_time_entries() -> None:
    small, large = (History(FirmSize(entries)) for entries in (20_000, 80_000))
    assert len(large.people) == pytest.approx(4 * len(small.people), rel=0.05)
    assert len(large.contracts) > 2 * len(small.contracts)


def test_it_happens_within_its_days() -> None:
    size = FirmSize(500, seed=4, start=date(2025, 3, 1), days=60)
    days = [date(1970, 1, 1) + timedelta(milliseconds=record.value["source"]["ts_ms"]) for record in firm(size)]
    assert min(days) == date(2025, 3, 1)
    assert max(days) == date(2025, 4, 29)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"time_entries": 0}, "time entries: 0"),
        ({"time_entries": 10, "months": 0}, "months: 0"),
        ({"time_entries": 10, "days": 3}, "days: 3"),
        ({"time_entries": 10, "dirty": 1.5}, "dirty: 1.5"),
    ],
)
def test_a_size_out_of_range_is_refused_by_name(setting: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FirmSize(**setting)  # type: ignore[arg-type]


def test_records_arrive_in_order_of_their_timestamps() -> None:
    assert all(before.timestamp <= after.timestamp for before, after in pairwise(firm()))


def test_what_happened_is_captured_later_and_arrives_later_still() -> None:
    assert all(one.value["source"]["ts_ms"] < one.value["ts_ms"] < one.timestamp for one in firm())


def test_positions_of_a_feed_rise_and_repeat_only_where_a_key_changed() -> None:
    last: dict[str, Record] = {}
    for record in firm():
        source = record.value["source"]
        before = last.get(source["name"])
        if before is not None and before.value["source"]["position"] >= source["position"]:
            assert before.value["source"]["position"] == source["position"]
            assert (before.value["op"], record.value["op"]) == ("d", "c")
            assert before.key != record.key
        last[source["name"]] = record


def test_every_version_begins_where_the_one_before_it_ended() -> None:
    for identity, versions in histories().items():
        state = None
        for record in versions:
            op, before, after = (record.value[name] for name in ("op", "before", "after"))
            assert before == (None if op in {"c", "r"} else state), identity
            assert (op == "d") == (after is None), identity
            state = after


def test_times_in_a_row_rise_with_its_versions() -> None:
    for identity, versions in histories().items():
        stamps = [
            str(row[name])
            for record in versions
            if (row := record.value["after"])
            for name in ("updated_at", "LastModifiedDate", "LastModified", "UpdatedAt")
            if name in row
        ]
        assert stamps == sorted(stamps), identity


def test_every_row_has_the_fields_of_the_domain_and_no_others() -> None:
    wrong = [
        (record.topic, misfit)
        for record in firm()
        for row in (record.value["before"], record.value["after"])
        if row is not None
        for misfit in misfits(row, FIELDS[record.topic])
    ]
    assert wrong == []


def test_every_topic_of_the_domain_is_told_of() -> None:
    assert {record.topic for record in firm()} == set(FIELDS)


def test_records_are_keyed_as_the_domain_says() -> None:
    assert all(record.key == key_of(record.topic, row_of(record)) for record in firm())


def test_only_masters_of_the_psa_are_there_when_its_feed_starts() -> None:
    reads = [record for record in firm() if record.value["op"] == "r"]
    assert {record.topic for record in reads} == {"psa.public.clients", "psa.public.resources"}
    assert {record.value["source"]["snapshot"] for record in reads} == {True}
    assert not any(record.value["source"]["snapshot"] for record in firm() if record.value["op"] != "r")


def test_a_time_entry_has_about_three_versions_and_every_kind_of_life() -> None:
    entries = {name: versions for (topic, name), versions in histories().items() if topic == ENTRIES}
    versions = sum(map(len, entries.values()))
    assert 2.5 < versions / len(entries) < 4

    lives = Counter(_life(versions) for versions in entries.values())
    share = {life: count / len(entries) for life, count in lives.items()}
    assert share["approved"] > 0.85
    assert 0.01 < share["corrected"] < 0.06
    assert 0.005 < share["moved"] < 0.03
    assert 0.005 < share["deleted"] < 0.03
    assert 0.005 < share["rejected"] < 0.06


def _life(versions: list[Record]) -> str:
    ops = [record.value["op"] for record in versions]
    statuses = [str(row_of(record)["status"]) for record in versions]
    if ops[-1] == "d":
        return "deleted"
    if "d" in ops:
        return "moved"
    if "Rejected" in statuses:
        return "rejected"
    hours = [row_of(record)["hours"] for record in versions if row_of(record)["status"] == "Approved"]
    return "corrected" if len(set(hours)) > 1 else "approved" if hours else "open"


@pytest.mark.parametrize(
    ("topic", "field", "kinds"),
    [
        ("crm.Contract", "BillingType", {"T&M", "T&M NTE", "Fixed Fee", "Retainer"}),
        ("crm.Contract", "CurrencyIsoCode", {"EUR", "USD", "GBP", "JPY", "KWD"}),
        ("crm.Contract", "ExpensePolicy", {"PassThrough", "Markup", "NonBillable"}),
        ("crm.ContractAmendment", "Status", {"Draft", "Approved", "Rejected"}),
        ("hr.Worker", "Region", {"EMEA", "AMER", "APAC"}),
        ("erp.Invoice", "Status", {"Draft", "Posted", "Released", "Paid"}),
        ("erp.Period", "Status", {"open", "closed"}),
        ("erp.CostPosting", "SourceKind", {"expense", "time_entry"}),
        ("psa.public.assignments", "status", {"Confirmed", "Tentative", "Cancelled"}),
        ("psa.public.milestones", "status", {"Not Started", "Started", "Done", "Signed Off"}),
    ],
)
def test_every_kind_occurs(topic: str, field: str, kinds: set[str]) -> None:
    size = FirmSize(30_000, seed=1)
    assert {row_of(record)[field] for record in firm(size) if record.topic == topic} >= kinds


def test_dirty_rows_come_as_often_as_asked_for() -> None:
    def broken(dirty: float) -> int:
        rows = (row_of(record) for record in firm(FirmSize(3_000, seed=6, dirty=dirty)) if record.topic == ENTRIES)
        known = {"Draft", "Submitted", "Approved", "Rejected"}
        return len({row["id"] for row in rows if row["status"] not in known or str(row["hours"]).startswith("-")})

    assert broken(0) == 0
    assert broken(0.001) >= 4  # at least two of each kind, however few
    assert broken(0.05) == pytest.approx(150, rel=0.3)


def test_memory_does_not_grow_with_the_length_of_the_history() -> None:
    def peak_bytes(months: int) -> int:
        tracemalloc.start()
        for _ in History(FirmSize(2_500 * months, months=months)).records():
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    short, long = peak_bytes(1), peak_bytes(4)
    assert long < 2 * short
    assert long < 40_000_000
