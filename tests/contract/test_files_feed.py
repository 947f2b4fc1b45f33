"""The drop folder: which files are picked up, what of them lands, and where they lie afterwards."""

import gzip
import hashlib
from pathlib import Path

import pytest

from connect.feeds.contract import Fatal, position
from tests.contract.feeds.drop import ENTRIES, lying, station
from tests.contract.feeds.station import NOON, Station, put
from tests.contract.simulators.faults import WHEN, Killed

RATES = "FromCurrency,ToCurrency,Date,Rate\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "drop"
    made.mkdir()
    return made


def landed(run: Station) -> list[tuple[str, str, str]]:
    return [(change.topic, change.op, change.key) for change in run.topics.changes]


def test_a_file_says_its_topic_by_its_name_or_its_first_line(folder: Path) -> None:
    put(folder / "erp.FxRate.2026-02.csv", RATES + "USD,EUR,2026-02-03,0.92\n")
    put(folder / "psa.public.time_entries-old.csv", ENTRIES + "T1,P1,8,2024-02-03T10:00:00Z\n")
    put(folder / "whatever.csv", "# erp.Period\nLegalEntity,Period,Status\nLE1,2026-02,closed\n")
    run = station(folder)
    run.poll()
    assert landed(run) == [
        ("erp.FxRate", "r", "USD:EUR:2026-02-03"),
        ("psa.public.time_entries", "r", "P1"),
        ("erp.Period", "r", "LE1:2026-02"),
    ]
    assert lying(folder) == ["done/erp.FxRate.2026-02.csv", "done/psa.public.time_entries-old.csv", "done/whatever.csv"]


def test_what_is_not_complete_is_left_alone(folder: Path) -> None:
    for name in ("erp.FxRate.csv.tmp", ".erp.FxRate.csv", "erp.FxRate.csv.part", "erp.FxRate.txt", "erp.FxRate.csv~"):
        (folder / name).write_text(RATES + "USD,EUR,2026-02-03,0.92\n")
    (folder / "erp.FxRate.folder.csv").mkdir()
    before, run = lying(folder), station(folder)
    run.poll(2)
    assert (landed(run), lying(folder)) == ([], before)


def test_bytes_as_spreadsheets_write_them_are_read(folder: Path) -> None:
    text = '# crm.Account\r\nId,Name,Status\r\nA1,"Müller, Söhne\r\n& Co ""KG""",Active\r\n\r\n'
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    run = station(folder)
    run.poll()
    assert [change.after for change in run.topics.changes] == [
        {"Id": "A1", "Name": 'Müller, Söhne\r\n& Co "KG"', "Status": "Active"}
    ]


def test_a_history_counts_from_when_each_row_was_changed(folder: Path) -> None:
    put(folder / "psa.public.time_entries.csv", ENTRIES + "T1,P1,8,2024-02-03T10:00:00Z\nT2,P1,8,\n")
    run = station(folder)
    run.tick(5)
    run.poll()
    first, second = run.topics.changes
    changed = 1_706_954_400_000
    assert (first.happened_ms, first.position, first.snapshot) == (changed, position(changed, 1), True)
    assert (first.history, second.history) == (True, True)  # before everything live, whatever its positions
    assert (second.happened_ms, second.position) == (NOON + 5_000, position(NOON + 5_000, 3))
    put(folder / "psa.public.time_entries.2.csv", ENTRIES + "T1,P1,7,2024-02-03T10:00:00Z\n")
    run.poll()
    assert run.topics.changes[2].position == position(changed, 2)  # of one change, the later file counts


def test_a_correction_goes_before_what_was_there_and_later_lines_before_earlier_ones(folder: Path) -> None:
    lines = ",E1,Ada,38,2031-01-01T00:00:00Z\nupdate,E1,Ada,37,2020-01-01T00:00:00Z\nDelete,E2,,,\n"
    content = "op,EmployeeId,Name,WeeklyCapacityHours,LastModified\n" + lines
    put(folder / "hr.Worker.csv", content)
    run = station(folder, mode="correction")
    run.poll()
    assert [(change.op, change.position - position(NOON)) for change in run.topics.changes] == [
        ("u", 2),
        ("u", 3),
        ("d", 4),
    ]
    assert run.topics.changes[2].before == {
        "EmployeeId": "E2", "Name": None, "WeeklyCapacityHours": None, "LastModified": None,
    }  # fmt: skip
    assert not any(change.snapshot or change.history for change in run.topics.changes)


