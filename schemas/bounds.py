"""Schemas under which a few hostile bytes would cost all memory or the whole stack: they are refused unread.

A record that holds itself nests as deep as the bytes say; an array of items that take no bytes is as long as they say.
No contract is of either sort, nor is any table of a database.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastavro import parse_schema

from schemas.contracts import Schema

_NO_BYTES: Final = 0


def unbounded(schema: Schema) -> str | None:
    """Return what in a valid schema has no bounds, or None if all has."""
    parsed: Any = parse_schema(schema)
    try:
        _Widths(parsed["__named_schemas"]).of(parsed)
    except _Unbounded as fault:
        return str(fault)
    except RecursionError:
        return "it is nested too deep"
    except (TypeError, ValueError) as error:
        return f"a size that is none: {error}"
    return None


class _Unbounded(Exception):
    pass


class _Widths:
    """The bytes that the shortest value of each type takes."""

    def __init__(self, named: Mapping[str, Schema]) -> None:
        self._named = named
        self._known: dict[str, int | None] = {}  # None while it is looked at

    def of(self, node: Any) -> int:
        """Return the fewest bytes of a type; raises _Unbounded."""
        if isinstance(node, list):
            return 1 + min((self.of(branch) for branch in node), default=_NO_BYTES)
        if isinstance(node, str):
            return self.of(self._named[node]) if node in self._named else int(node != "null")
        kind = node["type"]
        if kind in {"record", "error"}:
            return self._record(node)
        if kind == "array" and self.of(node["items"]) == _NO_BYTES:
            raise _Unbounded("an array of items that take no bytes may have any length")
        if kind == "map":
            self.of(node["values"])
        if kind == "fixed":
            return max(int(node["size"]), _NO_BYTES)
        return int(kind != "null")

    def _record(self, record: Schema) -> int:
        name = record["name"]
        if name not in self._known:
            self._known[name] = None
            self._known[name] = sum([self.of(field["type"]) for field in record["fields"]])
        width = self._known[name]
        if width is None:
            raise _Unbounded(f"record {name} holds itself, to any depth")
        return width
