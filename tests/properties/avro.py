"""Random Avro schemas, with values that fit them and values that do not."""

import string
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

Schema = dict[str, Any]
Named = dict[str, Any]

NAMES = st.text(string.ascii_letters, min_size=1, max_size=6)
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "string", "bytes")
LOGICAL = (
    ("int", "date"),
    ("int", "time-millis"),
    ("long", "time-micros"),
    ("long", "timestamp-millis"),
    ("long", "timestamp-micros"),
    ("long", "local-timestamp-millis"),
    ("long", "local-timestamp-micros"),
    ("string", "uuid"),
    ("string", "unheard-of"),
)
DEFAULTS = {"null": None, "boolean": True, "int": 7, "long": -1, "string": "ä", "double": 0.5}


class Schemas:
    """Draws one record's schema; every named type gets a name of its own, and is used again now and then."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self._count = 0
        self.named: Named = {}

    def record(self, depth: int) -> Schema:
        name = self._name("R")
        count = self.draw(st.integers(0, 5))
        fields = [self._field(f"{self.draw(NAMES)}{place}", depth) for place in range(count)]
        return self._keep({"type": "record", "name": name, "fields": fields})

    def _field(self, name: str, depth: int) -> Schema:
        field: Schema = {"name": name, "type": self.type(depth)}
        first = field["type"][0] if isinstance(field["type"], list) else field["type"]
        if isinstance(first, str) and first in DEFAULTS and self.draw(st.booleans()):
            field["default"] = DEFAULTS[first]
        return field

    def type(self, depth: int) -> Any:
        kinds = ["primitive", "logical", "decimal", "fixed", "enum"]
        if depth > 0:
            kinds += ["array", "map", "record", "optional", "union"]
        if self.named:
            kinds.append("again")
        return getattr(self, f"_{self.draw(st.sampled_from(kinds))}")(depth)

    def _primitive(self, _: int) -> Any:
        name = self.draw(st.sampled_from(PRIMITIVES))
        return name if self.draw(st.booleans()) else {"type": name}

    def _logical(self, _: int) -> Any:
        plain, logical = self.draw(st.sampled_from(LOGICAL))
        return {"type": plain, "logicalType": logical}

    def _decimal(self, _: int) -> Any:
        size = self.draw(st.sampled_from([None, 1, 9, 20]))
        precision = self.draw(st.integers(1, 40 if size is None else int((8 * size - 1) * 0.30103)))
        node = {"logicalType": "decimal", "precision": precision, "scale": self.draw(st.integers(0, precision))}
        if size is None:
            return {"type": "bytes", **node}
        return self._keep({"type": "fixed", "name": self._name("D"), "size": size, **node})

    def _fixed(self, _: int) -> Any:
        return self._keep({"type": "fixed", "name": self._name("F"), "size": self.draw(st.integers(0, 5))})

    def _enum(self, _: int) -> Any:
        symbols = self.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
        return self._keep({"type": "enum", "name": self._name("E"), "symbols": symbols})

    def _array(self, depth: int) -> Any:
        return {"type": "array", "items": self.type(depth - 1)}

    def _map(self, depth: int) -> Any:
        return {"type": "map", "values": self.type(depth - 1)}

    def _record(self, depth: int) -> Any:
        return self.record(depth - 1)

    def _optional(self, depth: int) -> Any:
        kinds = [kind for kind in PRIMITIVES if kind != "null"]
        return ["null", self._branch(self.draw(st.sampled_from([*kinds, "enum", "record", "array"])), depth - 1)]

    def _union(self, depth: int) -> Any:
        again = self.draw(st.sampled_from(sorted(self.named))) if self.named else "null"
        kinds = [*PRIMITIVES, "fixed", "enum", "record", "array", "map", again]
        chosen = self.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4, unique=True))
        return [kind if kind == again else self._branch(kind, depth - 1) for kind in chosen]

    def _branch(self, kind: str, depth: int) -> Any:
        if kind not in PRIMITIVES:
            return getattr(self, f"_{kind}")(depth)
        logical = [{"type": kind, "logicalType": logical} for plain, logical in LOGICAL if plain == kind]
        decimal = [{"type": kind, "logicalType": "decimal", "precision": 6, "scale": 2}] if kind == "bytes" else []
        return self.draw(st.sampled_from([kind, {"type": kind}, *logical, *decimal]))

    def _again(self, _: int) -> Any:
        return self.draw(st.sampled_from(sorted(self.named)))

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _keep(self, node: Schema) -> Schema:
        self.named[node["name"]] = node
        return node


@st.composite
def schemas(draw: Callable[[Any], Any]) -> tuple[Schema, Named]:
    """A record's schema, and its named types."""
    drawn = Schemas(draw)
    return drawn.record(2), drawn.named


WHOLE = st.one_of(
    st.integers(-100, 100), st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1), st.integers()
)
INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
ANY = st.one_of(
    st.none(),
    st.booleans(),
    WHOLE,
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.decimals(allow_nan=True),
    st.dates(),
    st.times(),
    INSTANTS,
    st.datetimes(),
    st.uuids(),
    st.sampled_from([bytearray(b"a"), (), ("string", "x"), ["a"], {}, {"a": 1}, {1: 2}, object(), 1 << 64]),
)


