"""What `deploy` holds: rules, their tests, the dashboard, and all expressions in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yaml"
RULE_TESTS = DEPLOY / "prometheus" / "tests"
DASHBOARD = DEPLOY / "grafana" / "throughline.json"

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


def dashboard() -> Json:
    """The dashboard."""
    found: Json = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def panels() -> list[Json]:
    """The panels of the dashboard, without the headings of its rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every expression of the dashboard by where it stands; intervals and variables have values."""
    found = {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels() for target in panel["targets"]}
    found |= {f"annotation {mark['name']}": mark["expr"] for mark in dashboard()["annotations"]["list"]}
    return {place: expr.replace("$__rate_interval", "5m") for place, expr in found.items()}
