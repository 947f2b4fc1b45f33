"""The store in RocksDB when things go wrong: damage, another format, a full disk, a kill in the middle of a restore."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from state.rocks import MEGABYTE, RocksMemory, RocksStore, StoreCorrupt, StoreUnavailable, set_aside
from state.store import entry_key

NOW = 1_700_000_000_000


def filled(folder: Path, entries: int = 20_000) -> None:
    """Leave a database of some megabytes in files."""
    store = RocksStore(folder)
    store.apply_entries([(entry_key("t", f"{n:05d}"), os.urandom(100)) for n in range(entries)], entries, NOW)
    store.begin_restore()
    store.end_restore()
    store.close()


def damage(folder: Path) -> None:
    """Turn bits around in the middle of what is on disk."""
    for path in folder.glob("*.sst"):
        content = bytearray(path.read_bytes())
        for place in range(len(content) // 4, len(content) // 2, 997):
            content[place] ^= 0xFF
        path.write_bytes(content)


def cut(folder: Path) -> None:
    """Leave out the end of what is on disk."""
    for path in folder.glob("*.sst"):
        path.write_bytes(path.read_bytes()[:-100])


def damage_first_block(folder: Path) -> None:
    """Turn bits around where a database has what it knows about itself."""
    for path in folder.glob("*.sst"):
        content = bytearray(path.read_bytes())
        content[5:60] = bytes(sign ^ 0xFF for sign in content[5:60])
        path.write_bytes(content)


def read_all(store: RocksStore) -> None:
    for number in range(20_000):
        store.get("t", f"{number:05d}")


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(read_all, id="get"),
        pytest.param(lambda store: list(store.scan("t", "", "~")), id="scan"),
        pytest.param(lambda store: list(store.scan("t", "", "~", reverse=True)), id="scan backwards"),
        pytest.param(lambda store: list(store.entries()), id="entries"),
    ],
)
def test_damage_is_found_where_it_is_read_and_the_database_is_not_opened_again(
    tmp_path: Path, read: Callable[[RocksStore], object]
) -> None:
    folder = tmp_path / "partition-1"
    filled(folder)
    damage(folder)
    store = RocksStore(folder)
    with pytest.raises(StoreCorrupt, match=r"partition-1 is damaged .*checksum mismatch.*set it aside and rebuild it"):
        read(store)
    store.close()
    with pytest.raises(StoreCorrupt, match="partition-1 was found damaged before; set it aside and rebuild it"):
        RocksStore(folder)


@pytest.mark.parametrize("spoil", [cut, damage_first_block])
def test_damage_that_is_found_when_it_is_opened_is_told_alike(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = tmp_path / "partition-1"
    filled(folder)
    spoil(folder)
    for told in ("is damaged", "was found damaged before"):
        with pytest.raises(StoreCorrupt, match=f"partition-1 {told}"):
            RocksStore(folder)


@pytest.mark.parametrize("spoil", [cut, damage_first_block])
def test_a_damaged_database_is_moved_aside_and_another_begun_in_its_place(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "partition-1"
    filled(folder)
    spoil(folder)
    with pytest.raises(StoreCorrupt):
        RocksStore(folder)
    assert set_aside(folder, NOW) == tmp_path / f"partition-1.set-aside-{NOW}"
    store = RocksStore(folder)
    assert (store.position, list(store.entries())) == (None, [])
    store.close()


@pytest.mark.parametrize(("found", "told"), [(b"0", "format 0"), (b"17", "format 17"), (None, "format none")])
def test_a_database_of_another_format_is_not_read(tmp_path: Path, found: bytes | None, told: str) -> None:
    folder = tmp_path / "partition-1"
    other = Rdict(str(folder), Options(raw_mode=True))
    other.put(b"some\x00key", b"value")
    if found is not None:
        other.put(b"\x00format", found)
    other.close()
    with pytest.raises(StoreCorrupt, match=f"partition-1 has {told}, and this version reads 1"):
        RocksStore(folder)
    assert not (folder / "CORRUPT").exists()  # the version that wrote it can read it


def test_a_database_can_be_open_once(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "partition-1")
    with pytest.raises(StoreUnavailable, match=r"cannot be opened: another process has it open, or this one") as twice:
        RocksStore(tmp_path / "partition-1")
    assert not isinstance(twice.value, StoreCorrupt)
    store.close()
    store.close()
    RocksStore(tmp_path / "partition-1").close()


FULL = "state at .* cannot be written: the disk is full; make room"


def test_a_full_disk_is_told_and_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RocksStore(tmp_path / "partition-1")

    class Full:
        def write(self, _batch: object) -> None:
            raise Exception("IO error: No space left on device: While appending to file")

        def flush(self) -> None:
            raise Exception("IO error: With errno 28: While appending to file: errno 28")

    whole = store._db
    monkeypatch.setattr(store, "_db", Full())
    with pytest.raises(StoreUnavailable, match=FULL):
        store.apply_entries([(b"t\x00k", b"v")], 1, NOW)
    with pytest.raises(StoreUnavailable, match=FULL):
        store.end_restore()
    assert store.position is None
    monkeypatch.setattr(store, "_db", whole)
    store.close()
    assert RocksStore(tmp_path / "partition-1").position is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk of its own can be had as root only; the message has a test without")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # a test that failed may have it open


def fill(store: RocksStore) -> None:
    value = os.urandom(50_000)
    for position in range(1, 10_000):
        store.apply_entries([(entry_key("t", f"{position:05d}"), value)], position, NOW)


def test_a_disk_that_is_really_full_loses_nothing_that_was_told_as_written(small_disk: Path) -> None:
    store = RocksStore(small_disk / "partition-1", RocksMemory(8 * MEGABYTE))
    with pytest.raises(StoreUnavailable, match=FULL):
        fill(store)
    position = store.position or 0
    store.close()
    assert position > 100
    assert not (small_disk / "partition-1" / "CORRUPT").exists()
    subprocess.run(["mount", "-o", "remount,size=48m", str(small_disk)], check=True)  # room is made
    kept = position_and_keys(small_disk / "partition-1")
    assert kept == (position, [f"{number:05d}" for number in range(1, position + 1)])


def position_and_keys(folder: Path) -> tuple[int | None, list[str]]:
    store = RocksStore(folder, RocksMemory(8 * MEGABYTE))
    keys = [key for key, _ in store.scan("t", "", "~")]
    position = store.position
    store.close()
    return position, keys


RESTORING = """
import sys
from pathlib import Path
from state.rocks import MEGABYTE, RocksMemory, RocksStore
from state.store import entry_key