def fitting(node: Any, named: Named) -> st.SearchStrategy[Any]:
    """Values that a type is made for."""
    if isinstance(node, list):
        return st.one_of([fitting(branch, named) for branch in node])
    if isinstance(node, str):
        return fitting(named[node], named) if node in named else _primitive(node)
    logical = node.get("logicalType")
    if logical == "decimal":
        return _decimals(node["precision"], node["scale"])
    if logical in _NATIVE:
        return _NATIVE[logical]
    return _complex(node, named)


def _complex(node: Schema, named: Named) -> st.SearchStrategy[Any]:
    kind = node["type"]
    if kind == "record":
        fields = {field["name"]: fitting(field["type"], named) for field in node["fields"]}
        missing = {name: fields.pop(name) for name in _with_default(node)}
        return st.fixed_dictionaries(fields, optional=missing)
    if kind == "array":
        return st.lists(fitting(node["items"], named), max_size=3)
    if kind == "map":
        return st.dictionaries(st.text(max_size=3), fitting(node["values"], named), max_size=3)
    if kind == "enum":
        return st.sampled_from(node["symbols"])
    if kind == "fixed":
        return st.binary(min_size=node["size"], max_size=node["size"])
    return _primitive(kind)


def _with_default(node: Schema) -> list[str]:
    return [field["name"] for field in node["fields"] if "default" in field]


def _primitive(name: str) -> st.SearchStrategy[Any]:
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(width=32),
        "double": st.floats(),
        "string": st.text(max_size=8),
        "bytes": st.binary(max_size=8),
    }
    return strategies[name]


def _decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    return st.integers(1 - 10**precision, 10**precision - 1).map(
        lambda number: Decimal(number).scaleb(-scale, Context(prec=60))
    )


def _whole_millis(moment: Any) -> Any:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


_NATIVE: dict[str, st.SearchStrategy[Any]] = {
    "date": st.dates(),
    "time-millis": st.times().map(_whole_millis),
    "time-micros": st.times(),
    "timestamp-millis": INSTANTS.map(_whole_millis),
    "timestamp-micros": INSTANTS,
    "local-timestamp-millis": st.datetimes().map(_whole_millis),
    "local-timestamp-micros": st.datetimes(),
    "uuid": st.uuids(),
}


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same to the last digit and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, datetime | time):
        return bool(one == other) and one.tzinfo is other.tzinfo
    if isinstance(one, date | UUID):
        return bool(one == other)
    return repr(one) == repr(other)


_ADDED: list[Schema] = [
    {"type": ["null", "string"], "default": None},
    {"type": "long", "default": 3},
    {"type": "string", "default": "new"},
    {"type": {"type": "array", "items": "int"}, "default": []},
    {"type": "string"},
]
_WIDER = {"int": "long", "long": "double", "string": "bytes", "bytes": "string", "float": "double"}


@st.composite
def successor(draw: Callable[[Any], Any], schema: Schema) -> Schema:
    """The schema of a later release: fields come, go and move, types widen and become optional, or something breaks."""
    later: Schema = deepcopy(schema)
    for _ in range(draw(st.integers(0, 3))):
        record = draw(st.sampled_from(list(_records(later))))
        edit = draw(st.sampled_from(["add", "remove", "shuffle", "widen", "optional", "required", "rename", "symbols"]))
        _edit(draw, record, edit)
    return later


def _edit(draw: Callable[[Any], Any], record: Schema, edit: str) -> None:
    fields = record["fields"]
    if edit == "add":
        fields.insert(draw(st.integers(0, len(fields))), {"name": f"new{len(fields)}", **draw(st.sampled_from(_ADDED))})
    elif edit == "shuffle":
        record["fields"] = draw(st.permutations(fields))
    elif edit == "rename":
        record["name"] += "x"
    elif fields:
        field = draw(st.sampled_from(fields))
        kind = field["type"]
        if edit == "remove":
            fields.remove(field)
        elif edit == "widen" and isinstance(kind, str):
            field["type"] = _WIDER.get(kind, kind)
        elif edit == "optional" and not isinstance(kind, list):
            field["type"] = draw(st.sampled_from([["null", kind], [kind, "null"], ["null", "string", kind]]))
        elif edit == "required" and isinstance(kind, list):
            field["type"] = kind[-1]
        elif edit == "symbols" and isinstance(kind, dict) and kind["type"] == "enum":
            kind["symbols"] = draw(st.sampled_from([[*kind["symbols"], "More"], kind["symbols"][1:] or ["Other"]]))
        field.pop("default", None)


def _records(node: Any) -> Iterator[Schema]:
    if isinstance(node, list):
        for branch in node:
            yield from _records(branch)
    elif isinstance(node, dict):
        if node["type"] == "record":
            yield node
            for field in node["fields"]:
                yield from _records(field["type"])
        yield from _records(node.get("items"))
        yield from _records(node.get("values"))
