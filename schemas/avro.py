"""Avro schemas from descriptions: mapping files, the file of derived records, and NamedTuple classes."""

import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.kinds import DIGITS, Kind, avro_type
from schemas.mapping_file import DerivedEntry, FieldEntry, MappingFile, TopicEntry

Schema = dict[str, Any]

NAMESPACE = "throughline"
CANONICAL_NAMESPACE = f"{NAMESPACE}.canonical"

_SOURCE: Schema = {
    "type": "record",
    "name": "Source",
    "namespace": NAMESPACE,
    "doc": "Where and when a change happened.",
    "fields": [
        {"name": "connector", "type": "string", "doc": "Connector or feed that captured the change."},
        {"name": "name", "type": "string", "doc": "Name of the source, as configured in the feed."},
        {"name": "ts_ms", "type": "long", "doc": "When it happened in the source, milliseconds since 1970, UTC."},
        {"name": "snapshot", "type": "boolean", "default": False, "doc": "True if read by a snapshot."},
        {"name": "position", "type": "long", "doc": "Rises with every version of a row; 64 bits."},
    ],
}


def source_schema(topic: str, entry: TopicEntry) -> Schema:
    """Return the envelope of a source topic.

    Only the fields of the identity are never null: the `before` of a delete may carry nothing else. Other required
    fields are nullable without a default, so that a writer must have them; intake refuses a null in a row that counts.
    """
    row = {
        "type": "record",
        "name": "Value",
        "doc": entry.doc,
        "fields": [_source_field(name, field, name in entry.identity) for name, field in entry.fields.items()],
    }
    return {
        "type": "record",
        "name": "Envelope",
        "namespace": topic,
        "doc": f"A change of one row of {topic}.",
        "fields": [
            {"name": "before", "type": ["null", row], "default": None, "doc": "The row before; null on a create."},
            {"name": "after", "type": ["null", "Value"], "default": None, "doc": "The row after; null on a delete."},
            {"name": "op", "type": "string", "doc": "c create, u update, d delete, r read by a snapshot."},
            {"name": "ts_ms", "type": "long", "doc": "When it was captured, milliseconds since 1970, UTC."},
            {"name": "source", "type": _SOURCE, "doc": "Where and when the change happened."},
        ],
    }


def derived_schema(topic: str, entry: DerivedEntry) -> Schema:
    """Return the record of a derived topic."""
    return {
        "type": "record",
        "name": entry.record,
        "namespace": NAMESPACE,
        "doc": f"{entry.doc} Topic {topic}, key: {entry.key}.",
        "fields": [_field(name, field, entry.record) for name, field in entry.fields.items()],
    }


def _source_field(name: str, entry: FieldEntry, identity: bool) -> Schema:
    field = _field(name, entry)
    if not (identity or entry.optional):
        field["type"] = ["null", field["type"]]
    return field


def _field(name: str, entry: FieldEntry, record: str = "") -> Schema:
    field: Schema = {"name": name, "type": _type_of(name, entry, record), "doc": entry.doc}
    if entry.optional:
        field |= {"type": ["null", field["type"]], "default": None}
    elif entry.default is not None:
        field["default"] = entry.default
    if entry.rounded:
        field["rounded"] = "half_up"
    return field


def _type_of(name: str, entry: FieldEntry, record: str) -> Any:
    if entry.one_of:
        return {"type": "enum", "name": f"{record}{name.title()}", "symbols": entry.one_of, "doc": entry.doc}
    if entry.kind not in (Kind.RECORD, Kind.RECORDS):
        return avro_type(entry.kind)
    fields = [_field(inner, field) for inner, field in entry.fields.items()]
    listed = {"type": "record", "name": entry.record, "doc": entry.doc, "fields": fields}
    return listed if entry.kind is Kind.RECORD else {"type": "array", "items": listed}


class FieldDoc(NamedTuple):
    """What a NamedTuple's field means; `kind` where its Python type leaves it open (Decimal, instants as int)."""

    doc: str
    kind: Kind | None = None


Docs = Mapping[str, Mapping[str, FieldDoc | str]]
"""Class name -> field -> what it means."""

