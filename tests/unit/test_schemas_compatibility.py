"""Which schemas can read which: the rules of Avro's resolution, each with the field and the reason told."""

from typing import Any

import pytest

from schemas.compatibility import Breach, breaches


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **more}


def field(type_: Any, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def money(precision: int = 20, scale: int = 4) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def inner(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Inner", "fields": list(fields)}


DATE = {"type": "int", "logicalType": "date"}
LIST = {"type": "array", "items": "string"}

READABLE = [
    ("the same", field("string"), field("string")),
    ("int as long", field("int"), field("long")),
    ("long as double", field("long"), field("double")),
    ("float as double", field("float"), field("double")),
    ("string as bytes", field("string"), field("bytes")),
    ("made nullable", field("string"), field(["null", "string"])),
    ("union with a branch more", field(["null", "int"]), field(["null", "string", "long"])),
    ("a symbol more", field(enum("x")), field(enum("x", "y"))),
    ("a symbol gone, with a default", field(enum("x", "y")), field(enum("x", default="x"))),
    ("a new field with a default", field("int"), field("int")),
    ("a namespace", field(inner(field("int"))), field({**inner(field("int")), "namespace": "n"})),
    ("items", field(LIST), field({"type": "array", "items": "bytes"})),
    ("values", field({"type": "map", "values": "int"}), field({"type": "map", "values": "long"})),
]


@pytest.mark.parametrize(("written", "read"), [case[1:] for case in READABLE], ids=[case[0] for case in READABLE])
def test_readable(written: Any, read: Any) -> None:
    assert breaches(record(written), record(read)) == []


def test_fields_added_with_default_removed_and_renamed_with_alias() -> None:
    written = record(field("int", "old"), field("int", "gone"))
    read = record(field("int", "new", aliases=["old"]), field("int", "more", default=1))
    assert breaches(written, read) == []


UNREADABLE = [
    ("long as int", field("long"), field("int"), "a", "long cannot be read as int"),
    ("string as int", field("string"), field("int"), "a", "string cannot be read as int"),
    ("no longer nullable", field(["null", "string"]), field("string"), "a", "null cannot be read as string"),
    ("branch gone", field(["null", "string", "int"]), field(["null", "string"]), "a",
     "int cannot be read as null or string"),
    ("symbol gone", field(enum("x", "y", "z")), field(enum("x")), "a",
     "the reader's enum lacks y, z and has no default"),
    ("scale", field(money()), field(money(20, 2)), "a", "decimal(20,4) cannot be read as decimal(20,2)"),
    ("precision", field(money()), field(money(22)), "a", "decimal(20,4) cannot be read as decimal(22,4)"),
    ("scale of a nullable", field(["null", money()]), field(["null", money(20, 2)]), "a",
     "decimal(20,4) cannot be read as decimal(20,2)"),
    ("logical type lost", field(DATE), field("int"), "a", "date cannot be read as int"),
    ("logical type won", field("long"), field({"type": "long", "logicalType": "timestamp-millis"}), "a",
     "long cannot be read as timestamp-millis"),
    ("date as long", field(DATE), field("long"), "a", "date cannot be read as long"),
    ("items", field(LIST), field({"type": "array", "items": "int"}), "a[]", "string cannot be read as int"),
    ("values", field({"type": "map", "values": "long"}), field({"type": "map", "values": "int"}), "a{}",
     "long cannot be read as int"),
    ("within", field({"type": "array", "items": inner(field("int", "b"))}),
     field({"type": "array", "items": inner(field("int", "c"))}), "a[].c",
     "the writer lacks this field and the reader has no default for it"),
    ("within a nullable", field(["null", inner(field("long", "b"))]), field(["null", inner(field("int", "b"))]), "a.b",
     "long cannot be read as int"),
    ("another record", field(inner()), field({**inner(), "name": "Other"}), "a",
     "record 'Inner' became record 'Other': no alias says so"),
    ("fixed", field({"type": "fixed", "name": "F", "size": 4}), field({"type": "fixed", "name": "F", "size": 8}), "a",
     "fixed of 4 bytes became 8 bytes"),
    ("array as map", field(LIST), field({"type": "map", "values": "string"}), "a", "array cannot be read as map"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "read", "path", "reason"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE]
)
def test_unreadable(written: Any, read: Any, path: str, reason: str) -> None:
    assert breaches(record(written), record(read)) == [Breach(path, reason)]


def test_a_new_field_needs_a_default() -> None:
    found = breaches(record(field("int")), record(field("int"), field(["null", "int"], "b")))
    assert found == [Breach("b", "the writer lacks this field and the reader has no default for it")]


def test_a_record_may_be_renamed_with_an_alias() -> None:
    written = record(field(inner(field("int"))))
    renamed = {**inner(field("int")), "name": "Other", "aliases": ["Inner"]}
    assert breaches(written, record(field(renamed))) == []


def test_a_type_used_again_by_name_is_followed() -> None:
    written = record(field(inner(field("long", "b"))), field(["null", "Inner"], "again"))
    read = record(field(["null", "Inner"], "again"), field(inner(field("long", "b"))))
    assert breaches(written, read) == []
    narrow = record(field(["null", inner(field("int", "b"))], "again"))
    assert breaches(written, narrow) == [Breach("again.b", "long cannot be read as int")]


def test_a_record_that_holds_itself_ends() -> None:
    tree = {"type": "record", "name": "Tree", "fields": [field("int"), field(["null", "Tree"], "left", default=None)]}
    assert breaches(tree, tree) == []