def test_a_correction_of_what_a_database_feeds_is_refused(folder: Path) -> None:
    put(folder / "psa.public.time_entries.csv", ENTRIES + "T1,P1,8,2024-02-03T10:00:00Z\n")
    run = station(folder, mode="correction")
    run.poll()
    assert landed(run) == []
    said = (folder / "refused" / "psa.public.time_entries.csv.why").read_text()
    assert said.startswith("psa.public.time_entries is captured from a database")
    assert said.endswith("later: correct the rows in that database\n")


def test_lines_that_cannot_be_read_are_rejects_and_the_rest_lands(folder: Path) -> None:
    lines = [
        "USD,EUR,2026-02-03,0.92", "USD,EUR,03/02/2026,0.92", "USD,EUR,2026-02-04", '"USD,EUR,2026-02-05,0.92',
        "GBP,EUR,2026-02-06,1.17", "USD,,2026-02-07,1",
    ]  # fmt: skip
    put(folder / "erp.FxRate.csv", RATES + "\n".join(lines) + "\n")
    run = station(folder)
    run.poll()
    assert [key for _, _, key in landed(run)] == ["USD:EUR:2026-02-03", "GBP:EUR:2026-02-06"]
    assert [(reject.topic, reject.place) for reject in run.topics.rejects] == [
        ("erp.FxRate", f"erp.FxRate.csv, line {line}") for line in (3, 4, 5, 7)
    ]
    assert [reject.original for reject in run.topics.rejects] == [f"{lines[at]}\n".encode() for at in (1, 2, 3, 5)]
    assert (folder / "rejects" / "erp.FxRate.csv.rejects.csv").read_text().splitlines() == [
        "line,reason,content",
        "3,Date: '03/02/2026': Invalid isoformat string: '03/02/2026',\"USD,EUR,03/02/2026,0.92\"",
        '4,"3 fields, there should be 4","USD,EUR,2026-02-04"',
        '5,no CSV: unexpected end of data,"""USD,EUR,2026-02-05,0.92"',
        '7,"ToCurrency is missing, without which no row of erp.FxRate is known","USD,,2026-02-07,1"',
    ]
    assert lying(folder) == ["done/erp.FxRate.csv", "rejects/erp.FxRate.csv.rejects.csv"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("unknown.csv", RATES, "its name is no topic: name the file as hr.Worker.csv"),
        ("erp.FxRate.csv", "", "it has no line of column names"),
        (
            "erp.FxRate.csv",
            "FromCurrency,ToCurrency,Rate\n",
            "columns are missing that every row of erp.FxRate needs: Date",
        ),
        ("erp.FxRate.csv", RATES.replace("Rate", "Price"), "erp.FxRate has no Price; its fields are FromCurrency"),
        ("erp.FxRate.csv", RATES.replace("Rate", "Date"), "a column is there twice"),
        ("erp.FxRate.csv", "# hr.Wroker\n" + RATES, "hr.Wroker is no topic"),
        ("erp.FxRate.csv", RATES.replace(",", ";"), "if other characters stand between them, say so by delimiter"),
    ],
)
def test_a_file_that_makes_no_rows_is_refused_with_its_reason(folder: Path, name: str, content: str, why: str) -> None:
    put(folder / name, content)
    put(folder / "zzz.erp.csv", "# erp.Period\nLegalEntity,Period,Status\nLE1,2026-02,closed\n")
    run = station(folder)
    run.poll()
    assert lying(folder) == ["done/zzz.erp.csv", f"refused/{name}", f"refused/{name}.why"]
    assert why in (folder / "refused" / f"{name}.why").read_text()
    assert [topic for topic, _, _ in landed(run)] == ["erp.Period"]


def test_a_file_in_utf_16_is_refused_as_such(folder: Path) -> None:
    (folder / "erp.FxRate.csv").write_bytes((RATES + "USD,EUR,2026-02-03,0.92\n").encode("utf-16"))
    station(folder).poll()
    why = (folder / "refused" / "erp.FxRate.csv.why").read_text()
    assert "it has no line of column names: it is UTF-16: save it as UTF-8" in why


