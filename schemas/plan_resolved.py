"""The plan of bytes that an older or newer writer's schema describes, read as ours.

Only what changes between two releases of a contract is planned: fields that came, went or moved, whole numbers that
widened, values that became optional. Everything else (renamed types, aliases, other promotions) stays with the pure
codec, which knows all rules of Avro's schema resolution.
"""

from collections.abc import Mapping
from typing import Any, Final

from schemas.contracts import Schema
from schemas.plan import NO_PLACE, Fields, Node, Planner, Unplanned

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


def resolved_nodes(writer: Schema, reader: Schema, slim: bool) -> tuple[Node, ...]:
    """Return the plan of a writer's bytes read by a reader's schema, both as `parse_schema` returned them.

    `slim` leaves out the row before a change where it is needless. Raises Unplanned.
    """
    planner = _ResolvingPlanner(writer, reader, slim)
    planner.resolve(writer, reader)
    return tuple(planner.nodes)


class _ResolvingPlanner(Planner):
    def __init__(self, writer: Schema, reader: Schema, slim: bool) -> None:
        super().__init__(writer)
        self._reader_named: Mapping[str, Schema] = reader["__named_schemas"]
        self._slim = slim
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
            self._resolved[names] = self._fields_as(writer, reader)
        return self._resolved[names]

    def _fields_as(self, writer: Schema, reader: Schema) -> int:
        wanted = {field["name"]: field for field in reader["fields"]}
        if any(field.get("aliases") for field in reader["fields"]):
            raise Unplanned(f"{reader['name']} has aliases")
        is_slim = self._slim and writer is self.schema
        fields: list[tuple[Any, ...]] = []
        for field in writer["fields"]:
            name = field["name"]
            known = wanted.pop(name, None)
            if known is None:
                fields.append((name, self.value(field["type"]), "left-out", NO_PLACE, None))
            else:
                mode = "conditional" if is_slim and name == "before" else "kept"
                fields.append((name, self.resolve(field["type"], known["type"]), mode, NO_PLACE, None))
        defaults: Fields = {}
        for name, field in wanted.items():
            if type(field.get("default", self)) not in _PLAIN or (is_slim and name in {"before", "op"}):
                raise Unplanned(f"{name} has no default, or one that could be changed")
            defaults[name] = field["default"]
        return self.add_dict(fields, defaults, ("op", "d") if is_slim else None)


def _kind(node: Any) -> Any:
    return node["type"] if isinstance(node, dict) else node


def _short_name(node: Schema) -> str:
    return str(node["name"]).rpartition(".")[2]
