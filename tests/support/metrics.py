"""The metrics of a worker that has done a little of everything, and those of Connect, as Prometheus reads them."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from connect.feeds.runner import Landed
from connect.freshness import Freshness
from connect.rest import Standing, Task
from connect.status import Line
from connect.watch_metrics import PLACES, WatchMetrics
from streams.domain.routes import Routes
from streams.engine.feed_metrics import FeedMetrics
from streams.engine.metrics import Metrics
from streams.engine.posting import Target, Targets, posting_step
from streams.engine.transport.producer import Encoded
from streams.step import Output, Step
from streams.topics import ALERTS, DEAD_LETTERS, EXCEPTIONS, RECEIPTS, TRIGGERS
from streams.topology import topology
from tests.support.deployed import CONNECT_RULES
from tests.support.streams import reader, rulebook


class Told(NamedTuple):
    """What is exposed: the type of each metric, the labels of each series, and by (series, label) the values."""

    types: Mapping[str, str]
    labels: Mapping[str, frozenset[str]]
    values: Mapping[tuple[str, str], frozenset[str]]


def all_steps() -> tuple[Step, ...]:
    """The steps of a worker, targets included."""
    routes = Routes(version=1)
    return (*topology(rulebook(), reader(), routes=routes), posting_step(Targets(nowhere, routes, 1, lambda: 0)))


def nowhere(system: str) -> Target:
    """Refuse to open a target.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"there is no {system} here")


def metrics_of_everything() -> Metrics:
    """Metrics in which every metric has at least one series."""
    metrics = Metrics()
    metrics.expect(all_steps())
    metrics.taken_in("intake", "psa.public.projects", 3, 300, 0.01)
    metrics.redelivered("intake", "psa.public.projects", 1)
    metrics.written([Encoded(TRIGGERS, b"C1", b"value", 0, 0, None)])
    metrics.latency(0.2, 3)
    metrics.counted("intake", {"duplicates": 2, "heartbeats": 1})
    metrics.counted("posting", {"sink/netsuite/ok": 1})
    metrics.rebalanced("assigned", 1)
    metrics.parked(0, 2, 30.0)
    metrics.lag("psa.public.projects", 0, 5, 2.0)
    metrics.feed_age("psa", 2.0)
    metrics.still(1.0)
    metrics.held({("psa.public.milestones", "amount"): 1})
    metrics.ready(True)
    metrics.checkpoint(0.1, 1000)
    metrics.aborted()
    metrics.state(0, 1_000_000)
    metrics.memory(1000, 2000, 10, 640)
    metrics.restore_left(0, 0)
    metrics.restored(1, 2.0)
    tell_of_a_feed(metrics.feeds)
    metrics.outcomes.count(
        [
            Output(EXCEPTIONS, "e", {"kind": "undecodable", "state": "open"}, 0),
            Output(ALERTS, "a", {"kind": "margin_erosion", "state": "open"}, 0),
            Output(RECEIPTS, "C1", {"system": "netsuite", "status": "posted"}, 0),
            Output(DEAD_LETTERS, "k", b"x", 0, None, (("__connect.errors.exception.class.name", b"Undecodable"),)),
        ]
    )
    return metrics


def tell_of_a_feed(feeds: FeedMetrics) -> None:
    """Let every metric of API feeds have at least one series."""
    feed = feeds.of("hr-workday")
    feed.landed(Landed({"hr.Worker": 3}, {"hr.Worker": 1}, 1_772_366_400_000))
    feed.answered(1_772_366_400_000)
    feed.requested("200")
    feed.ended("failed", "hr.Worker: CostCenter is gone")


def watch_metrics_of_everything() -> CollectorRegistry:
    """What the watch over connectors exposes, in which every metric has at least one series."""
    registry = CollectorRegistry()
    known = Freshness(1_000, 2_048, "", "reserved", 4_096, True, 30_000, 2)
    runs = Standing("RUNNING", "", (Task(0, "RUNNING", ""),))
    sink = Line("analytics", "RUNNING", runs, Freshness(behind_records=7, oldest_ms=1_000), brings=False)
    lines = [("psa", Line("psa", "RUNNING", runs, known)), ("analytics", sink)]
    WatchMetrics(registry).set(lines, dict.fromkeys(PLACES, 0), 2_000)
    return registry


def told(*registries: CollectorRegistry) -> Told:
    """Return what registries expose. Buckets of a histogram have the label `le`, as they have it for Prometheus."""
    types: dict[str, str] = {}
    labels: dict[str, frozenset[str]] = {}
    values: dict[tuple[str, str], frozenset[str]] = {}
    exposed = "".join(generate_latest(registry).decode() for registry in registries)
    for family in text_string_to_metric_families(exposed):
        types[f"{family.name}_total" if family.type == "counter" else family.name] = family.type
        for sample in family.samples:
            labels[sample.name] = labels.get(sample.name, frozenset()) | frozenset(sample.labels)
            for place in ((sample.name, label) for label in sample.labels):
                values[place] = values.get(place, frozenset()) | {sample.labels[place[1]]}
    return Told(types, labels, values)


def told_by_connect() -> Told:
    """What Connect's JMX exporter exposes by its rules; where a label is one of some words, they are its values."""
    types: dict[str, str] = {}
    labels: dict[str, frozenset[str]] = {}
    values: dict[tuple[str, str], frozenset[str]] = {}
    for rule in yaml.safe_load(CONNECT_RULES.read_text("utf-8"))["rules"]:
        name, groups = rule["name"], re.findall(r"\(([^)]*)\)", rule["pattern"])
        assert name not in types
        types[name], labels[name] = rule["type"].lower(), frozenset(rule["labels"])
        for label, place in rule["labels"].items():
            words = groups[int(place.removeprefix("$")) - 1].split("|")
            values[name, label] = frozenset(word for word in words if word.isalpha())
    return Told(types, labels, values)


def together(*all_told: Told) -> Told:
    """What several programs expose."""
    types: dict[str, str] = {}
    labels: dict[str, frozenset[str]] = {}
    values: dict[tuple[str, str], frozenset[str]] = {}
    for one in all_told:
        types |= one.types
        labels |= one.labels
        values |= one.values
    return Told(types, labels, values)


def series(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by the values of its labels, in the order of their names."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if sample.name == name
    }
