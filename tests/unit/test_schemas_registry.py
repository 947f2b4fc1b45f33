"""Schema ids: from the manifest shipped, from a recording, from a registry."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.codec import Codec, Undecodable
from schemas.contracts import fingerprint, load_contracts
from schemas.lined_yaml import UnusableFile
from schemas.registry import (
    FIRST_ID,
    Confluent,
    Layered,
    Manifest,
    Recorded,
    RegistryUnavailable,
    UnknownSchema,
    registry_subject,
)

CONTRACTS = load_contracts()
TEXT = {"type": "record", "name": "Text", "fields": [{"name": "text", "type": "string"}]}


def test_every_contract_has_an_id_that_gives_it_back() -> None:
    manifest = Manifest()
    ids = [manifest.id_of(subject, contract.schema) for subject, contract in CONTRACTS.items()]
    assert len(set(ids)) == len(CONTRACTS)
    assert min(ids) >= FIRST_ID == 100_001
    found = [fingerprint(manifest.schema(schema_id)) for schema_id in ids]
    assert found == [fingerprint(contract.schema) for contract in CONTRACTS.values()]


def test_two_manifests_agree() -> None:
    subject, contract = next(iter(CONTRACTS.items()))
    assert Manifest().id_of(subject, contract.schema) == Manifest().id_of(subject, contract.schema)


def test_the_manifest_does_not_know_other_schemas() -> None:
    with pytest.raises(UnknownSchema, match="unknown schema id 7: not in the manifest"):
        Manifest().schema(7)
    with pytest.raises(UnknownSchema, match="'exceptions' was changed since its last release: run `schemas release`"):
        Manifest().id_of("exceptions", TEXT)


def test_recorded_schemas_go_before_the_manifest() -> None:
    own = CONTRACTS["exceptions"].schema
    layered = Layered(Recorded({1: TEXT}), Manifest())
    assert layered.schema(1) == TEXT
    assert layered.id_of("text", TEXT) == 1
    own_id = layered.id_of("exceptions", own)
    assert own_id >= FIRST_ID
    assert layered.schema(own_id) == own
    with pytest.raises(UnknownSchema, match="unknown schema id 2: neither recorded nor in the manifest"):
        layered.schema(2)
    with pytest.raises(UnknownSchema, match="'other' was changed since"):
        layered.id_of("other", {**TEXT, "name": "Other"})


def test_a_recording_may_hold_schemas_as_text(tmp_path: Path) -> None:
    path = tmp_path / "schemas.json"
    path.write_text(json.dumps({"1": TEXT, "2": json.dumps(TEXT)}))
    recorded = Recorded.read(path)
    assert recorded.schema(1) == recorded.schema(2) == TEXT


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "must be a JSON object from schema id to schema"),
        ("{", "no JSON: "),
        ('{"one": {"type": "record"}}', "'one' is no schema id: ids are whole numbers"),
        ('{"1": "{"}', "id 1: no JSON: "),
        ('{"1": 5}', "id 1: no Avro schema: 5"),
        ('{"1": {"type": "record", "name": "X"}}', "id 1: no valid Avro: a record has a list of fields"),
        ('{"1": {"type": "colour"}}', "id 1: no valid Avro: UnknownType: "),
    ],
)
def test_a_file_of_schemas_that_is_none_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "schemas.json"
    path.write_text(text)
    with pytest.raises(UnusableFile) as caught:
        Recorded.read(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_a_missing_file_of_schemas_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"none\.json: cannot be read: No such file"):
        Recorded.read(tmp_path / "none.json")


class FakeClient:
    """The two calls of SchemaRegistryClient that are used."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.registered: list[tuple[str, str, str]] = []
        self.failure = failure

    def get_schema(self, schema_id: int) -> Any:
        if self.failure is not None:
            raise self.failure
        if schema_id > len(self.registered):
            raise SchemaRegistryError(404, 40403, "Schema not found")
        return SimpleNamespace(schema_str=self.registered[schema_id - 1][1])

    def register_schema(self, subject: str, schema: Any) -> int:
        if self.failure is not None:
            raise self.failure
        self.registered.append((subject, schema.schema_str, schema.schema_type))
        return len(self.registered)


def test_a_registry_gives_ids_and_schemas() -> None:
    client = FakeClient()
    registry = Confluent(client)
    assert registry.id_of("exceptions", TEXT) == 1
    assert registry.schema(1) == TEXT
    assert client.registered == [("exceptions-value", json.dumps(TEXT), "AVRO")]


def test_an_id_that_a_registry_lacks_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="unknown schema id 9: the registry has none: Schema not found"):
        Codec(Confluent(FakeClient())).decode("exceptions", b"\x00\x00\x00\x00\x09\x00")


def test_what_was_written_before_a_registry_was_set_is_read_and_new_ids_are_its_own() -> None:
    shipped = Manifest()
    number, entry = next(iter(shipped.entries.items()))
    client = FakeClient()
    registry = Confluent(client, behind=shipped)
    assert registry.schema(int(number)) == shipped.schema(int(number))
    assert registry.id_of(entry["subject"], shipped.schema(int(number))) == 1
    with pytest.raises(UnknownSchema, match="unknown schema id 9: the registry has none: Schema not found"):
        registry.schema(9)


def test_a_contract_that_a_registry_refuses_is_told() -> None:
    client = FakeClient(SchemaRegistryError(409, 409, "incompatible: READER_FIELD_MISSING_DEFAULT_VALUE"))
    with pytest.raises(UnknownSchema, match="the registry refuses contract 'exceptions': incompatible"):
        Confluent(client).id_of("exceptions", TEXT)


@pytest.mark.parametrize("failure", [SchemaRegistryError(503, 50301, "leader away"), ConnectionError("refused")])
def test_a_registry_that_is_away_is_no_fault_of_the_record(failure: Exception) -> None:
    codec = Codec(Confluent(FakeClient(failure)))
    with pytest.raises(RegistryUnavailable, match=r"schema registry: .*(leader away|refused)"):
        codec.decode("exceptions", b"\x00\x00\x00\x00\x09\x00")
    with pytest.raises(RegistryUnavailable):
        codec.encode("exceptions", {})


def test_names_in_a_registry() -> None:
    assert registry_subject("billing.triggers", TEXT) == "billing.triggers-value"
    assert registry_subject("debezium.psa.public.clients", TEXT) == "psa.public.clients-value"
    assert registry_subject("canonical.Text", {**TEXT, "namespace": "throughline.canonical"}) == (
        "throughline.canonical.Text"
    )
