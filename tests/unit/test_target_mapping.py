"""Mapping files of targets: what a name becomes, and what a slip is told as."""

from pathlib import Path

import pytest

from schemas.lined_yaml import UnusableFile
from streams.sinks.netsuite import NetSuiteMapping
from streams.sinks.target_mapping import TargetNames, Unmapped, target_names

TEXT = """\
version: 1
company: {LE1: "1"}
customer: {CU1: "220"}
item: {"CONS, senior": "144"}
tax: {DE-19: "7"}
currency: {EUR: "1"}
"""


def names(folder: Path, text: str = TEXT) -> TargetNames[NetSuiteMapping]:
    file = folder / "mapping.yaml"
    file.write_text(text, encoding="utf-8")
    return target_names(file, NetSuiteMapping)


@pytest.mark.parametrize(
    ("table", "value", "called"),
    [
        ("company", "LE1", "1"),
        ("customer", "CU1", "220"),
        ("customer", "CU2", "CU2"),
        ("project", "P1", "P1"),
        ("item", "CONS, senior", "144"),
    ],
)
def test_a_value_is_called_what_the_file_says(tmp_path: Path, table: str, value: str, called: str) -> None:
    assert names(tmp_path).of(table, value) == called


@pytest.mark.parametrize("table", ["company", "item", "tax", "currency"])
def test_a_value_that_is_not_mapped_is_told_with_what_to_add(tmp_path: Path, table: str) -> None:
    with pytest.raises(Unmapped) as raised:
        names(tmp_path).of(table, "X")
    assert str(raised.value) == f"{table} 'X' is not mapped: add it under '{table}' in {tmp_path / 'mapping.yaml'}"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('{LE1: "1"}', "{LE1: 1}", r"mapping\.yaml:2: company\.LE1: Input should be a valid string \(it says 1\)"),
        ('{LE1: "1"}', "{}", r"mapping\.yaml:2: company: .*at least 1"),
        ('tax: {DE-19: "7"}', "taxes: {}", r"mapping\.yaml:5: taxes: Extra inputs are not permitted"),
        ('currency: {EUR: "1"}\n', "", r"mapping\.yaml:1: currency: Field required"),
        ('{CU1: "220"}', '{CU1: "220", CU1: "221"}', r"mapping\.yaml:3: 'CU1' is there twice"),
        ('{DE-19: "7"}', '{DE-19: ""}', r"mapping\.yaml:5: tax\.DE-19: .*at least 1 character"),
    ],
)
def test_a_slip_is_told_with_its_place(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    with pytest.raises(UnusableFile, match=said):
        names(tmp_path, TEXT.replace(right, wrong))
