"""The compiled codec: equal to the pure one over everything shipped and recorded, safe against what is hostile."""

import base64
import gc
import gzip
import json
import sys
import tracemalloc
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec, Undecodable, Unencodable
from schemas.contracts import Contract, Level, Schema, load_contracts
from schemas.plan import COMPILED
from schemas.registry import Layered, Manifest, Recorded
from streams.engine.facts import FactShapes
from tests.broker.test_facts import SENT
from tests.properties.avro import alike
from tests.unit.schemas_samples import sample

pytestmark = pytest.mark.skipif(not COMPILED, reason="the compiled codec was not built: no C compiler at set-up")

CONTRACTS = load_contracts()
RECORDINGS = Path(__file__).parents[1] / "recordings"
SHAPES = FactShapes().of_subjects()


def both(*schemas: Path, **how: Any) -> tuple[Codec, Codec]:
    registry = Layered(*map(Recorded.read, schemas), Manifest())
    return Codec(registry, **how), Codec(registry, compiled=False, **how)


def outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (Undecodable, Unencodable) as error:
        return repr(error)


def declined(codec: Codec) -> dict[str, int]:
    return {way.what: way.declined for way in codec.ways() if way.declined}


def unplanned(codec: Codec) -> dict[str, str]:
    return {way.what: way.unplanned for way in codec.ways() if way.unplanned is not None}


@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
@pytest.mark.parametrize("subject", CONTRACTS)
def test_every_contract_is_written_and_read_alike(subject: str, full: bool) -> None:
    compiled, pure = both()
    record = sample(CONTRACTS[subject], full)
    payload = pure.encode(subject, record)
    assert compiled.encode(subject, record) == payload
    decoded = outcome(pure.decode, subject, payload)
    assert alike(outcome(compiled.decode, subject, payload), decoded)
    assert unplanned(compiled) == {}
    # A sample of a connector's envelope is no change: it has no position, or says the greatest number for a date. Which
    # of many kinds of row a dict is, the pure codec finds out; the engine says it by the row's class.
    assert declined(compiled) == {} or isinstance(decoded, str) or (subject, full) == ("canonical.Fact", True)
    for size in range(5, len(payload)):
        assert outcome(compiled.decode, subject, payload[:size]) == outcome(pure.decode, subject, payload[:size])


@cache
def recorded(name: str) -> list[tuple[str, bytes]]:
    with gzip.open(RECORDINGS / name / "feed.jsonl.gz") as lines:
        records = [json.loads(line) for line in lines]
    return [(r["topic"], base64.b64decode(r["value_base64"])) for r in records if r["value"] is not None]


def slimmed(change: dict[str, Any]) -> dict[str, Any]:
    """Of a whole change what intake looks at."""
    source = {name: change["source"][name] for name in ("name", "ts_ms", "position")}
    return {**change, "before": change["before"] if change["op"] == "d" else None, "source": source}


@pytest.mark.parametrize(("name", "left"), [("psa-postgres", 0), ("tryton", 2)])
def test_recordings_are_read_alike(name: str, left: int) -> None:
    compiled, pure = both(RECORDINGS / name / "schemas.json")
    for topic, payload in recorded(name):
        whole = pure.decode(topic, payload)
        assert alike(compiled.decode(topic, payload), whole)
        slim = pure.decode_change(topic, payload)
        assert alike(compiled.decode_change(topic, payload), slim)
        if "op" in whole:
            assert slim == slimmed(whole)
    assert unplanned(compiled) == {}
    # Values that Debezium was not told: the pure codec knows what to do.
    assert sum(declined(compiled).values()) == 2 * left


@pytest.mark.parametrize("message", SENT, ids=lambda message: type(message).__name__)
def test_messages_are_written_and_read_without_fields_in_between(message: Any) -> None:
    compiled, pure = both(shapes=SHAPES)
    subject = f"canonical.{type(message).__name__}"
    payload = pure.encode(subject, message)
    assert compiled.encode(subject, message) == payload
    for codec in (compiled, pure):
        read = codec.decode("facts", payload)
        assert read == message
        assert type(read) is type(message)
        assert type(getattr(read, "row", None)) is type(getattr(message, "row", None))
    assert (unplanned(compiled), declined(compiled)) == ({}, {})
    for size in range(5, len(payload)):
        assert outcome(compiled.decode, "facts", payload[:size]) == outcome(pure.decode, "facts", payload[:size])


