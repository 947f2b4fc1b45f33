"""The codec: wire format, older and newer writers, what cannot be read, what cannot be written."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec, Undecodable, Unencodable
from schemas.contracts import Contract, Level, Schema, load_contracts
from schemas.json_view import JsonView
from schemas.registry import Layered, Manifest, Recorded
from tests.unit.schemas_samples import sample

pytestmark = pytest.mark.usefixtures("codec_path")

CONTRACTS = load_contracts()


def contract(*fields: Schema, subject: str = "shop.Sale", level: Level = Level.FULL_TRANSITIVE) -> Contract:
    schema = {"type": "record", "name": "Sale", "namespace": "shop", "fields": list(fields)}
    return Contract(subject, level, Path("shop.Sale.avsc"), schema)


def codec(reader: Contract, *writers: Contract, **limits: Any) -> Codec:
    """A codec that writes `reader`'s contract under id 7 and knows those of writers under 8, 9 and so on."""
    recorded = Recorded({7 + index: known.schema for index, known in enumerate((reader, *writers))})
    return Codec(recorded, {reader.subject: reader}, **limits)


ROWS = next(field for field in CONTRACTS["canonical.Fact"].schema["fields"] if field["name"] == "row")["type"]
ACCOUNT = Contract("canonical.Account", Level.BACKWARD, Path("Account.avsc"), ROWS[1])

ID = {"name": "id", "type": "string"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}
AMOUNT = {"name": "amount", "type": MONEY}
SHARE = {"name": "share", "type": ["null", MONEY], "default": None, "rounded": "half_up"}
AT = {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}


def test_the_wire_format_is_a_zero_byte_the_id_and_the_body() -> None:
    sale = contract(ID, AMOUNT)
    payload = codec(sale).encode("shop.Sale", {"id": "A", "amount": Decimal("-1.5")})
    assert payload == b"\x00" + (7).to_bytes(4, "big") + b"\x02A" + b"\x04" + (-15000).to_bytes(2, "big", signed=True)


def test_an_older_writer_decodes_with_the_defaults_of_new_fields() -> None:
    old = contract(ID, {"name": "count", "type": "int"}, {"name": "gone", "type": "string"})
    new = contract(ID, {"name": "count", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None})
    payload = codec(old).encode("shop.Sale", {"id": "A", "count": 3, "gone": "x"})
    assert codec(new, old).decode("shop.Sale", payload[:4] + b"\x08" + payload[5:]) == {
        "id": "A", "count": 3, "note": None,
    }  # fmt: skip


def test_a_newer_writer_decodes_without_its_new_fields() -> None:
    new = contract({"name": "first", "type": "string"}, ID, {"name": "more", "type": {"type": "array", "items": MONEY}})
    old = contract(ID)
    payload = codec(new).encode("shop.Sale", {"first": "f", "id": "A", "more": [Decimal(1), Decimal(2)]})
    assert codec(old, new).decode("shop.Sale", payload[:4] + b"\x08" + payload[5:]) == {"id": "A"}


def test_a_renamed_field_is_found_by_its_alias() -> None:
    old, new = contract(ID), contract({"name": "number", "aliases": ["id"], "type": "string"})
    payload = codec(old).encode("shop.Sale", {"id": "A"})
    assert codec(new, old).decode("shop.Sale", payload[:4] + b"\x08" + payload[5:]) == {"number": "A"}


def test_a_topic_without_contract_decodes_as_it_was_written() -> None:
    sale = contract(ID, AMOUNT, AT)
    record = {"id": "A", "amount": Decimal("0.1000"), "at": datetime(2025, 1, 1, tzinfo=UTC)}
    payload = codec(sale).encode("shop.Sale", record)
    unknown = contract(ID, subject="other")
    unknown.schema["name"] = "Other"
    reader = Codec(Recorded({7: sale.schema}), {"other": unknown})
    assert reader.decode("shop.Sale", payload) == record


