"""From where a store is restored: on from its place, from the beginning, or not at all."""

from pathlib import Path
from typing import NamedTuple

import pytest

from state.rocks import RocksStore
from streams.engine.changelog import Changelog, Extent, LostChangelogError
from streams.engine.cluster import TopicsError
from tests.support.kit import kit

NOW = 1_000_000_000
TOMBSTONES_MS = 72_000_000
FRESH, OLD = NOW - TOMBSTONES_MS, NOW - TOMBSTONES_MS - 1

REBUILD = None


class Store(NamedTuple):
    """A store as a changelog sees it."""

    position: int | None
    written_at: int
    folder: Path = Path("state/partition-3")


@pytest.fixture
def changelog() -> Changelog:
    return Changelog(kit(brokers="127.0.0.1:1"), "g.changelog", "c", TOMBSTONES_MS)


@pytest.mark.parametrize(
    ("position", "written_at", "extent", "start"),
    [
        pytest.param(None, 0, Extent(0, 0), 0, id="nothing anywhere"),
        pytest.param(None, 0, Extent(0, 500), 0, id="an empty folder"),
        pytest.param(0, FRESH, Extent(0, 500), 0, id="a store of an empty log"),
        pytest.param(120, FRESH, Extent(0, 500), 120, id="behind the log"),
        pytest.param(500, FRESH, Extent(0, 500), 500, id="level with the log"),
        pytest.param(500, NOW + 5, Extent(0, 500), 500, id="written by a clock that went ahead"),
        pytest.param(501, FRESH, Extent(0, 500), REBUILD, id="ahead of the log: it is another log"),
        pytest.param(501, FRESH, Extent(0, 0), REBUILD, id="the log was made anew, and is empty"),
        pytest.param(120, OLD, Extent(0, 500), REBUILD, id="older than the log keeps deletions"),
        pytest.param(500, OLD, Extent(0, 500), 500, id="old, and level with the log: nothing happened"),
        pytest.param(120, FRESH, Extent(120, 500), 120, id="the head is lost, and the store has all of it"),
        pytest.param(500, FRESH, Extent(500, 500), 500, id="all is lost, and the store has all of it"),
        pytest.param(120, OLD, Extent(100, 500), 120, id="old, and the log could not give it all back"),
    ],
)
def test_a_store_is_restored_from(
    changelog: Changelog, position: int | None, written_at: int, extent: Extent, start: int | None
) -> None:
    store: object = Store(position, written_at)
    assert changelog.start_of(store, extent, NOW) == start  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("position", "extent"),
    [
        pytest.param(None, Extent(1, 500), id="an empty folder"),
        pytest.param(None, Extent(500, 500), id="an empty folder, and an empty log that was not always empty"),
        pytest.param(119, Extent(120, 500), id="a gap between store and log"),
        pytest.param(501, Extent(120, 500), id="a store of another log"),
    ],
)
def test_what_neither_store_nor_log_has_is_lost_and_told(
    changelog: Changelog, position: int | None, extent: Extent
) -> None:
    store: object = Store(position, FRESH)
    with pytest.raises(LostChangelogError) as lost:
        changelog.start_of(store, extent, NOW)  # type: ignore[arg-type]
    told = str(lost.value)
    assert told.startswith(f"g.changelog begins at offset {extent.start}: what was before is lost")
    assert "state/partition-3 does not hold" in told
    assert told.endswith("Bring back a state folder that is not older, or rebuild under another group")


def test_a_restore_that_gets_nothing_is_given_up_and_says_what_is_missing(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "partition-3")
    restore = Changelog(kit(brokers="127.0.0.1:1", patience_s=1), "g.changelog", "c", TOMBSTONES_MS).restore()
    with pytest.raises(TopicsError, match=r"g\.changelog: nothing came for 1 s, and partitions 3 are not restored"):
        restore.run({3: 0}, {3: 5}, {3: store})
    store.close()
