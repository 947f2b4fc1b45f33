"""The report: files that hold everything, and a terminal that shows what fits."""

import csv
import random
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from console.page import ROWS_MAX
from console.questions import answer_all
from console.readmodel import fold
from console.report import UnwritableReport, csv_text, print_tables, write
from tests.unit.console_firm import NOW_MS, Record, alert, firm


def test_a_long_table_is_cut_on_the_page_and_whole_in_its_file(tmp_path: Path) -> None:
    chance = random.Random(0)
    records = [
        alert(chance, "expense_late", f"X{number}", unit="EUR", measure="1.5") for number in range(ROWS_MAX + 50)
    ]
    page = write(records, tmp_path / "new" / "folder", NOW_MS)
    assert page == tmp_path / "new" / "folder" / "page.html"
    text = page.read_text(encoding="utf-8")
    assert "200 of 250 rows" in text
    assert text.count('<th scope="row">X') == ROWS_MAX
    assert "375.00 EUR" in text
    rows = list(csv.reader(StringIO((page.parent / "late-expenses.csv").read_text(encoding="utf-8"))))
    assert rows[0] == ["Expense", "Project", "Contract", "Amount", "Amount currency", "Since", "Days"]
    assert len(rows) == 1 + 250
    assert rows[1][3:5] == ["1.50", "EUR"]


def test_the_report_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (write(firm(), tmp_path / name, NOW_MS).parent for name in ("first", "second"))
    files = sorted(path.name for path in first.iterdir())
    assert len(files) == 22
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.write_text("a file")
    with pytest.raises(
        UnwritableReport, match=rf"^{file}: File exists; name a folder that the report can be written to$"
    ):
        write([], file, NOW_MS)


def test_csv_of_a_table_without_rows_is_its_headings() -> None:
    tables = {table.name: table for _, tables in answer_all(fold([]), NOW_MS) for table in tables}
    assert csv_text(tables["cap-burn"]) == (
        "Contract,Client,Severity,Burnt,Billed,Billed currency,Cap,Cap currency,Left,Left currency,Since,Days\r\n"
    )


def printed(records: list[Record], width: int, rows_max: int = 10) -> list[str]:
    screen = StringIO()
    print_tables(records, NOW_MS, Console(file=screen, width=width), rows_max)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def stalled(number: int, currency: str) -> Record:
    chance = random.Random(number)
    fixed = {"opened_at": "2026-04-10T09:30:00Z", "project_id": "P1", "contract_number": "C1"}
    return alert(chance, "expense_late", f"X{number}", unit=currency, measure=f"{number}000", **fixed)


def test_a_narrow_terminal_shows_the_main_columns() -> None:
    lines = printed([stalled(1, "EUR"), stalled(2, "EUR"), stalled(3, "JPY")], 80, rows_max=2)
    start = lines.index("Late expenses")
    assert lines[start : start + 11] == [
        "Late expenses",
        "Which approved expenses are not in the books yet?",
        " Expense     Project   Contract         Amount   Days",
        "──────────────────────────────────────────────────────",
        " X2          P1        C1         2,000.00 EUR      5",
        " X3          P1        C1            3,000 JPY      5",
        "",
        " Total EUR                        3,000.00 EUR",
        " Total JPY                           3,000 JPY",
        " and 1 more, all of them in late-expenses.csv",
        "",
    ]
    assert max(len(line) for line in lines) <= 80


def test_a_wide_terminal_shows_all_columns() -> None:
    lines = printed([stalled(1, "EUR")], 140)
    start = lines.index("Late expenses")
    assert lines[start + 2 : start + 5] == [
        " Expense     Project   Contract         Amount   Since        Days",
        "───────────────────────────────────────────────────────────────────",
        " X1          P1        C1         1,000.00 EUR   2026-04-10      5",
    ]


@pytest.mark.parametrize("width", [80, 140])
def test_no_line_is_wider_than_the_terminal_and_none_is_coloured(width: int) -> None:
    lines = printed(firm(), width)
    assert max(len(line) for line in lines) <= width
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_no_commands_from_records() -> None:
    lines = printed([alert(random.Random(0), "status_mismatch", "\x1b[31mP1[/]", evidence={"crm": "[bold]a"})], 140)
    assert any("\ufffd[31mP1[/]" in line and "[bold]a" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_a_terminal_says_that_there_is_nothing() -> None:
    lines = printed([], 80)
    start = lines.index("Held billing")
    assert lines[start + 2] == " Nothing is held."
