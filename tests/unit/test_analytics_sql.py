"""The table and the views of facts: as the contract of the topic has them, and all of them documented."""

import json
import re
from pathlib import Path
from typing import Any

from connect.configuration import read_all
from schemas.contracts import load_contracts

ROOT = Path(__file__).parents[2]
FACTS = (ROOT / "connect/analytics/1-facts.sql").read_text(encoding="utf-8")
VIEWS = (ROOT / "connect/analytics/2-views.sql").read_text(encoding="utf-8")
TYPES = {"string": "text", "long": "bigint", "timestamp-millis": "timestamptz", "date": "date"}


def column(field: dict[str, Any]) -> str:
    """The column of a field of the contract."""
    branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
    (plain,) = (branch for branch in branches if branch != "null")
    kind = plain if isinstance(plain, str) else plain["logicalType"]
    told = TYPES.get(kind) or f"numeric({plain['precision']}, {plain['scale']})"
    if field["name"] == "fact_id":
        return f"fact_id {told} primary key"
    return f"{field['name']} {told}{'' if 'null' in branches else ' not null'}"


def test_the_table_has_a_column_for_each_field_of_the_topic() -> None:
    (columns,) = re.findall(r"create table if not exists analytics\.delivery_facts \(\n(.*?)\n\);", FACTS, re.DOTALL)
    wanted = [column(field) for field in load_contracts()["analytics.delivery"].schema["fields"]]
    assert [line.strip().rstrip(",") for line in columns.splitlines()] == wanted


def test_every_view_says_what_it_answers_and_is_documented() -> None:
    views = re.findall(r"create or replace view analytics\.(\w+) as", VIEWS)
    assert len({*views}) == len(views) > 15
    assert re.findall(r"comment on view analytics\.(\w+) is '[^']", VIEWS) == views
    page = (ROOT / "docs/analytics.md").read_text(encoding="utf-8")
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert {*views} <= documented


def test_the_connector_writes_what_the_table_is_keyed_by_and_loses_nothing() -> None:
    config = read_all()["analytics"].config
    assert (config["topics"], config["collection.name.format"]) == ("analytics.delivery", "delivery_facts")
    assert (config["insert.mode"], config["primary.key.fields"]) == ("upsert", "fact_id")
    assert config["consumer.override.isolation.level"] == "read_committed"
    assert (config["errors.tolerance"], config["errors.deadletterqueue.topic.name"]) == ("all", "dead.letters")
    assert not re.search(r"password\": \"(?!\$\{)", json.dumps(dict(config)))
