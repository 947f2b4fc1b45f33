"""The Avro contracts as files: which there are, how each may change, and how to tell two apart."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastavro import parse_schema
from fastavro.schema import SchemaParseException

from schemas.lined_yaml import UnusableFile, shown

Schema = dict[str, Any]

SCHEMAS_FOLDER = Path(__file__).parent
DEBEZIUM = "debezium."
"""Prefix of the subjects whose schema a Debezium connector registers for the reference PSA database."""
CANONICAL = "canonical."
"""Prefix of the subjects of internal facts."""


class Level(StrEnum):
    """How a contract may change.

    BACKWARD: the new schema reads what the last release wrote. BACKWARD_TRANSITIVE: what any release wrote.
    FULL_TRANSITIVE: that, and every release reads what the new schema writes.
    """

    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


_FOLDERS: dict[str, tuple[str, Level]] = {
    "source": ("", Level.BACKWARD),
    "source/debezium": (DEBEZIUM, Level.BACKWARD),
    "canonical": (CANONICAL, Level.BACKWARD_TRANSITIVE),
    "derived": ("", Level.FULL_TRANSITIVE),
}


@dataclass(frozen=True, slots=True)
class Contract:
    """One .avsc file.

    `subject` is its topic; `canonical.NAME` for a fact, `debezium.TOPIC` for what a connector registers.
    """

    subject: str
    level: Level
    path: Path
    schema: Schema

    @property
    def is_canonical(self) -> bool:
        """True for internal facts, whose instants are whole milliseconds and not datetimes."""
        return self.subject.startswith(CANONICAL)

    @property
    def is_own(self) -> bool:
        """True unless it is a connector's schema, whose names are those of our own envelope."""
        return not self.subject.startswith(DEBEZIUM)


def load_contracts(folder: Path = SCHEMAS_FOLDER) -> dict[str, Contract]:
    """Read all contracts of a schemas folder, by subject.

    Raises UnusableFile naming the file that is no valid Avro record.
    """
    contracts = {}
    for part, (prefix, level) in _FOLDERS.items():
        for path in sorted((folder / part).glob("*.avsc")):
            subject = prefix + path.stem
            contracts[subject] = Contract(subject, level, path, read_schema(path))
    if not contracts:
        raise UnusableFile([f"{folder}: no contract (source/*.avsc, derived/*.avsc) in this folder"])
    return contracts


def read_schema(path: Path) -> Schema:
    """Read one .avsc file; raises UnusableFile naming it and what is wrong."""
    try:
        schema = json.loads(path.read_bytes())
    except OSError as error:
        raise UnusableFile([f"{shown(path)}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise UnusableFile([f"{shown(path)}: no JSON: {error}"]) from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise UnusableFile([f"{shown(path)}: a contract is an Avro record, this is {str(schema)[:60]}"])
    if fault := avro_fault(schema):
        raise UnusableFile([f"{shown(path)}: no valid Avro: {fault}"])
    return schema


def avro_fault(schema: Schema) -> str | None:
    """Return why a schema is no valid Avro, or None if it is."""
    try:
        if schema["type"] == "record" and not isinstance(schema.get("fields"), list):
            return "a record has a list of fields"
        parse_schema(schema)
    except (SchemaParseException, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return next(_repeated_names(schema), None)


def _repeated_names(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for branch in node:
            yield from _repeated_names(branch)
    elif isinstance(node, dict):
        names = Counter(field["name"] for field in node.get("fields", ()))
        yield from (f"record {node['name']} has field {name} twice" for name, count in names.items() if count > 1)
        for part in (node.get("type"), node.get("items"), node.get("values"), *node.get("fields", ())):
            yield from _repeated_names(part)


def full_name(schema: Schema) -> str:
    """Return the name of an Avro record with its namespace."""
    name, namespace = schema["name"], schema.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"


def fingerprint(schema: Any) -> str:
    """Return what tells two schemas apart, whatever their docs and their order of keys say."""
    text = json.dumps(_without_docs(schema), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def _without_docs(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_docs(value) for key, value in node.items() if key != "doc" or not isinstance(value, str)}
    if isinstance(node, list):
        return [_without_docs(item) for item in node]
    return node
