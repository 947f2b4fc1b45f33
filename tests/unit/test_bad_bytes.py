"""Bad input in Avro bytes: what is wrong with a row or its envelope is told as it is in JSON."""

import base64
import copy
import json
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from schemas.contracts import load_contracts
from schemas.json_view import JsonView
from schemas.registry import Manifest
from tests.support import spoil
from tests.support.command import Json, Ran, replay
from tests.support.feed import firm

pytestmark = pytest.mark.usefixtures("codec_path")

ENTRIES = "psa.public.time_entries"


def _run(tmp_path: Path, change: Callable[[Json], Any], schema: Json, schema_id: int, *options: str) -> Ran:
    """A firm, one entry T1 spoiled by `change` and sent as bytes, and a good entry T9 after it."""
    feed = firm().at("2026-02-04T09:00:00Z")
    record = copy.deepcopy(feed.entry("T1"))
    change(record)
    body = BytesIO(struct.pack(">bI", 0, schema_id))
    body.seek(5)
    schemaless_writer(body, parse_schema(schema), JsonView(schema).native(record.pop("value")))
    feed.records[-1] = {**record, "value_base64": base64.b64encode(body.getvalue()).decode()}
    feed.entry("T9")
    ran = replay(tmp_path, feed.records, *options)
    assert (ran.code, ran.said, ran.billed()) == (0, "", {"T9": ["800.00"]})
    return ran


IN_BYTES: dict[str, tuple[Callable[[Json], Any], str, str]] = {
    "negative hours": (spoil.row(hours="-1"), "validation_failed", "hours: -1.0000 is negative"),
    "null where required": (spoil.row(hours=None), "validation_failed", "hours: a required field is missing"),
    "a date out of range": (
        spoil.row(work_date="0001-01-01"),
        "validation_failed",
        "work_date: 0001-01-01 is out of range: 1900-01-01 to 9999-12-31",
    ),
    "an unmapped value": (
        spoil.row(status="Maybe"),
        "unmapped_value",
        "status: 'Maybe' is no entry that its mapping knows",
    ),
    "after null on an update": (
        spoil.envelope(op="u", after=None),
        "undecodable",
        "after is missing, which op u needs",
    ),
    "an unknown op": (spoil.envelope(op="x"), "undecodable", "op 'x' is none of c, u, d, r"),
    "a position below 0": (
        spoil.source(position=-1),
        "undecodable",
        "source.position -1 is no whole number from 0 to 9223372036854775807",
    ),
}


@pytest.mark.parametrize(("change", "kind", "reason"), IN_BYTES.values(), ids=IN_BYTES)
def test_what_is_wrong_in_bytes_is_told_as_in_json(
    tmp_path: Path, change: Callable[[Json], Any], kind: str, reason: str
) -> None:
    schema = load_contracts()[ENTRIES].schema
    ran = _run(tmp_path, change, schema, Manifest().id_of(ENTRIES, schema))
    assert [(told["kind"], told["reasons"]) for told in ran.exceptions()] == [(kind, [reason])]
    assert len(ran.dead_letters()) == (kind == "undecodable")


def test_more_digits_than_fit_are_refused_whatever_the_writer_has_room_for(tmp_path: Path) -> None:
    schema = copy.deepcopy(load_contracts()[ENTRIES].schema)
    hours = next(field for field in schema["fields"][0]["type"][1]["fields"] if field["name"] == "hours")
    hours["type"][1].update(precision=20, scale=6)
    schemas = tmp_path / "schemas.json"
    schemas.write_text(json.dumps({"7": schema}))
    ran = _run(tmp_path, spoil.row(hours="8.000001"), schema, 7, "--schemas", str(schemas))
    assert [told["reasons"] for told in ran.exceptions()] == [
        ["hours: 8.000001 has more than 4 digits after the point"]
    ]
