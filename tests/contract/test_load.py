"""A load: which files land, how it goes on after it was killed, and what of a file is refused."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from connect.csv_records import UnreadableFile
from connect.feeds.contract import Fatal, position
from connect.feeds.load import LoadSource, Surroundings as OfFiles
from connect.feeds.runner import Runner, Surroundings
from connect.row_files import Reached
from connect.settings import Pace
from connect.sheets import Terms
from tests.contract.feeds.station import NOON, Told, Topics
from tests.contract.simulators.faults import WHEN, Killed

RATES = "FromCurrency,ToCurrency,Date,Rate\n"


class Watched:
    """What was told of files."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, int]] = []

    def begin(self, path: Path, size: int, reached: Reached) -> None:
        self.said.append(("begin", path.name, size - reached.offset))

    def tell(self, reached: Reached) -> None:
        self.said.append(("tell", reached.name, reached.rows))

    def end(self, reached: Reached) -> None:
        self.said.append(("end", reached.name, reached.rows))


class Load:
    """Loads files into topics that outlive it, as often as it is asked."""

    def __init__(self, *paths: Path, topics: Topics | None = None, batch_rows: int = 5, delimiter: str = ",") -> None:
        self.topics = topics or Topics()
        self.watched = Watched()
        self.held: list[int] = []
        self._paths = paths
        self._terms = Terms(delimiter=delimiter, batch_rows=batch_rows, whole=True)

    def run(self, may: Callable[[int], bool] = lambda _: True) -> None:
        """Load once to the end. Raises what ends it."""

        def hold(rows: int) -> bool:
            self.held.append(rows)
            return may(len(self.held))

        stop = Event()
        source = LoadSource(self._paths, self._terms, OfFiles(lambda: NOON, self.watched, hold))
        outside = Surroundings(lambda: NOON, lambda: 0.0, lambda _: stop.is_set())
        Runner("history", source, self.topics, Told(), Pace(), outside, stop).run(once=True)

    def keys(self) -> list[str]:
        """The keys of what was landed."""
        return [change.key for change in self.topics.changes]


def rates(path: Path, numbers: range, bad: range = range(0)) -> Path:
    lines = [f"X{n},EUR,2026-02-03,{'one' if n in bad else 1}\n" for n in numbers]
    content = (RATES + "".join(lines)).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def keys(numbers: range) -> list[str]:
    return [f"X{n}:EUR:2026-02-03" for n in numbers]


