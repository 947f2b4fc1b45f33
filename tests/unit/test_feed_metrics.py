"""What is told of a feed: from zero, and never older than it was."""

from threading import Event
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from connect.configuration import UnusableConfiguration
from connect.feeds.contract import Fatal
from connect.feeds.runner import Landed, Runner
from streams.engine.feed_metrics import FeedMetrics
from streams.engine.feeds import FAILED, UNUSABLE, WELL, Prepared


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"throughline_feed_{name}", {"feed": "hr", **labels})


def test_what_can_be_known_beforehand_is_there_at_zero(registry: CollectorRegistry) -> None:
    FeedMetrics(registry).of("hr")
    for how in ("retriable", "fatal", "defect"):
        assert value(registry, "errors_total", how=how) == 0
    for why in ("poll", "backoff", "asked"):
        assert value(registry, "wait_seconds_total", why=why) == 0
    for how in ("stopped", "finished", "failed"):
        assert value(registry, "ends_total", how=how) == 0
    assert (value(registry, "gaps_total"), value(registry, "held_seconds_total")) == (0, 0)
    assert value(registry, "answered_timestamp_seconds") is None  # nobody has heard of it yet


def test_what_is_corrected_belatedly_makes_a_feed_no_older(registry: CollectorRegistry) -> None:
    told = FeedMetrics(registry).of("hr")
    for newest in (2_500, 1_000, None):
        told.landed(Landed({"hr.Worker": 2}, {"hr.Worker": 1}, newest))
    assert value(registry, "newest_record_timestamp_seconds") == 2.5
    assert value(registry, "records_total", topic="hr.Worker") == 6
    assert value(registry, "rejects_total", topic="hr.Worker") == 3


def test_all_that_is_told_is_counted(registry: CollectorRegistry) -> None:
    told = FeedMetrics(registry).of("hr")
    told.answered(4_500)
    told.gap()
    told.failed("retriable")
    told.waited("asked", 7.5)
    told.requested("429")
    told.held(0.25)
    assert value(registry, "answered_timestamp_seconds") == 4.5
    assert value(registry, "gaps_total") == 1
    assert value(registry, "errors_total", how="retriable") == 1
    assert value(registry, "wait_seconds_total", why="asked") == 7.5
    assert value(registry, "requests_total", status="429") == 1
    assert value(registry, "held_seconds_total") == 0.25


class Ending:
    """A runner that ends as it is told to."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def run(self, once: bool) -> None:  # noqa: ARG002
        if self._error is not None:
            raise self._error


ENDS = [
    (None, True, "stopped", WELL, "", {"defect": 0}),
    (None, False, "finished", WELL, "", {"defect": 0}),
    (Fatal("wrong password"), False, "failed", FAILED, "feed hr ends: wrong password", {"defect": 0}),
    (ZeroDivisionError("a defect"), False, "failed", FAILED, "feed hr ends by a defect", {"defect": 1}),
]


@pytest.mark.parametrize(("error", "is_stopped", "how", "code", "said", "errors"), ENDS)
def test_how_a_feed_ends_is_counted_and_told(
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    is_stopped: bool,
    how: str,
    code: int,
    said: str,
    errors: dict[str, int],
) -> None:
    stop = Event()
    if is_stopped:
        stop.set()
    told = FeedMetrics(registry).of("hr")
    assert Prepared(lambda: cast(Runner, Ending(error)), told, "hr", stop).run() == code
    assert value(registry, "ends_total", how=how) == 1
    assert said in caplog.text
    assert {how: value(registry, "errors_total", how=how) for how in errors} == errors


@pytest.mark.parametrize(
    ("error", "code", "said", "errors"),
    [
        (UnusableConfiguration("no such key"), UNUSABLE, "feed hr ends: no such key", {"fatal": 1}),
        (ZeroDivisionError("a defect"), FAILED, "feed hr ends by a defect", {"defect": 1}),
    ],
)
def test_a_feed_that_cannot_be_opened_ends_by_itself(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, error: Exception, code: int, said: str,
    errors: dict[str, int],
) -> None:  # fmt: skip
    def opened() -> Runner:
        raise error

    assert Prepared(opened, FeedMetrics(registry).of("hr"), "hr", Event()).run() == code
    assert said in caplog.text
    assert value(registry, "ends_total", how="failed") == 1
    assert {how: value(registry, "errors_total", how=how) for how in errors} == errors


def test_why_a_feed_has_failed_is_told_for_an_alert(registry: CollectorRegistry) -> None:
    told = FeedMetrics(registry).of("hr")
    Prepared(lambda: cast(Runner, Ending(None)), told, "hr", Event()).run()
    assert registry.get_sample_value("throughline_feed_failure", {"feed": "hr", "why": ""}) is None
    gone = "hr: Contract.EndDate is no longer there: bring it back, or name another field"
    Prepared(lambda: cast(Runner, Ending(Fatal(gone))), told, "hr", Event()).run()
    assert value(registry, "failure", why=gone) == 1
    Prepared(lambda: cast(Runner, Ending(KeyError("x"))), told, "hr", Event()).run()
    assert value(registry, "failure", why="a defect: KeyError('x')") == 1
