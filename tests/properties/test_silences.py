"""Silence of feeds under random beats, crashes and delays: no alert without silence, and none is missed in the end."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from schemas.debezium import HEARTBEAT_PREFIX
from streams.domain.calendar import MINUTE_MS
from streams.intake.reading import Reader
from streams.simulator import Simulator
from streams.step import Record
from streams.topics import ALERTS
from streams.topology import topology
from tests.support.streams import Collected, instant_of, reader, rulebook

pytestmark = pytest.mark.properties

FEEDS = ("crm", "psa")
TICK_MS, LIMIT_TICKS = MINUTE_MS // 2, 30
"""The clock goes on by half a minute; after 15 of them a feed has stalled."""


def piecewise(simulator: Simulator, random: Random, crash_rate: float) -> None:
    """Let time pass by a tick, and let all that is to do be done in any order, with crashes."""
    simulator.now += TICK_MS
    simulator.churn(random, crash_rate)


def beat(simulator: Simulator, feed: str, random: Random) -> None:
    """Let a heartbeat come on any partition."""
    record = Record(HEARTBEAT_PREFIX + feed, f"key {random.randrange(100)}", b"", 0)
    simulator.feed(record._replace(value=reader().read(record)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    seed=st.integers(0, 2**32),
    partitions=st.sampled_from([1, 4]),
    crash_rate=st.sampled_from([0.0, 0.02, 0.2]),
    pauses=st.lists(st.integers(0, 2 * LIMIT_TICKS), max_size=8),
)
def test_an_alert_is_open_while_a_feed_is_silent(
    seed: int, partitions: int, crash_rate: float, pauses: list[int]
) -> None:
    random, told = Random(seed), Collected()
    rules = rulebook()
    simulator = Simulator(topology(rules, Reader(rules.mappings, lambda *_: {}), FEEDS), told, partitions)
    simulator.now = begun = instant_of("2026-03-02T08:00:00Z")
    heard = dict.fromkeys(FEEDS, begun)
    longest = 0
    for pause in pauses:
        feed = random.choice(FEEDS)
        for _ in range(pause):
            piecewise(simulator, random, crash_rate)
        longest = max(longest, *(simulator.now - at for at in heard.values()))
        heard[feed] = simulator.now
        beat(simulator, feed, random)
        simulator.churn(random, crash_rate)
        assert _open(told)[feed] is False
    opened = [alert for alert in told.of(ALERTS) if alert["state"] == "open"]
    assert longest >= LIMIT_TICKS * TICK_MS or not opened
    for _ in range(4 * LIMIT_TICKS):
        piecewise(simulator, random, 0.0)
    assert _open(told) == dict.fromkeys(FEEDS, True)
    for key in (f"feed_stalled:{feed}" for feed in FEEDS):
        states = [alert["state"] for alert in told.of(ALERTS) if alert["alert_id"] == key]
        assert states == ["open", "resolved"] * (len(states) // 2) + ["open"]


def _open(told: Collected) -> dict[str, bool]:
    """Of which feeds an alert is open."""
    states = {alert["entity_id"]: alert["state"] for alert in told.of(ALERTS)}
    return {feed: states.get(feed, "resolved") != "resolved" for feed in FEEDS}