def test_files_land_in_the_order_given_and_stay_where_they_are(tmp_path: Path) -> None:
    first, second = rates(tmp_path / "erp.FxRate.z.csv", range(7)), rates(tmp_path / "erp.FxRate.a.csv", range(7, 9))
    load = Load(first, second)
    load.run()
    assert load.keys() == keys(range(9))
    assert all(change.history for change in load.topics.changes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["erp.FxRate.a.csv", "erp.FxRate.z.csv"]
    size = first.stat().st_size
    assert load.watched.said[:3] == [
        ("begin", first.name, size), ("tell", first.name, 5), ("end", first.name, 7),
    ]  # fmt: skip
    assert load.held == [5, 2, 2]


def test_a_file_that_was_loaded_is_not_loaded_again_under_any_name(tmp_path: Path, caplog: Any) -> None:
    load = Load(rates(tmp_path / "erp.FxRate.csv", range(3)))
    load.run()
    again = Load(rates(tmp_path / "erp.FxRate.again.csv", range(3)), topics=load.topics)
    again.run()
    assert again.keys() == keys(range(3))
    assert "erp.FxRate.again.csv has the content of erp.FxRate.csv, which was loaded before" in caplog.text


@pytest.mark.parametrize("name", ["erp.FxRate.csv", "erp.FxRate.csv.gz"])
@pytest.mark.parametrize("when", WHEN[::2])
def test_killed_anywhere_it_goes_on_from_what_was_landed(tmp_path: Path, when: str, name: str) -> None:
    step = 0
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        path = rates(folder / name, range(20), bad=range(0, 20, 6))
        load = Load(path)
        load.topics.faults.order(step, when, Killed())
        died = False
        for _ in range(5):
            try:
                load.run()
                break
            except Killed:
                died = True
        good = [n for n in range(20) if n % 6]
        assert load.keys() == [f"X{n}:EUR:2026-02-03" for n in good]
        rejects = path.with_name(f"{name}.rejects.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in rejects] == ["line", *(str(n + 2) for n in range(0, 20, 6))]
        assert len(load.topics.rejects) == 4
        load.topics.verify_once()
        if not died:
            break
        step += 1
    assert step > 4


def test_what_was_begun_goes_on_also_after_others_were_loaded(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    first, second = rates(tmp_path / "erp.FxRate.1.csv", range(12)), rates(tmp_path / "erp.FxRate.2.csv", range(12))
    second.write_text(second.read_text() + "Y,EUR,2026-02-03,1\n")
    topics = Topics()
    Load(first, topics=topics).run(lambda batch: batch < 2)
    Load(second, topics=topics).run()
    Load(first, topics=topics).run()
    third = rates(tmp_path / "erp.FxRate.3.csv", range(12, 13))
    Load(third, topics=topics).run()
    assert [change.key for change in topics.changes] == [
        *keys(range(5)), *keys(range(12)), "Y:EUR:2026-02-03", *keys(range(5, 12)), *keys(range(12, 13)),
    ]  # fmt: skip
    assert f"{first} is gone on with behind line 6: 5 of its rows are landed" in caplog.text
    assert sorted(key for key in topics.memory if not key.startswith("done/")) == ["files"]
    assert json.loads(topics.memory["files"])[0] == 3  # each has a number of its own


def test_of_two_files_that_tell_of_one_change_the_later_one_counts(tmp_path: Path) -> None:
    header, at = "Id,Name,Status,LastModifiedDate\n", "2024-02-03T10:00:00Z"
    first, second = tmp_path / "crm.Account.1.csv", tmp_path / "crm.Account.2.csv"
    first.write_text(f"{header}A1,Acme,Active,{at}\n")
    second.write_text(f"{header}A1,Acme & Co,Active,{at}\n")
    load = Load(first, second)
    load.run()
    changed = 1_706_954_400_000
    assert [change.position for change in load.topics.changes] == [position(changed, 1), position(changed, 2)]


def test_a_file_that_was_changed_on_its_way_is_loaded_whole(tmp_path: Path, caplog: Any) -> None:
    path = rates(tmp_path / "erp.FxRate.csv", range(12))
    topics = Topics()
    Load(path, topics=topics).run(lambda batch: batch < 2)
    Load(rates(path, range(13)), topics=topics).run()
    assert [change.key for change in topics.changes] == [*keys(range(5)), *keys(range(13))]
    assert "is another than the one that was loaded to line 6: all of it is loaded" in caplog.text


def test_rejects_of_a_changed_file_lie_beside_those_of_the_first(tmp_path: Path) -> None:
    path, topics = tmp_path / "erp.FxRate.csv", Topics()
    Load(rates(path, range(2), bad=range(1)), topics=topics).run()
    Load(rates(path, range(3), bad=range(2, 3)), topics=topics).run()
    first, second = path.with_name(f"{path.name}.rejects.csv"), path.with_name(f"{path.name}.2.rejects.csv")
    assert [line.split(",")[0] for line in first.read_text().splitlines()] == ["line", "2"]
    assert [line.split(",")[0] for line in second.read_text().splitlines()] == ["line", "4"]


def test_rows_that_their_contract_cannot_hold_are_rejects_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "psa.public.time_entries.csv"
    columns = "id,project_id,resource_id,role,work_date,hours,billable,status,approved_at,updated_at\n"
    rest = "true,Approved,,2024-02-03T10:00:00Z\n"
    path.write_text(
        f"{columns}T1,P1,R1,Engineer,2024-02-03,7.5,{rest}T2,P1,R1,Engineer,2024-02-03,7.12345,{rest}"
        f"T3,P1,,Engineer,2024-02-03,8,{rest}"
    )
    load = Load(path)
    load.run()
    assert load.keys() == ["P1"]
    found = path.with_name("psa.public.time_entries.csv.rejects.csv").read_text().splitlines()[1:]
    assert [line.split('"')[0:2] for line in found] == [
        ["3,", "hours: 7.12345: more than 5 digits before the point, or 4 behind it"],
        ["4,", "resource_id is missing, which every row of psa.public.time_entries has"],
    ]
    assert [line.split('"')[3] for line in found] == [
        f"T2,P1,R1,Engineer,2024-02-03,7.12345,{rest.strip()}", f"T3,P1,,Engineer,2024-02-03,8,{rest.strip()}",
    ]  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("said", ["1969-12-31T23:59:59.999Z", "2248-09-27T00:00:00.000Z", "9999-12-31T00:00:00.000Z"])
def test_a_time_of_change_that_has_no_place_in_an_order_is_named_with_its_field(
    tmp_path: Path, said: str, as_json: bool
) -> None:
    row, good = {"Id": "A1", "LastModifiedDate": said}, {"Id": "A2", "LastModifiedDate": "1970-01-01T00:00:00.000Z"}
    if as_json:
        path, value = tmp_path / "history.jsonl", {"op": "c", "source": {"ts_ms": 1}}
        lines = [{"topic": "crm.Account", "key": each["Id"], "value": {**value, "after": each}} for each in (row, good)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        path = tmp_path / "crm.Account.csv"
        path.write_text("Id,LastModifiedDate\n" + "".join(",".join(each.values()) + "\n" for each in (row, good)))
    load = Load(path)
    load.run()
    assert load.keys() == ["A2"]
    assert [(reject.topic, reject.key, reject.message) for reject in load.topics.rejects] == [
        ("crm.Account", "A1", f"LastModifiedDate: '{said}': no time from 1970 to 2248: write when the row was changed, "
         "or leave it out"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("erp.FxRate.csv", None, r"erp\.FxRate\.csv: No such file or directory"),
        ("strange.csv", RATES, r"strange\.csv: its name is no topic"),
        ("erp.FxRate.csv", "FromCurrency,Date\n", r"erp\.FxRate\.csv: columns are missing"),
    ],
)
def test_nothing_is_begun_if_a_file_cannot_be_used(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    load = Load(rates(tmp_path / "erp.FxRate.good.csv", range(3)), tmp_path / name)
    with pytest.raises(UnreadableFile, match=said):
        load.run()
    assert load.keys() == []


def test_fields_may_stand_between_other_characters_if_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "erp.FxRate.csv"
    path.write_text((RATES + "USD,EUR,2026-02-03,0.92\n").replace(",", ";"))
    load = Load(path, delimiter=";")
    load.run()
    assert load.keys() == ["USD:EUR:2026-02-03"]


def test_a_packed_file_that_is_damaged_lands_nothing_and_is_named(tmp_path: Path) -> None:
    path = rates(tmp_path / "erp.FxRate.csv.gz", range(5_000))
    path.write_bytes(path.read_bytes()[:-9])
    load = Load(path)
    with pytest.raises(Fatal, match=r"erp\.FxRate\.csv\.gz: it is packed, and damaged"):
        load.run()
    assert load.keys() == []