def test_a_row_that_is_not_what_its_fact_says_is_refused_alike() -> None:
    compiled, pure = both(shapes=SHAPES)
    payload = pure.encode("canonical.Fact", SENT[0])
    for wrong in (b"\x12TimeEntrx", b"\x12TimeEntr\xff", b"\x0cPerson"):
        other = payload.replace(b"\x12TimeEntry", wrong)
        assert other != payload
        assert "Undecodable" in outcome(pure.decode, "facts", other)
        assert outcome(compiled.decode, "facts", other) == outcome(pure.decode, "facts", other)


@pytest.mark.parametrize("wrong", [SENT[0]._replace(kind=7), SENT[0]._replace(version=(1, 2**63)), SENT[6]])
def test_a_message_that_does_not_fit_is_refused_alike(wrong: Any) -> None:
    compiled, pure = both(shapes=SHAPES)
    assert "Unencodable" in outcome(pure.encode, "canonical.Fact", wrong)
    assert outcome(compiled.encode, "canonical.Fact", wrong) == outcome(pure.encode, "canonical.Fact", wrong)


def test_pairs_with_one_key_twice_are_written_alike() -> None:
    compiled, pure = both(shapes=SHAPES)
    claim = SENT[-1]._replace(evidence=(("a", "1"), ("b", "2"), ("a", "3")))
    assert compiled.encode("canonical.Claim", claim) == pure.encode("canonical.Claim", claim)


def envelope(op: str) -> bytes:
    row = sample(CONTRACTS["crm.Account"], full=True)["after"]
    record = {**sample(CONTRACTS["crm.Account"], full=True), "before": row, "after": row, "op": op}
    return both()[1].encode("crm.Account", record)


@pytest.mark.parametrize(("op", "kept"), [("c", False), ("u", False), ("r", False), ("d", True), ("", False)])
def test_the_row_before_is_read_of_a_delete_alone(op: str, kept: bool) -> None:
    compiled, pure = both()
    for codec in (compiled, pure):
        whole, slim = codec.decode("crm.Account", envelope(op)), codec.decode_change("crm.Account", envelope(op))
        assert whole["before"] is not None
        assert slim == slimmed(whole)
        assert (slim["before"] is not None) is kept
    assert declined(compiled) == {}


def test_a_row_before_that_is_passed_over_must_be_good_all_the_same() -> None:
    compiled, pure = both()
    payload = envelope("u").replace(b"Z\xc3\xbcrich", b"Z\xffrich!", 1)
    assert "utf-8" in outcome(pure.decode_change, "crm.Account", payload)
    assert outcome(compiled.decode_change, "crm.Account", payload) == outcome(
        pure.decode_change, "crm.Account", payload
    )


def altered(schema: Schema, edit: str) -> Schema:
    """The schema of a writer of accounts that is older, or newer, than the contract."""
    later: Schema = deepcopy(schema)
    row = later["fields"][0]["type"][1]["fields"]
    source = later["fields"][-1]["type"]["fields"]
    if edit == "row":
        row.insert(1, {"name": "Rating", "type": {"type": "array", "items": "string"}, "default": []})
    elif edit == "order":
        later["fields"][2:] = reversed(later["fields"][2:])
    elif edit == "source":
        source.insert(0, {"name": "region", "type": ["null", "string"], "default": None})
    elif edit == "snapshot":
        source[:] = [field for field in source if field["name"] != "snapshot"]
    elif edit == "position":
        source[-1]["type"] = "int"
    elif edit == "connector":
        source[0]["type"] = "long"
    return later


EDITS = [("row", True), ("order", True), ("source", True), ("snapshot", True), ("position", True), ("connector", False)]


