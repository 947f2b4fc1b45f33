"""The contracts as files: complete, documented, current, and able to evolve."""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastavro import parse_schema

from schemas.avro import Docs, FieldDoc, avro_of
from schemas.codec import Codec
from schemas.contracts import CANONICAL, Contract, Level, fingerprint, load_contracts, read_schema
from schemas.generate import described, text_of, write
from schemas.kinds import Kind
from schemas.lined_yaml import UnusableFile
from schemas.mapping import load_mappings
from schemas.mapping_cover import cover_faults
from schemas.registry import Manifest
from tests.unit.schemas_samples import sample

CONTRACTS = load_contracts()
FACTS = "streams.engine.facts"
OWN = {subject: contract for subject, contract in CONTRACTS.items() if contract.is_own}
DERIVED = {
    "billing.triggers", "margin.updates", "drift.alerts", "exceptions", "activation.commands", "activation.events",
    "erp.postings", "erp.receipts", "analytics.delivery", "audit.trail",
}  # fmt: skip


def test_every_source_row_and_every_derived_record_has_a_contract() -> None:
    sources = {subject for subject, contract in OWN.items() if contract.level is Level.BACKWARD}
    assert sources == set(load_mappings().topics)
    assert {subject for subject, contract in OWN.items() if contract.level is Level.FULL_TRANSITIVE} == DERIVED
    facts = {subject for subject, contract in OWN.items() if contract.level is Level.BACKWARD_TRANSITIVE}
    assert facts == {f"{CANONICAL}{record.__name__}" for record in import_module(FACTS).CONTRACTS}


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_it_is_valid_avro(contract: Contract) -> None:
    assert parse_schema(contract.schema)


def test_the_files_are_those_that_the_descriptions_yield() -> None:
    wanted = described(FACTS)
    stale = [name for name, schema in wanted.items() if (folder() / name).read_text("utf-8") != text_of(schema)]
    assert stale == [], f"run `python -m schemas.generate --canonical {FACTS}`"
    assert {contract.path for contract in OWN.values()} == {folder() / name for name in wanted}


def folder() -> Path:
    return next(iter(CONTRACTS.values())).path.parents[1]


@pytest.mark.parametrize("contract", OWN.values(), ids=OWN)
def test_every_field_says_what_it_means(contract: Contract) -> None:
    silent = [path for path, field in fields(contract.schema, "") if len(field.get("doc", "")) < 8]
    assert silent == []


@pytest.mark.parametrize("contract", OWN.values(), ids=OWN)
def test_what_may_be_null_by_choice_has_a_default(contract: Contract) -> None:
    if contract.level is Level.BACKWARD:
        row = next(field["type"][1] for field in contract.schema["fields"] if field["name"] == "before")
        specs = {spec.name: spec for spec in load_mappings().topics[contract.subject].fields}
        with_default = {field["name"] for field in row["fields"] if "default" in field}
        assert with_default == {name for name, spec in specs.items() if not spec.required}
        never_null = {field["name"] for field in row["fields"] if not isinstance(field["type"], list)}
        assert never_null == set(load_mappings().topics[contract.subject].identity)
    else:
        nullable = [(path, field) for path, field in fields(contract.schema, "") if isinstance(field["type"], list)]
        assert [path for path, field in nullable if field.get("default", "none") is not None] == []


def fields(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, list):
        for branch in node:
            yield from fields(branch, path)
    elif isinstance(node, dict):
        for field in node.get("fields", ()):
            yield f"{path}.{field['name']}", field
            yield from fields(field["type"], f"{path}.{field['name']}")
        yield from fields(node.get("items"), path)


@pytest.mark.parametrize("full", [True, False], ids=["full", "nulls"])
@pytest.mark.parametrize("contract", OWN.values(), ids=OWN)
def test_a_record_comes_back_as_it_went(contract: Contract, full: bool) -> None:
    codec = Codec(Manifest())
    record = sample(contract, full)
    assert codec.decode(contract.subject, codec.encode(contract.subject, record)) == record


def test_logical_types() -> None:
    trigger = {field["name"]: field["type"] for field in CONTRACTS["billing.triggers"].schema["fields"]}
    assert trigger["amount"] == {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4}
    assert trigger["rate"][1] == {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 8}
    assert trigger["quantity"][1] == {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 4}
    assert trigger["service_date"] == {"type": "int", "logicalType": "date"}
    assert trigger["emitted_at"] == {"type": "long", "logicalType": "timestamp-millis"}


def test_mappings_read_only_what_the_contracts_carry() -> None:
    assert cover_faults(load_mappings(), CONTRACTS) == []


