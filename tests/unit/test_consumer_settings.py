"""The settings of the worker's consumer: what the group goes by."""

import pytest

from streams.config import load
from streams.engine.clients import consumer_config


@pytest.mark.parametrize(("session_s", "heartbeat_ms"), [(1.0, 250), (8.0, 2_000), (45.0, 2_000), (300.0, 2_000)])
def test_however_long_the_session_a_worker_hears_of_a_rebalance_within_two_seconds(
    session_s: float, heartbeat_ms: int
) -> None:
    config = consumer_config(load(None, session_timeout_s=session_s), "a")
    assert config["session.timeout.ms"] == session_s * 1000
    assert config["heartbeat.interval.ms"] == heartbeat_ms


@pytest.mark.parametrize(("static", "name"), [(True, "firm-a"), (False, None)])
def test_a_worker_is_known_to_the_group_by_its_state_folder_if_membership_is_static(
    static: bool, name: str | None
) -> None:
    config = consumer_config(load(None, group="firm", static_membership=static), "a")
    assert config.get("group.instance.id") == name
