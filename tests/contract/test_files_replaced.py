"""The drop folder while others drop, replace and take away files: each is landed as what it is, and nothing is lost."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connect import row_files
from connect.drop_folder import DropFolder, checksum_of
from connect.feeds.contract import Batch
from connect.feeds.runner import Landed
from tests.contract.feeds.drop import ENTRIES, ENTRY, lying, station
from tests.contract.feeds.station import Station, Topics, put
from tests.contract.simulators.faults import Killed


class Meanwhile(Topics):
    """Topics during which something else happens, once: right after a batch of a kind was landed."""

    def __init__(self, what: Callable[[Batch], bool], happens: Callable[[], object]) -> None:
        super().__init__()
        self._what = what
        self._happens = happens
        self._has_happened = False

    def land(self, batch: Batch, now: int, beat: bool) -> Landed:
        landed = super().land(batch, now, beat)
        if not self._has_happened and self._what(batch):
            self._has_happened = True
            self._happens()
        return landed


def is_last(batch: Batch) -> bool:
    return any(key.startswith("done/") for key in batch.memory)


def has_rows(batch: Batch) -> bool:
    return bool(batch.changes)


def die() -> None:
    raise Killed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drop"
    made.mkdir()
    return made


def entries(hours: int, count: int = 5) -> str:
    return ENTRIES + "".join(f"T{n},P1,{hours},2024-02-03T10:00:00Z\n" for n in range(count))


def hours_of(run: Station) -> list[str]:
    return [change.after["hours"] for change in run.topics.changes if change.after is not None]


def test_a_file_that_comes_in_place_of_one_that_is_being_read_waits_and_is_landed(folder: Path) -> None:
    path = folder / f"{ENTRY}.csv"
    put(path, entries(1))
    run = station(folder, batch_rows="2")
    run.topics = Meanwhile(has_rows, lambda: put(path, entries(2)))
    run.poll()
    assert (hours_of(run), lying(folder)) == (["1"] * 5, [path.name])
    run.poll()
    assert hours_of(run) == ["1"] * 5 + ["2"] * 5
    assert (lying(folder), run.told.gaps) == ([f"done/{path.name}"], 0)


def test_a_file_that_comes_in_place_of_one_that_was_landed_but_not_put_away_is_landed(folder: Path) -> None:
    path = folder / f"{ENTRY}.csv"
    put(path, entries(1))
    run = station(folder)
    run.topics = Meanwhile(is_last, die)
    with pytest.raises(Killed):
        run.poll()
    put(path, entries(2))
    run.poll()
    assert (hours_of(run), run.told.gaps) == (["1"] * 5 + ["2"] * 5, 0)
    assert (folder / "done" / path.name).read_text() == entries(2)
    assert lying(folder) == [f"done/{path.name}"]


def test_a_checksum_that_was_put_there_for_the_next_file_waits_for_it(folder: Path) -> None:
    path = folder / f"{ENTRY}.csv"
    beside, digest = path.with_name(f"{path.name}.sha256"), hashlib.sha256(entries(2).encode()).hexdigest()
    put(path, entries(1))
    run = station(folder)
    run.topics = Meanwhile(has_rows, lambda: beside.write_text(digest))
    run.poll()
    assert lying(folder) == [f"done/{path.name}", beside.name]
    put(path, entries(2))
    run.poll()
    assert lying(folder) == [f"done/{path.name}", f"done/{path.name}.2", f"done/{path.name}.2.sha256"]


def test_only_the_file_that_was_looked_at_is_put_away(folder: Path) -> None:
    path, drop = folder / f"{ENTRY}.csv", DropFolder(folder)
    put(path, entries(1))
    before = checksum_of(path)
    put(path, entries(2))
    assert not drop.done(path, before)
    assert not drop.refuse(path, before, "of another", before)
    path.rename(folder / "taken.csv")
    assert not drop.done(path, before)
    assert lying(folder) == ["taken.csv"]


def test_a_file_that_is_replaced_while_its_checksum_is_taken_is_looked_at_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest, taken = folder / f"{ENTRY}.csv", hashlib.file_digest, list[str]()
    put(path, entries(1))

    def replaced(file: Any, name: str) -> Any:
        found = digest(file, name)
        if not taken:
            put(path, entries(2))
        taken.append(found.hexdigest())
        return found

    monkeypatch.setattr(hashlib, "file_digest", replaced)
    assert checksum_of(path) == hashlib.sha256(entries(2).encode()).hexdigest()
    assert taken[0] == hashlib.sha256(entries(1).encode()).hexdigest()


def test_a_file_that_is_replaced_before_it_is_opened_is_not_taken_for_the_one_that_was_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, run = folder / f"{ENTRY}.csv", list[Path](), station(folder)
    put(path, entries(1))

    def replaced(path: Path) -> int:
        if not opened:
            put(path, entries(2))
        opened.append(path)
        return path.stat().st_size

    monkeypatch.setattr(row_files, "check", replaced)
    run.poll()
    assert (hours_of(run), lying(folder)) == ([], [path.name])
    run.poll()
    assert (hours_of(run), lying(folder)) == (["2"] * 5, [f"done/{path.name}"])
    digest = hashlib.sha256(entries(2).encode()).hexdigest()
    assert [key for key in run.topics.memory if key.startswith("done/")] == [f"done/{digest}"]


@pytest.mark.parametrize("mode", ["load", "correction"])
def test_a_corrected_file_goes_before_what_was_landed_of_the_one_it_replaces(folder: Path, mode: str) -> None:
    lines = "".join(f"E{n},NAME,2024-02-03T10:00:00Z\n" for n in range(5))
    content, path = f"EmployeeId,Name,LastModified\n{lines}", folder / "hr.Worker.csv"
    put(path, content.replace("NAME", "wrong"))
    run = station(folder, mode=mode, batch_rows="2")
    run.topics = Meanwhile(has_rows, die)
    with pytest.raises(Killed):
        run.poll()
    wrong = {change.key: change.position for change in run.topics.changes}
    assert sorted(wrong) == ["E0", "E1"]
    put(path, content.replace("NAME", "right"))
    run.poll()
    right = {change.key: change.position for change in run.topics.changes[2:]}
    assert sorted(right) == ["E0", "E1", "E2", "E3", "E4"]
    assert all(right[key] > wrong[key] for key in wrong)
    assert {row["Name"] for row in run.topics.rows().values()} == {"right"}


def rejected(path: Path) -> list[str]:
    """The numbers of the lines in a file of rejects, below the names of its columns."""
    head, *lines = path.read_bytes().decode().splitlines()
    assert head == "line,reason,content"
    return [line.split(",")[0] for line in lines]


def test_rejects_of_a_later_file_of_the_same_name_lie_beside_those_of_the_first(folder: Path) -> None:
    path, run = folder / f"{ENTRY}.csv", station(folder)
    put(path, ENTRIES + "T1,P1,many,\n")
    run.poll()
    put(path, ENTRIES + "T1,P1,8,\nT2,P1,many,\n")
    run.poll()
    assert lying(folder)[2:] == [f"rejects/{path.name}.2.rejects.csv", f"rejects/{path.name}.rejects.csv"]
    assert rejected(folder / "rejects" / f"{path.name}.rejects.csv") == ["2"]
    assert rejected(folder / "rejects" / f"{path.name}.2.rejects.csv") == ["3"]


@pytest.mark.parametrize("left", [None, "", "line,reason,content\n"])
def test_rejects_that_were_taken_away_half_way_leave_no_hole(folder: Path, left: str | None) -> None:
    path, rejects = folder / f"{ENTRY}.csv", folder / "rejects" / f"{ENTRY}.csv.rejects.csv"
    put(path, ENTRIES + "".join(f"T{n},P1,many,\n" for n in range(4)))
    run = station(folder, batch_rows="2")
    run.topics = Meanwhile(lambda batch: bool(batch.rejects), die)
    with pytest.raises(Killed):
        run.poll()
    assert rejected(rejects) == ["2", "3"]
    rejects.unlink()
    if left is not None:
        rejects.write_text(left)
    run.poll()
    assert rejected(rejects) == ["4", "5"]
    assert len(run.topics.rejects) == 4
