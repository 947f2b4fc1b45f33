"""The plan of the crash matrix: a seed repeats it, and every point has its turn. What is left is counted rightly."""

from collections import Counter

import pytest

from streams.engine.probe import CHECKPOINT_POINTS, OTHER_POINTS
from tests.crash.entries import batch_result, entries
from tests.crash.fates import POINTS, SIGNAL, ZOMBIE, plan
from tests.crash.verdict import Count


def test_a_seed_repeats_plan_and_input() -> None:
    assert plan(7, 31, 2) == plan(7, 31, 2)
    assert plan(7, 31, 2) != plan(8, 31, 2)
    assert list(entries(7, 100)) == list(entries(7, 100))
    assert list(entries(7, 100)) != list(entries(8, 100))


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    for short, long in zip(plan(7, 10, 2), plan(7, 30, 2), strict=True):
        assert long[: len(short)] == short


def test_every_point_has_its_turn_before_any_comes_again() -> None:
    every = {*CHECKPOINT_POINTS, *OTHER_POINTS, "batch", SIGNAL, ZOMBIE}
    assert every == {*POINTS, SIGNAL, ZOMBIE}
    for seed in range(20):
        dealt = plan(seed, len(every), 2)
        assert Counter(fate.point for fates in dealt for fate in fates) == Counter(every)
        assert abs(len(dealt[0]) - len(dealt[1])) <= 1


@pytest.mark.parametrize(
    ("found", "lost", "doubled"),
    [
        (["a", "b", "c"], 0, 0),
        (["a", "b"], 1, 0),
        (["a", "a", "a", "b", "c"], 0, 2),
        (["a", "b", "c", "d"], 0, 1),
        (["a", "a", "d"], 2, 2),
        ([], 3, 0),
    ],
)
def test_what_is_missing_and_what_is_too_much_are_counted_apart(found: list[str], lost: int, doubled: int) -> None:
    count = Count()
    count.hold("thing", Counter(found), ["a", "b", "c"])
    assert count.verdict()[:2] == (lost, doubled)


def test_a_value_that_differs_is_counted_as_lost_and_told() -> None:
    count = Count()
    count.equal("sum of C1", 4, 4)
    count.equal("sum of C2", None, 4)
    assert count.verdict() == (1, 0, ("sum of C2: None instead of 4",))


def test_the_batch_sums_what_is_fed() -> None:
    fed = list(entries(3, 500))
    result = batch_result(3, 500)
    assert sum(result.hours.values()) == sum(entry.hours for entry in fed)
    assert sorted(number for rows in result.entries.values() for number in rows) == list(range(500))
