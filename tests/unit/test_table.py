"""Tables: typed values over a store; what is not flushed yet is read as if it were."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from state import MemoryStore, State, Store, Table
from state.cache import DECODED_TIMES, DEFAULT_BYTES_MAX, ENTRY_BYTES, CacheBudget
from state.rocks import RocksStore
from state.store import Writes
from state.table import END


class Row(NamedTuple):
    name: str
    amount: Decimal | None
    days: tuple[date, ...] = ()


def _table(store: Store | None = None, cache: CacheBudget | None = None) -> tuple[State, Table[int]]:
    state = State(store or MemoryStore(), cache=cache)
    return state, state.table("t", int)


def _all(table: Table[int], reverse: bool = False) -> list[tuple[str, int]]:
    return list(table.between("", END, reverse))


def test_what_was_put_is_read_before_and_after_a_flush() -> None:
    state, table = _table()
    table.put("a", 1)
    assert (table.get("a"), table.get("b")) == (1, None)
    state.flush()
    assert (table.get("a"), table.get("b")) == (1, None)


def test_zero_and_false_are_values() -> None:
    state, table = _table()
    table.put("a", 0)
    state.flush()
    assert _table(state.store)[1].get("a") == 0


def test_a_value_comes_back_as_it_was_put() -> None:
    store = MemoryStore()
    state = State(store)
    row = Row("Müller", Decimal("1.50"), (date(2026, 2, 28), date.max))
    state.table("rows", Row).put("a", row)
    state.flush()
    found = State(store).table("rows", Row).get("a")
    assert found == row
    assert str(found.amount) == "1.50"


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("scanned", [False, True])
def test_what_was_deleted_is_gone(flushed: bool, scanned: bool) -> None:
    state, table = _table()
    table.put("a", 1)
    table.put("b", 2)
    if flushed:
        state.flush()
    if scanned:
        assert _all(table) == [("a", 1), ("b", 2)]
    table.delete("a")
    table.delete("never")
    assert (table.get("a"), _all(table)) == (None, [("b", 2)])
    state.flush()
    assert (table.get("a"), _all(table)) == (None, [("b", 2)])
    assert _all(_table(state.store)[1]) == [("b", 2)]


def test_what_was_deleted_may_come_again() -> None:
    state, table = _table()
    table.put("a", 1)
    state.flush()
    table.delete("a")
    table.put("a", 2)
    assert (table.get("a"), _all(table)) == (2, [("a", 2)])
    state.flush()
    assert _all(_table(state.store)[1]) == [("a", 2)]


MERGES: dict[str, tuple[dict[str, int], dict[str, int | None], list[tuple[str, int]]]] = {
    # flushed, then unflushed (None: deleted)
    "only flushed": ({"a": 1, "c": 3}, {}, [("a", 1), ("c", 3)]),
    "only unflushed": ({}, {"c": 3, "a": 1}, [("a", 1), ("c", 3)]),
    "between": ({"a": 1, "c": 3}, {"b": 2}, [("a", 1), ("b", 2), ("c", 3)]),
    "before and after": ({"b": 2}, {"a": 1, "c": 3}, [("a", 1), ("b", 2), ("c", 3)]),
    "changed": ({"a": 1, "b": 2, "c": 3}, {"b": 20}, [("a", 1), ("b", 20), ("c", 3)]),
    "deleted in the middle": ({"a": 1, "b": 2, "c": 3}, {"b": None}, [("a", 1), ("c", 3)]),
    "deleted at both ends": ({"a": 1, "b": 2, "c": 3}, {"a": None, "c": None}, [("b", 2)]),
    "all deleted": ({"a": 1, "b": 2}, {"a": None, "b": None}, []),
    "deleted beside new ones": (
        {"b": 2, "d": 4},
        {"a": 1, "b": None, "c": 3, "d": None, "e": 5},
        [("a", 1), ("c", 3), ("e", 5)],
    ),
    "a run of new ones": (
        {"a": 1, "e": 5},
        {"b": 2, "c": 3, "d": 4},
        [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)],
    ),
}


@pytest.mark.parametrize(("flushed", "unflushed", "found"), MERGES.values(), ids=MERGES)
def test_scans_merge_what_is_flushed_with_what_is_not(
    flushed: dict[str, int], unflushed: dict[str, int | None], found: list[tuple[str, int]]
) -> None:
    state, table = _table()
    for key, value in flushed.items():
        table.put(key, value)
    state.flush()
    for key, changed in unflushed.items():
        if changed is None:
            table.delete(key)
        else:
            table.put(key, changed)
    assert _all(table) == found
    assert _all(table, reverse=True) == found[::-1]
    assert list(table.between("b", "d")) == [(key, value) for key, value in found if "b" <= key < "d"]
    assert list(table.between("b", "d", reverse=True)) == [(k, v) for k, v in found[::-1] if "b" <= k < "d"]


def test_a_prefix_scan_takes_all_that_begins_with_it() -> None:
    _, table = _table()
    for number, key in enumerate(["C1\x1fa", "C1\x1f\uffff", "C1\x1f😀", "C1", "C10\x1fa", "C2\x1fa"]):
        table.put(key, number)
    assert [key for key, _ in table.scan("C1\x1f")] == ["C1\x1fa", "C1\x1f\uffff", "C1\x1f😀"]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("cached", [1, DEFAULT_BYTES_MAX])
def test_a_table_is_a_sorted_dict(
    seed: int, on_disk: bool, cached: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("state.table.LOADS_PER_WEIGHING", 1)
    random = Random(seed)
    state, table = _table(RocksStore(tmp_path / "0") if on_disk else None, CacheBudget(cached))
    model: dict[str, int] = {}
    in_flight: Writes | None = None
    keys = [f"{group}\x1f{number}" for group in "abc" for number in range(6)]
    for turn in range(200):
        key, action = random.choice(keys), random.random()
        if action < 0.5:
            table.put(key, turn)
            model[key] = turn
        elif action < 0.75:
            table.delete(key)
            model.pop(key, None)
        elif in_flight is not None:
            state.store.apply(in_flight)
            state.stored()
            in_flight = None
        elif action < 0.85:
            state.flush()
        else:
            in_flight = state.take_writes()
        low, high = sorted(random.choices(keys, k=2))
        backwards = random.random() < 0.5
        inside = sorted(((k, v) for k, v in model.items() if low <= k < high), reverse=backwards)
        assert list(table.between(low, high, backwards)) == inside
        assert table.get(key) == model.get(key)
    state.close()


def test_what_is_in_flight_is_read_and_changed_as_if_it_were_stored() -> None:
    state, table = _table()
    for key in "abc":
        table.put(key, 1)
    state.flush()
    table.put("b", 2)
    table.delete("c")
    table.put("d", 2)
    first = state.take_writes()
    assert _all(table) == [("a", 1), ("b", 2), ("d", 2)]
    table.put("a", 3)
    table.delete("d")  # the store does not know it yet, and will
    assert _all(table) == [("a", 3), ("b", 2)]
    state.store.apply(first)
    state.stored()
    assert (_all(table), state.unflushed()) == ([("a", 3), ("b", 2)], 2)
    assert state.take_writes() == {"t": {"a": b"\x03", "d": None}}


def test_what_is_in_flight_stays_in_memory_however_small_the_cache() -> None:
    state, table = _table(cache=CacheBudget(1))
    for number in range(1_000):
        table.put(f"{number:06d}", number)
    in_flight = state.take_writes()
    for number in range(1_000, 2_000):
        table.put(f"{number:06d}", number)
        assert table.get(f"x{number}") is None
    assert [table.get(f"{number:06d}") for number in range(2_000)] == list(range(2_000))
    state.store.apply(in_flight)
    state.stored()
    state.flush()
    assert [value for _, value in _all(_table(state.store)[1])] == list(range(2_000))


def test_what_is_not_flushed_is_undone_by_a_restart() -> None:
    state, table = _table()
    table.put("a", 1)
    state.flush()
    table.put("a", 2)
    table.put("b", 3)
    table.delete("a")
    restarted = _table(state.store)[1]
    assert _all(restarted) == [("a", 1)]


def test_reading_through_a_bounded_cache_changes_nothing() -> None:
    budget = CacheBudget(100_000)
    state, table = _table(cache=budget)
    for number in range(5_000):
        table.put(f"{number:06d}", number)
        if number % 500 == 0:
            state.flush()
    state.flush()
    assert all(table.get(f"{number:06d}") == number for number in range(5_000))
    assert table.get("none") is None
    assert budget.bytes_held <= 2 * budget.bytes_max
    assert budget.loads > 0


def test_tables_of_several_states_share_a_budget_and_give_back_what_they_hold() -> None:
    budget = CacheBudget(1_000_000)
    states = [_table(cache=budget)[0] for _ in range(3)]
    for state in states:
        state.table("u", str).put("key", "x" * 1_000)
        state.flush()
    each = ENTRY_BYTES + DECODED_TIMES * 1_003  # MessagePack takes three bytes to say how long a text is
    assert (budget.bytes_held, budget.tables) == (3 * each, 3)
    for state in states:
        state.close()
    assert (budget.bytes_held, budget.tables) == (0, 0)


def test_a_table_that_holds_most_gives_back_first() -> None:
    budget = CacheBudget(200_000)
    (small_state, small), (large_state, large) = _table(cache=budget), _table(cache=budget)
    small.put("a", 1)
    small_state.flush()
    for number in range(2_000):
        large.put(f"{number:06d}", number)
    large_state.flush()
    for number in range(2_000):
        large.put(f"{number:06d}", -number)
    large_state.flush()
    before = budget.loads
    assert small.get("a") == 1
    small_state.flush()
    assert budget.loads == before, "the small table was emptied, too"


def test_unflushed_keys_are_counted() -> None:
    state, table = _table()
    other = state.table("u", int)
    table.put("a", 1)
    table.put("a", 2)
    other.put("a", 1)
    assert state.unflushed() == 2
    state.flush()
    assert state.unflushed() == 0


def test_a_table_is_one_and_the_same_by_its_name() -> None:
    state, table = _table()
    assert state.table("t", int) is table


def test_tables_are_flushed_together() -> None:
    applied: list[set[str]] = []

    class Watched:
        def __init__(self) -> None:
            store = MemoryStore()
            self.get, self.scan, self.close, self._apply = store.get, store.scan, store.close, store.apply

        def apply(self, writes: Writes) -> None:
            applied.append(set(writes))
            self._apply(writes)

    state = State(Watched())
    for name in ("t", "u", "v"):
        state.table(name, int)
    state.table("t", int).put("a", 1)
    state.table("u", int).put("a", 1)
    state.flush()
    state.flush()
    assert applied == [{"t", "u"}]


def test_hits_are_counted_while_somebody_asks_for_them() -> None:
    budget = CacheBudget()
    state, table = _table(cache=budget)
    other = state.table("u", int)
    table.put("a", 1)
    table.get("a")
    assert budget.hits == 0
    state.count_hits(True)
    assert [table.get("a"), table.get("a"), other.get("b"), other.get("b")] == [1, 1, None, None]
    assert budget.hits == 3
    state.count_hits(False)
    assert (table.get("a"), other.get("b"), budget.hits) == (1, None, 3)
