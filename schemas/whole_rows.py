"""Rows made whole: a field that a contract allows to be absent, and that a row does not name, is null."""

from collections.abc import Mapping
from typing import Any

from schemas.contracts import Schema


def row_of(contract: Schema) -> Schema:
    """Return the record of the rows in the schema of a change envelope. Raises ValueError if it is none."""
    for field in contract["fields"]:
        if field["name"] in ("before", "after"):
            found = _record(field["type"])
            if found is not None:
                return found
    raise ValueError(f"{contract.get('name')} is no change envelope: before and after are no records")


class WholeRows:
    """The rows of one contract, and the records listed in them."""

    def __init__(self, row: Schema) -> None:
        """Take the record of the rows, as `row_of` gives it."""
        self._name = row["name"]
        self._fields = frozenset(field["name"] for field in row["fields"])
        self._absent = {field["name"]: None for field in row["fields"] if _may_be_null(field["type"])}
        self._listed = {field["name"]: WholeRows(item) for field in row["fields"] if (item := _item(field["type"]))}

    def whole(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row in which every field that may be null is there; what else is missing stays so.

        Raises ValueError naming a field that the contract does not have.
        """
        if unknown := row.keys() - self._fields:
            raise ValueError(f"the contract has no field {', '.join(sorted(map(str, unknown)))} in {self._name}")
        whole = {**self._absent, **row}
        for name, item in self._listed.items():
            listed = whole.get(name)
            if isinstance(listed, list | tuple):
                whole[name] = [item.whole(each) if isinstance(each, Mapping) else each for each in listed]
        return whole


def _branches(node: Any) -> list[Any]:
    return node if isinstance(node, list) else [node]


def _may_be_null(node: Any) -> bool:
    return "null" in _branches(node)


def _record(node: Any) -> Schema | None:
    return next((one for one in _branches(node) if isinstance(one, dict) and one.get("type") == "record"), None)


def _item(node: Any) -> Schema | None:
    for one in _branches(node):
        if isinstance(one, dict) and one.get("type") == "array":
            return _record(one["items"])
    return None
