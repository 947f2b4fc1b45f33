"""Tryton's connector, its SQL and its mapping agree: what is read is captured, under the row's own id, and no more."""

import json
import re
from pathlib import Path

from connect.configuration import read, read_all
from connect.masking import refuse_plain_secrets
from schemas.mapping import load_mappings
from tests.support.tryton import SHIPPED

TRYTON = read(SHIPPED.parent / "tryton.json")
CAPTURE = (SHIPPED.parent / "capture.sql").read_text("utf-8")
(ASSEMBLY,) = load_mappings(further=[SHIPPED]).assemblies
TABLES = {topic.removeprefix("tryton."): table for topic, table in ASSEMBLY.tables.items()}
OWN_TABLES = {"capture.debezium_heartbeat", "capture.debezium_signal"}
PATTERNS = TRYTON.config["column.include.list"].split(",")
RECORDED = Path(__file__).parents[1] / "recordings" / "tryton"


def listed(pattern: str) -> set[str]:
    """The tables of a statement of the capture script, up to its end."""
    found = re.search(pattern + r"(?P<tables>[^;]*?)(?:\s+to tryton_capture)?;", CAPTURE)
    assert found is not None, pattern
    return set(re.findall(r"(?:public|capture)\.\w+", found["tables"]))


def test_it_is_no_connector_that_everyone_has() -> None:
    assert list(read_all(SHIPPED.parent)) == ["tryton"]
    assert "tryton" not in read_all()


def test_every_table_that_is_read_is_captured_and_no_other() -> None:
    assert set(TRYTON.config["table.include.list"].split(",")) == TABLES.keys()
    assert listed("alter publication tryton_capture set table") == TABLES.keys() | OWN_TABLES
    assert listed(r"grant select on\n") == TABLES.keys()
    assert set(re.findall(r"alter table (public\.\w+) replica identity default;", CAPTURE)) == TABLES.keys()


def test_every_column_that_is_read_is_captured_and_no_other() -> None:
    """Of all columns that Tryton has, as they were recorded, the connector takes those of the mapping."""
    recorded = json.loads((RECORDED / "schemas.json").read_text()).values()
    schemas = [schema for schema in recorded if schema["namespace"].startswith("tryton.")]
    columns = {schema["namespace"].removeprefix("tryton."): _columns(schema) for schema in schemas}
    for table, read_columns in TABLES.items():
        taken = [name for name in columns[table] if any(re.fullmatch(each, f"{table}.{name}") for each in PATTERNS)]
        assert sorted(taken) == sorted(read_columns.columns)
    own = ["capture.debezium_signal.data", "capture.debezium_heartbeat.beat"]
    assert all(any(re.fullmatch(each, name) for each in PATTERNS) for name in own)


def _columns(schema: dict[str, object]) -> list[str]:
    fields = schema["fields"]
    assert isinstance(fields, list)
    before = next(field["type"] for field in fields if field["name"] == "before")
    return [column["name"] for branch in before if isinstance(branch, dict) for column in branch["fields"]]


def test_records_are_keyed_by_the_id_of_their_row() -> None:
    config = TRYTON.config
    assert config["transforms.keyId.type"].endswith("ExtractField$Key")
    assert config["transforms.keyId.field"] == ASSEMBLY.tables["tryton.public.project_work"].identity
    pattern = config[f"predicates.{config['transforms.keyId.predicate']}.pattern"]
    assert all(re.fullmatch(pattern, topic) for topic in ASSEMBLY.tables)
    assert "message.key.columns" not in config


def test_the_connector_and_the_script_name_the_same_things() -> None:
    config = TRYTON.config
    assert f"create publication {config['publication.name']};" in CAPTURE
    assert config["signal.data.collection"] in OWN_TABLES
    assert "capture.debezium_heartbeat" in config["heartbeat.action.query"]
    assert config["topic.prefix"] == ASSEMBLY.system
    refuse_plain_secrets(TRYTON)


def test_the_role_may_write_only_to_the_connectors_own_tables() -> None:
    granted = re.findall(r"grant ([a-z, ]+) on\s+([^;]+?)\s+to tryton_capture;", CAPTURE)
    writing = {table for rights, table in granted if {"insert", "update", "delete"} & {*rights.split(", ")}}
    assert writing == OWN_TABLES
