"""The pages for operators and for finance: their tables of settings, alerts and exceptions are those of today."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from streams.config import Settings
from streams.policy import SHIPPED
from streams.rules.exceptions import OWNERS
from tests.support.metrics import metrics_of_everything, told, watch_metrics_of_everything
from tests.support.streams import file_run

DOCS = Path(__file__).parents[2] / "docs"
CASES = Path(__file__).parents[1] / "scenarios" / "cases"
OPERATING = (DOCS / "operating.md").read_text("utf-8")
RULES = (DOCS / "rules.md").read_text("utf-8")


def settings_rows(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The rows of the table of settings: keys, sections written as `section.key`, with default and meaning."""
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from settings_rows(section, f"{prefix}{name}.")
        else:
            default = field.get_default(call_default_factory=True)
            yield f"| `{prefix}{name}` | {_shown(default)} | {field.description} |"


def _shown(default: Any) -> str:
    if default in (None, {}, ()):
        return "none"
    return f"`{str(default).lower()}`" if isinstance(default, bool) else f"`{default}`"


def table(page: str, head: str) -> list[str]:
    """The rows of the table that begins with this head."""
    assert page.count(head) == 1
    return page.split(head)[1].partition("\n\n")[0].strip().splitlines()[1:]


def test_the_table_of_settings_is_current() -> None:
    wanted = [*settings_rows(Settings)]
    found = table(OPERATING, "| key | default | meaning |")
    assert found == wanted, "the table in docs/operating.md must be:\n" + "\n".join(wanted)


@pytest.mark.parametrize(
    ("head", "registry"),
    [
        ("| metric | labels | tells | look when |", metrics_of_everything().registry),
        ("| metric of the watch | labels | tells | look when |", watch_metrics_of_everything()),
    ],
    ids=["worker", "watch"],
)
def test_every_metric_is_explained_with_its_labels_and_no_other(head: str, registry: CollectorRegistry) -> None:
    explained: dict[str, set[str]] = {}
    for row in table(OPERATING, head):
        names, labels, tells, _ = (cell.strip() for cell in row.strip("|").split("|"))
        assert tells
        explained |= {name: {*filter(None, labels.split(", "))} for name in re.findall(r"`([a-z_]+)`", names)}
    exposed = told(registry)
    parts = {name: f"{name}_bucket" if kind == "histogram" else name for name, kind in exposed.types.items()}
    assert explained == {name: exposed.labels[part] - {"le"} for name, part in parts.items()}


def _limits(limits: dict[str, Any]) -> str:
    plain = {name: f"{value:.2f}" if isinstance(value, float) else str(value) for name, value in limits.items()}
    return ", ".join(f"`{name}` {value}" for name, value in plain.items())


def test_the_table_of_alerts_is_the_policy_shipped() -> None:
    policy = yaml.safe_load(SHIPPED.read_text("utf-8"))["alerts"]
    wanted = {kind: (_limits(entry["limits"]), entry["owner"]) for kind, entry in policy.items()}
    found: dict[str, tuple[str, str]] = {}
    for row in table(RULES, "| kind, and what it is about | opens when | limits shipped | owner |"):
        first, _, allowed, owner = (cell.strip() for cell in row.strip("|").split(" | "))
        found[first.split("`")[1]] = (allowed, owner)
    assert found == wanted


def test_the_table_of_exceptions_names_every_kind_and_its_queue() -> None:
    found = {}
    for row in table(RULES, "| kind | what happened | queue | what clears it |"):
        kind, _, queue, _ = (cell.strip() for cell in row.strip("|").split(" | "))
        found[kind.strip("`")] = queue
    assert found == OWNERS


@pytest.mark.parametrize("name", ["holds-and-release", "late-fx-rates", "cap-raised", "retainer-without-end"])
def test_reasons_of_holds_are_explained_and_come_in_the_order_of_the_table(name: str) -> None:
    order = [row.split("`")[1] for row in table(RULES, "| reason | meaning | cleared by | in |")]
    case = CASES / name
    until = json.loads((case / "expect.json").read_text("utf-8")).get("until")
    records = [json.loads(line) for line in (case / "in.jsonl").read_text("utf-8").splitlines()]
    exceptions = (record["value"] for record in file_run(records, until) if record["topic"] == "exceptions")
    held = [value["reasons"] for value in exceptions if value["kind"] == "billing_hold"]
    assert held
    assert [reasons for reasons in held if reasons != sorted(reasons, key=order.index)] == []
