"""Timers: durable, one a key, fired in order of time and key."""

from collections.abc import Iterable
from random import Random

import pytest

from state import MemoryStore, State
from state.timers import Timers


def _timers(*pending: tuple[str, int]) -> Timers:
    timers = Timers(State(MemoryStore()))
    for key, due in pending:
        timers.set(key, due)
    return timers


def _fired(timers: Timers, now: int) -> list[str]:
    return list(iter(lambda: timers.take_due(now), None))


def test_nothing_is_due_before_anything_is_set() -> None:
    timers = _timers()
    assert (timers.next_due(), timers.take_due(10**15)) == (None, None)


ORDERS: dict[str, tuple[Iterable[tuple[str, int]], int, list[str], int | None]] = {
    "in order of time, not of setting": ([("b", 20), ("a", 30), ("c", 10)], 30, ["c", "b", "a"], None),
    "equal times in order of key": ([("b", 20), ("c", 20), ("a", 20)], 20, ["a", "b", "c"], None),
    "only what is due": ([("b", 20), ("a", 30), ("c", 10)], 20, ["c", "b"], 30),
    "nothing yet": ([("b", 20)], 19, [], 20),
    "by number, not by text": ([("a", 100), ("b", 20), ("c", 3)], 100, ["c", "b", "a"], None),
    "across the digits of milliseconds": ([("a", 10**12), ("b", 10**12 - 1), ("c", 0)], 10**12, ["c", "b", "a"], None),
    "moved later": ([("a", 10), ("b", 20), ("a", 30)], 30, ["b", "a"], None),
    "moved earlier": ([("a", 30), ("b", 20), ("a", 10)], 30, ["a", "b"], None),
    "moved to where it was": ([("a", 10), ("b", 20), ("a", 30), ("a", 10)], 20, ["a", "b"], None),
    "keys with spaces": ([("a b", 10), ("a", 10)], 10, ["a", "a b"], None),
    "before 1970, at once": ([("a", -5), ("b", 0)], 0, ["a", "b"], None),
}


@pytest.mark.parametrize(("pending", "now", "fired", "left"), ORDERS.values(), ids=ORDERS)
def test_timers_fire_in_order(pending: Iterable[tuple[str, int]], now: int, fired: list[str], left: int | None) -> None:
    timers = _timers(*pending)
    assert _fired(timers, now) == fired
    assert timers.next_due() == left
    assert _fired(timers, now) == []


@pytest.mark.parametrize("due", [-5, 0])
def test_a_timer_due_at_once_is_the_next(due: int) -> None:
    timers = _timers(("a", 50))
    assert timers.next_due() == 50
    timers.set("b", due)
    assert timers.next_due() == 0
    timers.cancel("b")
    assert timers.next_due() == 50


def test_a_cancelled_timer_never_fires() -> None:
    timers = _timers(("a", 10), ("b", 20))
    timers.cancel("a")
    timers.cancel("never set")
    assert (timers.next_due(), _fired(timers, 100)) == (20, ["b"])


def test_a_fired_timer_may_be_set_again_and_cancelled_without_effect() -> None:
    timers = _timers(("a", 10))
    assert _fired(timers, 10) == ["a"]
    timers.cancel("a")
    timers.set("a", 10)
    assert _fired(timers, 10) == ["a"]


def test_a_restart_fires_what_fell_due_and_nothing_that_was_not_flushed() -> None:
    store = MemoryStore()
    state = State(store)
    timers = Timers(state)
    timers.set("a", 10)
    timers.set("b", 20)
    state.flush()
    timers.set("b", 5)
    timers.cancel("a")
    timers.set("c", 1)
    restarted = Timers(State(store))
    assert restarted.next_due() == 10
    assert _fired(restarted, 100) == ["a", "b"]


@pytest.mark.parametrize("seed", range(10))
def test_timers_agree_with_a_plain_list(seed: int) -> None:
    random = Random(seed)
    state = State(MemoryStore())
    timers, model = Timers(state), dict[str, int]()
    for now in range(300):
        key, action = random.choice("abcdefgh"), random.random()
        if action < 0.6:
            model[key] = now + random.randint(-3, 30)
            timers.set(key, model[key])
        elif action < 0.7:
            model.pop(key, None)
            timers.cancel(key)
        elif action < 0.8:
            state.flush()
        else:
            due = sorted((max(at, 0), k) for k, at in model.items() if at <= now)
            assert _fired(timers, now) == [k for _, k in due]
            for _, k in due:
                del model[k]
        assert timers.next_due() == (max(min(model.values()), 0) if model else None)
