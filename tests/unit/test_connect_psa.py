"""The PSA's connector, its SQL and the mapping agree: what is read is captured, under the keys that were promised."""

import re
from pathlib import Path

import pytest

from connect.configuration import CONNECTORS_FOLDER, read, read_all
from connect.masking import refuse_plain_secrets
from schemas.contracts import load_contracts
from schemas.mapping import load_mappings

PSA = read(CONNECTORS_FOLDER / "psa.json")
SQL_FOLDER = Path(CONNECTORS_FOLDER).parent / "psa"
CAPTURE = (SQL_FOLDER / "2-capture.sql").read_text("utf-8")
SCHEMA = (SQL_FOLDER / "1-schema.sql").read_text("utf-8")
MAPPED = {topic: mapping for topic, mapping in load_mappings().topics.items() if mapping.system == "psa"}
TABLES = [topic.removeprefix("psa.") for topic in MAPPED]
OWN_TABLES = ["public.debezium_heartbeat", "public.debezium_signal"]


def listed(pattern: str) -> list[str]:
    """The tables of a statement of the capture script, up to its end."""
    found = re.search(pattern + r"(?P<tables>[^;]*?)(?:\s+to debezium)?;", CAPTURE)
    assert found is not None, pattern
    return re.findall(r"public\.\w+", found["tables"])


def test_there_are_seven_mapped_tables() -> None:
    assert len(TABLES) == 7


def test_every_mapped_table_is_captured_and_no_other() -> None:
    assert PSA.config["table.include.list"].split(",") == TABLES
    assert listed(r"alter publication psa_capture set table") == [*TABLES, *OWN_TABLES]
    assert listed(r"grant select on\n") == TABLES
    assert re.findall(r"alter table (public\.\w+) replica identity full;", CAPTURE) == TABLES


def test_the_connector_and_the_script_name_the_same_things() -> None:
    assert f"create publication {PSA.config['publication.name']};" in CAPTURE
    assert PSA.config["signal.data.collection"] in OWN_TABLES
    assert "public.debezium_heartbeat" in PSA.config["heartbeat.action.query"]
    assert PSA.config["publication.autocreate.mode"] == "disabled"


def keyed_by(topic: str) -> str:
    """The column that the transforms leave as the record key of a topic."""
    config = PSA.config
    names = config["transforms"].split(",")
    keys = []
    for name in names:
        predicate = config[f"transforms.{name}.predicate"]
        if re.fullmatch(config[f"predicates.{predicate}.pattern"], topic):
            assert config[f"transforms.{name}.type"].endswith("ExtractField$Key")
            keys.append(config[f"transforms.{name}.field"])
    assert len(keys) == 1, f"{topic} goes through {keys}"
    return keys[0]


@pytest.mark.parametrize("topic", MAPPED)
def test_records_are_keyed_as_the_mapping_says(topic: str) -> None:
    assert (keyed_by(topic),) == MAPPED[topic].key


@pytest.mark.parametrize("topic", MAPPED)
def test_a_key_before_the_transforms_is_of_one_row_alone(topic: str) -> None:
    """A requested snapshot holds the rows of a piece by this key: of rows that share one, all but the last are lost."""
    columns = dict(part.split(":") for part in PSA.config["message.key.columns"].split(";"))
    own = columns.get(topic.removeprefix("psa."), "id").split(",")
    assert own in (["id"], ["project_id", "id"])
    assert keyed_by(topic) in own


@pytest.mark.parametrize("topic", MAPPED)
def test_the_columns_of_a_table_are_the_fields_of_its_contract(topic: str) -> None:
    table = topic.removeprefix("psa.")
    body = re.search(rf"create table if not exists {re.escape(table)} \((.*?)\n\);", SCHEMA, re.DOTALL)
    assert body is not None
    columns = re.findall(r"^  (\w+) (.+?),?$", body[1], re.MULTILINE)
    fields = MAPPED[topic].fields
    assert [name for name, _ in columns] == [field.name for field in fields]
    for (name, kind), field in zip(columns, fields, strict=True):
        assert ("not null" in kind or "primary key" in kind) is field.required, name
    before = load_contracts()[topic].schema["fields"][0]["type"][1]["fields"]
    assert [field["name"] for field in before] == [name for name, _ in columns]


def test_the_role_may_write_only_to_the_connectors_own_tables() -> None:
    granted = re.findall(r"grant ((?:\w+(?:, )?)+) on\s([^;]*?)\s+to debezium;", CAPTURE, re.DOTALL)
    rights = {(words, table) for words, tables in granted for table in re.findall(r"public\.\w+", tables)}
    assert rights == {
        *(("select", table) for table in TABLES),
        ("select, insert, update", OWN_TABLES[0]),
        ("select, insert, delete", OWN_TABLES[1]),
    }
    assert "password" not in re.sub(r"--.*", "", CAPTURE)


def test_nothing_may_be_lost_and_no_secret_is_written_out() -> None:
    refuse_plain_secrets(PSA)
    wanted = {
        "errors.tolerance": "none",
        "event.converting.failure.handling.mode": "fail",
        "exactly.once.support": "required",
        "slot.drop.on.stop": "false",
        "skipped.operations": "none",
        "tombstones.on.delete": "false",
        "decimal.handling.mode": "precise",
    }
    assert {key: PSA.config.get(key) for key in wanted} == wanted
    assert not [key for key in PSA.config if key.startswith("errors.deadletterqueue")]


def test_every_file_shipped_can_be_used_and_writes_no_secret_out() -> None:
    for configuration in read_all().values():
        refuse_plain_secrets(configuration)
