"""Tables in a terminal: all columns where there is room, the main ones in 80, no colour where nobody sees it."""

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from console.questions import Answers
from console.table import NO_VALUE, Column, Row, Table, first_rows, shown

WIDE = 120
"""From this many columns on, columns marked as aside are shown too."""


def print_answers(answers: list[Answers], console: Console, rows_max: int = 10) -> None:
    """Print the tables of all parts, each with at most `rows_max` rows."""
    for part, tables in answers:
        console.print()
        console.rule(Text(part.title, style="bold"), align="left", style="dim")
        for table in tables:
            print_table(table, console, rows_max)


def print_table(table: Table, console: Console, rows_max: int) -> None:
    """Print one table: its question, its rows or that there are none, its totals, and what was left out."""
    console.print()
    console.print(Text(table.title, style="bold"))
    console.print(Text(table.question, style="italic dim"))
    if not table.rows:
        _print_aside(console, table.nothing, "green")
        return
    places = [place for place, column in enumerate(table.columns) if console.width >= WIDE or not column.aside]
    console.print(_grid(table, places, rows_max))
    if len(table.rows) > rows_max:
        _print_aside(console, f"and {len(table.rows) - rows_max:,d} more, all of them in {table.name}.csv", "dim")
    if table.note:
        _print_aside(console, table.note, "dim")


def _print_aside(console: Console, words: str, style: str) -> None:
    console.print(Padding(Text(words, style=style), (0, 0, 0, 1)))


def _grid(table: Table, places: list[int], rows_max: int) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=False)
    for place in places:
        column = table.columns[place]
        ends = column.align == "right"
        # Numbers are never broken over lines; words are, and an id that is too long shows all of itself.
        grid.add_column(
            Text(column.heading), justify="right" if ends else "left", no_wrap=ends, overflow="fold", vertical="top"
        )
    for row in first_rows(table, rows_max):
        grid.add_row(*_texts(row, table.columns, places))
    if table.totals and any(table.columns[place].summed for place in places):
        grid.add_section()
        for total in table.totals:
            grid.add_row(*_texts(total, table.columns, places, blank=""), style="bold")
    return grid


def _texts(row: Row, columns: tuple[Column, ...], places: list[int], blank: str = NO_VALUE) -> list[Text]:
    return [Text(blank if row[place] is None else shown(row[place], columns[place].kind)) for place in places]
