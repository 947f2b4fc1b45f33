"""Bad input: each kind comes out as a dead letter or an exception that says why, and disturbs nothing else."""

import base64
import copy
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import RECORD_BYTES_MAX
from tests.support import spoil
from tests.support.command import Json, Ran, as_lines, replay
from tests.support.feed import Feed, firm

ENTRIES = "psa.public.time_entries"


def _firm() -> Feed:
    return firm().at("2026-02-04T09:00:00Z")


def _with_bad(change: Callable[[Json], Any]) -> list[Json]:
    """A firm, one entry T1 spoiled by `change`, and a good entry T9 after it."""
    feed = _firm()
    record = copy.deepcopy(feed.entry("T1"))
    change(record)
    feed.records[-1] = record
    feed.entry("T9")
    return feed.records


def _run(tmp_path: Path, change: Callable[[Json], Any]) -> Ran:
    return replay(tmp_path, _with_bad(change))


def _only_the_good_entry_bills(ran: Ran) -> None:
    assert ran.code == 0
    assert ran.said == ""
    assert ran.billed() == {"T9": ["800.00"]}
    assert ran.of("margin.updates")[-1]["approved_hours"] == "8"


# -- refused: an exception, and the last good version stays in force

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a bool for hours": ({"hours": True}, "hours: True is no decimal: decimals are strings"),
    "a float for hours": ({"hours": 8.5}, "hours: 8.5 is no decimal: decimals are strings"),
    "a text for a bool": ({"billable": "yes"}, "billable: 'yes' is neither true nor false"),
    "a number for a text": ({"role": 7}, "role: 7 is no text"),
    "a list for a date": ({"work_date": ["2026"]}, "work_date: ['2026'] is no date"),
    "null where required": ({"hours": None}, "hours: a required field is missing"),
    "no such day": ({"work_date": "2026-02-30"}, "work_date: '2026-02-30' is no date YYYY-MM-DD"),
    "a year too early": (
        {"work_date": "0001-01-01"},
        "work_date: 0001-01-01 is out of range: 1900-01-01 to 9999-12-31",
    ),
    "a year too late": ({"work_date": "10000-01-01"}, "work_date: '10000-01-01' is no date YYYY-MM-DD"),
    "a time too late": (
        {"approved_at": "9999-12-31T23:59:59-12:00"},
        "approved_at: 9999-12-31 23:59:59-12:00 is out of range: 1900-01-01 to 9999-12-31",
    ),
    "a time without zone": (
        {"approved_at": "2026-02-03T10:00:00"},
        "approved_at: 2026-02-03 10:00:00 has no time zone: write UTC as Z",
    ),
    "NaN as text": ({"hours": "NaN"}, "hours: 'NaN' is no decimal number"),
    "NaN as a number": ({"hours": float("nan")}, "hours: nan is no decimal: decimals are strings"),
    "infinity": ({"hours": "-Infinity"}, "hours: '-Infinity' is no decimal number"),
    "digits of another script": ({"hours": "٣"}, "hours: '٣' is no decimal number"),
    "underscores": ({"hours": "1_0"}, "hours: '1_0' is no decimal number"),
    "negative hours": ({"hours": "-1"}, "hours: -1 is negative"),
    "too many digits before the point": ({"hours": "123456"}, "hours: 123456 has more than 5 digits before the point"),
    "too many digits after the point": ({"hours": "1.00001"}, "hours: 1.00001 has more than 4 digits after the point"),
    "a huge exponent": ({"hours": "1E+999"}, "hours: 1E+999 has more than 5 digits before the point"),
    "a tiny exponent": ({"hours": "1E-999"}, "hours: 1E-999 has more than 4 digits after the point"),
    "control characters": ({"role": "a\x00b"}, "role: 'a\\x00b' has control characters or half a character"),
    "an endless text": ({"role": "x" * 4001}, f"role: '{'x' * 96}... has 4001 characters, more than 4000"),
}


