"""The page for analysts: its field tables are those of today, its queries run, and its promise on people holds."""

import json
import re
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.generate import DERIVED_FILE
from schemas.lined_yaml import UnusableFile
from schemas.pages import BEGIN, END, PAGE, current, field_tables, write
from streams.topics import PUBLIC
from tests.support.feed import Feed
from tests.support.streams import JsonRecord, file_run

CASES = Path(__file__).parents[1] / "scenarios" / "cases"
QUERIES = dict(re.findall(r"\*\*([^*]+)\*\*(?:(?!\*\*).)*?```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
VIEW = re.search(r"```sql\n(CREATE VIEW.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
TABLES = {"analytics.delivery": "delivery", "exceptions": "exceptions"}


def test_the_tables_on_the_page_are_current() -> None:
    page = PAGE.read_text("utf-8")
    assert current(page, "page") == page, "run `python -m schemas.pages`"


def test_every_topic_and_every_field_has_its_row() -> None:
    page = field_tables()
    for topic, entry in yaml.safe_load(DERIVED_FILE.read_text("utf-8")).items():
        section = page.split(f"### {topic}\n")[1].split("### ")[0]
        assert [name for name in entry["fields"] if f"\n| `{name}` | " not in section] == []


def test_every_amount_says_its_currency() -> None:
    fields = [
        (f"{topic}.{name}", field)
        for topic, entry in yaml.safe_load(DERIVED_FILE.read_text("utf-8")).items()
        for name, field in entry["fields"].items()
    ]
    assert [name for name, field in fields if field["kind"] == "money" and "currenc" not in field["doc"]] == []


def test_every_public_topic_is_on_the_page() -> None:
    page = PAGE.read_text("utf-8")
    missing = [topic.name for topic in PUBLIC if f"### {topic.name}\n" not in page]
    assert missing == ["dead.letters"], "only what has no contract is described by hand"
    assert "`dead.letters` has no contract" in page


def test_a_row_says_what_a_field_holds() -> None:
    rows = field_tables().splitlines()
    assert "| `trigger_id` | text |  | Trigger that is booked. |" in rows
    assert "| `labor_cost` | money, decimal(20,4) |  | Cost of the approved hours, in `currency`. |" in rows
    assert "| `state` | one of open, resolved |  | open or resolved. |" in rows
    assert "| `cause.position` | whole number | may be | Position of the row's version in its source. |" in rows


def test_what_is_written_by_hand_stays(tmp_path: Path) -> None:
    page = tmp_path / "topics.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert write(page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n### billing.triggers\n")
    assert text.endswith(f"|\n\n{END}\nafter\n")
    assert not write(page)


@pytest.mark.parametrize("text", ["no mark", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_page_without_its_marks_is_refused(tmp_path: Path, text: str) -> None:
    page = tmp_path / "topics.md"
    page.write_text(text)
    with pytest.raises(UnusableFile, match=r"topics\.md: the lines"):
        write(page)
    assert page.read_text() == text


def test_a_page_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"nowhere\.md: cannot be read"):
        write(tmp_path / "nowhere.md")


# -- the worked queries


def database_of(records: Sequence[JsonRecord]) -> sqlite3.Connection:
    """The derived records as the page loads them: one table a topic, in order of arrival."""
    database = sqlite3.connect(":memory:")
    described = yaml.safe_load(DERIVED_FILE.read_text("utf-8"))
    for topic, table in TABLES.items():
        fields = list(described[topic]["fields"])
        database.execute(f"CREATE TABLE {table} (arrived INTEGER PRIMARY KEY, {', '.join(fields)})")
        marks = ", ".join("?" for _ in fields)
        for record in records:
            if record["topic"] == topic:
                values = [record["value"].get(field) for field in fields]
                plain = [json.dumps(value) if isinstance(value, list | dict) else value for value in values]
                database.execute(f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})", plain)
    assert VIEW is not None
    database.execute(VIEW[1])
    return database


def answer(name: str, records: Sequence[JsonRecord]) -> list[tuple[Any, ...]]:
    query = next(text for title, text in QUERIES.items() if title.startswith(name))
    return database_of(records).execute(query).fetchall()


def story(name: str) -> tuple[list[JsonRecord], dict[str, Any]]:
    lines = (CASES / name / "in.jsonl").read_text("utf-8").splitlines()
    expect = json.loads((CASES / name / "expect.json").read_text("utf-8"))
    return file_run([json.loads(line) for line in lines], expect.get("until")), expect


@pytest.mark.parametrize("name", ["correction-and-deletion", "retainer-with-overage", "project-moves-contract"])
def test_net_billed_is_what_the_story_says(name: str) -> None:
    records, expect = story(name)
    found: dict[str, Decimal] = {}
    for contract, _, _, net in answer("Net billed", [*records, *records]):
        found[contract] = found.get(contract, Decimal(0)) + Decimal(str(net))
    assert found == {contract: Decimal(net) for contract, net in expect["net_billed"].items()}


def test_rework_counts_reversals() -> None:
    records, _ = story("correction-and-deletion")
    assert answer("How much of billing", records) == [("2026-02", 9, 4)]


def test_the_newest_margin_is_taken_not_the_sum() -> None:
    records, _ = story("correction-and-deletion")
    assert answer("Margin of every project", records) == [("P1", "EUR", "480.00", "600.00", "120.00", "0.200000")]
    assert answer("Margin at the end", records)[-1][3] == "120.00"


def test_only_alerts_that_are_open_count() -> None:
    records, _ = story("milestone-unbilled")
    assert ("milestone_unbilled", "warning", 1, "2026-03-05T12:03:00Z") in answer("Open alerts", records)


def test_holds_count_under_each_of_their_reasons() -> None:
    records, _ = story("holds-and-release")
    assert [row[:2] for row in answer("Held billing", records)] == [("contract_inactive", 1)]


def test_what_has_no_receipt_is_unanswered() -> None:
    records, expect = story("correction-and-deletion")
    count = sum(len(amounts) for amounts in expect["triggers"].values())
    assert len(answer("Triggers the ERP", records)) == count


def test_days_to_activation_are_those_of_completed_deals() -> None:
    records, _ = story("won-deal-is-activated")
    assert [name for name, days in answer("Days from", records) if days > 0] == ["O1"]


def test_every_query_of_the_page_is_run_here() -> None:
    asked = [title for title, text in QUERIES.items() if not text.startswith("CREATE VIEW")]
    assert len(asked) == 8, "a query more or less: give it a test here"


# -- what is never in there


def test_no_name_and_no_cost_rate_reach_the_analysts() -> None:
    feed = Feed()
    feed.put("crm.Account", Id="A1", Name="Zephyrine Holdings")
    feed.put("psa.public.clients", id="CL1", name="Zephyrine Holdings")
    feed.put("psa.public.resources", id="R1", name="Quirina Vandelay")
    rates = [{"Rate": "61.37", "Currency": "EUR", "EffectiveFrom": "2026-01-01"}]
    feed.put("hr.Worker", EmployeeId="E1", Name="Quirina Vandelay", CostRates=rates)
    feed.put("erp.LegalEntity", Id="LE1")
    feed.put("erp.Customer", Id="CU1")
    feed.contract()
    feed.project(name="Operation Xylophone")
    feed.entry("T1")
    feed.expense("X1")
    feed.assignment("S1", hours_per_week="50")
    facts = [r["value"] for r in file_run(feed.records, "2026-03-01T00:00:00Z") if r["topic"] == "analytics.delivery"]
    told = json.dumps(facts)
    assert {fact["fact_kind"] for fact in facts} == {"billing", "margin", "alert"}
    assert [word for word in ("Zephyrine", "Quirina", "Xylophone", "61.37") if word in told] == []