def test_an_older_envelope_of_a_source_row_decodes() -> None:
    crm = CONTRACTS["crm.Opportunity"]
    text = json.dumps(crm.schema)
    added = json.loads(text.replace('{"name": "Amount"', '{"name": "Probability", "type": "int"}, {"name": "Amount"'))
    assert added != crm.schema
    older = json.loads(text)
    older["fields"][0]["type"][1]["fields"] = [
        field for field in older["fields"][0]["type"][1]["fields"] if field["name"] != "ContractNumber"
    ]
    record = sample(crm, full=True)
    cases: list[tuple[Schema, dict[str, Any]]] = [(added, {"Probability": 60}), (older, {"ContractNumber": None})]
    for writer_schema, change in cases:
        writer = Contract("crm.Opportunity", Level.BACKWARD, crm.path, writer_schema)
        written = {**record, "before": None, "after": {**record["after"], **change}}
        payload = Codec(Recorded({7: writer_schema}), {"crm.Opportunity": writer}).encode("crm.Opportunity", written)
        decoded = Codec(Layered(Recorded({7: writer_schema}), Manifest())).decode("crm.Opportunity", payload)
        expected = {**record["after"], **({} if "Probability" in change else change)}
        assert decoded == {**record, "before": None, "after": expected}


def test_facts_hold_instants_as_whole_milliseconds() -> None:
    old = contract(ID, AT, subject="canonical.Sale", level=Level.BACKWARD_TRANSITIVE)
    new = contract(ID, AT, SHARE, subject="canonical.Sale", level=Level.BACKWARD_TRANSITIVE)
    payload = codec(old).encode("canonical.Sale", {"id": "A", "at": 1_700_000_000_123})
    assert codec(old).decode("facts", payload) == {"id": "A", "at": 1_700_000_000_123}
    payload = payload[:4] + b"\x08" + payload[5:]
    assert codec(new, old).decode("facts", payload) == {"id": "A", "at": 1_700_000_000_123, "share": None}


SALE = contract(ID, AMOUNT)
GOOD = codec(SALE).encode("shop.Sale", {"id": "A", "amount": Decimal("1")})

UNDECODABLE = [
    (b"", "too short: 0 bytes, a schema id takes 5"),
    (b"\x00\x00\x00\x00", "too short: 4 bytes, a schema id takes 5"),
    (b'{"before": null}', "bad magic byte 0x7b: a record begins with 0x00 and its schema id"),
    (b"\x01" + GOOD[1:], "bad magic byte 0x01: a record begins with 0x00 and its schema id"),
    (b"\x00\x00\x00\x03\xe7" + GOOD[5:], "unknown schema id 999: not in the recorded schemas"),
    (GOOD[:-1], "the body does not fit its schema: "),
    (GOOD[:5], "the body does not fit its schema: "),
    (GOOD[:5] + b"\x04\xff\xff" + GOOD[7:], "the body does not fit its schema: 'utf-8' codec can't decode byte 0xff"),
    (GOOD[:5] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", "the body does not fit its schema: "),
    (GOOD + b"\x00\x00", "2 bytes are left over after the record"),
    (GOOD + b"\x00" * 100, f"too large: {len(GOOD) + 100} bytes, the limit is 100"),
]


@pytest.mark.parametrize(("payload", "told"), UNDECODABLE, ids=[case[1][:30] for case in UNDECODABLE])
def test_what_cannot_be_read_is_told_why(payload: bytes, told: str) -> None:
    reader = codec(SALE, record_bytes_max=100)
    assert reader.decode("shop.Sale", GOOD)["id"] == "A"
    with pytest.raises(Undecodable) as caught:
        reader.decode("shop.Sale", payload)
    assert str(caught.value).startswith(told)
    assert reader.decode("shop.Sale", GOOD)["id"] == "A"


def test_a_number_too_long_to_tell_its_digits_is_refused_at_once() -> None:
    payload = GOOD[:7] + b"\x80\x89\x7a" + b"\x7f" * 1_000_000
    with pytest.raises(Undecodable, match="a decimal of 1000000 bytes, the limit is 512"):
        codec(SALE).decode("shop.Sale", payload)


def test_the_limit_is_a_mebibyte_unless_told_otherwise() -> None:
    with pytest.raises(Undecodable, match="too large: 10485760 bytes, the limit is 1048576"):
        codec(SALE).decode("shop.Sale", b"\x00" * 10_485_760)


def test_a_writer_without_what_the_reader_needs_is_told() -> None:
    writer, reader = contract(ID), contract(ID, AMOUNT)
    payload = codec(writer).encode("shop.Sale", {"id": "A"})
    with pytest.raises(Undecodable, match="amount"):
        codec(reader, writer).decode("shop.Sale", payload[:4] + b"\x08" + payload[5:])


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string"}, "schema id 7 is no record"),
        (
            {"type": "record", "name": "X", "fields": [{"name": "a", "type": "colour"}]},
            "schema id 7 is no valid Avro: UnknownType: colour",
        ),
        ({"type": "record", "name": "X"}, "schema id 7 is no valid Avro: a record has a list of fields"),
        ({"type": "record", "fields": []}, "schema id 7 is no valid Avro: SchemaParseException: "),
        ({"type": "record", "name": 5, "fields": []}, "schema id 7 is no valid Avro: TypeError: "),
    ],
)
def test_a_schema_that_is_none_is_told(schema: Schema, told: str) -> None:
    with pytest.raises(Undecodable, match=told):
        Codec(Recorded({7: schema}), {}).decode("shop.Sale", b"\x00\x00\x00\x00\x07\x02A")


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (Decimal(1) / Decimal(3), "0.3333"),
        (Decimal("0.33335"), "0.3334"),
        (Decimal("0.33345"), "0.3335"),
        (Decimal("-0.33335"), "-0.3334"),
        (Decimal("123456789012.00005"), "123456789012.0001"),
        (None, None),
    ],
)
def test_declared_quotients_are_rounded_half_up(share: Decimal | None, written: str | None) -> None:
    sale = codec(contract(ID, SHARE))
    record = {"id": "A", "share": share}
    decoded = sale.decode("shop.Sale", sale.encode("shop.Sale", record))
    assert decoded["share"] == (None if written is None else Decimal(written))
    assert record["share"] is share


