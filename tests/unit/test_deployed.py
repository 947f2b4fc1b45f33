"""Rules and dashboard ask for what a worker tells, say what to do, and are tested; promtool runs in tests/stack."""

import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.support import deployed
from tests.support.metrics import metrics_of_everything, told, watch_metrics_of_everything
from tests.support.promql import named
from tests.tidy.house import ROOT

TOLD = told(metrics_of_everything().registry, watch_metrics_of_everything())
OF_A_TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus gives to every series of a target."""
OF_ALERTS = frozenset({"alertname", "alertstate", "severity", "team"})
ABOUT_TARGETS = {"up": OF_A_TARGET, "ALERTS": OF_A_TARGET | OF_ALERTS}

EXPRESSIONS = {
    **{f"rule {rule.get('alert') or rule['record']}": rule["expr"] for rule in deployed.rules()},
    **{f"panel {place}": expression for place, expression in deployed.queries().items()},
}


def labels_of(metric: str) -> frozenset[str]:
    """The labels that a metric can have.

    Raises:
        KeyError: Nobody tells that metric.
    """
    if metric in ABOUT_TARGETS:
        return ABOUT_TARGETS[metric]
    expression = deployed.recorded().get(metric)
    if expression is None:
        return TOLD.labels[metric] | OF_A_TARGET
    (grouping,) = re.findall(r"by \(([^)]*)\)", expression)
    return frozenset(label.strip() for label in grouping.split(",")) - {"le"}


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_an_expression_asks_for_metrics_labels_and_values_that_there_are(place: str) -> None:
    asked = named(EXPRESSIONS[place])
    assert asked.metrics
    known = frozenset().union(*map(labels_of, asked.metrics))
    assert asked.labels - known - asked.made == frozenset()
    unknown = [
        (metric, label, value)
        for metric, label, value in asked.values
        if label not in OF_A_TARGET | OF_ALERTS and value not in TOLD.values[metric, label]
    ]
    assert unknown == []


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        re.sub("_(bucket|sum|count)$", "", metric)
        for expression in (*deployed.queries().values(), *deployed.recorded().values())
        for metric in named(expression).metrics
    }
    not_shown = {"process_virtual_memory_bytes"}  # says nothing of what is used
    assert TOLD.types.keys() - shown == not_shown


def slug(heading: str) -> str:
    """The anchor that a heading of a page has."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_alert_says_how_urgent_it_is_whose_and_what_to_do() -> None:
    places = {}
    for rule in deployed.alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["labels"]["team"] in ("sre", "integration", "data", "finance")
        notes: dict[str, str] = rule["annotations"]
        assert notes.keys() == {"summary", "description", "runbook_url"}
        assert len(notes["description"]) > len(notes["summary"]) > 20
        places[rule["alert"]] = notes["runbook_url"]
        assert rule["alert"].startswith("Throughline")
    wrong = {}
    for alert, place in places.items():
        page, _, anchor = place.partition("#")
        headings = re.findall(r"^#+ (.*)$", Path(ROOT, page).read_text("utf-8"), re.MULTILINE)
        if anchor not in map(slug, headings):
            wrong[alert] = place
    assert wrong == {}


def test_what_a_template_names_is_a_label_that_the_alert_has() -> None:
    for rule in deployed.alerts():
        text = " ".join(rule["annotations"].values())
        known = frozenset().union(*map(labels_of, named(rule["expr"]).metrics))
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= known, rule["alert"]
    for panel in deployed.panels():
        for target in panel["targets"]:
            asked = named(target["expr"])
            known = frozenset().union(*map(labels_of, asked.metrics))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known, panel["title"]


def test_every_alert_is_shown_to_fire_and_to_be_silent() -> None:
    shown: dict[str, set[bool]] = defaultdict(set)
    for test in deployed.rule_tests():
        for asked in test.get("promql_expr_test", []):
            for name in re.findall(r'alertname="(\w+)", alertstate="firing"', asked["expr"]):
                shown[name].add(bool(asked["exp_samples"]))
    assert shown == {rule["alert"]: {True, False} for rule in deployed.alerts()}


def test_no_two_alerts_or_rules_have_one_name() -> None:
    names = [rule.get("alert") or rule["record"] for rule in deployed.rules()]
    assert len(names) == len(set(names))


# -- the dashboard

UNITS = frozenset("s bytes Bps cps reqps short none percentunit".split())


def boxes(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return {
        (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
    }


def test_panels_have_places_of_their_own_within_the_width() -> None:
    placed = deployed.dashboard()["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in placed)
    assert [(a["title"], b["title"]) for a, b in combinations(placed, 2) if boxes(a) & boxes(b)] == []


def test_the_rows_are_what_an_sre_asks() -> None:
    rows = [panel["title"] for panel in deployed.dashboard()["panels"] if panel["type"] == "row"]
    assert rows == [
        "Is it keeping up?", "What does it cost?", "State and restore", "What needs somebody?", "ERPs", "Feeds",
    ]  # fmt: skip


def test_every_panel_says_what_it_shows_in_a_unit_and_asks_the_source_that_was_chosen() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in deployed.panels():
        assert panel["description"], panel["title"]
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [source] * (
            1 + len(panel["targets"])
        )
        defaults = panel["fieldConfig"]["defaults"]
        unit = defaults.get("unit") or panel["options"]["yAxis"]["unit"]
        assert unit in UNITS, panel["title"]
        if panel["type"] == "stat":
            assert defaults["thresholds"]["steps"][0]["value"] is None
    variables = {variable["name"]: variable["type"] for variable in deployed.dashboard()["templating"]["list"]}
    assert variables == {"datasource": "datasource", "job": "query", "instance": "query"}


# -- how expressions are read


def test_what_an_expression_names_is_read_from_it() -> None:
    asked = named(
        'sum by (job, le) (rate(a_total{step="in", topic=~"x.*"}[5m] offset 1w)) > 2.5 '
        'unless on (job) label_replace(b:c:d5m, "feed", "$1", "topic", "(.+)") or vector(0)'
    )
    assert asked.metrics == {"a_total", "b:c:d5m"}
    assert asked.labels == {"job", "le", "step", "topic"}
    assert asked.values == {("a_total", "step", "in")}
    assert asked.made == {"feed"}
