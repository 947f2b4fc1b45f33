"""Change events of the Pub/Sub API: a payload in Avro, and which fields of it changed, as bitmaps over its schema.

A bitmap is a hexadecimal number: bit N, counted from the last digit, is field N of the schema. `0x…` is over the fields
of the event, `7-0x…` over those of the record in field 7 (a compound field such as an address).
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException

from connect.feeds.salesforce.objects import Field, Kind, Object

Avro = Mapping[str, Any]

HEADER: Final = "ChangeEventHeader"
_COMPONENTS: Final = ("Street", "City", "State", "PostalCode", "Country", "StateCode", "CountryCode")


class Order(NamedTuple):
    """When an event was committed: milliseconds, the commit's number, the place among the events of its transaction.

    Salesforce gives the time to the second, so that it alone does not tell two commits of a record apart.
    """

    at_ms: int
    commit: int
    sequence: int


class Event(NamedTuple):
    """One change of one or more records. `fields`: names of changed fields, dotted for a part of a compound field.

    `diffs` are those among them whose value is a difference of texts, and not the text. `values` holds all fields of
    the schema; in an update only those that changed mean anything.
    """

    object: str
    change: str
    ids: tuple[str, ...]
    order: Order
    transaction: str
    fields: frozenset[str]
    diffs: frozenset[str]
    values: Avro
    schema_id: str


class Undecodable(ValueError):
    """A payload or schema that cannot be read."""


class EventSchema:
    """One schema of events, as GetSchema gave it."""

    def __init__(self, schema_id: str, text: str) -> None:
        """Read it. Raises Undecodable."""
        try:
            self._parsed = parse_schema(json.loads(text))
            self._fields: list[Avro] = json.loads(text)["fields"]
        except (ValueError, KeyError, TypeError, SchemaParseException) as error:
            raise Undecodable(f"schema {schema_id}: {error}") from error
        self.id = schema_id
        self._by_name = {field["name"]: field for field in self._fields}

    def event(self, payload: bytes) -> Event:
        """Return what a payload says. Raises Undecodable."""
        try:
            values: dict[str, Any] = schemaless_reader(io.BytesIO(payload), self._parsed, None)  # type: ignore[assignment]
            header = values.pop(HEADER)
            fields = self.named(header["changedFields"]) | self.named(header["nulledFields"])
            diffs = self.named(header["diffFields"])
            order = Order(header["commitTimestamp"], header["commitNumber"], header["sequenceNumber"])
        except (ValueError, KeyError, TypeError, IndexError, EOFError, AttributeError, StopIteration) as error:
            raise Undecodable(f"an event of schema {self.id}: {type(error).__name__}: {error}") from error
        return Event(
            header["entityName"], header["changeType"], tuple(header["recordIds"]), order, header["transactionKey"],
            fields | diffs, diffs, values, self.id,
        )  # fmt: skip

    def named(self, bitmaps: Iterable[str]) -> frozenset[str]:
        """Return the names of the fields that bitmaps mark. Raises ValueError or IndexError for one that is none."""
        marks = frozenset(name for bitmap in bitmaps for name in self._names(bitmap))
        whole = [name for name in marks if name in self._by_name and _is_compound(self._by_name[name])]
        # A compound field that is marked itself stands for all its parts, unless some of them are marked.
        parts = {
            f"{name}.{part['name']}"
            for name in whole
            if not any(mark.startswith(f"{name}.") for mark in marks)
            for part in _parts(self._by_name[name])
        }
        return marks | parts

    def _names(self, bitmap: str) -> Iterator[str]:
        parent, dash, bits = bitmap.rpartition("-")
        if not dash:
            yield from (self._fields[place]["name"] for place in marked(bits))
            return
        field = self._fields[int(parent)]
        parts = _parts(field)
        yield from (f"{field['name']}.{parts[place]['name']}" for place in marked(bits))

    def place(self, path: str) -> str | None:
        """Return where an event has a field of the object: by its name, as a part of an address, or not at all."""
        if path in self._by_name:
            return path
        for component in _COMPONENTS:
            compound = path.removesuffix(component) + "Address"
            if path.endswith(component) and compound in self._by_name:
                return next((f"{compound}.{part['name']}" for part in _parts(self._by_name[compound])
                             if part["name"] == component), None)  # fmt: skip
        return None

    def fits(self, field: Field, place: str) -> str | None:
        """Return what the field is in the schema if that is no longer what ours can be read from; None if it is."""
        name, dot, part = place.partition(".")
        column = self._by_name[name]
        if dot:
            column = next(each for each in _parts(column) if each["name"] == part)
        branches = [branch for branch in _branches(column["type"]) if branch != "null"]
        types = {branch["type"] if isinstance(branch, dict) else branch for branch in branches}
        said = str(column.get("doc", ""))
        if types & _AVRO[field.kind] and not any(word in said for word in _OTHERS.get(field.kind, ())):
            return None
        return " or ".join(sorted(map(str, types))) + (f" ({said})" if said else "")


_AVRO: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.TEXT: frozenset({"string"}),
    Kind.BOOL: frozenset({"boolean"}),
    Kind.NUMBER: frozenset({"double", "float", "int", "long"}),
    Kind.DATE: frozenset({"long", "int"}),
    Kind.MOMENT: frozenset({"long"}),
}
# Dates, instants and whole numbers are all long; only the doc of a field tells one from the other.
_OTHERS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.NUMBER: ("DateOnly", "DateTime"),
    Kind.DATE: ("DateTime", "Currency", "Double"),
    Kind.MOMENT: ("DateOnly", "Currency", "Double"),
}


def marked(bitmap: str) -> list[int]:
    """Return the places that a bitmap marks, lowest first. Raises ValueError if it is no hexadecimal number."""
    if not bitmap.startswith("0x"):
        raise ValueError(f"{bitmap!r} is no bitmap")
    bits = int(bitmap, 16)
    return [place for place in range(bits.bit_length()) if bits >> place & 1]


def value_at(values: Avro, place: str) -> Any:
    """Return the value of a field by its place, None where the compound field around it is null."""
    name, dot, part = place.partition(".")
    value = values.get(name)
    return value.get(part) if dot and isinstance(value, Mapping) else None if dot else value


def _branches(avro: Any) -> list[Any]:
    return avro if isinstance(avro, list) else [avro]


def _is_compound(field: Avro) -> bool:
    return any(isinstance(branch, dict) and branch.get("type") == "record" for branch in _branches(field["type"]))


def _parts(field: Avro) -> list[Avro]:
    for branch in _branches(field["type"]):
        if isinstance(branch, dict) and branch.get("type") == "record":
            parts: list[Avro] = branch["fields"]
            return parts
    raise ValueError(f"{field['name']} has no parts")


class Shape:
    """How one object's events of one schema become rows.

    `places`: where an event has each field. `absent`: fields that no event carries (formulas, for one). `blind`: nor a
    lookup that a dotted path goes through. With any of these, every event is answered by a reading. `wrong`: what
    fields are now that ours cannot be read from.
    """

    def __init__(self, read: Object, schema: EventSchema) -> None:
        direct = {field: schema.place(field.path) for field in read.fields if field.is_own}
        self.places: dict[Field, str] = {field: place for field, place in direct.items() if place is not None}
        self.absent = tuple(field for field, place in direct.items() if place is None)
        self.wrong = {field: said for field, place in self.places.items() if (said := schema.fits(field, place))}
        self.has_lookups = bool(read.lookups)
        self.blind = any(schema.place(lookup) is None for lookup in read.lookups)
        self._lookups = frozenset(read.lookups)

    def touches_lookup(self, event: Event) -> bool:
        """Whether an update changes what a dotted path goes through."""
        return bool(self._lookups & event.fields)

    def has_diff(self, event: Event) -> bool:
        """Whether a field of ours comes as a difference of texts."""
        return any(place in event.diffs for place in self.places.values())
