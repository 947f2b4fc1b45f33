"""What feeds tell Prometheus, in base units: what they land, what they wait for, what goes wrong."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from connect.feeds.runner import Landed

_ERRORS: Final = ("retriable", "fatal", "defect")
_WAITS: Final = ("poll", "backoff", "asked")
_ENDS: Final = ("stopped", "finished", "failed")
_WHY_MAX: Final = 400
"""So many characters of a reason are told: it names table and column, and what to do."""


class FeedMetrics:
    """The figures of all feeds of one program."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._records = self._counter("records", "Changes landed.", ["topic"])
        self._rejects = self._counter("rejects", "Rows that cannot be read, by the topic they are of.", ["topic"])
        self._gaps = self._counter("gaps", "Times that something was known to be missing.")
        self._errors = self._counter("errors", "Errors of a feed, by what is to be done.", ["how"])
        self._waits = self._counter("wait_seconds", "Time waited before the source was asked again.", ["why"])
        self._requests = self._counter("requests", "Requests to the source, by their status.", ["status"])
        self._held = self._counter("held_seconds", "Time that requests were held back to keep to a rate.")
        self._ends = self._counter("ends", "How feeds have ended.", ["how"])
        self._newest = self._gauge("newest_record_timestamp_seconds", "When the newest change landed had happened.")
        self._answered = self._gauge("answered_timestamp_seconds", "When the source has answered last.")
        self._failure = self._gauge("failure", "1 for why a feed has ended by a failure.", ["why"])

    def _counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"throughline_feed_{name}_total", documentation, ["feed", *labels], registry=self._registry)

    def _gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"throughline_feed_{name}", documentation, ["feed", *labels], registry=self._registry)

    def of(self, feed: str) -> "OfFeed":
        """Return what counts for one feed, with what can be known beforehand at zero."""
        told = OfFeed(self, feed)
        for counter, labels in ((self._errors, _ERRORS), (self._waits, _WAITS), (self._ends, _ENDS)):
            for label in labels:
                counter.labels(feed, label)
        for counter in (self._gaps, self._held):
            counter.labels(feed)
        return told

    def count_landed(self, feed: str, landed: Landed) -> None:
        """Count what of a batch stands in topics."""
        for topic, records in landed.records.items():
            self._records.labels(feed, topic).inc(records)
        for topic, rejects in landed.rejects.items():
            self._rejects.labels(feed, topic).inc(rejects)
        if landed.newest_ms is not None:
            self._newest.labels(feed).set(landed.newest_ms / 1000)

    def answered(self, feed: str, at_ms: int) -> None:
        """Set when a source has answered."""
        self._answered.labels(feed).set(at_ms / 1000)

    def gap(self, feed: str) -> None:
        """Count a gap."""
        self._gaps.labels(feed).inc()

    def failed(self, feed: str, how: str) -> None:
        """Count an error."""
        self._errors.labels(feed, how).inc()

    def waited(self, feed: str, why: str, seconds: float) -> None:
        """Count a wait."""
        self._waits.labels(feed, why).inc(seconds)

    def requested(self, feed: str, status: str) -> None:
        """Count a request by its status, or by what came in place of one."""
        self._requests.labels(feed, status).inc()

    def held(self, feed: str, seconds: float) -> None:
        """Count time that a request was held back."""
        self._held.labels(feed).inc(seconds)

    def ended(self, feed: str, how: str, why: str | None) -> None:
        """Count the end of a feed, and tell why it failed."""
        self._ends.labels(feed, how).inc()
        if why is not None:
            self._failure.labels(feed, why[:_WHY_MAX]).set(1)


class OfFeed:
    """Counts for one feed; what runner and HTTP client are told."""

    def __init__(self, metrics: FeedMetrics, feed: str) -> None:
        self._metrics = metrics
        self._feed = feed
        self._newest_ms: int | None = None

    def landed(self, landed: Landed) -> None:
        """A batch stands in topics."""
        if landed.newest_ms is not None:  # what is corrected belatedly makes a feed no older
            self._newest_ms = max(landed.newest_ms, self._newest_ms or 0)
        self._metrics.count_landed(self._feed, landed._replace(newest_ms=self._newest_ms))

    def answered(self, at_ms: int) -> None:
        """The source has answered."""
        self._metrics.answered(self._feed, at_ms)

    def gap(self) -> None:
        """Something is known to be missing."""
        self._metrics.gap(self._feed)

    def failed(self, how: str) -> None:
        """An error: `retriable`, `fatal` or `defect`."""
        self._metrics.failed(self._feed, how)

    def waited(self, why: str, seconds: float) -> None:
        """A wait begins."""
        self._metrics.waited(self._feed, why, seconds)

    def requested(self, status: str) -> None:
        """A request was answered, or not."""
        self._metrics.requested(self._feed, status)

    def held(self, seconds: float) -> None:
        """A request was held back."""
        self._metrics.held(self._feed, seconds)

    def ended(self, how: str, why: str | None = None) -> None:
        """The feed has ended: `stopped`, `finished` or `failed`, and `why` that."""
        self._metrics.ended(self._feed, how, why)
