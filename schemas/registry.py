"""Where schema ids come from: a Confluent registry, the manifest shipped with the contracts, or a recording.

An id stands before every Avro value. A reader asks for the schema of an id, a writer for the id of its schema.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from schemas.contracts import (
    CANONICAL,
    DEBEZIUM,
    SCHEMAS_FOLDER,
    Schema,
    avro_fault,
    fingerprint,
    full_name,
    read_schema,
)
from schemas.lined_yaml import UnusableFile, shown

FIRST_ID = 100_001
"""Ids of the manifest begin here, out of the way of ids that a registry gives."""


class UnknownSchema(LookupError):
    """No schema is known under an id, or no id for a schema. The text says which, and what to do."""


class RegistryUnavailable(Exception):
    """The registry did not answer, or answered that it cannot. Retrying later may help."""


class Registry(Protocol):
    """Schemas by id, and ids by schema."""

    def schema(self, schema_id: int) -> Schema:
        """Return the schema of an id; raises UnknownSchema, or RegistryUnavailable."""

    def id_of(self, subject: str, schema: Schema) -> int:
        """Return the id of a contract's schema; raises UnknownSchema, or RegistryUnavailable."""

    def unavailable(self) -> str | None:
        """Return why it cannot be asked now, or None."""


class Manifest:
    """The ids shipped with the contracts: `manifest.json` lists every released schema, and is only ever added to.

    Two processes that run the same contracts agree on ids without a registry between them.
    """

    def __init__(self, folder: Path = SCHEMAS_FOLDER) -> None:
        self._folder = folder
        self.entries = read_manifest(folder)
        self._ids = {(entry["subject"], entry["fingerprint"]): int(number) for number, entry in self.entries.items()}

    def schema(self, schema_id: int) -> Schema:
        """Return the released schema of an id; raises UnknownSchema."""
        entry = self.entries.get(str(schema_id))
        if entry is None:
            raise UnknownSchema(f"unknown schema id {schema_id}: not in the manifest of the contracts")
        return read_schema(released_file(self._folder, entry["subject"], entry["version"]))

    def id_of(self, subject: str, schema: Schema) -> int:
        """Return the id of a released schema; raises UnknownSchema if it was changed since."""
        found = self._ids.get((subject, fingerprint(schema)))
        if found is None:
            raise UnknownSchema(f"contract {subject!r} was changed since its last release: run `schemas release`")
        return found

    def unavailable(self) -> str | None:
        """Return None: it is at hand."""
        return None


def released_file(folder: Path, subject: str, version: int) -> Path:
    """Return the file of a released version of a contract."""
    return folder / "released" / subject / f"v{version}.avsc"


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the manifest of a schemas folder: id -> subject, version, fingerprint. Empty before the first release."""
    path = folder / "manifest.json"
    if not path.exists():
        return {}
    entries = _read_json(path)
    for number, entry in entries.items():
        if not number.isdecimal() or not _is_entry(entry):
            raise UnusableFile([f"{shown(path)}: id {number!r} needs subject, version and fingerprint"])
    return entries


def _is_entry(entry: Any) -> bool:
    kinds = {"subject": str, "version": int, "fingerprint": str}
    return isinstance(entry, dict) and all(isinstance(entry.get(name), kind) for name, kind in kinds.items())


class Recorded:
    """Schemas by id as a recording's file holds them: a JSON object from id to schema."""

    def __init__(self, schemas: Mapping[int, Schema]) -> None:
        self._schemas = schemas
        self._ids = {fingerprint(schema): schema_id for schema_id, schema in schemas.items()}

    @classmethod
    def read(cls, path: Path) -> "Recorded":
        """Read a file of schemas by id; raises UnusableFile naming the file and the entry that cannot be used."""
        schemas: dict[int, Schema] = {}
        for number, entry in _read_json(path).items():
            if not number.isdecimal():
                raise UnusableFile([f"{shown(path)}: {number!r} is no schema id: ids are whole numbers"])
            try:
                schema = json.loads(entry) if isinstance(entry, str) else entry
            except ValueError as error:
                raise UnusableFile([f"{shown(path)}: id {number}: no JSON: {error}"]) from error
            if not isinstance(schema, dict) or "type" not in schema:
                raise UnusableFile([f"{shown(path)}: id {number}: no Avro schema: {str(entry)[:60]}"])
            if fault := avro_fault(schema):
                raise UnusableFile([f"{shown(path)}: id {number}: no valid Avro: {fault}"])
            schemas[int(number)] = schema
        return cls(schemas)

    def schema(self, schema_id: int) -> Schema:
        """Return the recorded schema of an id; raises UnknownSchema."""
        if schema_id not in self._schemas:
            raise UnknownSchema(f"unknown schema id {schema_id}: not in the recorded schemas")
        return self._schemas[schema_id]

    def id_of(self, subject: str, schema: Schema) -> int:
        """Return the id a recording gave this very schema; raises UnknownSchema."""
        found = self._ids.get(fingerprint(schema))
        if found is None:
            raise UnknownSchema(f"contract {subject!r} is not in the recorded schemas")
        return found

    def unavailable(self) -> str | None:
        """Return None: it is at hand."""
        return None


