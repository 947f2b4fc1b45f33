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

IS_DELETE: Final = ("op", "d")
"""The condition on which the row before a change is looked at."""
OF_SOURCE: Final = frozenset("name ts_ms position".split())
"""What is looked at of the source of a change."""

_SOURCE_FIELDS: Final = frozenset("connector name ts_ms snapshot schema table".split())
_WHOLE: Final = frozenset(["int", "long"])


def is_change(schema: Schema) -> bool:
    """Tell whether a parsed schema is the product's own envelope of a change."""
    types = {field["name"]: field["type"] for field in schema["fields"]}
    source = types.get("source")
    source = schema["__named_schemas"].get(source, {}) if isinstance(source, str) else source
    if not isinstance(source, dict) or not {"before", "after", "op"} <= types.keys():
        return False
    return {field["name"] for field in source.get("fields", ())} >= OF_SOURCE


def slim(change: Fields) -> Fields:
    """Return a change as whoever applies it needs it; the change given is used up."""
    if change["op"] != "d":
        change["before"] = None
    change["source"] = _slim_source(change["source"])
    return change


def change_nodes(schema: Schema) -> tuple[Node, ...]:
    """Return the plan of the product's own envelope, slim; raises Unplanned."""
    planner = _SlimPlanner(schema)
    planner.dict_record(schema, {"before": "conditional"}, IS_DELETE)
    return tuple(planner.nodes)


class _SlimPlanner(Planner):
    def field(self, record: Schema, field: Schema) -> int:
        if record is not self.schema or field["name"] != "source":
            return super().field(record, field)
        source = self.resolved(field["type"])
        return self.dict_record(source, {inner["name"]: "left-out" for inner in source["fields"]} | _KEPT)


_KEPT: Final = dict.fromkeys(OF_SOURCE, "kept")


def debezium_nodes(schema: Schema, envelope: Envelope, is_slim: bool) -> tuple[Node, ...]:
    """Return the plan of a connector's envelope, slim or whole; raises Unplanned."""
    planner = _DebeziumPlanner(schema, envelope)
    planner.envelope(is_slim)
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

    def envelope(self, is_slim: bool) -> None:
        """Add the envelope."""
        if "ts_ms" not in self._fields:
            raise Unplanned("it has no ts_ms")
        modes = {"before": "kept", "after": "kept", "op": "kept", "ts_ms": "needed", "source": "kept"}
        if is_slim:
            modes["before"] = "conditional"
        places = {
            name: self._source(is_slim) if name == "source" else self.value(node) for name, node in self._fields.items()
        }
        fields = [(name, place, modes.get(name, "left-out"), NO_PLACE, None) for name, place in places.items()]
        self.add_dict(fields, {}, IS_DELETE if is_slim else None)

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

    def _source(self, is_slim: bool) -> int:
        """Add the source: what counts of it, under the names of the product's own envelope."""
        source = self._only_record("source")
        types = {field["name"]: field["type"] for field in source["fields"]}
        if "lsn" not in types:
            return self.add("called", self.value(source), _slim_of_connector if is_slim else Envelope.source)
        if not {self.resolved(branch) for branch in _branches(types["lsn"])} <= {"null", *_WHOLE}:
            raise Unplanned("lsn is no whole number")
        wanted = OF_SOURCE if is_slim else _SOURCE_FIELDS
        fields = []
        for name, node in types.items():
            place = self.value(node)
            if name == "snapshot":
                place = self.add("not-among", place, NO_SNAPSHOT)
            mode = "needed" if name == "lsn" else "kept" if name in wanted else "left-out"
            fields.append(("position" if name == "lsn" else name, place, mode, NO_PLACE, None))
        missing: Fields = dict.fromkeys(wanted - types.keys() - {"position"})
        if "snapshot" in missing:
            missing["snapshot"] = False
        return self.add_dict(fields, missing)


def _slim_source(source: Fields) -> Fields:
    found = {name: source[name] for name in OF_SOURCE}
    if "reread" in source:
        found["reread"] = True
    return found


def _slim_of_connector(source: Fields) -> Fields:
    return _slim_source(Envelope.source(source))


def _branches(node: Any) -> list[Any]:
    return node if isinstance(node, list) else [node]
