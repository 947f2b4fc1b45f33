"""What `deploy` holds: rules, their tests, the dashboards, and all expressions in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yaml"
RULE_TESTS = DEPLOY / "prometheus" / "tests"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
CONNECT_RULES = DEPLOY / "prometheus" / "connect.rules.yaml"

Json = dict[str, Any]


def rules() -> list[Json]:
    """All rules, recorded ones first."""
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def alerts() -> list[Json]:
    """The rules that alert."""
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> dict[str, str]:
    """The expression of each recorded figure."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def rule_tests() -> Iterator[Json]:
    """The tests of the rules, of all files."""
    for path in sorted(RULE_TESTS.glob("*.yaml")):
        yield from yaml.safe_load(path.read_text("utf-8"))["tests"]


def dashboard(file: Path) -> Json:
    """A dashboard."""
    found: Json = json.loads(file.read_text("utf-8"))
    return found


def panels(file: Path) -> list[Json]:
    """The panels of a dashboard, without the headings of its rows."""
    return [panel for panel in dashboard(file)["panels"] if panel["type"] != "row"]


def queries(*files: Path) -> dict[str, str]:
    """Every expression of the dashboards by where it stands; intervals have a value, variables none yet."""
    found: dict[str, str] = {}
    for file in files or DASHBOARDS:
        title = dashboard(file)["title"]
        for panel in panels(file):
            found |= {
                f"{title}: {panel['id']} {panel['title']} {one['refId']}": one["expr"] for one in panel["targets"]
            }
        marks = dashboard(file)["annotations"]["list"]
        found |= {f"{title}: annotation {mark['name']}": mark["expr"] for mark in marks}
    return {place: expr.replace("$__rate_interval", "5m") for place, expr in found.items()}
