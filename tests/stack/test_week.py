"""A week of invented outages, a short one: nothing is missing in the end, and nothing is there twice."""

from pathlib import Path

from live.outages import run
from tests.stack.conftest import say


def test_whatever_fails_in_a_week_nothing_is_missing_and_nothing_is_there_twice(tmp_path: Path) -> None:
    verdict = run(tmp_path, seed=11, time_entries=600, seconds=25, say=say)
    assert (verdict.lost, verdict.doubled) == (0, 0)
    assert verdict.outages > 1