def test_a_packed_file_that_is_damaged_lands_nothing(folder: Path) -> None:
    whole = gzip.compress((RATES + "".join(f"X{n},EUR,2026-02-03,1\n" for n in range(5000))).encode())
    (folder / "erp.FxRate.csv.gz").write_bytes(whole[:-9])
    run = station(folder)
    run.poll()
    assert (landed(run), lying(folder)) == ([], ["refused/erp.FxRate.csv.gz", "refused/erp.FxRate.csv.gz.why"])


def test_a_checksum_beside_a_file_is_held_against_it(folder: Path) -> None:
    content = RATES + "USD,EUR,2026-02-03,0.92\n"
    digest = hashlib.sha256(content.encode()).hexdigest()
    (folder / "erp.FxRate.a.csv.sha256").write_text(f"{digest}  erp.FxRate.a.csv\n")
    put(folder / "erp.FxRate.a.csv", content)
    (folder / "erp.FxRate.b.csv.sha256").write_text(f"{digest}  erp.FxRate.b.csv\n")
    put(folder / "erp.FxRate.b.csv", content.replace("0.92", "0.93"))
    run = station(folder)
    run.poll()
    assert len(run.topics.changes) == 1
    assert lying(folder) == [
        "done/erp.FxRate.a.csv", "done/erp.FxRate.a.csv.sha256", "refused/erp.FxRate.b.csv",
        "refused/erp.FxRate.b.csv.sha256", "refused/erp.FxRate.b.csv.why",
    ]  # fmt: skip
    assert f"and erp.FxRate.b.csv.sha256 says {digest}" in (folder / "refused" / "erp.FxRate.b.csv.why").read_text()


def test_a_content_that_comes_again_is_said_and_not_landed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    content, run = RATES + "USD,EUR,2026-02-03,0.92\n", station(folder)
    put(folder / "erp.FxRate.csv", content)
    run.poll()
    put(folder / "erp.FxRate.csv", content)
    put(folder / "erp.FxRate.again.csv", content)
    run.poll()
    assert len(run.topics.changes) == 1
    assert "erp.FxRate.again.csv has the content of erp.FxRate.csv, which was landed before" in caplog.text
    assert lying(folder) == ["done/erp.FxRate.again.csv", "done/erp.FxRate.csv", "done/erp.FxRate.csv.2"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("when", WHEN[::2])
def test_killed_anywhere_in_a_file_it_goes_on_from_what_was_landed(folder: Path, when: str, packed: bool) -> None:
    lines = [f"X{number},EUR,2026-02-03,{'one' if number % 7 == 3 else 1}\n" for number in range(40)]
    content = (RATES + "".join(lines)).encode()
    name = "erp.FxRate.csv.gz" if packed else "erp.FxRate.csv"
    drop, step = folder, 0
    while True:
        folder = drop / str(step)
        folder.mkdir()
        run = station(folder, batch_rows="5")
        (folder / name).write_bytes(gzip.compress(content, mtime=0) if packed else content)
        run.topics.faults.order(step, when, Killed())
        run.poll_on()
        assert [change.key for change in run.topics.changes] == [
            f"X{n}:EUR:2026-02-03" for n in range(40) if n % 7 != 3
        ]
        assert len(run.topics.rejects) == 6
        rejects = (folder / "rejects" / f"{name}.rejects.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in rejects] == ["line", *(str(n + 2) for n in range(40) if n % 7 == 3)]
        assert not (folder / name).exists()
        run.topics.verify_once()
        if not run.deaths:
            break
        step += 1
    assert step > 8


def test_a_file_that_is_taken_away_half_way_is_a_gap(folder: Path) -> None:
    put(folder / "erp.FxRate.csv", RATES + "".join(f"X{n},EUR,2026-02-03,1\n" for n in range(10)))
    run = station(folder, batch_rows="4")
    run.topics.faults.order(2, "after", Killed())
    with pytest.raises(Killed):
        run.poll()
    landed_rows = len(run.topics.changes)
    assert 0 < landed_rows < 10
    put(folder / "erp.FxRate.csv", RATES + "Y,EUR,2026-02-03,1\n")
    run.poll()
    assert run.told.gaps == 1
    assert [key for _, _, key in landed(run)][landed_rows:] == ["Y:EUR:2026-02-03"]


def test_a_folder_that_is_not_there_ends_the_feed(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"nowhere: there is no such folder; make it, or correct the setting folder"):
        station(tmp_path / "nowhere").poll()
