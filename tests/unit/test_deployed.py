"""Rules and dashboards ask for what there is, say what to do, and are tested; promtool runs in tests/stack."""

import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from connect.commands import WATCH_PORT
from stack.room import KAFKA_PORT, PORTS_BESIDE
from tests.support import compose, deployed
from tests.support.metrics import (
    metrics_of_everything,
    together,
    told,
    told_by_connect,
    watch_metrics_of_everything,
)
from tests.support.promql import named
from tests.tidy.house import ROOT

TOLD = together(told(metrics_of_everything().registry, watch_metrics_of_everything()), told_by_connect())
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


def test_every_metric_is_on_a_dashboard() -> None:
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
    for panel in (panel for file in deployed.DASHBOARDS for panel in deployed.panels(file)):
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


# -- the dashboards

ROWS = {
    "throughline.json": [
        "Is it keeping up?", "What does it cost?", "State and restore", "What needs somebody?", "ERPs", "Feeds",
    ],
    "feeds.json": ["Is every feed heard?", "What do they bring?", "Connectors", "Snapshots"],
}  # fmt: skip
VARIABLES = {
    "throughline.json": {"datasource": "datasource", "job": "query", "instance": "query"},
    "feeds.json": {"datasource": "datasource", "feed": "query"},
}
each_dashboard = pytest.mark.parametrize("file", deployed.DASHBOARDS, ids=lambda file: file.stem)
UNITS = frozenset("s bytes Bps cps reqps short none percentunit".split())


def boxes(panel: dict[str, Any]) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    return {
        (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
    }


@each_dashboard
def test_panels_have_places_of_their_own_within_the_width(file: Path) -> None:
    placed = deployed.dashboard(file)["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in placed)
    assert [(a["title"], b["title"]) for a, b in combinations(placed, 2) if boxes(a) & boxes(b)] == []


@each_dashboard
def test_the_rows_are_what_an_sre_asks(file: Path) -> None:
    rows = [panel["title"] for panel in deployed.dashboard(file)["panels"] if panel["type"] == "row"]
    assert rows == ROWS[file.name]


@each_dashboard
def test_every_panel_says_what_it_shows_in_a_unit_and_asks_the_source_that_was_chosen(file: Path) -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in deployed.panels(file):
        assert panel["description"], panel["title"]
        assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [source] * (
            1 + len(panel["targets"])
        )
        defaults = panel["fieldConfig"]["defaults"]
        unit = defaults.get("unit") or panel["options"]["yAxis"]["unit"]
        assert unit in UNITS, panel["title"]
        if panel["type"] == "stat":
            assert defaults["thresholds"]["steps"][0]["value"] is None
    variables = {variable["name"]: variable["type"] for variable in deployed.dashboard(file)["templating"]["list"]}
    assert variables == VARIABLES[file.name]


def test_dashboards_are_told_apart_by_title_and_address() -> None:
    whole = [deployed.dashboard(file) for file in deployed.DASHBOARDS]
    assert len({one["uid"] for one in whole}) == len({one["title"] for one in whole}) == len(ROWS)


# -- what Prometheus and Grafana are given


def scraped(name: str) -> dict[str, Any]:
    """The jobs of a configuration of Prometheus, by their names."""
    found = yaml.safe_load((deployed.DEPLOY / "prometheus" / name).read_text("utf-8"))
    return {"": found, **{job["job_name"]: job for job in found["scrape_configs"]}}


def test_prometheus_asks_the_same_on_this_machine_and_among_containers() -> None:
    local, among = scraped("prometheus.yaml"), scraped("compose.yaml")
    jobs = {"throughline", "throughline-connect", "connect", "registry", "prometheus"}
    assert local.keys() == among.keys() == {"", *jobs}
    places = {"job_name", "static_configs", "dns_sd_configs"}
    for name, job in local.items():
        rest = places | {"scrape_configs"}
        assert {k: v for k, v in job.items() if k not in rest} == {
            k: v for k, v in among[name].items() if k not in rest
        }


def test_prometheus_asks_where_the_local_stack_listens() -> None:
    local = scraped("prometheus.yaml")
    asked = {name: job["static_configs"][0]["targets"] for name, job in local.items() if name}
    ports = {name: KAFKA_PORT + beside for name, beside in PORTS_BESIDE.items()}
    assert asked == {
        "throughline": ["127.0.0.1:9187"],
        "throughline-connect": [f"127.0.0.1:{WATCH_PORT}"],
        "connect": [f"127.0.0.1:{ports['connect'] + 1}"],
        "registry": [f"127.0.0.1:{ports['registry']}"],
        "prometheus": [f"127.0.0.1:{ports['prometheus']}"],
    }


def test_prometheus_asks_the_services_of_compose_where_they_tell() -> None:
    services, among = compose.services(), scraped("compose.yaml")
    asked = {name: job["dns_sd_configs"][0] for name, job in among.items() if "dns_sd_configs" in job}
    places = {name: (one["names"], one["type"], one["port"]) for name, one in asked.items()}
    settings = compose.environment(services["worker"])
    (exporter,) = re.findall(r"jmx-exporter\.jar=(\d+):", compose.environment(services["connect"])["KAFKA_OPTS"])
    (registry,) = (port.rpartition(":")[2] for port in services["registry"]["ports"])
    (watch,) = re.findall(r"connect watch .*--port (\d+)", " ".join(compose.texts(services["watch"])))
    assert places == {
        "throughline": (["worker"], "A", int(settings["THROUGHLINE_METRICS_PORT"])),
        "throughline-connect": (["watch"], "A", int(watch)),
        "connect": (["connect"], "A", int(exporter)),
        "registry": (["registry"], "A", int(registry)),
    }


def test_grafana_finds_its_source_and_the_dashboards() -> None:
    provisioning = deployed.DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "throughline.yaml").read_text("utf-8"))["providers"]
    grafana = compose.services()["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert mounted["./deploy/grafana"] == provider["options"]["path"]
    assert mounted["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = compose.environment(grafana)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(f"{provider['options']['path']}/") in {file.name for file in deployed.DASHBOARDS}


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
