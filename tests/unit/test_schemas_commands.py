"""The command `schemas`: a breaking change is refused by name, a harmless one is published."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from schemas.commands import app
from schemas.contracts import SCHEMAS_FOLDER

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the contracts shipped."""
    ignored = shutil.ignore_patterns("*.py", "__pycache__")
    return Path(shutil.copytree(SCHEMAS_FOLDER, tmp_path / "schemas", ignore=ignored))


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--folder", str(folder)])


def edit(folder: Path, name: str, change: Change) -> None:
    path = folder / name
    schema = json.loads(path.read_text())
    change(schema)
    path.write_text(json.dumps(schema))


def fields_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The fields of the row in an envelope, else those of the record."""
    first = schema["fields"][0]
    return first["type"][1]["fields"] if first["name"] == "before" else schema["fields"]  # type: ignore[no-any-return]


def by_name(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return next(field for field in fields_of(schema) if field["name"] == name)


def rename(old: str, new: str) -> Change:
    return lambda schema: by_name(schema, old).update(name=new)


def retype(name: str, type_: Any) -> Change:
    return lambda schema: by_name(schema, name).update(type=type_)


def remove(name: str) -> Change:
    return lambda schema: fields_of(schema).remove(by_name(schema, name))


def add(**field: Any) -> Change:
    return lambda schema: fields_of(schema).append(field)


def narrow(schema: dict[str, Any]) -> None:
    by_name(schema, "state")["type"]["symbols"].remove("updated")


def test_the_contracts_shipped_may_change_as_they_did_and_are_released() -> None:
    result = CliRunner().invoke(app, ["check"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "no breaking change" in result.stdout
    assert "not released yet" not in result.stdout


TRIGGERS, ENTRIES = "derived/billing.triggers.avsc", "source/psa.public.time_entries.avsc"
REFUSED = [
    (TRIGGERS, rename("amount", "sum"), [
        "billing.triggers: sum: records of release 1 can no longer be read (FULL_TRANSITIVE): "
        "the writer lacks this field and the reader has no default for it",
        "billing.triggers: amount: readers of release 1 can not read new records (FULL_TRANSITIVE): "
        "the writer lacks this field and the reader has no default for it",
    ]),
    (TRIGGERS, remove("tax_code"), [
        "billing.triggers: tax_code: readers of release 1 can not read new records (FULL_TRANSITIVE): "
        "the writer lacks this field and the reader has no default for it",
    ]),
    (TRIGGERS, retype("revision", "string"), [
        "billing.triggers: revision: records of release 1 can no longer be read (FULL_TRANSITIVE): "
        "long cannot be read as string",
        "billing.triggers: revision: readers of release 1 can not read new records (FULL_TRANSITIVE): "
        "string cannot be read as long",
    ]),
    (TRIGGERS, add(name="channel", type="string"), [
        "billing.triggers: channel: records of release 1 can no longer be read (FULL_TRANSITIVE): "
        "the writer lacks this field and the reader has no default for it",
    ]),
    ("derived/drift.alerts.avsc", narrow, [
        "drift.alerts: state: records of release 1 can no longer be read (FULL_TRANSITIVE): "
        "the reader's enum lacks updated and has no default",
    ]),
    (ENTRIES, rename("hours", "time"), [
        "psa.public.time_entries: before.time: records of release 1 can no longer be read (BACKWARD): "
        "the writer lacks this field and the reader has no default for it",
        "psa.public.time_entries: after.hours: its mapping reads this field, which the contract lacks",
    ]),
    (ENTRIES, retype("hours", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}), [
        "psa.public.time_entries: before.hours: records of release 1 can no longer be read (BACKWARD): "
        "null cannot be read as decimal(9,2)",
        "psa.public.time_entries: before.hours: records of release 1 can no longer be read (BACKWARD): "
        "decimal(9,4) cannot be read as decimal(9,2)",
        "psa.public.time_entries: after.hours: its mapping reads a hours, the contract has "
        "{'type': 'bytes', 'logicalType': 'decimal', 'precision': 9, 'scale': 2}",
    ]),
    (ENTRIES, remove("role"), [
        "psa.public.time_entries: after.role: its mapping reads this field, which the contract lacks",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "told"), REFUSED, ids=[case[2][0][:60] for case in REFUSED])
def test_a_breaking_change_is_refused_with_contract_field_and_reason(
    folder: Path, name: str, change: Change, told: list[str]
) -> None:
    edit(folder, name, change)
    result = run(folder, "check")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"refused: {line}" for line in told]


NOTE = {"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."}


@pytest.mark.parametrize("name", [TRIGGERS, ENTRIES])
def test_a_harmless_change_is_published_and_stays_readable(folder: Path, name: str) -> None:
    subject = Path(name).stem
    edit(folder, name, add(**NOTE))
    result = run(folder, "check")
    assert (result.exit_code, result.stdout.splitlines()[1:]) == (0, [f"not released yet: {subject}"])
    manifest = json.loads((folder / "manifest.json").read_text())
    number = 100_001 + len(manifest)
    result = run(folder, "release")
    assert (result.exit_code, result.stdout) == (0, f"released: {subject} version 2, id {number}\n")
    assert json.loads((folder / "manifest.json").read_text())[str(number)]["subject"] == subject
    assert run(folder, "release").stdout == "nothing changed since the last release\n"
    assert run(folder, "check").exit_code == 0
    assert "version 2 id" in next(line for line in run(folder, "show").stdout.splitlines() if line.startswith(subject))


def test_outputs_are_held_against_every_release_and_sources_against_the_last(folder: Path) -> None:
    for name in (TRIGGERS, ENTRIES):
        edit(folder, name, add(**NOTE))
        assert run(folder, "release").exit_code == 0
        edit(folder, name, remove("note"))
        assert run(folder, "release").exit_code == 0
    for name in (TRIGGERS, ENTRIES):
        edit(folder, name, add(name="note", type=["null", "long"], default=None))
    result = run(folder, "check")
    assert result.exit_code == 1
    assert [line.partition(" (")[0] for line in result.stderr.splitlines()] == [
        "refused: billing.triggers: note: records of release 2 can no longer be read",
        "refused: billing.triggers: note: readers of release 2 can not read new records",
    ]


def test_a_breaking_change_is_not_published(folder: Path) -> None:
    edit(folder, ENTRIES, add(**NOTE))
    edit(folder, TRIGGERS, remove("tax_code"))
    before = (folder / "manifest.json").read_text()
    result = run(folder, "release")
    assert result.exit_code == 1
    assert result.stderr.startswith("refused: billing.triggers: tax_code: ")
    assert (folder / "manifest.json").read_text() == before
    assert not (folder / "released/psa.public.time_entries/v2.avsc").exists()


def test_a_contract_that_was_released_may_not_go(folder: Path) -> None:
    (folder / "derived/audit.trail.avsc").unlink()
    result = run(folder, "check")
    assert (result.exit_code, result.stderr) == (
        1, "refused: audit.trail: it was released, and its contract is gone\n",
    )  # fmt: skip


def test_a_release_never_changes(folder: Path) -> None:
    edit(folder, "released/audit.trail/v1.avsc", lambda schema: schema["fields"].pop())
    result = run(folder, "check")
    assert result.exit_code == 2
    assert result.stderr.endswith("released/audit.trail/v1.avsc is not what was released: a release never changes\n")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda manifest: manifest.pop("100003"), "id 100004: 100003 is next; ids are given in order"),
        (lambda manifest: manifest.update({"x": {}}), "id 'x' needs subject, version and fingerprint"),
        (lambda manifest: manifest["100001"].update(version=9), "released/crm.Account/v9.avsc is missing"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_told(folder: Path, change: Change, told: str) -> None:
    edit(folder, "manifest.json", change)
    result = run(folder, "check")
    assert result.exit_code == 2
    assert told in result.stderr


def test_files_that_cannot_be_used_are_told_without_a_traceback(folder: Path) -> None:
    (folder / TRIGGERS).write_text("{")
    result = run(folder, "check")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"schemas: {folder / TRIGGERS}: no JSON: ")
    (folder / TRIGGERS).unlink()
    mapping = folder / "mappings/psa.yaml"
    mapping.write_text(mapping.read_text().replace("In Delivery: active", "In Delivery: activ"))
    result = run(folder, "check")
    assert result.exit_code == 2
    assert "stage 'In Delivery' maps to 'activ'" in result.stderr


def test_contracts_are_shown(folder: Path) -> None:
    listed = run(folder, "show").stdout.splitlines()
    assert len(listed) == len(list(folder.glob("source/**/*.avsc"))) + len(list(folder.glob("[cd]*/*.avsc")))
    assert json.loads(run(folder, "show", "exceptions").stdout)["name"] == "ExceptionRecord"
    result = run(folder, "show", "nothing")
    assert (result.exit_code, result.stderr) == (
        2, "schemas: there is no contract 'nothing': `schemas show` lists them\n",
    )  # fmt: skip


# -- files that are none

INVALID: list[tuple[Change, str]] = [
    (lambda schema: schema.pop("fields"), "a record has a list of fields"),
    (lambda schema: schema.update(fields=5), "a record has a list of fields"),
    (lambda schema: schema["fields"].append("x"), "SchemaParseException: Record field must be a dict, not str: x"),
    (lambda schema: by_name(schema, "currency").pop("type"), "Record field 'currency' is missing 'type'"),
    (retype("currency", "strng"), "UnknownType: throughline.strng"),
    (lambda schema: by_name(schema, "currency").update(default=5), "Default value <5> must match schema type: string"),
    (lambda schema: schema["fields"].append(by_name(schema, "currency")), "record Trigger has field currency twice"),
]


@pytest.mark.parametrize(("change", "problem"), INVALID)
def test_what_is_no_valid_avro_is_named(folder: Path, change: Change, problem: str) -> None:
    edit(folder, TRIGGERS, change)
    result = run(folder, "check")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"schemas: {folder / TRIGGERS}: no valid Avro: ")
    assert result.stderr.endswith(f"{problem}\n")


def test_every_release_has_an_id_and_is_named_by_its_version(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")
    result = run(folder, "check")
    assert result.exit_code == 2
    told = f"schemas: {folder}/released/billing.triggers/v1.avsc: the manifest gives this release no id"
    assert told in result.stderr.splitlines()
    (folder / "released/billing.triggers/v1.avsc").rename(folder / "released/billing.triggers/first.avsc")
    result = run(folder, "check")
    assert (result.exit_code, result.stderr) == (
        2,
        f"schemas: {folder}/released/billing.triggers/first.avsc: a release is named by its version, such as v1.avsc\n",
    )


@pytest.mark.parametrize("entry", ["5", "[]", '{"subject": 5, "version": 1, "fingerprint": "x"}'])
def test_a_manifest_entry_of_another_shape_is_named(folder: Path, entry: str) -> None:
    (folder / "manifest.json").write_text(f'{{"100001": {entry}}}')
    result = run(folder, "check")
    assert (result.exit_code, result.stderr) == (
        2, f"schemas: {folder}/manifest.json: id '100001' needs subject, version and fingerprint\n",
    )  # fmt: skip
