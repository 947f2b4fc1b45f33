"""Bytes of a real Debezium: both recordings decode to what they show, and the product writes the same shape."""

import base64
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from schemas.codec import Codec, Undecodable
from schemas.contracts import Schema, fingerprint, load_contracts
from schemas.debezium import UNAVAILABLE, NoEnvelope, change_from_debezium, is_debezium, is_heartbeat
from schemas.debezium_writing import DebeziumShape, debezium_subject
from schemas.mapping import load_mappings
from schemas.registry import Layered, Manifest, Recorded

pytestmark = pytest.mark.usefixtures("codec_path")

RECORDINGS = Path(__file__).parents[1] / "recordings"
PSA, TRYTON = "psa-postgres", "tryton"
CONTRACTS = load_contracts()


@cache
def recorded(name: str) -> list[dict[str, Any]]:
    with gzip.open(RECORDINGS / name / "feed.jsonl.gz") as lines:
        return [json.loads(line) for line in lines]


def changes(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The recorded values of changes as shown, each with its decoded change."""
    codec = recorded_codec(name)
    for record in recorded(name):
        if record["value"] is not None and not is_heartbeat(record["topic"]):
            yield record, codec.decode(record["topic"], base64.b64decode(record["value_base64"]))


def recorded_codec(name: str) -> Codec:
    return Codec(Layered(Recorded.read(RECORDINGS / name / "schemas.json"), Manifest()))


@pytest.mark.parametrize(
    ("name", "counts"), [(PSA, (1178, 1073, 79, 26)), (TRYTON, (609, 582, 26, 1))], ids=[PSA, TRYTON]
)
def test_every_record_decodes(name: str, counts: tuple[int, int, int, int]) -> None:
    records = recorded(name)
    heartbeats = [record for record in records if is_heartbeat(record["topic"])]
    codec = recorded_codec(name)
    for beat in heartbeats:
        assert codec.decode(beat["topic"], base64.b64decode(beat["value_base64"])) == beat["value"]
    tombstones = sum(1 for record in records if record["value"] is None)
    assert (len(records), sum(1 for _ in changes(name)), len(heartbeats), tombstones) == counts


@pytest.mark.parametrize("name", [PSA, TRYTON])
def test_decoded_rows_are_what_the_recording_shows(name: str) -> None:
    for record, change in changes(name):
        for side in ("before", "after"):
            shown, decoded = record["value"][side], change[side]
            assert (shown is None) == (decoded is None)
            if shown is not None:
                assert decoded.keys() == shown.keys()
                wrong = {field: decoded[field] for field in shown if not same(shown[field], decoded[field])}
                assert wrong == {}, (record["topic"], shown)


def same(shown: Any, decoded: Any) -> bool:
    """Whether a native value is the one shown as it was on the wire."""
    if decoded is UNAVAILABLE:
        return base64.b64decode(shown["bytes_base64"]) == b"__debezium_unavailable_value"
    if isinstance(decoded, Decimal):
        return bool(Decimal(shown) == decoded)
    if isinstance(decoded, datetime):
        if isinstance(shown, str):
            return decoded.isoformat(timespec="microseconds").replace("+00:00", "Z") == shown
        return decoded - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(microseconds=shown)
    if isinstance(decoded, date):
        return bool((decoded - date(1970, 1, 1)).days == shown)
    if isinstance(decoded, timedelta):
        return decoded == timedelta(microseconds=shown)
    if isinstance(decoded, bytes):
        return bool(len(decoded) == shown["bytes_length"])
    return bool(type(shown) is type(decoded) and shown == decoded)


@pytest.mark.parametrize("name", [PSA, TRYTON])
def test_the_envelope_is_the_products_own(name: str) -> None:
    for record, change in changes(name):
        shown, source = record["value"], record["value"]["source"]
        assert (change["op"], change["ts_ms"]) == (shown["op"], shown["ts_ms"])
        assert change["source"] == {
            "connector": "postgresql",
            "name": source["name"],
            "ts_ms": source["ts_ms"],
            "snapshot": shown["op"] == "r",
            "position": source["lsn"],
            "schema": "public",
            "table": record["topic"].rpartition(".")[2],
        }


def test_native_types_of_a_psa_row() -> None:
    _, change = next(pair for pair in changes(PSA) if pair[0]["topic"] == "psa.public.time_entries")
    assert {name: type(value).__name__ for name, value in change["after"].items()} == {
        "id": "str",
        "project_id": "str",
        "resource_id": "str",
        "role": "str",
        "work_date": "date",
        "hours": "Decimal",
        "billable": "bool",
        "status": "str",
        "approved_at": "datetime",
        "updated_at": "datetime",
    }
    assert change["after"]["updated_at"].tzinfo is UTC


def test_native_values_of_a_foreign_database() -> None:
    rows = [change["after"] for record, change in changes(TRYTON) if record["topic"].endswith(".timesheet_line")]
    line = next(row for row in rows if row is not None and row["duration"] == timedelta(hours=7, minutes=30))
    assert isinstance(line["date"], date)
    invoices = [change["after"] for record, change in changes(TRYTON) if record["topic"].endswith(".account_invoice")]
    totals = {row["total_amount_cache"] for row in invoices}
    assert {Decimal("12627.5"), None} <= totals


def test_a_value_that_debezium_was_not_told_is_no_value() -> None:
    rows = [change["after"] for record, change in changes(TRYTON) if record["topic"].endswith(".account_invoice")]
    found = [row["invoice_report_cache"] for row in rows if row["invoice_report_cache"] is not None]
    assert found[-2:] == [UNAVAILABLE, UNAVAILABLE]
    assert str(UNAVAILABLE) == "__debezium_unavailable_value"


def envelope(source: dict[str, str], **row: Any) -> Schema:
    value = {
        "type": "record",
        "name": "Value",
        "fields": [{"name": name, "type": type_} for name, type_ in row.items()],
    }
    return {
        "type": "record",
        "name": "Envelope",
        "fields": [
            {"name": "before", "type": ["null", value]},
            {"name": "after", "type": ["null", "Value"]},
            {"name": "op", "type": "string"},
            {
                "name": "source",
                "type": {
                    "type": "record",
                    "name": "Source",
                    "fields": [{"name": name, "type": type_} for name, type_ in source.items()],
                },
            },
        ],
    }


def named(avro: str, name: str) -> Schema:
    return {"type": avro, "connect.name": name}


SEMANTIC = [
    ("io.debezium.time.Date", -1, date(1969, 12, 31)),
    ("io.debezium.time.Timestamp", 1_500, datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)),
    ("io.debezium.time.MicroTimestamp", 1, datetime(1970, 1, 1, 0, 0, 0, 1, UTC)),
    ("io.debezium.time.NanoTimestamp", 2_999, datetime(1970, 1, 1, 0, 0, 0, 2, UTC)),
    ("io.debezium.time.ZonedTimestamp", "2025-02-21T19:53:00.5Z", datetime(2025, 2, 21, 19, 53, 0, 500_000, UTC)),
    ("io.debezium.time.MicroDuration", 27_000_000_000, timedelta(hours=7.5)),
    ("io.debezium.data.VariableScaleDecimal", {"scale": 1, "value": b"\xfc\x45"}, Decimal("-95.5")),
    ("io.debezium.data.VariableScaleDecimal", {"scale": 0, "value": b"\x04\xe2"}, Decimal(1250)),
    ("io.debezium.data.Json", '{"a": 1}', '{"a": 1}'),
]


@pytest.mark.parametrize(("name", "wire", "native"), SEMANTIC)
def test_semantic_types(name: str, wire: Any, native: Any) -> None:
    schema = envelope({"ts_ms": "long", "lsn": "long"}, a=["null", named("long", name)], b=named("long", name))
    decoded = {"before": None, "after": {"a": wire, "b": wire}, "op": "c", "source": {"ts_ms": 5, "lsn": 9}}
    change = change_from_debezium(decoded, schema)
    assert change["after"] == {"a": native, "b": native}
    nothing = {"before": None, "after": {"a": None, "b": wire}, "op": "c", "source": {"ts_ms": 5, "lsn": 9}}
    assert change_from_debezium(nothing, schema)["after"]["a"] is None


def test_a_named_type_is_recognised_where_it_is_used_again() -> None:
    number = {"type": "record", "name": "VariableScaleDecimal", "namespace": "io.debezium.data", "fields": []}
    number["connect.name"] = "io.debezium.data.VariableScaleDecimal"
    schema = envelope({"ts_ms": "long", "lsn": "long"}, a=number, b=["null", "io.debezium.data.VariableScaleDecimal"])
    wire = {"scale": 2, "value": b"\x01"}
    decoded = {"before": None, "after": {"a": wire, "b": wire}, "op": "c", "source": {"ts_ms": 5, "lsn": 9}}
    assert change_from_debezium(decoded, schema)["after"] == {"a": Decimal("0.01"), "b": Decimal("0.01")}


def test_an_untouched_value_is_taken_from_the_row_before() -> None:
    schema = envelope({"ts_ms": "long", "lsn": "long"}, id="long", text=["null", "string"], blob="bytes")
    text, blob = "__debezium_unavailable_value", b"__debezium_unavailable_value"

    def update(before: Any) -> Any:
        after = {"id": 1, "text": text, "blob": blob}
        decoded = {"before": before, "after": after, "op": "u", "source": {"ts_ms": 5, "lsn": 9}}
        return change_from_debezium(decoded, schema)["after"]

    assert update({"id": 1, "text": "old", "blob": b"old"}) == {"id": 1, "text": "old", "blob": b"old"}
    assert update(None) == {"id": 1, "text": UNAVAILABLE, "blob": UNAVAILABLE}


SNAPSHOTS = [("true", True), ("first", True), ("last_in_data_collection", True), ("incremental", True),
             ("false", False), (None, False)]  # fmt: skip


@pytest.mark.parametrize(("told", "snapshot"), SNAPSHOTS)
def test_a_snapshot_is_told_in_words(told: str | None, snapshot: bool) -> None:
    source = {"ts_ms": 5, "lsn": 9, "snapshot": told}
    schema = envelope({"ts_ms": "long", "lsn": "long", "snapshot": "string"}, id="long")
    decoded = {"before": None, "after": {"id": 1}, "op": "r", "source": source}
    assert change_from_debezium(decoded, schema)["source"]["snapshot"] is snapshot


@pytest.mark.parametrize(
    ("source", "position"),
    [
        ({"lsn": 26907816}, 26907816),
        ({"lsn": 2**40, "file": "x.1", "pos": 1}, 2**40),
        ({"file": "binlog.000003", "pos": 154}, 3 * 2**32 + 154),
    ],
)
def test_the_position_is_that_of_the_log(source: dict[str, Any], position: int) -> None:
    schema = envelope(dict.fromkeys(("ts_ms", *source), "long"), id="long")
    decoded = {"before": None, "after": {"id": 1}, "op": "c", "source": {"ts_ms": 5, **source}}
    change = change_from_debezium(decoded, schema)
    assert (change["source"]["position"], change["ts_ms"]) == (position, 5)


@pytest.mark.parametrize("source", [{"lsn": None}, {"file": "binlog", "pos": 1}, {"file": "b.1", "pos": None}, {}])
def test_a_change_that_nothing_orders_is_none(source: dict[str, Any]) -> None:
    schema = envelope(dict.fromkeys(("ts_ms", *source), "long"), id="long")
    decoded = {"before": None, "after": {"id": 1}, "op": "c", "source": {"ts_ms": 5, **source}}
    with pytest.raises(NoEnvelope, match="neither lsn nor file and pos"):
        change_from_debezium(decoded, schema)


@pytest.mark.parametrize(
    ("sequence", "position"), [('["30095232","30095288"]', 30095288), ('["31","30"]', 31), ('[null,"9"]', 9)]
)
def test_a_row_read_anew_stands_where_the_log_had_been_read_to(sequence: str, position: int) -> None:
    source = {"ts_ms": 5, "lsn": None, "snapshot": "incremental", "sequence": sequence}
    payload, topic = reread_bytes(source)
    change = recorded_codec(PSA).decode(topic, payload)
    assert (change["op"], change["source"]["position"], change["source"]["reread"]) == ("r", position, True)
    assert change["source"]["snapshot"] is True
    slim = recorded_codec(PSA).decode_change(topic, payload)["source"]
    assert slim == {"name": "psa", "ts_ms": 5, "position": position, "reread": True}


@pytest.mark.parametrize("sequence", [None, "[]", "[null]", "x", '["x"]', "7"])
def test_a_row_read_anew_that_does_not_say_where_is_undecodable(sequence: str | None) -> None:
    payload, topic = reread_bytes({"ts_ms": 5, "lsn": None, "snapshot": "incremental", "sequence": sequence})
    with pytest.raises(Undecodable, match="does not say how far the log had been read"):
        recorded_codec(PSA).decode(topic, payload)


def reread_bytes(source: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes of a recorded row as a snapshot on request writes it, and its topic."""
    record = next(r for r in recorded(PSA) if r["topic"] == "psa.public.clients" and r["value"])
    head = base64.b64decode(record["value_base64"])[:5]
    schema = json.loads((RECORDINGS / PSA / "schemas.json").read_text("utf-8"))[str(record["schema_id"])]
    value = record["value"]
    out = BytesIO()
    schemaless_writer(out, parse_schema(schema), {**value, "op": "r", "source": {**value["source"], **source}})
    return head + out.getvalue(), record["topic"]


OUT_OF_RANGE = [
    ("io.debezium.time.Date", 2**31, "2147483648"),
    ("io.debezium.data.VariableScaleDecimal", {"scale": 0, "value": b"\x7f" * 513}, "{'scale': 0, 'value': "),
    ("io.debezium.data.VariableScaleDecimal", {"scale": 2**62, "value": b"\x01"}, "{'scale': 4611686018427387904"),
]


@pytest.mark.parametrize(("name", "wire", "told"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_told_with_its_field(name: str, wire: Any, told: str) -> None:
    schema = envelope({"ts_ms": "long", "lsn": "long"}, due=named("long", name))
    decoded = {"before": None, "after": {"due": wire}, "op": "c", "source": {"ts_ms": 5, "lsn": 9}}
    with pytest.raises(ValueError, match=f"field 'due' holds {told}"):
        change_from_debezium(decoded, schema)


def test_bytes_with_a_value_out_of_range_are_undecodable() -> None:
    contract = CONTRACTS[debezium_subject("psa.public.time_entries")]
    codec = Codec(Manifest())
    written = DebeziumShape(contract).envelope(change(hours="1", work_date="2025-01-01"))
    written["after"]["work_date"] = 2**31 - 1
    payload = codec.encode(contract.subject, written)
    with pytest.raises(Undecodable, match="field 'work_date' holds 2147483647: "):
        codec.decode("psa.public.time_entries", payload)


def without(schema: Schema, name: str) -> Schema:
    return {**schema, "fields": [field for field in schema["fields"] if field["name"] != name]}


NO_CHANGES = [
    (without(envelope({"ts_ms": "long", "lsn": "long"}, id="long"), "op"), "it has no op"),
    (without(without(envelope({"ts_ms": "long"}, id="long"), "before"), "after"), "it has no before, after"),
    (envelope({"lsn": "long"}, id="long"), "its source has no ts_ms"),
]


@pytest.mark.parametrize(("schema", "told"), NO_CHANGES, ids=[case[1] for case in NO_CHANGES])
def test_a_record_that_is_no_change_is_told(schema: Schema, told: str) -> None:
    with pytest.raises(Undecodable, match=f"Envelope is no change envelope: {told}"):
        Codec(Recorded({7: schema})).decode("shop.sales", b"\x00\x00\x00\x00\x07\x00\x02\x02\x02c\x0a\x12")


def test_our_own_envelope_is_no_debezium_envelope() -> None:
    found = {subject for subject, contract in CONTRACTS.items() if is_debezium(contract.schema)}
    assert found == {debezium_subject(topic) for topic in load_mappings().topics if topic.startswith("psa.")}


def test_the_shape_written_is_the_one_that_a_connector_registered() -> None:
    registered = json.loads((RECORDINGS / PSA / "schemas.json").read_text())
    shapes = [contract.schema for subject, contract in CONTRACTS.items() if subject.startswith("debezium.")]
    assert sorted(map(fingerprint, registered.values())) == sorted(map(fingerprint, shapes))


def test_a_recorded_change_written_again_decodes_to_itself() -> None:
    codec = Codec(Manifest())
    topics = [topic for topic in load_mappings().topics if topic.startswith("psa.")]
    shapes = {topic: DebeziumShape(CONTRACTS[debezium_subject(topic)]) for topic in topics}
    count = 0
    for record, told in changes(PSA):
        topic = record["topic"]
        payload = codec.encode(debezium_subject(topic), shapes[topic].envelope(told))
        assert codec.decode(topic, payload) == told
        count += 1
    assert count == 1073


def change(**row: Any) -> dict[str, Any]:
    empty = dict.fromkeys((spec.name for spec in load_mappings().topics["psa.public.time_entries"].fields), "x")
    moments = {"approved_at": None, "updated_at": "2025-01-31T12:00:00+01:00", "billable": True}
    source = {"connector": "postgresql", "name": "psa", "ts_ms": 5, "snapshot": True, "position": 77}
    return {"before": None, "after": {**empty, **moments, **row}, "op": "r", "ts_ms": 6, "source": source}


def test_a_change_in_json_is_written_as_debezium_would() -> None:
    shape = DebeziumShape(CONTRACTS[debezium_subject("psa.public.time_entries")])
    written = shape.envelope(change(hours="7.5", work_date="2025-01-31"))
    assert {name: written["after"][name] for name in ("hours", "work_date", "approved_at", "updated_at")} == {
        "hours": Decimal("7.5000"),
        "work_date": 20119,
        "approved_at": None,
        "updated_at": "2025-01-31T11:00:00.000000Z",
    }
    assert str(written["after"]["hours"]) == "7.5000"
    source = {name: written["source"][name] for name in ("lsn", "snapshot", "schema", "table", "ts_ns")}
    assert source == {"lsn": 77, "snapshot": "true", "schema": "public", "table": "time_entries", "ts_ns": 5_000_000}


def test_a_number_that_its_column_cannot_hold_is_refused() -> None:
    shape = DebeziumShape(CONTRACTS[debezium_subject("psa.public.time_entries")])
    with pytest.raises(ValueError, match=r"7\.12345 has more digits after the point than its column holds"):
        shape.envelope(change(hours="7.12345", work_date="2025-01-31"))
    with pytest.raises(KeyError, match="hours"):
        shape.envelope({**change(), "after": {"id": "T1", "project_id": "P", "resource_id": "R", "role": "x",
                                              "work_date": "2025-01-31"}})  # fmt: skip