def test_a_mapped_field_that_its_contract_lacks_is_told() -> None:
    text = text_of(CONTRACTS["hr.Worker"].schema)
    schema = json.loads(text.replace('"Region"', '"Area"').replace('"EffectiveFrom"', '"From"'))
    contract = Contract("hr.Worker", Level.BACKWARD, Path("hr.Worker.avsc"), schema)
    assert cover_faults(load_mappings(), {**CONTRACTS, "hr.Worker": contract}) == [
        "hr.Worker: after.Region: its mapping reads this field, which the contract lacks",
        "hr.Worker: after.CostRates[].EffectiveFrom: its mapping reads this field, which the contract lacks",
    ]
    without = {subject: contract for subject, contract in CONTRACTS.items() if subject != "hr.Worker"}
    assert cover_faults(load_mappings(), without) == [
        "hr.Worker: there is no contract source/hr.Worker.avsc for what its mapping reads"
    ]


def test_what_is_no_avro_record_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.avsc"
    for text, told in [('{"type":', "no JSON"), ('{"type": "enum"}', "a contract is an Avro record")]:
        path.write_text(text)
        with pytest.raises(UnusableFile, match=f"x.avsc: {told}"):
            read_schema(path)
    with pytest.raises(UnusableFile, match=r"y\.avsc: cannot be read: No such file"):
        read_schema(tmp_path / "y.avsc")
    with pytest.raises(UnusableFile, match="no contract"):
        load_contracts(tmp_path)


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    assert len(write(tmp_path)) == len(described())
    assert write(tmp_path) == []
    (tmp_path / "derived/exceptions.avsc").write_text("{}")
    assert write(tmp_path) == ["derived/exceptions.avsc"]


def test_fingerprints_leave_docs_out() -> None:
    schema = CONTRACTS["exceptions"].schema
    assert fingerprint({**schema, "doc": "other words"}) == fingerprint(schema)
    assert fingerprint({**schema, "name": "Other"}) != fingerprint(schema)


class Rate(NamedTuple):
    """A rate of a role."""

    role: str
    rate: Decimal


class Entry(NamedTuple):
    """Hours of one
    resource.
    """

    id: str
    worked_on: date
    hours: Decimal
    billable: bool
    changed_at: int
    position: int
    project_id: str | None
    rates: tuple[Rate, ...]
    newest: Rate | None
    version: tuple[int, int] = (0, 0)
    note: str | None = None


DOCS: Docs = {
    "Rate": {"role": "Role.", "rate": FieldDoc("Rate of an hour.", Kind.RATE)},
    "Entry": {
        **{name: f"What {name} means." for name in Entry._fields},
        "hours": FieldDoc("Hours worked.", Kind.HOURS),
        "changed_at": FieldDoc("When it was changed.", Kind.TIMESTAMP),
    },
}


def test_a_named_tuple_yields_its_contract() -> None:
    schema = avro_of(Entry, DOCS)
    assert (schema["name"], schema["namespace"], schema["doc"]) == (
        "Entry", "throughline.canonical", "Hours of one resource.",
    )  # fmt: skip
    found = {field["name"]: field["type"] for field in schema["fields"]}
    rate = found["rates"]["items"]
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 8}
    assert [(field["name"], field["type"]) for field in rate["fields"]] == [("role", "string"), ("rate", decimal)]
    assert {name: avro for name, avro in found.items() if name != "rates"} == {
        "id": "string",
        "worked_on": {"type": "int", "logicalType": "date"},
        "hours": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 4},
        "billable": "boolean",
        "changed_at": {"type": "long", "logicalType": "timestamp-millis"},
        "position": "long",
        "project_id": ["null", "string"],
        "newest": ["null", "Rate"],
        "version": {"type": "array", "items": "long"},
        "note": ["null", "string"],
    }
    defaults = {field["name"]: field["default"] for field in schema["fields"] if "default" in field}
    assert defaults == {"project_id": None, "newest": None, "version": [0, 0], "note": None}
    assert parse_schema(schema)


class Bare(NamedTuple):
    """A record with a type that no contract has."""

    amount: Any


@pytest.mark.parametrize(
    ("record", "docs", "told"),
    [
        (
            Rate,
            {"Rate": {"role": "Role.", "rate": "A rate."}},
            r"Rate\.rate: say which kind of decimal it is \(money, ",
        ),
        (Rate, {"Rate": {"role": "Role."}}, r"Rate\.rate: no doc says what it means"),
        (Bare, {"Bare": {"amount": "Some amount."}}, r"Bare\.amount: typing\.Any has no Avro form"),
    ],
)
def test_what_yields_no_contract_is_told_with_class_and_field(record: type, docs: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        avro_of(record, docs)
