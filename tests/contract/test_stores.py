"""What every store promises: the same suite over memory, RocksDB, and memory that moves to RocksDB at some point."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from state import MemoryStore, Store
from state.rocks import RocksStore, StoreUnavailable
from state.spill import Budget, SpillingStore

Opener = Callable[[], Store]


STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "rocks": RocksStore,
    "spilling": lambda folder: SpillingStore(folder, Budget(10_000)),
    "spilt at once": lambda folder: SpillingStore(folder, Budget(0)),
    "spilt after some keys": lambda folder: SpillingStore(folder, Budget(500)),
}


@pytest.fixture(params=[*STORES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened = STORES[request.param](tmp_path / "state" / "0")
    yield opened
    opened.close()


def _scan(store: Store, start: str, end: str, reverse: bool = False) -> list[str]:
    return [key for key, _ in store.scan("t", start, end, reverse)]


def _put(store: Store, *keys: str) -> None:
    store.apply({"t": {key: key.encode() for key in keys}})


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.get("t", "a") is None
    assert list(store.scan("t", "", "\U0010ffff")) == []


def test_what_was_put_is_there(store: Store) -> None:
    store.apply({"t": {"a": b"1", "b": b""}})
    assert (store.get("t", "a"), store.get("t", "b")) == (b"1", b"")


def test_the_last_value_holds_and_none_deletes(store: Store) -> None:
    store.apply({"t": {"a": b"1", "b": b"2"}})
    store.apply({"t": {"a": b"3", "b": None, "c": None}})
    assert [store.get("t", key) for key in "abc"] == [b"3", None, None]
    assert list(store.scan("t", "", "\U0010ffff")) == [("a", b"3")]


def test_tables_are_apart(store: Store) -> None:
    store.apply({"t": {"a": b"1"}, "t2": {"a": b"2"}, "s": {"z": b"3"}})
    assert (store.get("t", "a"), store.get("t2", "a"), store.get("u", "a")) == (b"1", b"2", None)
    assert list(store.scan("t", "", "\U0010ffff")) == [("a", b"1")]
    assert list(store.scan("t2", "", "\U0010ffff", reverse=True)) == [("a", b"2")]


SCANS: dict[str, tuple[str, str, list[str]]] = {
    "the start counts, the end does not": ("b", "d", ["b", "b\x1fx", "b\x1fy", "c"]),
    "all": ("", "\U0010ffff", ["a", "b", "b\x1fx", "b\x1fy", "c", "d"]),
    "a prefix": ("b\x1f", "b\x1f\U0010ffff", ["b\x1fx", "b\x1fy"]),
    "between keys": ("bb", "cc", ["c"]),
    "nothing": ("e", "f", []),
    "an empty range": ("c", "c", []),
    "the wrong way round": ("d", "a", []),
    "to the last key": ("d", "d\x00", ["d"]),
}


@pytest.mark.parametrize(("start", "end", "keys"), SCANS.values(), ids=SCANS)
def test_scans_are_ordered_both_ways(store: Store, start: str, end: str, keys: list[str]) -> None:
    _put(store, "c", "a", "b\x1fy", "d", "b", "b\x1fx")
    assert _scan(store, start, end) == keys
    assert _scan(store, start, end, reverse=True) == keys[::-1]


def test_keys_order_by_code_point(store: Store) -> None:
    # UTF-16 would put the last before U+E000, and a locale would mix cases.
    keys = ["Z", "a", "z", "é", "漢", "\ue000", "😀"]
    _put(store, *reversed(keys))
    assert _scan(store, "", "\U0010ffff") == keys
    assert _scan(store, "", "\U0010ffff", reverse=True) == keys[::-1]


def test_values_are_bytes_whatever_they_hold(store: Store) -> None:
    value = bytes(range(256)) * 300
    store.apply({"t": {"a": value}})
    assert store.get("t", "a") == value


def test_a_scan_need_not_be_finished(store: Store) -> None:
    _put(store, "a", "b", "c")
    assert next(store.scan("t", "", "\U0010ffff"), None) == ("a", b"a")
    assert next(store.scan("t", "", "\U0010ffff", reverse=True), None) == ("c", b"c")
    store.apply({"t": {"a": None}})
    assert _scan(store, "", "\U0010ffff") == ["b", "c"]


def test_a_reverse_scan_from_a_key_that_is_there_leaves_it_out(store: Store) -> None:
    _put(store, "a", "b", "c")
    assert _scan(store, "a", "c", reverse=True) == ["b", "a"]


# -- what only a store on disk promises


def test_what_was_applied_outlives_its_process(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "0")
    first.apply({"t": {"a": b"1", "b": b"2"}})
    first.apply({"t": {"a": None}})
    first.close()
    second = RocksStore(tmp_path / "0")
    assert list(second.scan("t", "", "\U0010ffff")) == [("b", b"2")]
    second.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "0")
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        RocksStore(tmp_path / "0")
    first.close()
    RocksStore(tmp_path / "0").close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreUnavailable, OSError), match="file"):
        RocksStore(tmp_path / "file" / "0")


def test_stores_share_a_budget(tmp_path: Path) -> None:
    budget = Budget(4_000)
    small, large = (SpillingStore(tmp_path / name, budget) for name in ("small", "large"))
    _put(small, "a")
    for number in range(40):
        _put(large, f"{number:02d}")
    assert [path.name for path in tmp_path.iterdir()] == ["large"]
    assert (_scan(small, "", "z"), len(_scan(large, "", "z"))) == (["a"], 40)
    assert 0 < budget.bytes_held < 200  # the small one's
    small.close()
    large.close()
