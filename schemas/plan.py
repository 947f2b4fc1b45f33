"""The plan of a schema: what the compiled codec walks instead of the schema.

The compiled codec (`native/`) is one C extension for all schemas. It is told a schema as a list of nodes, each with a
kind and the places of the nodes within it, so a schema that a registry serves for the first time needs no compiler.
What C does not do as fastavro does it, it declines, record by record: the pure codec then answers. What it cannot do at
all has no plan (`Unplanned`).
"""

import typing
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from io import BytesIO
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from fastavro import parse_schema, schemaless_writer, validate

from schemas.contracts import Schema

try:
    from schemas import _plan
except ImportError:  # no compiler when it was set up, or a platform without 128-bit integers
    _plan = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from schemas._plan import Plan

COMPILED: Final = _plan is not None
"""Whether the compiled codec was built."""

Fields = dict[str, Any]
Node = tuple[Any, ...]

_PRIMITIVES: Final = frozenset("null boolean int long float double string bytes".split())
_LOGICAL: Final = {
    "int-date": "date",
    "int-time-millis": "time-millis",
    "long-time-micros": "time-micros",
    "long-timestamp-millis": "timestamp-millis",
    "long-timestamp-micros": "timestamp-micros",
    "long-local-timestamp-millis": "local-timestamp-millis",
    "long-local-timestamp-micros": "local-timestamp-micros",
}
_PRECISION_MAX: Final = 1000
_DECIMALS: Final = frozenset(["decimal", "fixed-decimal"])
NO_PLACE: Final = -1
"""Stands for the place of a field in a tuple where there is no tuple."""


class Unplanned(Exception):
    """A schema, or a way to hold its records, that the compiled codec does not do; the text says what in it."""


class Tuples(NamedTuple):
    """How records are held as tuples: a NamedTuple class for each record, by its full name.

    `type_names` are fields that no class has: each holds the name of the type of the value of another one, or null.
    A text is an exact Decimal where the class says Decimal; an array is a tuple, a map a tuple of pairs.
    """

    classes: Mapping[str, type]
    type_names: Mapping[str, str]


def plan(nodes: tuple[Node, ...], head: bytes, pure: Callable[[Any], Any]) -> "Plan":
    """Return a plan of nodes, which begins what it writes with `head` and leaves to `pure` what it declines.

    Raises Unplanned, also if the compiled codec was not built.
    """
    if _plan is None:
        raise Unplanned("the compiled codec was not built")
    try:
        return _plan.Plan(nodes, head, pure)
    except (ValueError, TypeError, OverflowError) as error:
        raise Unplanned(str(error)) from error


