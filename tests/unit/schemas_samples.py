"""Sample values for any of the contracts, full and empty."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from schemas.contracts import CANONICAL, Contract

MOMENT = datetime(2025, 6, 30, 23, 59, 59, 999000, tzinfo=UTC)


def sample(contract: Contract, full: bool) -> dict[str, Any]:
    """Return a record of a contract: with every field filled to its digits, or with null wherever that is allowed."""
    record: dict[str, Any] = _sample(contract.schema, full, {}, contract.subject.startswith(CANONICAL))
    return record


def _sample(node: Any, full: bool, named: dict[str, Any], whole: bool) -> Any:
    node = named.get(node, node) if isinstance(node, str) else node
    if isinstance(node, list):
        if not full and "null" in node:
            return None
        return _sample(next(branch for branch in node if branch != "null"), full, named, whole)
    if isinstance(node, Mapping):
        return _complex(node, full, named, whole)
    return {"string": "Zürich \N{SNOWMAN}", "long": -(2**63), "int": 7, "boolean": True, "double": 0.5}[node]


def _complex(node: Mapping[str, Any], full: bool, named: dict[str, Any], whole: bool) -> Any:
    if "name" in node:
        named[node["name"]] = node
    logical = node.get("logicalType")
    if logical == "decimal":
        return Decimal("-" + "9" * node["precision"]).scaleb(-node["scale"])
    if logical is not None:
        return {"date": date(2024, 2, 29), "timestamp-millis": 1751327999999 if whole else MOMENT}[logical]
    if node["type"] == "record":
        return {field["name"]: _sample(field["type"], full, named, whole) for field in node["fields"]}
    if node["type"] == "array":
        return [_sample(node["items"], full, named, whole)] * 2 if full else []
    if node["type"] == "map":
        return {"one": "1"} if full else {}
    if node["type"] == "enum":
        return node["symbols"][-1]
    return _sample(node["type"], full, named, whole)