class Layered:
    """Several registries as one: the first that knows an answer gives it."""

    def __init__(self, *layers: Registry) -> None:
        self._layers: Sequence[Registry] = layers

    def schema(self, schema_id: int) -> Schema:
        """Return the schema of an id from the first layer that has it; raises UnknownSchema if none has."""
        for layer in self._layers:
            try:
                return layer.schema(schema_id)
            except UnknownSchema:
                continue
        raise UnknownSchema(f"unknown schema id {schema_id}: neither recorded nor in the manifest of the contracts")

    def id_of(self, subject: str, schema: Schema) -> int:
        """Return the id of a schema from the first layer that has it; raises UnknownSchema of the last."""
        for layer in self._layers[:-1]:
            try:
                return layer.id_of(subject, schema)
            except UnknownSchema:
                continue
        return self._layers[-1].id_of(subject, schema)

    def unavailable(self) -> str | None:
        """Return why one of the layers cannot be asked now, or None."""
        return next((reason for layer in self._layers if (reason := layer.unavailable()) is not None), None)


class Confluent:
    """A registry with Confluent's API, asked through confluent-kafka's client, which caches both directions.

    Contracts are registered under `TOPIC-value`, canonical facts under the full name of their record.
    """

    def __init__(self, client: Any, behind: Registry | None = None) -> None:
        """Take a confluent_kafka.schema_registry.SchemaRegistryClient.

        `behind` is asked for the schemas of ids that the registry lacks, such as those from before it was set. It gives
        no ids.
        """
        self._client = client
        self._behind = behind

    def schema(self, schema_id: int) -> Schema:
        """Return the registered schema of an id; raises UnknownSchema, or RegistryUnavailable."""
        try:
            answer = self._ask(f"unknown schema id {schema_id}: the registry has none", "get_schema", schema_id)
        except UnknownSchema as unknown:
            if self._behind is None:
                raise
            try:
                return self._behind.schema(schema_id)
            except UnknownSchema:
                raise unknown from None
        schema: Schema = json.loads(answer.schema_str)
        return schema

    def id_of(self, subject: str, schema: Schema) -> int:
        """Return the id of a schema, registering it if need be; raises RegistryUnavailable."""
        from confluent_kafka.schema_registry import Schema as Registered  # noqa: PLC0415  (slow, and not always needed)

        refused = f"the registry refuses contract {subject!r}"
        registered = Registered(json.dumps(schema), "AVRO")
        return int(self._ask(refused, "register_schema", registry_subject(subject, schema), registered))

    def unavailable(self) -> str | None:
        """Return why the registry does not answer now, or None."""
        try:
            self._ask("the registry tells nothing of itself", "get_config")
        except UnknownSchema:
            return None  # it has answered
        except RegistryUnavailable as error:
            return str(error)
        return None

    def _ask(self, refused: str, call: str, *arguments: Any) -> Any:
        from confluent_kafka.schema_registry.error import SchemaRegistryError  # noqa: PLC0415

        try:
            return getattr(self._client, call)(*arguments)
        except SchemaRegistryError as error:
            if error.http_status_code in (404, 409, 422):
                raise UnknownSchema(f"{refused}: {error.error_message}") from error
            raise RegistryUnavailable(f"schema registry: {error}") from error
        except Exception as error:
            # What the client raises when nobody answers belongs to the HTTP library of its release, not to its API.
            raise RegistryUnavailable(f"schema registry: {error}") from error


def registry_subject(subject: str, schema: Schema) -> str:
    """Return the name a registry knows a contract by."""
    if subject.startswith(CANONICAL):
        return full_name(schema)
    return f"{subject.removeprefix(DEBEZIUM)}-value"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UnusableFile([f"{shown(path)}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise UnusableFile([f"{shown(path)}: no JSON: {error}"]) from error
    if not isinstance(content, dict):
        raise UnusableFile([f"{shown(path)}: must be a JSON object from schema id to schema"])
    return content