folder, restored = Path(sys.argv[1]), int(sys.argv[2])
store = RocksStore(folder, RocksMemory(8 * MEGABYTE))
first = (store.position or 0) + 1

def apply(position):
    store.apply_entries([(entry_key("t", f"{position:05d}"), b"v" * 20_000)], position, 1)
    print(position, flush=True)

store.begin_restore()
for position in range(first, first + restored):
    apply(position)
store.end_restore()
print("restored", flush=True)
for position in range(first + restored, 100_000):
    apply(position)
"""


def killed_at(folder: Path, restored: int, line: str) -> int:
    """Kill a restore once it has told a line; return the last position it had told."""
    command = [sys.executable, "-c", RESTORING, str(folder), str(restored)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told, last = "", 0
        while told != line:
            told = child.stdout.readline().strip()
            last = int(told) if told.isdecimal() else last
        child.kill()
        return max([last, *(int(rest) for rest in child.stdout.read().split() if rest.isdecimal())])


def test_a_restore_that_is_killed_has_a_position_that_is_never_ahead_of_its_entries(tmp_path: Path) -> None:
    folder, before = tmp_path / "partition-1", 0
    for further in (3, 150, 400, 1):
        told = killed_at(folder, 100_000, str(before + further))
        position, keys = position_and_keys(folder)
        assert keys == [f"{number:05d}" for number in range(1, (position or 0) + 1)]
        assert before <= (position or 0) <= told
        before = position or 0
    assert before > 0  # what was in files already is kept


def test_after_a_restore_is_ended_a_kill_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "partition-1"
    told = killed_at(folder, 200, "restored")
    position, _ = position_and_keys(folder)
    assert told <= (position or 0)
    for _ in range(2):  # the second time, nothing is to be restored
        told = killed_at(folder, 0, str((position or 0) + 5))
        position, keys = position_and_keys(folder)
        assert told <= (position or 0)
        assert keys == [f"{number:05d}" for number in range(1, (position or 0) + 1)]
