"""Tables: what is said when there is nothing, how cells read, and what a shortened table keeps."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from console.questions import PARTS, answer_all
from console.readmodel import ReadModel
from console.table import Column, Kind, Money, Table, answer, exact, first_rows, shown
from tests.unit.console_records import NOW_MS


@pytest.mark.parametrize("question", [question for part in PARTS for question in part.questions])
def test_nothing_to_report_is_said(question: Callable[[ReadModel, int], Table]) -> None:
    table = question(ReadModel(), NOW_MS)
    assert (table.rows, table.totals) == ((), ())
    assert table.nothing.endswith(".")
    assert table.question.endswith("?")


def test_every_table_has_a_name_of_its_own() -> None:
    names = [table.name for _, tables in answer_all(ReadModel(), NOW_MS) for table in tables]
    assert len(names) == len(set(names)) == 21


@pytest.mark.parametrize(
    ("cell", "kind", "words", "plain"),
    [
        (Money(Decimal("1234567.895"), "EUR"), Kind.MONEY, "1,234,567.90 EUR", ["1234567.90", "EUR"]),
        (Money(Decimal("-1234.5"), "JPY"), Kind.MONEY, "-1,235 JPY", ["-1235", "JPY"]),
        (Money(Decimal("0.0004"), "KWD"), Kind.MONEY, "0.000 KWD", ["0.000", "KWD"]),
        (Money(Decimal("-0.001"), "EUR"), Kind.MONEY, "0.00 EUR", ["0.00", "EUR"]),
        (Money(Decimal("1000.5"), ""), Kind.MONEY, "1,000.5", ["1000.5", ""]),
        (None, Kind.MONEY, "–", ["", ""]),
        (None, Kind.TEXT, "–", [""]),
        (12345, Kind.COUNT, "12,345", ["12345"]),
        (Decimal("0.32785"), Kind.PERCENT, "32.8 %", ["0.32785"]),
        (Decimal("1250.25"), Kind.HOURS, "1,250.3", ["1250.25"]),
        (NOW_MS, Kind.DAY, "2026-03-10", ["2026-03-10T12:00:00Z"]),
        ("P1", Kind.TEXT, "P1", ["P1"]),
        ("=HYPERLINK(1)", Kind.TEXT, "=HYPERLINK(1)", ["'=HYPERLINK(1)"]),
        ("a\x1b[2Jb", Kind.TEXT, "a\ufffd[2Jb", ["a\x1b[2Jb"]),
    ],
)
def test_cells_read_well_and_calculate_well(cell: Any, kind: Kind, words: str, plain: list[str]) -> None:
    assert shown(cell, kind) == words
    assert exact(cell, kind) == plain


def test_a_shortened_table_keeps_the_largest_of_every_currency() -> None:
    amounts = [("EUR", 9), ("EUR", 8), ("EUR", 7), ("JPY", 5), ("USD", 3), ("USD", 2)]
    rows = [(f"{currency}{amount}", Money(Decimal(amount), currency)) for currency, amount in amounts]
    table = answer("n", "t", "q?", (Column("Id"), Column("Amount", Kind.MONEY)), rows, "none.")
    assert [row[0] for row in first_rows(table, 4)] == ["EUR9", "EUR8", "JPY5", "USD3"]
    assert [row[0] for row in first_rows(table, 9)] == [row[0] for row in rows]