@pytest.mark.parametrize(("fields", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_row_that_is_no_row_fails_validation(tmp_path: Path, fields: Json, reason: str) -> None:
    ran = _run(tmp_path, spoil.row(**fields))
    _only_the_good_entry_bills(ran)
    [told] = ran.exceptions()
    assert (told["kind"], told["state"], told["reasons"]) == ("validation_failed", "open", [reason])
    assert (told["entity_kind"], told["entity_id"], told["owner"]) == ("time_entry", "T1", "data_steward")
    assert ran.dead_letters() == []


def test_an_amount_with_more_digits_than_arithmetic_keeps_is_refused(tmp_path: Path) -> None:
    feed = _firm()
    feed.expense("X1", amount="12345678901234567890123456789.12345")
    feed.entry("T9")
    ran = replay(tmp_path, feed.records)
    _only_the_good_entry_bills(ran)
    [told] = ran.exceptions()
    assert told["reasons"] == ["amount: 12345678901234567890123456789.12345 has more than 16 digits before the point"]


def test_a_missing_required_field_is_named(tmp_path: Path) -> None:
    ran = _run(tmp_path, lambda record: record["value"]["after"].pop("hours"))
    _only_the_good_entry_bills(ran)
    assert [told["reasons"] for told in ran.exceptions()] == [["hours: a required field is missing"]]


def test_all_faults_of_a_row_are_told_at_once(tmp_path: Path) -> None:
    ran = _run(tmp_path, spoil.row(hours="-1", status="Maybe", billable=0))
    [told] = ran.exceptions()
    assert told["kind"] == "validation_failed"
    assert told["reasons"] == [
        "hours: -1 is negative",
        "billable: 0 is neither true nor false",
        "status: 'Maybe' is no entry that its mapping knows",
    ]


def test_an_unmapped_value_is_parked(tmp_path: Path) -> None:
    ran = _run(tmp_path, spoil.row(status="Maybe"))
    _only_the_good_entry_bills(ran)
    [told] = ran.exceptions()
    assert (told["kind"], told["state"], told["owner"]) == ("unmapped_value", "open", "data_steward")
    assert told["reasons"] == ["status: 'Maybe' is no entry that its mapping knows"]


def test_a_refused_version_leaves_the_last_good_one_in_force(tmp_path: Path) -> None:
    feed = _firm()
    feed.entry("T1")
    feed.entry("T1", hours="-5")
    feed.entry("T9", hours="1")
    ran = replay(tmp_path, feed.records)
    assert ran.billed() == {"T1": ["800.00"], "T9": ["100.00"]}
    assert [told["state"] for told in ran.exceptions()] == ["open"]


def test_an_unknown_topic_is_parked_until_a_mapping_declares_it(tmp_path: Path) -> None:
    ran = _run(tmp_path, lambda record: record.update(topic="psa.public.invoices"))
    _only_the_good_entry_bills(ran)
    [told] = ran.exceptions()
    assert (told["kind"], told["entity_kind"], told["entity_id"]) == ("unmapped_value", "psa.public.invoices", "T1")
    assert told["reasons"] == ["no_mapping: no mapping file declares topic psa.public.invoices"]


@pytest.mark.parametrize("topic", ["facts.contract", "billing.triggers"])
def test_topics_of_the_product_itself_are_no_way_in(tmp_path: Path, topic: str) -> None:
    ran = _run(tmp_path, lambda record: record.update(topic=topic))
    _only_the_good_entry_bills(ran)
    assert [told["kind"] for told in ran.exceptions()] == ["unmapped_value"]


@pytest.mark.parametrize("key", ["P2", "", None])
def test_a_record_key_that_is_not_its_rows_is_refused(tmp_path: Path, key: str | None) -> None:
    ran = _run(tmp_path, lambda record: record.update(key=key))
    _only_the_good_entry_bills(ran)
    [told] = ran.exceptions()
    assert told["kind"] == "validation_failed"
    assert told["reasons"] == [f"record key {key!r} is not 'P1', its row's"]


# -- unreadable: a dead letter with Connect's headers, and an exception

UNREADABLE: dict[str, tuple[Callable[[Json], Any], str]] = {
    "no source": (lambda record: record["value"].pop("source"), "the envelope has no source"),
    "source null": (spoil.envelope(source=None), "the envelope has no source"),
    "after null on an update": (spoil.envelope(op="u", after=None), "after is missing, which op u needs"),
    "after null on a create": (spoil.envelope(after=None), "after is missing, which op c needs"),
    "before null on a delete": (spoil.envelope(op="d", after=None), "before is missing, which op d needs"),
    "before without identity": (
        spoil.envelope(op="d", before={"hours": "8"}, after=None),
        "the row has no id, which identifies it",
    ),
    "no op": (lambda record: record["value"].pop("op"), "op None is none of c, u, d, r"),
    "an unknown op": (spoil.envelope(op="t"), "op 't' is none of c, u, d, r"),
    "an op that is a list": (spoil.envelope(op=["c"]), "op ['c'] is none of c, u, d, r"),
    "no identity": (lambda record: record["value"]["after"].pop("id"), "the row has no id, which identifies it"),
    "a number for identity": (spoil.row(id=7), "7 in id identifies no row"),
    "an empty identity": (spoil.row(id=""), "'' in id identifies no row"),
    "control characters in the identity": (spoil.row(id="T\x1f1"), "'T\\x1f1' in id identifies no row"),
    "no position": (
        lambda record: record["value"]["source"].pop("position"),
        "source.position None is no whole number from 0 to 9223372036854775807",
    ),
    "a position of 64 bits and more": (
        spoil.source(position=2**63),
        "source.position 9223372036854775808 is no whole number from 0 to 9223372036854775807",
    ),
    "a text for position": (
        spoil.source(position="10"),
        "source.position '10' is no whole number from 0 to 9223372036854775807",
    ),
    "a time after all dates": (
        spoil.source(ts_ms=2**62),
        "source.ts_ms 4611686018427387904 is no whole number from 0 to 7258118399999",
    ),
    "a time before 1970": (spoil.source(ts_ms=-1), "source.ts_ms -1 is no whole number from 0 to 7258118399999"),
    "a text for value": (lambda record: record.update(value="x"), "the value is no change envelope"),
    "a list for value": (lambda record: record.update(value=[1]), "the value is no change envelope"),
}


@pytest.mark.parametrize(("change", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_change_becomes_a_dead_letter(tmp_path: Path, change: Callable[[Json], Any], message: str) -> None:
    records = _with_bad(change)
    ran = replay(tmp_path, records)
    _only_the_good_entry_bills(ran)
    [letter] = ran.dead_letters()
    assert letter["key"] == "P1"
    assert letter["value"] == records[-2]["value"]
    assert letter["said"] == {
        "topic": ENTRIES,
        "partition": "0",
        "offset": str(len(records) - 2),
        "exception.class.name": "InvalidEnvelope",
        "exception.message": message,
        "stage": "TRANSFORMATION",
    }
    [told] = ran.exceptions()
    assert (told["kind"], told["state"], told["owner"]) == ("undecodable", "open", "integration")
    assert told["reasons"] == [message]


def test_a_dead_letter_keeps_the_headers_it_came_with(tmp_path: Path) -> None:
    header = ["trace", base64.b64encode(b"abc").decode()]
    ran = _run(tmp_path, lambda record: (record["value"].pop("source"), record.update(headers=[header])))
    [letter] = ran.dead_letters()
    assert letter["headers"][0] == header


@pytest.mark.parametrize("spoil", [{"category": None}, {"id": None}])
def test_a_bad_record_does_not_move_the_clock(tmp_path: Path, spoil: Json) -> None:
    feed = firm()
    feed.at("2026-02-05T08:00:00Z").expense("X1", approved_at="2026-02-05T08:00:00Z")
    feed.at("2026-03-01T00:00:00Z").expense("X2", approved_at=None)
    assert _late(replay(tmp_path, feed.records)) == ["expense_late:X1"]
    feed.records[-1] = copy.deepcopy(feed.records[-1])
    feed.records[-1]["value"]["after"].update(spoil)
    assert _late(replay(tmp_path, feed.records)) == []


def _late(ran: Ran) -> list[str]:
    return [alert["alert_id"] for alert in ran.of("drift.alerts") if alert["kind"] == "expense_late"]


def test_a_record_of_10_megabytes_is_a_dead_letter(tmp_path: Path) -> None:
    records = _with_bad(spoil.row(role="x" * 10_000_000))
    ran = replay(tmp_path, records)
    _only_the_good_entry_bills(ran)
    [letter] = ran.dead_letters()
    size = len(as_lines(records[-2:-1]))
    assert letter["said"]["exception.message"] == f"too large: {size} bytes, the limit is {RECORD_BYTES_MAX}"
    assert letter["value"] == records[-2]["value"]
    assert [told["kind"] for told in ran.exceptions()] == ["undecodable"]


SPOILED = {
    "half a character": ("Engineer", "\\ud800"),
    "a number over 64 bits beside NaN": ('"Engineer"', "[NaN, " + "1" * 30 + "]"),
    "nested deeply": ('"Engineer"', "[" * 300 + "]" * 300),
}


@pytest.mark.parametrize(("old", "new"), SPOILED.values(), ids=SPOILED)
def test_a_value_that_cannot_be_kept_is_a_dead_letter(tmp_path: Path, old: str, new: str) -> None:
    lines = as_lines(_with_bad(lambda _: None)).decode().splitlines()
    lines[-2] = lines[-2].replace(old, new)
    ran = replay(tmp_path, "\n".join(lines).encode())
    _only_the_good_entry_bills(ran)
    [letter] = ran.dead_letters()
    assert letter["said"]["exception.message"].startswith("no value that can be kept: ")
    assert [told["kind"] for told in ran.exceptions()] == ["undecodable"]


# -- bytes

BYTES = {
    "a bad magic byte": (
        b"\x01\x00\x00\x00\x05abc",
        "bad magic byte 0x01: a record begins with 0x00 and its schema id",
    ),
    "an unknown schema id": (struct.pack(">bI", 0, 999_999) + b"abc", "schema id 999999"),
    "nothing but a zero": (b"\x00", "too short: 1 bytes, a schema id takes 5"),
    "no bytes at all": (b"", "too short: 0 bytes, a schema id takes 5"),
    "too many bytes": (b"\x00" * (RECORD_BYTES_MAX + 1), f"too large: {RECORD_BYTES_MAX + 1} bytes"),
}


@pytest.mark.parametrize(("payload", "message"), BYTES.values(), ids=BYTES)
def test_bytes_that_cannot_be_decoded_are_a_dead_letter_as_they_came(
    tmp_path: Path, payload: bytes, message: str
) -> None:
    def as_bytes(record: Json) -> None:
        del record["value"]
        record["value_base64"] = base64.b64encode(payload).decode()

    ran = _run(tmp_path, as_bytes)
    _only_the_good_entry_bills(ran)
    [letter] = ran.dead_letters()
    assert base64.b64decode(letter["value_base64"]) == payload
    assert message in letter["said"]["exception.message"]
    assert letter["said"]["exception.class.name"] == "Undecodable"
    assert letter["said"]["stage"] == "VALUE_CONVERTER"
    assert [told["kind"] for told in ran.exceptions()] == ["undecodable"]


# -- what is no fault


@pytest.mark.parametrize("empty", ["value", "value_base64"])
def test_a_tombstone_says_nothing(tmp_path: Path, empty: str) -> None:
    def as_tombstone(record: Json) -> None:
        del record["value"]
        record[empty] = None

    ran = _run(tmp_path, as_tombstone)
    _only_the_good_entry_bills(ran)
    assert ran.exceptions() == ran.dead_letters() == []


def test_a_tombstone_after_a_delete_keeps_it_deleted(tmp_path: Path) -> None:
    feed = _firm()
    stale = feed.entry("T1")
    feed.delete(ENTRIES, "T1")
    feed.records.append({"topic": ENTRIES, "key": "P1", "value": None})
    feed.records.append(stale)
    feed.entry("T9")
    assert replay(tmp_path, feed.records).billed() == {"T1": ["800.00", "-800.00"], "T9": ["800.00"]}


def test_a_heartbeat_is_a_sign_of_life_and_nothing_more(tmp_path: Path) -> None:
    ran = _run(tmp_path, lambda record: record.update(topic="__debezium-heartbeat.psa", key="{}", value={"ts_ms": 1}))
    _only_the_good_entry_bills(ran)
    assert ran.exceptions() == ran.dead_letters() == []


def test_fields_that_nobody_asked_for_are_ignored(tmp_path: Path) -> None:
    ran = _run(tmp_path, spoil.row(tags=["a"], note=None))
    assert ran.billed() == {"T1": ["800.00"], "T9": ["800.00"]}
    assert ran.exceptions() == []


# -- the last days there are


def test_work_on_the_last_day_there_is(tmp_path: Path) -> None:
    feed = firm(BillingType="Retainer", IncludedHours="1", OverageRate="10", EndDate=None, PeriodicFee=None)
    feed.assignment("G1", end_date="9999-12-31")
    feed.at("2026-02-04T09:00:00Z").entry("T1", work_date="9999-12-31")
    ran = replay(tmp_path, feed.records)
    assert (ran.code, ran.billed()) == (0, {"T1": ["70.00"]})


def test_a_contract_to_the_end_of_time(tmp_path: Path) -> None:
    feed = firm(BillingType="Retainer", PeriodicFee="100", StartDate="2026-01-15", EndDate="9999-12-31")
    ran = replay(tmp_path, feed.records, "--until", "2026-02-15T00:00:00Z")
    assert ran.billed() == {"C1:2026-01": ["100.00"], "C1:2026-02": ["100.00"]}
    months = (9999 - 2026) * 12 + 12
    assert ran.of("margin.updates")[-1]["forecast_revenue"] == f"{100 * months}.00"