@pytest.mark.parametrize("op", ["u", "d"])
@pytest.mark.parametrize(("edit", "planned"), EDITS)
def test_a_change_of_another_release_is_read_alike(edit: str, planned: bool, op: str) -> None:
    contract = CONTRACTS["crm.Account"]
    schema = altered(contract.schema, edit)
    writer = Contract("crm.Account", Level.BACKWARD, contract.path, schema)
    record = {**sample(writer, full=True), "op": op}
    if edit == "position":
        record["source"]["position"] = 7
    payload = Codec(Recorded({7: schema}), {"crm.Account": writer}, compiled=False).encode("crm.Account", record)
    registry = Layered(Recorded({7: schema}), Manifest())
    compiled, pure = Codec(registry), Codec(registry, compiled=False)
    for call in ("decode", "decode_change"):
        expected = outcome(getattr(pure, call), "crm.Account", payload)
        assert alike(outcome(getattr(compiled, call), "crm.Account", payload), expected)
        assert isinstance(expected, dict) is planned
    assert (unplanned(compiled) == {}) is planned
    assert declined(compiled) == {}


def of_one(kind: Any, compiled: bool = True) -> Codec:
    schema = {"type": "record", "name": "Sale", "fields": [{"name": "a", "type": kind}]}
    contract = Contract("shop.Sale", Level.BACKWARD, Path("shop.Sale.avsc"), schema)
    return Codec(Recorded({7: schema}), {"shop.Sale": contract}, compiled=compiled)


DAY = {"type": "int", "logicalType": "date"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
AMOUNT = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
RECORD = {"type": "record", "name": "A", "fields": [{"name": "b", "type": ["null", "int"], "default": None}]}
DOUBTFUL = [
    ([DAY, MILLIS], datetime(2026, 1, 1, 12, tzinfo=UTC)),
    ([DAY, MILLIS], datetime(2026, 1, 1, 12, 0, 0, 1, UTC)),
    ([DAY, "string"], "no day"),
    (["int", "long"], 2**40),
    (["int", "double"], 2**70),
    (["float", "double"], 0.1),
    (["string", {"type": "array", "items": "int"}], b"ab"),
    ([RECORD, {"type": "map", "values": "int"}], {"b": 1}),
    ([RECORD, {**RECORD, "name": "B"}], {"b": 1}),
    ([AMOUNT, "string"], Decimal("1.234")),
    ([AMOUNT, {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 3}], Decimal(1000)),
    (["null", {"type": "array", "items": [{"type": "double"}, "string"]}], [("double", 1.0)]),
    ({"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 3}, Decimal("-0")),
    (AMOUNT, Decimal("0E+9")),
    (AMOUNT, Decimal("-0.00")),
    (AMOUNT, Decimal("1E-9")),
    (MILLIS, datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))),
    ("boolean", 1),
    ("long", True),
    ("double", 1),
    ("string", "\ud800"),
    ({"type": "array", "items": "long"}, (1, 2)),
    ({"type": "map", "values": "long"}, {5: 1}),
]


@pytest.mark.parametrize(("kind", "value"), DOUBTFUL)
def test_what_only_the_pure_codec_can_tell_is_left_to_it(kind: Any, value: Any) -> None:
    expected = outcome(of_one(kind, False).encode, "shop.Sale", {"a": value})
    assert outcome(of_one(kind).encode, "shop.Sale", {"a": value}) == expected


HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
HOSTILE = [
    ("string", HUGE),
    ("bytes", HUGE),
    ("bytes", b"\x01"),
    ({"type": "array", "items": "long"}, HUGE + b"\x02" * 50),
    ({"type": "array", "items": "long"}, b"\x01" + HUGE),
    ({"type": "array", "items": {"type": "array", "items": "long"}}, HUGE * 20),
    ({"type": "map", "values": "null"}, HUGE + b"\x00" * 50),
    ({"type": "map", "values": "long"}, b"\x02" + HUGE),
    (["null", "long"], b"\x04\x02"),
    (["null", "long"], HUGE),
    ({"type": "enum", "name": "E", "symbols": ["A"]}, HUGE),
    ({"type": "fixed", "name": "F", "size": 2**30}, b"\x00"),
    ("long", b"\xff" * 12),
    ("long", b"\x80" * 9),
    ({"type": "int", "logicalType": "date"}, HUGE),
    ({"type": "long", "logicalType": "timestamp-micros"}, HUGE),
    ({"type": "string", "logicalType": "uuid"}, b"\x02x"),
]


@pytest.mark.parametrize(("kind", "body"), HOSTILE)
def test_hostile_bytes_are_refused_in_little_memory(kind: Any, body: bytes) -> None:
    codec, payload = of_one(kind), b"\x00\x00\x00\x00\x07" + body
    outcome(codec.decode, "shop.Sale", payload)
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable):
            codec.decode("shop.Sale", payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
    assert outcome(codec.decode, "shop.Sale", payload) == outcome(of_one(kind, False).decode, "shop.Sale", payload)


UNBOUNDED = [
    ({"type": "fixed", "name": "F", "size": "many"}, "a size that is none: invalid literal"),
    (["null", "Sale"], "record Sale holds itself, to any depth"),
    ({"type": "array", "items": {"type": "map", "values": "Sale"}}, "record Sale holds itself, to any depth"),
    ({"type": "array", "items": "null"}, "an array of items that take no bytes may have any length"),
    (
        {"type": "array", "items": {"type": "record", "name": "Nothing", "fields": []}},
        "an array of items that take no bytes may have any length",
    ),
]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("kind", "told"), UNBOUNDED)
def test_a_schema_without_bounds_is_refused(kind: Any, told: str, compiled: bool) -> None:
    codec = of_one(kind, compiled)
    with pytest.raises(Undecodable, match=f"schema id 7 cannot be read safely: {told}"):
        codec.decode("shop.Sale", b"\x00\x00\x00\x00\x07\x00")
    with pytest.raises(Unencodable, match=f"shop.Sale: its contract cannot be written safely: {told}"):
        codec.encode("shop.Sale", {"a": None})


