"""The lines of a replay file as changes of a history: which are read, how they are ordered, what is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from connect.csv_records import Place, Record, UnreadableFile
from connect.feeds.contract import Change, Reject, position
from connect.json_lines import JsonLines
from connect.sheets import JsonSheet, Told

AT = 1_772_366_400_000
CHANGED = 1_706_954_400_000
ENTRIES = "psa.public.time_entries"
ENTRY: dict[str, Any] = {
    "id": "T1", "project_id": "P1", "resource_id": "R1", "role": "Engineer", "work_date": "2024-02-03", "hours": "7.5",
    "billable": True, "status": "Approved", "approved_at": None, "updated_at": "2024-02-03T10:00:00.000Z",
}  # fmt: skip
RATE = {"FromCurrency": "USD", "ToCurrency": "EUR", "Date": "2024-02-03", "Rate": "0.92"}


def line(topic: str = ENTRIES, key: str | None = "P1", op: str = "r", **sides: Any) -> dict[str, Any]:
    source = {"connector": "x", "name": "old", "ts_ms": AT, "snapshot": True, "position": 7}
    return {"topic": topic, "key": key, "value": {"op": op, "ts_ms": AT, "source": source, **sides}}


def read(path: Path, *lines: Any) -> list[Change | Reject]:
    """What the lines of a file say; text is written as it is."""
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in lines))
    sheet, found = JsonSheet(Told(path.name, AT, 3)), list[Change | Reject]()
    records = JsonLines(path)
    for record in records:
        said = sheet.read(record)
        found += [said] if isinstance(said, Reject) else said
    records.close()
    return found


def lines_of(path: Path, place: Place = Place()) -> list[Record]:  # noqa: B008, it is a tuple
    """The lines of a file from a place on."""
    records = JsonLines(path)
    try:
        records.from_place(place)
        return list(records)
    finally:
        records.close()


def test_a_row_counts_from_when_it_was_changed(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "a.jsonl", line(after=ENTRY))
    assert found == Change(ENTRIES, "P1", "r", None, ENTRY, CHANGED, position(CHANGED, 3), snapshot=True, history=True)


def test_a_row_that_does_not_say_when_counts_from_when_its_source_told_of_it(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "a.jsonl", line("erp.FxRate", "USD:EUR:2024-02-03", "c", after=RATE))
    assert found == Change("erp.FxRate", "USD:EUR:2024-02-03", "c", None, RATE, AT, position(AT, 3), history=True)


def test_a_delete_counts_from_when_it_happened(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "a.jsonl", line(op="d", before=ENTRY, after=None))
    assert found == Change(ENTRIES, "P1", "d", ENTRY, None, AT, position(AT, 3), history=True)


@pytest.mark.parametrize("key", ["P1", "P2", None])
def test_an_update_that_changes_the_key_is_a_delete_and_a_create(tmp_path: Path, key: str | None) -> None:
    after = {**ENTRY, "project_id": "P2"}
    gone, made = read(tmp_path / "a.jsonl", line(key=key, op="u", before=ENTRY, after=after))
    assert isinstance(gone, Change)
    assert isinstance(made, Change)
    assert (gone.op, gone.key, gone.before, gone.position) == ("d", "P1", ENTRY, position(AT, 3))
    assert (made.op, made.key, made.after, made.position) == ("c", "P2", after, position(CHANGED, 3))


def test_an_update_under_one_key_is_told_without_what_was_before(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "a.jsonl", line(op="u", before={**ENTRY, "hours": "1"}, after=ENTRY))
    assert isinstance(found, Change)
    assert (found.op, found.before, found.after) == ("u", None, ENTRY)


def test_tombstones_and_empty_lines_say_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", "", {"topic": ENTRIES, "key": "P1", "value": None}, "  ") == []


def test_numbers_are_taken_as_they_are_written(tmp_path: Path) -> None:
    text = json.dumps(line(after={**ENTRY, "hours": 0})).replace('"hours": 0', '"hours": 7.10')
    (found,) = read(tmp_path / "a.jsonl", text)
    assert isinstance(found, Change)
    assert found.after is not None
    assert found.after["hours"] == "7.10"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON: "),
        ("[1]", "no object with topic, key and value"),
        ({"topic": ENTRIES, "key": "P1", "value_base64": "AA=="}, "bytes are not loaded"),
        ({"topic": ENTRIES, "key": 7, "value": None}, "its key is no text"),
        (line("psa.public.nothing", after=ENTRY), "'psa.public.nothing' is no topic whose rows can be loaded"),
        ({"topic": ENTRIES, "key": "P1", "value": {"after": ENTRY}}, "the value is no change envelope"),
        (line(op="x", after=ENTRY), "the value is no change envelope"),
        (line(op="c"), "after is missing, which op c needs"),
        (line(op="d", after=ENTRY), "before is missing, which op d needs"),
        (line(key="P9", after=ENTRY), "record key 'P9' is not 'P1', its row's"),
        (line(after={**ENTRY, "nickname": "x"}), f"{ENTRIES} has no field nickname"),
        (line(after={**ENTRY, "hours": None}), f"hours is missing, which every row of {ENTRIES} has"),
        (
            line(after={**ENTRY, "hours": "7.12345"}),
            "hours: 7.12345: more than 5 digits before the point, or 4 behind it",
        ),
        (
            line(after={**ENTRY, "hours": "123456"}),
            "hours: 123456: more than 5 digits before the point, or 4 behind it",
        ),
        (line(after={**ENTRY, "work_date": "3.2.2024"}), "work_date: '3.2.2024'"),
        (json.dumps(line(after=ENTRY)).replace(str(AT), "-1"), "source.ts_ms -1 is no count of milliseconds"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_line_that_cannot_be_loaded_is_a_reject_and_costs_no_other(tmp_path: Path, content: Any, said: str) -> None:
    reject, other = read(tmp_path / "a.jsonl", content, line(after=ENTRY))
    assert isinstance(reject, Reject)
    assert said in reject.message
    assert reject.place == "a.jsonl, line 1"
    assert reject.original.decode().strip() == (content if isinstance(content, str) else json.dumps(content))
    assert isinstance(other, Change)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_reading_goes_on_from_behind_any_line(tmp_path: Path, name: str) -> None:
    content = b'{"a":1}\n\n{"b":"\xc3\xa9"}\r\n{"c":3}'
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    whole = lines_of(path)
    assert [(record.line, record.raw) for record in whole] == [
        (1, b'{"a":1}\n'), (3, b'{"b":"\xc3\xa9"}\r\n'), (4, b'{"c":3}'),
    ]  # fmt: skip
    for number, record in enumerate(whole, 1):
        assert lines_of(path, record.behind) == whole[number:]
    assert whole[-1].behind == Place(len(content), 4)


def test_a_packed_file_that_ends_too_early_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n" * 10_000)[:-20])
    with pytest.raises(UnreadableFile, match="it cannot be read on"):
        lines_of(path)
