"""The plans of change envelopes: the product's own, and what Debezium connectors write.

A connector's envelope becomes the product's own while it is decoded: rows with native values, and of its source what
counts.
`schemas.debezium` says what that is; here is how the compiled codec comes to the same.
"""

from datetime import datetime
from typing import Any, Final

from schemas.contracts import Schema
from schemas.debezium import NATIVE, NO_SNAPSHOT, UNAVAILABLE_TEXT, Converter, Envelope
from schemas.plan import NO_PLACE, Fields, Node, Planner, Unplanned

_CONDITION: Final = ("op", "d")
_SOURCE_FIELDS: Final = frozenset("connector name ts_ms schema table".split())
_WHOLE: Final = frozenset(["int", "long"])


def has_needless_before(schema: Schema) -> bool:
    """Tell whether a schema is an envelope whose row before the change can be told to be needless, by its op."""
    return {"before", "after", "op"} <= {field["name"] for field in schema["fields"]}


def without_needless_before(change: Fields) -> Fields:
    """Return a change without the row before it, unless it is a delete; the change given is used up."""
    if change["op"] != "d":
        change["before"] = None
    return change


def change_nodes(schema: Schema) -> tuple[Node, ...]:
    """Return the plan of the product's own envelope, without what is needless; raises Unplanned."""
    planner = Planner(schema)
    planner.dict_record(schema, _CONDITION, ["before"])
    return tuple(planner.nodes)


def debezium_nodes(schema: Schema, envelope: Envelope, slim: bool) -> tuple[Node, ...]:
    """Return the plan of a connector's envelope, without the row before a change where it is needless and `slim`.

    Raises Unplanned.
    """
    planner = _DebeziumPlanner(schema, envelope)
    planner.envelope(slim)
    return tuple(planner.nodes)


class _DebeziumPlanner(Planner):
    """Plans an envelope; values of its rows' own fields are converted as their semantic types say."""

    def __init__(self, schema: Schema, envelope: Envelope) -> None:
        super().__init__(schema)
        self._envelope = envelope
        self._fields = {field["name"]: field["type"] for field in schema["fields"]}
        self._converters = dict(envelope.pairs)
        if len(self._converters) < len(envelope.pairs):
            raise Unplanned("a field has two semantic types")
        self._row = self._only_record("before")["name"]
        if self._only_record("after")["name"] != self._row:
            raise Unplanned("before and after are rows of two kinds")

    def envelope(self, slim: bool) -> None:
        """Add the whole envelope."""
        if "ts_ms" not in self._fields:
            raise Unplanned("it has no ts_ms")
        modes = {"before": "kept", "after": "kept", "op": "kept", "ts_ms": "needed", "source": "kept"}
        if slim:
            modes["before"] = "conditional"
        places = {name: self._source() if name == "source" else self.value(node) for name, node in self._fields.items()}
        fields = [(name, place, modes.get(name, "left-out"), NO_PLACE, None) for name, place in places.items()]
        self.add_dict(fields, {}, _CONDITION if slim else None)

    def _only_record(self, name: str) -> Schema:
        branches = [self.resolved(branch) for branch in _branches(self._fields[name]) if branch != "null"]
        if len(branches) != 1 or not isinstance(branches[0], dict) or branches[0]["type"] != "record":
            raise Unplanned(f"{name} is not one record, or null")
        only: Schema = branches[0]
        return only

    def field(self, record: Schema, field: Schema) -> int:
        """Add the type of a field, which is converted where it belongs to a row."""
        if record["name"] != self._row:
            return super().field(record, field)
        name, node = field["name"], field["type"]
        branches = _branches(node)
        converter = self._converters.get(name)
        if converter is not None and sum(branch != "null" for branch in branches) != 1:
            raise Unplanned(f"{name} may be of several types, and one of them is semantic")
        watched = name in self._envelope.untouchable
        places = [self._of_row(branch, converter, watched) for branch in branches]
        return self.union(branches, places) if isinstance(node, list) else places[0]

    def _of_row(self, node: Any, converter: Converter | None, watched: bool) -> int:
        node = self.resolved(node)
        kind = node["type"] if isinstance(node, dict) else node
        if converter is not None and kind != "null":
            return self._converted(node, kind, converter)
        if watched and kind in {"string", "bytes"} and not (isinstance(node, dict) and node.get("logicalType")):
            # Whether the value stands for one that Debezium was not told, only the whole change says.
            return self.add(kind, UNAVAILABLE_TEXT.encode())
        return self.value(node)

    def _converted(self, node: Any, kind: Any, converter: Converter) -> int:
        if isinstance(node, dict) and node.get("logicalType"):
            raise Unplanned("a semantic type on top of a logical one")
        native = NATIVE.get(converter)
        if native is not None and kind in _WHOLE:
            return self.add(native)
        if native == "zoned-text" and kind == "string":
            return self.add(native, datetime.fromisoformat)
        return self.add("called", self.value(node), converter)

    def _source(self) -> int:
        """Add the source: what counts of it, under the names of the product's own envelope."""
        source = self._only_record("source")
        types = {field["name"]: field["type"] for field in source["fields"]}
        if "lsn" not in types:
            return self.add("called", self.value(source), self._envelope.source)
        if not {self.resolved(branch) for branch in _branches(types["lsn"])} <= {"null", *_WHOLE}:
            raise Unplanned("lsn is no whole number")
        fields = []
        for name, node in types.items():
            place = self.value(node)
            if name == "snapshot":
                place = self.add("not-among", place, NO_SNAPSHOT)
            mode = "needed" if name == "lsn" else "kept" if name in _SOURCE_FIELDS | {"snapshot"} else "left-out"
            fields.append(("position" if name == "lsn" else name, place, mode, NO_PLACE, None))
        missing: Fields = dict.fromkeys(_SOURCE_FIELDS - types.keys())
        if "snapshot" not in types:
            missing["snapshot"] = False
        return self.add_dict(fields, missing)


def _branches(node: Any) -> list[Any]:
    return node if isinstance(node, list) else [node]
