"""From the JSON view of a record to native values: decimals, dates and times are strings in JSON, and typed in Avro."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from schemas.contracts import Schema

Converter = Callable[[Any], Any]


def _decimal(value: Any) -> Any:
    return Decimal(value) if isinstance(value, str) else value


def _date(value: Any) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


_LOGICAL: Mapping[str, Converter] = {"decimal": _decimal, "date": _date, "timestamp-millis": _moment}


class JsonView:
    """The compiled reading of one contract's JSON view."""

    def __init__(self, schema: Schema) -> None:
        self._convert = _of(schema, {})

    def native(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record with Decimal, date and datetime where JSON has strings; other values stay as they are.

        Raises ValueError or decimal.InvalidOperation for a string that is none.
        """
        native: dict[str, Any] = dict(record) if self._convert is None else self._convert(record)
        return native


def _of(node: Any, named: dict[str, Converter | None]) -> Converter | None:
    """Return the converter of an Avro type, or None if its JSON needs none."""
    if isinstance(node, str):
        return named.get(node)
    if isinstance(node, list):
        return next((found for branch in node if (found := _of(branch, named)) is not None), None)
    if node.get("logicalType") in _LOGICAL:
        return _LOGICAL[node["logicalType"]]
    if node["type"] == "array":
        return _each(_of(node["items"], named))
    if node["type"] == "record":
        found = _record(node, named)
        named[node["name"]] = found
        return found
    return None


def _each(item: Converter | None) -> Converter | None:
    if item is None:
        return None
    return lambda values: values if values is None else [item(value) for value in values]


def _record(node: Schema, named: dict[str, Converter | None]) -> Converter | None:
    pairs = [(field["name"], found) for field in node["fields"] if (found := _of(field["type"], named)) is not None]
    if not pairs:
        return None

    def convert(record: Any) -> Any:
        if record is None:
            return None
        native = dict(record)
        for name, converter in pairs:
            if (value := native.get(name)) is not None:
                native[name] = converter(value)
        return native

    return convert