def of(**values: Any) -> dict[str, Any]:
    return {"id": "A", "amount": Decimal(1), "at": 0, **values}


UNENCODABLE = [
    (of(amount=Decimal("1.00001")), "amount: Decimal('1.00001') is no decimal with 20 digits, 4 after the point"),
    (of(amount=Decimal(10) ** 16), "amount 10000000000000000 has more than 16 digits before the point"),
    (of(amount=Decimal("NaN")), "amount: Decimal('NaN') is no decimal with 20 digits"),
    (of(amount="1.00"), "amount: '1.00' is no decimal with 20 digits"),
    (of(amount=1.5), "amount: 1.5 is no decimal with 20 digits"),
    (of(amount=None), "amount: None is no decimal with 20 digits"),
    (of(id=5), "id: 5 is no string"),
    ({"id": "A", "at": 0}, "amount: is missing"),
    (of(ammount=1), "the contract has no field ammount"),
    (of(at=datetime(2025, 1, 1)), "at 2025-01-01 00:00:00 has no time zone"),  # noqa: DTZ001 - that is the case
    (of(at=datetime(2025, 1, 1, 0, 0, 0, 1, UTC)), "at 2025-01-01 00:00:00.000001+00:00 is finer than a millisecond"),
    (of(share=Decimal("Infinity")), "share Infinity is no finite number"),
    (of(share=Decimal(10) ** 16), "share 10000000000000000.0000 has more than 16 digits before the point"),
    (of(id="x" * 200), "too large: 212 bytes, the limit is 100"),
]


@pytest.mark.parametrize(("record", "told"), UNENCODABLE, ids=[case[1][:40] for case in UNENCODABLE])
def test_what_does_not_fit_its_contract_is_told_with_field_and_value(record: dict[str, Any], told: str) -> None:
    sale = codec(contract(ID, AMOUNT, AT, SHARE), record_bytes_max=100)
    with pytest.raises(Unencodable) as caught:
        sale.encode("shop.Sale", record)
    assert str(caught.value).startswith(f"shop.Sale: {told}")


