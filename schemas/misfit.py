"""Why a record does not fit its schema: the path of the first value that does not, and what is wrong with it.

Looked for only once writing has failed: trying each value takes time.
"""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_writer

_MISSING = object()


def misfit(schema: Any, value: Any) -> str | None:
    """Return `PATH: what is wrong` for the first value that does not fit, or None if all do."""
    # Names first: where the row before is null, the row after has but the name of what was described there.
    return next(_misfits(schema, value, "", dict(_named(schema))), None)


def _named(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, list):
        for branch in node:
            yield from _named(branch)
    elif isinstance(node, dict):
        if "name" in node and "type" in node and node["type"] in ("record", "enum", "fixed"):
            yield node["name"], node
            yield str(_full_name(node, {})), node
        for part in (node.get("type"), node.get("items"), node.get("values"), *node.get("fields", ())):
            yield from _named(part)


def _misfits(node: Any, value: Any, path: str, named: dict[str, Any]) -> Iterator[str]:
    node = named.get(node, node) if isinstance(node, str) else node
    if isinstance(node, list):
        yield from _of_union(node, value, path, named)
    elif isinstance(node, dict) and node["type"] == "record":
        yield from _of_record(node, value, path, named)
    elif isinstance(node, dict) and node["type"] == "array" and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _misfits(node["items"], item, f"{path}[{index}]", named)
    elif problem := _refused(node, value):
        yield f"{path}: {problem}"


def _of_union(branches: list[Any], value: Any, path: str, named: dict[str, Any]) -> Iterator[str]:
    if value is None and "null" in branches:
        return
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        # fastavro's way to say which branch is meant: (name of the record, its fields).
        name, value = value
        branches = [branch for branch in branches if name in (branch, _full_name(branch, named))]
    # What is wrong with the first branch that is a value tells more than that no branch fits.
    found = [next(_misfits(branch, value, path, named), None) for branch in branches if branch != "null"]
    if None not in found:
        yield next(iter(found), None) or f"{path}: {value!r} fits no branch"


def _of_record(node: Mapping[str, Any], value: Any, path: str, named: dict[str, Any]) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: {value!r} is no record {node['name']}"
        return
    for field in node["fields"]:
        inner = f"{path}.{field['name']}" if path else field["name"]
        given = value.get(field["name"], _MISSING)
        if given is not _MISSING:
            yield from _misfits(field["type"], given, inner, named)
        elif "default" not in field:
            yield f"{inner}: is missing"


def _full_name(node: Any, named: dict[str, Any]) -> str | None:
    node = named.get(node, node) if isinstance(node, str) else node
    if not isinstance(node, Mapping) or "name" not in node:
        return None
    return f"{node['namespace']}.{node['name']}" if "namespace" in node else str(node["name"])


def _refused(node: Any, value: Any) -> str | None:
    try:
        schemaless_writer(BytesIO(), parse_schema(node), value)
    except Exception as error:
        return f"{value!r} is no {_kind_of(node)} ({str(error) or type(error).__name__})"
    return None


def _kind_of(node: Any) -> str:
    if not isinstance(node, dict):
        return str(node)
    if node.get("logicalType") == "decimal":
        return f"decimal with {node['precision']} digits, {node['scale']} after the point"
    if node["type"] == "enum":
        return f"one of {', '.join(node['symbols'])}"
    return str(node.get("logicalType") or node["type"])
