"""Whether data written by one Avro schema can be read by another, and if not: where, and why.

The rules are those of Avro's schema resolution (https://avro.apache.org/docs/1.12.0/specification/#schema-resolution).
Beyond them a logical type must not change: Avro would read the bytes and mistake the value.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from schemas.contracts import Schema

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_LOGICAL = ("logicalType", "precision", "scale")


class Breach(NamedTuple):
    """One reason why a reader cannot read a writer: the path of the field, and what is in the way."""

    path: str
    reason: str


def breaches(writer: Schema, reader: Schema) -> list[Breach]:
    """Return why a reader's schema cannot read what a writer's wrote; nothing if it can."""
    return list(_Comparison().compare(writer, reader, ""))


class _Comparison:
    """One comparison of two schemas; it knows the named types of both, and which pairs it has compared."""

    def __init__(self) -> None:
        self._writer_names: dict[str, Schema] = {}
        self._reader_names: dict[str, Schema] = {}
        self._compared: set[tuple[str, str]] = set()

    def compare(self, writer: Any, reader: Any, path: str) -> Iterator[Breach]:
        writer = _resolved(writer, self._writer_names)
        reader = _resolved(reader, self._reader_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.compare(branch, reader, path)
        elif isinstance(reader, list):
            yield from self._with_union(writer, reader, path)
        elif _kind(writer) != _kind(reader):
            if _kind(reader) not in _PROMOTIONS.get(_kind(writer), ()) or _logical(writer) != _logical(reader):
                yield Breach(path, f"{_told(writer)} cannot be read as {_told(reader)}")
        elif _logical(writer) != _logical(reader):
            yield Breach(path, f"{_told(writer)} cannot be read as {_told(reader)}")
        else:
            yield from self._same_kind(writer, reader, path)

    def _with_union(self, writer: Any, branches: list[Any], path: str) -> Iterator[Breach]:
        found = [list(self.compare(writer, branch, path)) for branch in branches]
        if all(found):
            # Of several branches, the one of the writer's kind tells what changed.
            same = [
                faults
                for branch, faults in zip(branches, found, strict=True)
                if _kind(_resolved(branch, self._reader_names)) == _kind(writer)
            ]
            told = " or ".join(_told(_resolved(branch, self._reader_names)) for branch in branches)
            yield from same[0] if same else [Breach(path, f"{_told(writer)} cannot be read as {told}")]

    def _same_kind(self, writer: Any, reader: Any, path: str) -> Iterator[Breach]:
        kind = _kind(writer)
        if kind == "array":
            yield from self.compare(writer["items"], reader["items"], f"{path}[]")
        elif kind == "map":
            yield from self.compare(writer["values"], reader["values"], f"{path}{{}}")
        elif kind in ("record", "enum", "fixed"):
            if not _same_name(writer, reader):
                yield Breach(path, f"{kind} {writer['name']!r} became {kind} {reader['name']!r}: no alias says so")
            elif kind == "record":
                yield from self._records(writer, reader, path)
            elif kind == "enum":
                gone = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
                if gone and "default" not in reader:
                    yield Breach(path, f"the reader's enum lacks {', '.join(gone)} and has no default")
            elif writer["size"] != reader["size"]:
                yield Breach(path, f"fixed of {writer['size']} bytes became {reader['size']} bytes")

    def _records(self, writer: Schema, reader: Schema, path: str) -> Iterator[Breach]:
        pair = (writer["name"], reader["name"])
        if pair in self._compared:
            return
        self._compared.add(pair)
        # Names are needed before the fields are walked: a removed field may hold the definition of a type used later.
        _learn(writer, self._writer_names)
        _learn(reader, self._reader_names)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            inner = f"{path}.{field['name']}" if path else field["name"]
            names = [field["name"], *field.get("aliases", ())]
            match = next((written[name] for name in names if name in written), None)
            if match is not None:
                yield from self.compare(match["type"], field["type"], inner)
            elif "default" not in field:
                yield Breach(inner, "the writer lacks this field and the reader has no default for it")


def _resolved(node: Any, names: dict[str, Schema]) -> Any:
    return names.get(node, node) if isinstance(node, str) else node


def _learn(node: Any, names: dict[str, Schema]) -> None:
    if isinstance(node, list):
        for branch in node:
            _learn(branch, names)
    elif isinstance(node, dict):
        if "name" in node and node.get("type") in ("record", "enum", "fixed"):
            names[node["name"]] = node
            if "namespace" in node:
                names[f"{node['namespace']}.{node['name']}"] = node
        for part in ("type", "items", "values"):
            _learn(node.get(part), names)
        for field in node.get("fields", ()):
            _learn(field["type"], names)


def _kind(node: Any) -> str:
    if isinstance(node, list):
        return "union"
    return str(node["type"]) if isinstance(node, dict) else str(node)


def _logical(node: Any) -> tuple[Any, ...]:
    return tuple(node.get(part) for part in _LOGICAL) if isinstance(node, dict) else (None,) * len(_LOGICAL)


def _same_name(writer: Schema, reader: Schema) -> bool:
    plain = writer["name"].rpartition(".")[2]
    return plain in {name.rpartition(".")[2] for name in (reader["name"], *reader.get("aliases", ()))}


def _told(node: Any) -> str:
    if isinstance(node, list):
        return " or ".join(_told(branch) for branch in node)
    logical, precision, scale = _logical(node)
    if logical == "decimal":
        return f"decimal({precision},{scale})"
    return str(logical or _kind(node))
