"""The report: the page and the tables as CSV in a folder, and the tables in the terminal."""

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from console.page import render
from console.questions import answer_all
from console.readmodel import ReadModel, fold
from console.table import Kind, Table, exact
from console.terminal import print_answers

Records = ReadModel | Iterable[Mapping[str, Any]]
"""Derived records in order, or the read model they were folded into."""


class UnwritableReport(Exception):
    """The report cannot be written; the message names the path, what is wrong and what to do."""


def write(records: Records, folder: Path, now: int) -> Path:
    """Write `page.html` and one CSV file a table into a folder, which is made if absent; return the page's path.

    `now` is in ms since 1970, UTC: ages are counted to it. Raises `UnreadableRecord` for a record that cannot be shown
    and `UnwritableReport` where the folder cannot be written.
    """
    model = _model_of(records)
    page = folder / "page.html"
    texts = {page: render(model, now)}
    for _, tables in answer_all(model, now):
        texts.update({folder / f"{table.name}.csv": csv_text(table) for table in tables})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UnwritableReport(
            f"{error.filename or folder}: {error.strerror or error}; name a folder that the report can be written to"
        ) from error
    return page


def print_tables(records: Records, now: int, console: Console | None = None, rows_max: int = 10) -> None:
    """Print the tables, each with at most `rows_max` rows, on standard output unless another console is given.

    Raises `UnreadableRecord` for a record that cannot be shown.
    """
    print_answers(answer_all(_model_of(records), now), console or Console(), rows_max)


def csv_text(table: Table) -> str:
    """Return a table as CSV with a heading line: plain numbers, fractions of one, exact times, currencies apart."""
    lines = StringIO()
    writer = csv.writer(lines, lineterminator="\r\n")
    headings: list[str] = []
    for column in table.columns:
        headings += [column.heading, f"{column.heading} currency"] if column.kind is Kind.MONEY else [column.heading]
    writer.writerow(headings)
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        writer.writerow([part for cell, column in cells for part in exact(cell, column.kind)])
    return lines.getvalue()


def _model_of(records: Records) -> ReadModel:
    return records if isinstance(records, ReadModel) else fold(records)
