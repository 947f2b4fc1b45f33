"""Records of CSV files: as RFC 4180 has them, from any place on, one fault costing one line."""

import csv
import gzip
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, strategies as st

from connect.csv_records import CsvRecords, Place, Record, UnreadableFile, check


def records(path: Path, content: bytes, place: Place | None = None, **options: object) -> list[Record]:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    reader = CsvRecords(path, **options)  # type: ignore[arg-type]
    if place is not None:
        reader.from_place(place)
    try:
        return list(reader)
    finally:
        reader.close()


def fields(found: list[Record]) -> list[tuple[str, ...] | None]:
    return [record.fields for record in found]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", []),
        (b"a,b\n1,2\n", [("a", "b"), ("1", "2")]),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", [("a", "b"), ("1", "2")]),
        (b"a,b\n1,2", [("a", "b"), ("1", "2")]),
        (b'a\n"x,y"\n"x ""y"""\n', [("a",), ("x,y",), ('x "y"',)]),
        (b'a,b\n"one\ntwo","three\r\nfour"\n5,6\n', [("a", "b"), ("one\ntwo", "three\r\nfour"), ("5", "6")]),
        (b"a\n\n\r\n1\n\n", [("a",), ("1",)]),
        ("a\nZoë\n日本\n".encode(), [("a",), ("Zoë",), ("日本",)]),
        (b"a,b\n,\n", [("a", "b"), ("", "")]),
    ],
)
def test_records_are_read(tmp_path: Path, name: str, content: bytes, wanted: list[tuple[str, ...]]) -> None:
    assert fields(records(tmp_path / name, content)) == wanted


def test_another_delimiter(tmp_path: Path) -> None:
    assert fields(records(tmp_path / "a.csv", b"1,5;2\n", delimiter=";")) == [("1,5", "2")]


def test_a_record_says_where_it_stands_and_what_it_was(tmp_path: Path) -> None:
    first, second = records(tmp_path / "a.csv", b'a\n\n"x\ny"\n')
    assert (first.line, first.raw, first.behind) == (1, b"a\n", Place(2, 1))
    assert (second.line, second.raw, second.behind) == (3, b'"x\ny"\n', Place(9, 4))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_reading_goes_on_from_behind_any_record(tmp_path: Path, name: str) -> None:
    content = b'a,b\r\n1,"x\r\ny"\r\n2,""\r\n"bad\r\n3,4\r\n'
    whole = records(tmp_path / name, content)
    for number, record in enumerate(whole, 1):
        assert records(tmp_path / name, content, record.behind) == whole[number:]


@pytest.mark.parametrize(
    ("content", "fault", "rest"),
    [
        (b'"open\n1,2\n3,4\n', "no CSV: unexpected end of data", [("1", "2"), ("3", "4")]),
        (b'5" pipe,2\n3,"4"\n', None, None),
        (b'"x"y,2\n3,4\n', "no CSV: ',' expected after '\"'", [("3", "4")]),
        (b"\xfe,2\n3,4\n", "no UTF-8: byte 1 of the record", [("3", "4")]),
        (b"\xff\xfe,2\n3,4\n", "it is UTF-16: save it as UTF-8", [("3", "4")]),
        (b"x" * 200 + b"\n3,4\n", "a record of more than 100 bytes", [("3", "4")]),
        (b'"' + b"x\n" * 90 + b"3,4\n", "a record of more than 100 bytes", [("x",)] * 89 + [("3", "4")]),
    ],
)
def test_a_fault_costs_one_line(
    tmp_path: Path, content: bytes, fault: str | None, rest: list[tuple[str, ...]] | None
) -> None:
    found = records(tmp_path / "a.csv", content, record_bytes_max=100)
    if fault is None or rest is None:
        assert sum(record.raw.count(b"\n") for record in found) == content.count(b"\n")
        return
    assert (found[0].fields, found[0].line) == (None, 1)
    assert found[0].fault.startswith(fault)
    assert fields(found[1:]) == rest
    assert [record.line for record in found[1:]] == list(range(2, 2 + len(rest)))


def test_a_first_line_with_a_number_sign_is_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for content in (b"# hr.Worker \na\n", b"\xef\xbb\xbf#hr.Worker\r\na\n"):
        path.write_bytes(content)
        reader = CsvRecords(path)
        assert reader.comment() == "hr.Worker"
        assert fields(list(reader)) == [("a",)]
        reader.close()
    path.write_bytes(b"a\n# b\n")
    reader = CsvRecords(path)
    assert reader.comment() is None
    assert fields(list(reader)) == [("a",), ("# b",)]
    reader.close()


def test_a_packed_file_that_is_damaged_is_found_before_it_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" * 10_000)[:-20])
    with pytest.raises(UnreadableFile, match="it is packed, and damaged"):
        check(path)
    path.write_bytes(gzip.compress(b"a\n"))
    check(path)
    plain = tmp_path / "a.csv"
    plain.write_bytes(b"a\n")
    check(plain)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=12)
CELL = st.one_of(TEXT, st.sampled_from(['"', ",", "x\ny", 'a"\r\n"b', ""]))


@given(st.lists(st.lists(CELL, min_size=2, max_size=4), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_wrote_is_read_as_it_was(rows: list[list[str]], end: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows(rows)
    with TemporaryDirectory() as folder:
        found = records(Path(folder, "a.csv"), b"\xef\xbb\xbf" + text.getvalue().encode())
    assert [list(record.fields or ()) for record in found] == rows
