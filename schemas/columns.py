"""The columns of a table, as the schema in which a connector writes its rows describes them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from schemas.contracts import Schema

TEXT: Final = "text"


class Column(NamedTuple):
    """A column: what its values are (`form`), and its type in the words of SQL (`said`)."""

    form: str
    said: str


_SEMANTIC: Final[Mapping[str, Column]] = {
    "io.debezium.time.Date": Column("date", "date"),
    "io.debezium.time.Timestamp": Column("moment", "timestamp"),
    "io.debezium.time.MicroTimestamp": Column("moment", "timestamp"),
    "io.debezium.time.NanoTimestamp": Column("moment", "timestamp"),
    "io.debezium.time.ZonedTimestamp": Column("moment", "timestamptz"),
    "io.debezium.time.MicroDuration": Column("duration", "interval"),
    "io.debezium.data.VariableScaleDecimal": Column("decimal", "numeric"),
}
"""Debezium's name of a type -> the column. Its other names for times have no value that a field could hold."""

_OF_TIME: Final = "io.debezium.time."

_PLAIN: Final[Mapping[str, Column]] = {
    "string": Column(TEXT, "text"),
    "enum": Column(TEXT, "enum"),
    "boolean": Column("bool", "boolean"),
    "int": Column("number", "integer"),
    "long": Column("number", "bigint"),
    "float": Column("float", "real"),
    "double": Column("float", "double precision"),
    "bytes": Column("bytes", "bytea"),
    "date": Column("date", "date"),
    "timestamp-millis": Column("moment", "timestamp"),
    "timestamp-micros": Column("moment", "timestamp"),
}
"""Avro's type, or its logical type -> the column."""


def columns_of(row: Schema) -> dict[str, Column]:
    """Return the columns by name, in their order, of the record that describes the rows of a table."""
    named: dict[str, Column] = {}
    return {field["name"]: _column(field["type"], named) for field in row["fields"]}


def _column(node: Any, named: dict[str, Column]) -> Column:
    branches = [branch for branch in (node if isinstance(node, list) else [node]) if branch != "null"]
    found = [_branch(branch, named) for branch in branches] or [Column("null", "null")]
    return found[0] if len(found) == 1 else Column("union", " or ".join(column.said for column in found))


def _branch(branch: Any, named: dict[str, Column]) -> Column:
    if isinstance(branch, str):
        # A named type is described in full only where it comes first; later columns use its name alone.
        return _PLAIN.get(branch) or named.get(branch) or Column("other", branch)
    column = _described(branch)
    for name in _names(branch):
        named[name] = column
    return column


def _described(branch: Mapping[str, Any]) -> Column:
    semantic, logical, plain = branch.get("connect.name", ""), branch.get("logicalType"), str(branch.get("type"))
    if semantic in _SEMANTIC:
        return _SEMANTIC[semantic]
    if semantic.startswith(_OF_TIME):
        return Column("other", semantic.removeprefix(_OF_TIME))
    if logical == "decimal":
        return Column("decimal", f"numeric({branch.get('precision')},{branch.get('scale', 0)})")
    return _PLAIN.get(logical or plain) or _PLAIN.get(plain) or Column("other", plain)


def _names(branch: Mapping[str, Any]) -> Iterator[str]:
    if "name" in branch:
        yield branch["name"]
        yield f"{branch.get('namespace')}.{branch['name']}"
