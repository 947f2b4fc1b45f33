"""The plan of bytes that an older or newer writer's schema describes, read as ours.

Only what changes between two releases of a contract is planned: fields that came, went or moved, whole numbers that
widened, values that became optional. Everything else (renamed types, aliases, other promotions) stays with the pure
codec, which knows all rules of Avro's schema resolution.
"""

from collections.abc import Mapping
from typing import Any, Final

from schemas.contracts import Schema
from schemas.plan import NO_PLACE, Fields, Node, Planner, Unplanned
from schemas.plan_changes import IS_DELETE, OF_SOURCE

_NAMED: Final = frozenset("record enum fixed error".split())
_PROMOTIONS: Final = frozenset(
    [
        *(("int", wider) for wider in ("long", "float", "double")),
        *(("long", wider) for wider in ("float", "double")),
        ("float", "double"),
        ("string", "bytes"),
        ("bytes", "string"),
    ]
)
_PLAIN: Final = (str, int, float, bool, type(None))


def resolved_nodes(writer: Schema, reader: Schema, is_slim: bool) -> tuple[Node, ...]:
    """Return the plan of a writer's bytes read by a reader's schema, both as `parse_schema` returned them.

    `is_slim` says that they are changes, of which only what is needed is read. Raises Unplanned.
    """
    planner = _ResolvingPlanner(writer, reader, is_slim)
    planner.resolve(writer, reader)
    return tuple(planner.nodes)


class _ResolvingPlanner(Planner):
    def __init__(self, writer: Schema, reader: Schema, is_slim: bool) -> None:
        super().__init__(writer)
        self._reader_named: Mapping[str, Schema] = reader["__named_schemas"]
        self._is_slim = is_slim
        self._resolved: dict[tuple[str, str], int] = {}

    def resolve(self, writer: Any, reader: Any) -> int:
        """Add a writer's type as a reader's; return its place."""
        if isinstance(writer, list):
            if not isinstance(reader, list):
                raise Unplanned("a value that was optional is no longer")
            return self.union(writer, [self._as_branch(branch, reader) for branch in writer])
        return self._as_branch(writer, reader) if isinstance(reader, list) else self._alike(writer, reader)

    def _as_branch(self, writer: Any, branches: list[Any]) -> int:
        """Add a writer's type as the first branch that it may be."""
        for branch in branches:
            if self._may_be(writer, branch):
                return self._alike(writer, branch)
        raise Unplanned(f"{_kind(writer)} is no branch of the reader's union")

    def _may_be(self, writer: Any, branch: Any) -> bool:
        writer, branch = self.resolved(writer), self._of_reader(branch)
        kinds = (_kind(writer), _kind(branch))
        if _NAMED.issuperset(kinds):
            return _short_name(writer) == _short_name(branch) or bool(branch.get("aliases"))
        return kinds[0] == kinds[1] or kinds in _PROMOTIONS

    def _alike(self, writer: Any, reader: Any) -> int:
        """Add a writer's type as one of the reader's that must be the same, but for what its fields are."""
        named = isinstance(writer, str), isinstance(reader, str)
        writer, reader = self.resolved(writer), self._of_reader(reader)
        kind = _kind(writer)
        if kind != _kind(reader) and (kind, _kind(reader)) != ("int", "long"):
            raise Unplanned(f"{kind} is not {_kind(reader)}")
        if kind in _NAMED and (writer["name"] != reader["name"] or named[0] != named[1]):
            raise Unplanned(f"{writer['name']} has another name, or is described elsewhere")
        if kind in {"record", "error"}:
            return self._record_as(writer, reader)
        if kind == "array":
            return self.add("array", self.resolve(writer["items"], reader["items"]), False)
        if kind == "map":
            return self.add("map", self.resolve(writer["values"], reader["values"]), False)
        if kind == "enum" and not set(writer["symbols"]) <= set(reader["symbols"]):
            raise Unplanned(f"{writer['name']} has lost symbols")
        if kind == "fixed" and writer["size"] != reader["size"]:
            raise Unplanned(f"{writer['name']} has another size")
        return self.value(writer)

    def _of_reader(self, node: Any) -> Any:
        return self._reader_named.get(node, node) if isinstance(node, str) else node

    def _record_as(self, writer: Schema, reader: Schema) -> int:
        names = (writer["name"], reader["name"])
        if names not in self._resolved:
            is_change = self._is_slim and writer is self.schema
            self._resolved[names] = self._change_as(writer, reader) if is_change else self._fields_as(writer, reader)
        return self._resolved[names]

    def _change_as(self, writer: Schema, reader: Schema) -> int:
        """Add the envelope of a change, of which only what is needed is read."""
        if not {"before", "op", "source"} <= {field["name"] for field in writer["fields"]}:
            raise Unplanned("the writer's is no change")
        return self._fields_as(writer, reader, condition=IS_DELETE)

    def _field_as(self, record: Schema, field: Schema, known: Schema) -> int:
        if not (self._is_slim and record is self.schema and field["name"] == "source"):
            return self.resolve(field["type"], known["type"])
        source, known_source = self.resolved(field["type"]), self._of_reader(known["type"])
        if not isinstance(field["type"], dict) or not isinstance(known["type"], dict):
            raise Unplanned("the source is described elsewhere")
        if _kind(source) != "record" or (_kind(source), source["name"]) != (_kind(known_source), known_source["name"]):
            raise Unplanned("the source is another")
        if not {inner["name"] for inner in source["fields"]} >= OF_SOURCE:
            raise Unplanned("the writer's source has too little")
        return self._fields_as(source, known_source, only=OF_SOURCE)

    def _fields_as(
        self,
        writer: Schema,
        reader: Schema,
        only: frozenset[str] | None = None,
        condition: tuple[str, str] | None = None,
    ) -> int:
        """Add a record's fields as another's, or `only` some; with a condition, `before` depends on it."""
        wanted = {field["name"]: field for field in reader["fields"]}
        if any(field.get("aliases") for field in reader["fields"]):
            raise Unplanned(f"{reader['name']} has aliases")
        fields: list[tuple[Any, ...]] = []
        for field in writer["fields"]:
            name = field["name"]
            known = wanted.pop(name, None)
            place = self.value(field["type"]) if known is None else self._field_as(writer, field, known)
            is_wanted = known is not None and (only is None or name in only)
            mode = "conditional" if condition and name == "before" else "kept" if is_wanted else "left-out"
            fields.append((name, place, mode, NO_PLACE, None))
        defaults: Fields = {}
        for name, field in wanted.items():
            if type(field.get("default", self)) not in _PLAIN:
                raise Unplanned(f"{name} has no default, or one that could be changed")
            if only is None or name in only:
                defaults[name] = field["default"]
        return self.add_dict(fields, defaults, condition)


def _kind(node: Any) -> Any:
    return node["type"] if isinstance(node, dict) else node


def _short_name(node: Schema) -> str:
    return str(node["name"]).rpartition(".")[2]