def nested(depth: int) -> Schema:
    kind: Any = "long"
    for level in range(depth):
        kind = {"type": "record", "name": f"R{level}", "fields": [{"name": "a", "type": kind}]}
    return {"type": "array", "items": kind}


@pytest.mark.parametrize(("depth", "told"), [(90, {}), (150, {"decode shop.Sale, schema id 7": "nested deeper than"})])
def test_a_schema_that_is_too_deep_is_left_to_the_pure_codec(depth: int, told: dict[str, str]) -> None:
    codec = of_one(nested(depth))
    (item,) = codec.decode("shop.Sale", b"\x00\x00\x00\x00\x07\x02\x0e\x00")["a"]
    for _ in range(depth):
        item = item["a"]
    assert item == 7
    assert {what: why[:18] for what, why in unplanned(codec).items()} == told


def test_what_is_not_wanted_is_not_compiled() -> None:
    pure = both()[1]
    pure.encode("crm.Account", sample(CONTRACTS["crm.Account"], full=True))
    assert unplanned(pure) == {"encode crm.Account": "the compiled codec is not wanted"}


def texts() -> Iterator[tuple[str, bytes]]:
    pure = both()[1]
    for subject in CONTRACTS:
        yield subject, pure.encode(subject, sample(CONTRACTS[subject], full=True))


def test_nothing_is_lost_in_memory() -> None:
    compiled, _ = both()
    shaped = both(shapes=SHAPES)[0]
    cases = list(texts())

    def work() -> None:
        for subject, payload in cases:
            outcome(compiled.decode, subject, payload)
            outcome(compiled.decode, subject, payload[:-1])
        for message in SENT:
            subject = f"canonical.{type(message).__name__}"
            payload = shaped.encode(subject, message)
            shaped.decode("facts", payload)
            outcome(shaped.decode, "facts", payload[:-1])
            outcome(shaped.encode, subject, message._replace(**{message._fields[0]: object()}))
        for subject in CONTRACTS:
            compiled.encode(subject, sample(CONTRACTS[subject], full=True))

    for _ in range(3):
        work()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(20):
        work()
    gc.collect()
    assert sys.getallocatedblocks() - before < 100  # one object lost a round and schema would be 900
