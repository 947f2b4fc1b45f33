"""What `throughline connect watch` tells Prometheus of connectors and feeds, in base units."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from connect.database import SLOT_STATES
from connect.freshness import Freshness
from connect.rest import Standing
from connect.status import FEED_STATE, Line

CONNECTOR_STATES = ("running", "failed", "paused", "stopped", "unassigned", "restarting", "missing")
PLACES = ("connect", "freshness")


class WatchMetrics:
    """The figures of all connectors and feeds, by the name under which their changes come."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._state = self._gauge(
            "feed_connector_state", "1 for the state that a connector is in: its worst task counts.", ["feed", "state"]
        )
        self._age = self._gauge(
            "feed_topics_age_seconds", "Since when no record or heartbeat of a feed came to its topics.", ["feed"]
        )
        self._lag = self._gauge(
            "feed_slot_lag_bytes", "Log that the database keeps since the slot was confirmed last.", ["feed"]
        )
        self._left = self._gauge(
            "feed_slot_left_bytes", "Log that may still be written before the slot is lost.", ["feed"]
        )
        self._slot = self._gauge(
            "feed_slot_state", "1 for the state that a connector's replication slot is in.", ["feed", "state"]
        )
        self._rows = self._gauge("feed_snapshot_rows", "Rows that the newest snapshot has read.", ["feed"])
        self._tables = self._gauge(
            "feed_snapshot_left_tables", "Tables that the newest snapshot has not read whole.", ["feed"]
        )
        self._behind = self._gauge("feed_sink_lag_records", "Records that a sink has not taken yet.", ["feed"])
        self._oldest = self._gauge(
            "feed_sink_oldest_age_seconds",
            "Age of the oldest record that a sink has not taken yet, by the time it carries; 0 when there is none.",
            ["feed"],
        )
        self._restarted = Counter(
            "throughline_feed_connector_restarts", "How often what had failed of a connector was restarted.", ["feed"],
            registry=registry,
        )  # fmt: skip
        self._unknown = self._gauge(
            "feed_watch_unknown",
            "How much could not be learnt at the last look.",
            ["place"],
        )
        self._looked = self._gauge("feed_watch_timestamp_seconds", "When the last look ended.", [])

    def _gauge(self, name: str, documentation: str, labels: Sequence[str]) -> Gauge:
        return Gauge(f"throughline_{name}", documentation, labels, registry=self._registry)

    def restarted(self, feed: str) -> None:
        """Count a restart."""
        self._restarted.labels(feed).inc()

    def set(self, feeds: Iterable[tuple[str, Line]], unknown: dict[str, int], now_ms: int) -> None:
        """Set all figures as a look found them; what is not known has none."""
        for gauge in (
            self._state, self._age, self._lag, self._left, self._slot, self._rows, self._tables, self._behind,
            self._oldest,
        ):  # fmt: skip
            gauge.clear()
        for feed, line in feeds:
            if line.state != FEED_STATE and not unknown["connect"]:
                _set_state(self._state, feed, CONNECTOR_STATES, state_of(line.standing))
                self._restarted.labels(feed)  # from zero, so that Prometheus sees the first one as an increase
            self._set_freshness(feed, line.freshness, now_ms)
        for place in PLACES:
            self._unknown.labels(place).set(unknown[place])
        self._looked.set(now_ms / 1000)

    def _set_freshness(self, feed: str, fresh: Freshness, now_ms: int) -> None:
        if fresh.newest_ms is not None:
            self._age.labels(feed).set(max(0, now_ms - fresh.newest_ms) / 1000)
        if fresh.behind_records is not None:
            self._oldest.labels(feed).set(0 if fresh.oldest_ms is None else max(0, now_ms - fresh.oldest_ms) / 1000)
        if fresh.slot_state is not None:
            _set_state(self._slot, feed, SLOT_STATES, fresh.slot_state)
        for gauge, figure in (
            (self._lag, fresh.slot_lag_bytes),
            (self._left, fresh.slot_left_bytes),
            (self._rows, fresh.snapshot_rows),
            (self._tables, fresh.snapshot_tables_left),
            (self._behind, fresh.behind_records),
        ):
            if figure is not None:
                gauge.labels(feed).set(figure)


def state_of(standing: Standing | None) -> str:
    """Return the state of a connector: failed if anything of it has, else its own or a task's that does not run."""
    if standing is None:
        return "missing"
    if standing.failures:
        return "failed"
    states = [standing.state, *(task.state for task in standing.tasks)]
    behind = next((state for state in states if state != "RUNNING"), None)
    if behind is None:
        return "running" if standing.tasks else "unassigned"
    return behind.lower()


def _set_state(gauge: Gauge, feed: str, states: Iterable[str], state: str) -> None:
    for each in dict.fromkeys((*states, state)):
        gauge.labels(feed, each).set(each == state)