_KIND_OF_TYPE: dict[Any, Kind] = {
    str: Kind.STRING,
    bool: Kind.BOOL,
    int: Kind.INT,
    date: Kind.DATE,
    datetime: Kind.TIMESTAMP,
    tuple[str, ...]: Kind.STRINGS,
    dict[str, str]: Kind.LABELS,
}


_HINTS_OF_KIND: dict[Kind, tuple[Any, ...]] = {
    **dict.fromkeys(DIGITS, (Decimal,)),
    Kind.TIMESTAMP: (int, datetime),
}


def row_docs(files: Iterable[MappingFile]) -> dict[str, dict[str, FieldDoc | str]]:
    """Return what the fields of canonical rows mean, from the mapping files that fill them."""
    docs: dict[str, dict[str, FieldDoc | str]] = {}
    for file in files:
        for topic in file.topics.values():
            if topic.row:
                _add_row_docs(docs, topic.row, topic.fields)
    return docs


def _add_row_docs(docs: dict[str, dict[str, FieldDoc | str]], record: str, fields: Mapping[str, FieldEntry]) -> None:
    docs[record] = {entry.canonical or name: FieldDoc(entry.doc, entry.kind) for name, entry in fields.items()}
    for entry in fields.values():
        if entry.record:
            _add_row_docs(docs, entry.record, entry.fields)


def avro_of(record: type, docs: Docs, namespace: str = CANONICAL_NAMESPACE) -> Schema:
    """Return the Avro record of a NamedTuple class, with the records nested in it.

    Types: str, bool, int, date, datetime, Decimal, another NamedTuple, `X | None`, `tuple[X, ...]`, `tuple[X, X]`,
    `dict[str, str]`.
    `docs` says what each field of each class means, and gives the kind of every Decimal. A field with a default in the
    class has that default in the schema; an optional one without has null.

    Raises TypeError naming class and field for a type that has no Avro form or lacks a doc.
    """
    return _record_of(record, docs, namespace, set())


def _record_of(record: type, docs: Docs, namespace: str, seen: set[str]) -> Schema:
    seen.add(record.__name__)
    hints = typing.get_type_hints(record)
    defaults = getattr(record, "_field_defaults", {})
    fields = []
    for name, hint in hints.items():
        stated = docs.get(record.__name__, {}).get(name)
        if stated is None:
            raise TypeError(f"{record.__name__}.{name}: no doc says what it means")
        meaning = FieldDoc(stated) if isinstance(stated, str) else stated
        field: Schema = {
            "name": name,
            "type": _type_of_hint(hint, meaning, f"{record.__name__}.{name}", docs, namespace, seen),
            "doc": meaning.doc,
        }
        if name in defaults:
            field["default"] = _plain_default(defaults[name])
        elif isinstance(field["type"], list):
            field["default"] = None
        fields.append(field)
    doc = " ".join((record.__doc__ or record.__name__).split())
    return {"type": "record", "name": record.__name__, "namespace": namespace, "doc": doc, "fields": fields}


def _type_of_hint(hint: Any, meaning: FieldDoc, place: str, docs: Docs, namespace: str, seen: set[str]) -> Any:
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        branches = [argument for argument in arguments if argument is not types.NoneType]
        inner = [_type_of_hint(branch, meaning, place, docs, namespace, seen) for branch in branches]
        return ["null", *inner] if types.NoneType in arguments else inner
    if meaning.kind is not None and hint in _HINTS_OF_KIND.get(meaning.kind, ()):
        return avro_type(meaning.kind)
    if hint in _KIND_OF_TYPE:
        return avro_type(_KIND_OF_TYPE[hint])
    if typing.get_origin(hint) is tuple and len(set(arguments) - {Ellipsis}) == 1:
        return {"type": "array", "items": _type_of_hint(arguments[0], meaning, place, docs, namespace, seen)}
    if isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return hint.__name__ if hint.__name__ in seen else _record_of(hint, docs, namespace, seen)
    if hint is Decimal:
        raise TypeError(f"{place}: say which kind of decimal it is ({', '.join(DIGITS)})")
    raise TypeError(f"{place}: {hint!r} has no Avro form")


def _plain_default(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