def test_a_fault_in_one_of_many_kinds_of_row_is_told_with_its_path() -> None:
    fact = sample(CONTRACTS["canonical.Fact"], full=True)
    fact["row"] = ("throughline.canonical.Account", {**sample(ACCOUNT, full=True), "name": 5})
    with pytest.raises(Unencodable, match=r"canonical\.Fact: row\.name: 5 is no string"):
        Codec(Manifest()).encode("canonical.Fact", fact)


def spoilt(path: str) -> dict[str, Any]:
    record = sample(CONTRACTS["erp.Invoice"], full=True)
    if path == "line":
        record["after"]["Lines"][1] = {**record["after"]["Lines"][1], "Amount": 1.0}
    else:
        record["source"] = {"connector": "erp-feed"}
    return record


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (spoilt("line"), "erp.Invoice: after.Lines[1].Amount: 1.0 is no decimal with 20 digits, 4 after the point"),
        (spoilt("source"), "erp.Invoice: source.name: is missing"),
    ],
)
def test_what_does_not_fit_within_is_told_with_its_path(record: dict[str, Any], told: str) -> None:
    with pytest.raises(Unencodable) as caught:
        Codec(Manifest()).encode("erp.Invoice", record)
    assert str(caught.value).startswith(told)


def test_an_unknown_state_of_an_alert_is_told() -> None:
    record = {**sample(CONTRACTS["drift.alerts"], full=True), "state": "closed"}
    with pytest.raises(Unencodable, match="state: 'closed' is no one of open, updated, resolved"):
        Codec(Manifest()).encode("drift.alerts", record)


def test_a_topic_without_contract_cannot_be_written() -> None:
    with pytest.raises(Unencodable, match=r"there is no contract 'dead\.letters'"):
        Codec(Manifest()).encode("dead.letters", {})


def test_a_contract_changed_since_its_release_cannot_be_written() -> None:
    changed = contract(ID, subject="exceptions")
    with pytest.raises(Unencodable, match="'exceptions' was changed since its last release"):
        Codec(Manifest(), {"exceptions": changed}).encode("exceptions", {"id": "A"})


def test_a_margin_is_written_with_its_quotients_rounded() -> None:
    codec_of_all = Codec(Manifest())
    record = sample(CONTRACTS["margin.updates"], full=True)
    record |= {"margin_pct": Decimal(1) / 3, "percent_complete": Decimal(2) / 3, "forecast_margin_pct": Decimal(-5000)}
    decoded = codec_of_all.decode("margin.updates", codec_of_all.encode("margin.updates", record))
    found = [str(decoded[name]) for name in ("margin_pct", "percent_complete", "forecast_margin_pct")]
    assert found == ["0.333333", "0.666667", "-5000.000000"]
    record["labor_cost"] = Decimal(1) / 3
    with pytest.raises(Unencodable, match="labor_cost"):
        codec_of_all.encode("margin.updates", record)


def test_the_json_view_of_a_record_becomes_native() -> None:
    invoice = JsonView(CONTRACTS["erp.Invoice"].schema)
    row = {
        "Id": "I1", "Lines": [{"LineId": "1", "TriggerId": None, "Amount": "1.50"}], "PostedAt": "2025-01-31T12:00:00Z",
        "ReleasedAt": None, "More": "kept",
    }  # fmt: skip
    envelope = {"before": None, "after": row, "op": "c", "ts_ms": 5, "source": {"position": 9}}
    native = invoice.native(envelope)
    assert native["after"] == {
        "Id": "I1",
        "Lines": [{"LineId": "1", "TriggerId": None, "Amount": Decimal("1.50")}],
        "PostedAt": datetime(2025, 1, 31, 12, tzinfo=UTC),
        "ReleasedAt": None,
        "More": "kept",
    }
    assert envelope["after"] == row
    entry = JsonView(CONTRACTS["psa.public.time_entries"].schema)
    assert entry.native({"before": {"work_date": "2025-02-28"}, "after": None})["before"] == {
        "work_date": date(2025, 2, 28)
    }


def test_the_json_view_is_read_without_a_change_where_nothing_is_typed() -> None:
    plain: Callable[[dict[str, Any]], dict[str, Any]] = JsonView(contract(ID).schema).native
    assert plain({"id": "2025-01-01"}) == {"id": "2025-01-01"}
