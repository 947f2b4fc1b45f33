"""Half load: what a worker can do while it is written to, and the writing at a rate."""

from collections.abc import Mapping

import pytest

from bench.keeping_up import PATIENCE_SECONDS, KeepingUp
from bench.pacing import due_after
from bench.topics import Place

PLACE = ("orders", 0)


class Group:
    """Written to and committed as the test says, at a time that the test says."""

    def __init__(self) -> None:
        self.now, self.written, self.committed = 0.0, 0, 0

    def offsets(self) -> dict[Place, int]:
        return {PLACE: self.committed}

    def open(self, offsets: Mapping[Place, int]) -> dict[Place, int]:
        return {PLACE: self.written - offsets[PLACE]}


def ramp(can_do: int, held_up: range = range(0)) -> tuple[list[float], float]:
    """A rate that rises by 1,000 records a second every second; return when the group was behind, and its rate then.

    In the tenths of a second in `held_up` the group does nothing.
    """
    group = Group()
    keeping_up = KeepingUp(group, lambda: group.now)
    behind = []
    for tenth in range(1, 401):
        group.now = tenth / 10
        group.written = round(due_after(group.now, 40_000, 40.0))
        if tenth not in held_up:
            group.committed = min(group.written, group.committed + can_do // 10)
        if keeping_up.is_behind():
            behind.append(group.now)
            break
    return behind, keeping_up.per_second


def test_a_group_is_behind_once_it_has_not_kept_up_for_a_while_and_its_rate_is_what_it_did_in_the_seconds_before() -> (
    None
):
    behind, rate = ramp(can_do=20_000)
    a_second_of_work_is_open = 20 + (2 * 20_000 / 1_000) ** 0.5
    assert behind == [pytest.approx(a_second_of_work_is_open + PATIENCE_SECONDS, abs=0.15)]
    assert rate == pytest.approx(20_000, rel=0.001)


def test_a_group_that_keeps_up_is_never_behind() -> None:
    behind, rate = ramp(can_do=50_000)
    assert behind == []
    assert rate == pytest.approx(37_500, rel=0.001)  # the last 5 of 40 seconds


def test_a_group_that_was_held_up_and_catches_up_is_not_behind() -> None:
    behind, _ = ramp(can_do=100_000, held_up=range(200, 215))
    assert behind == []


def test_a_group_that_has_committed_nothing_is_not_judged_nor_one_that_has_just_begun() -> None:
    group = Group()
    keeping_up = KeepingUp(group, lambda: group.now)
    for group.now, group.committed, group.written in ((0.0, 0, 9_000), (10.0, 0, 90_000), (11.0, 1, 90_000)):
        assert not keeping_up.is_behind()
    group.now = 16.0
    assert keeping_up.is_behind()


@pytest.mark.parametrize(("seconds", "due"), [(0, 0), (1, 5), (10, 500), (12, 700)])
def test_a_rate_rises_evenly_and_stays(seconds: float, due: float) -> None:
    assert due_after(seconds, 100, 10) == due


def test_a_rate_that_does_not_rise_is_there_at_once() -> None:
    assert due_after(3, 100, 0) == 300