class Planner:
    """Makes the nodes of one schema. The last node made is the root."""

    def __init__(self, schema: Schema, tuples: Tuples | None = None, contract: bool = False) -> None:
        """Take a schema that `parse_schema` returned. `contract` says that it is to be written, not only read: with
        the defaults of fields that are missing, and with quotients rounded where it says so.
        """
        self.schema = schema
        self.nodes: list[Node] = []
        self._named: Mapping[str, Schema] = schema["__named_schemas"]
        self._tuples = tuples
        self._contract = contract
        self._records: dict[str, int] = {}

    def add(self, *node: Any) -> int:
        """Add a node; return its place."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def whole(self) -> tuple[Node, ...]:
        """Return the nodes of the whole schema; raises Unplanned."""
        self.value(self.schema)
        return tuple(self.nodes)

    def resolved(self, node: Any) -> Any:
        """Return the type behind the name of one."""
        return self._named.get(node, node) if isinstance(node, str) else node

    def value(self, node: Any, hint: Any = None) -> int:
        """Add a type, whose values have a type in Python where they are held as tuples; return its place."""
        node = self.resolved(node)
        if isinstance(node, list):
            return self._union(node, hint)
        kind = node["type"] if isinstance(node, dict) else node
        if logical := self._logical(node, kind, hint):
            return self.add(*logical)
        if kind in _PRIMITIVES:
            return self.add(kind)
        if kind == "array":
            items = self.value(node["items"], next(iter(typing.get_args(hint)), None))
            return self.add("array", items, self._tuples is not None)
        if kind == "map":
            return self.add("map", self.value(node["values"]), self._tuples is not None)
        if kind == "enum":
            return self.add("enum", tuple(node["symbols"]))
        if kind == "fixed":
            return self.add("fixed", node["size"])
        if kind in {"record", "error"}:
            return self._record(node)
        raise Unplanned(f"no plan has a {kind}")

    def _logical(self, node: Any, kind: Any, hint: Any) -> Node | None:
        if not isinstance(node, dict) or not node.get("logicalType"):
            return ("decimal-text", Decimal) if kind == "string" and _is_decimal(hint) else None
        logical = f"{kind}-{node['logicalType']}"
        if logical in {"bytes-decimal", "fixed-decimal"}:
            return self.decimal(node)
        if logical == "string-uuid":
            return ("uuid", UUID)
        return (_LOGICAL[logical],) if logical in _LOGICAL else None

    def decimal(self, node: Schema, half_up: bool = False) -> Node:
        """Return the node of a decimal; `half_up` says that what it is given is rounded to its scale."""
        precision, scale = node.get("precision"), node.get("scale", 0)
        if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision <= _PRECISION_MAX:
            raise Unplanned(f"a decimal of precision {precision} and scale {scale}")
        # Digits are counted before, so this rounds nothing; it is the fastest way from a text to a Decimal.
        make = Context(prec=precision).create_decimal
        if node["type"] == "bytes":
            return "decimal", make, precision, scale, half_up
        return "fixed-decimal", make, precision, scale, half_up, node["size"]

    def _union(self, branches: list[Any], hint: Any) -> int:
        if any(isinstance(branch, list) for branch in branches):
            raise Unplanned("a union within a union")
        hints = [branch for branch in _branches(hint) if branch is not NoneType]
        return self.union(branches, [self.value(branch, hints[0] if len(hints) == 1 else None) for branch in branches])

    def union(self, branches: list[Any], places: list[int]) -> int:
        """Add a union, given the places of its branches; raises Unplanned if two are of one kind."""
        names = tuple(map(_name_in_union, branches))
        if len({*names}) < len(names) or sum(self.nodes[place][0] in _DECIMALS for place in places) > 1:
            raise Unplanned(f"a union of {', '.join(names)}, which are too much alike")
        # Told by its name which branch is meant, fastavro finds some others only where it does not check them.
        sayable = tuple(name if _is_sayable(branch) else None for name, branch in zip(names, branches, strict=True))
        return self.add("union", tuple(places), sayable, self._tuples is not None)

    def _record(self, record: Schema) -> int:
        name = record["name"]
        if name not in self._records:
            # The class of a tuple does not depend on where it is; nor does a dict.
            self._records[name] = self._tuple(record, self._tuples) if self._tuples else self.dict_record(record)
        return self._records[name]

    def dict_record(
        self, record: Schema, modes: Mapping[str, str] | None = None, condition: tuple[str, str] | None = None
    ) -> int:
        """Add a record held as a dict; its fields are kept but for those that have another mode.

        Conditional ones are None unless a field, the first of `condition`, has a text, the second.
        """
        fields = []
        for field in record["fields"]:
            mode = "kept" if modes is None else modes.get(field["name"], "kept")
            fields.append((field["name"], self.field(record, field), mode, NO_PLACE, self._absent(field)))
        return self.add_dict(fields, {}, condition)

    def add_dict(
        self, fields: list[tuple[Any, ...]], constant: Fields, condition: tuple[str, str] | None = None
    ) -> int:
        """Add a record held as a dict, from its fields as C takes them and what else it has."""
        return self.add("record", tuple(fields), constant, condition, NO_PLACE)

    def field(self, record: Schema, field: Schema) -> int:
        """Add the type of a record's field; return its place."""
        branches = field["type"]
        if not (self._contract and record["name"] == self.schema["name"] and field.get("rounded") == "half_up"):
            return self.value(branches)
        if not isinstance(branches, list):
            return self._rounded(branches)
        return self.union(branches, [self._rounded(branch) for branch in branches])

    def _rounded(self, node: Any) -> int:
        is_decimal = isinstance(node, dict) and node.get("logicalType") == "decimal"
        return self.add(*self.decimal(node, half_up=True)) if is_decimal else self.value(node)

    def _absent(self, field: Schema) -> bytes | None:
        """Return what is written for a field that is missing; None where that is refused, or seldom."""
        if not self._contract:
            return None
        try:
            alone = parse_schema({"type": "record", "name": "Alone", "fields": [field]})
            if not validate({}, alone, raise_errors=False):
                return None
            body = BytesIO()
            schemaless_writer(body, alone, {})
        except Exception:
            return None  # the pure codec tells what is wrong with it
        return body.getvalue()

    def _tuple(self, record: Schema, tuples: Tuples) -> int:
        cls: Any = tuples.classes.get(record["name"])
        if cls is None:
            raise Unplanned(f"no class holds {record['name']}")
        names, hints = cls._fields, typing.get_type_hints(cls)
        fields = []
        for field in record["fields"]:
            name, of = field["name"], tuples.type_names.get(field["name"])
            place = self.value(field["type"], hints.get(name))
            if name in names:
                fields.append((name, place, "kept", names.index(name), None))
            elif of in names:
                fields.append((name, place, "type-name", names.index(of), None))
            else:
                raise Unplanned(f"{cls.__name__} has no {name}")
        return self.add("record", tuple(fields), None, cls, len(names))


def _branches(hint: Any) -> tuple[Any, ...]:
    is_union = isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def _is_decimal(hint: Any) -> bool:
    return Decimal in _branches(hint)


def _is_sayable(branch: Any) -> bool:
    return isinstance(branch, str) or branch["type"] == "record"


def _name_in_union(branch: Any) -> str:
    """Return what fastavro calls a branch when it is told which one is meant."""
    if isinstance(branch, dict):
        return str(branch["name"] if branch["type"] in {"record", "enum", "fixed", "error"} else branch["type"])
    return str(branch)
