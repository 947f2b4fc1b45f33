"""Tables: the answer to one business question, and how its cells look to people and to spreadsheets.

Owns alignment, units, totals and the wording of single values. Does not know where rows come from, nor where they are
shown.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import NamedTuple

from streams.domain.calendar import DAY_MS, moment
from streams.domain.money import minor_unit, round_money

NO_VALUE = "–"
SPREADSHEET_COMMANDS = ("=", "+", "-", "@", "\t", "\r")


class Money(NamedTuple):
    """An amount in a currency (ISO 4217)."""

    amount: Decimal
    currency: str


class Kind(StrEnum):
    """What a column holds, which fixes how its cells are written and aligned.

    `money` cells are Money, `day` cells instants in ms, `percent` and `points` fractions of one, `days` whole days.
    """

    TEXT = "text"
    COUNT = "count"
    DAYS = "days"
    MONEY = "money"
    PERCENT = "percent"
    POINTS = "points"
    HOURS = "hours"
    DAY = "day"


Cell = str | int | Decimal | Money | None
Row = tuple[Cell, ...]


class Column(NamedTuple):
    """A column of a table. `aside` marks one that a narrow terminal leaves out; `summed` one that has totals."""

    heading: str
    kind: Kind = Kind.TEXT
    aside: bool = False
    summed: bool = False

    @property
    def align(self) -> str:
        """Return `right` for what is compared by size, else `left`."""
        return "left" if self.kind in (Kind.TEXT, Kind.DAY) else "right"


@dataclass(frozen=True)
class Table:
    """The answer to a question.

    `name` is fit for a file name. Rows come in order of weight; `totals` are rows of the same columns, one a currency.
    `nothing` is said where there are no rows, `note` explains what a reader could misread.
    """

    name: str
    title: str
    question: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    nothing: str
    note: str = ""
    totals: tuple[Row, ...] = ()


def answer(
    name: str, title: str, question: str, columns: Sequence[Column], rows: Sequence[Row], nothing: str, note: str = ""
) -> Table:
    """Return a table of these rows with its totals."""
    return Table(name, title, question, tuple(columns), tuple(rows), nothing, note, totals_of(columns, rows))


def totals_of(columns: Sequence[Column], rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return one row of sums for each currency of the rows, in the order of its code; none where nothing is summed.

    A row belongs to the currency of its money cells; all of them share one. Rows without money are in no total.
    """
    if not any(column.summed for column in columns):
        return ()
    sums: dict[str, list[Decimal | int]] = {}
    for row in rows:
        if any(isinstance(cell, Money) for cell in row):
            currency = _currency_of(row)
            so_far = sums.setdefault(currency, [0] * len(columns))
            for place, cell in enumerate(row):
                if columns[place].summed and cell is not None and not isinstance(cell, str):
                    so_far[place] += cell.amount if isinstance(cell, Money) else cell
    return tuple(_total_row(columns, currency, sums[currency]) for currency in sorted(sums))


def first_rows(table: Table, rows_max: int) -> list[Row]:
    """Return the first rows of a table, at most so many, in their order; every currency has its fair share of them."""
    turns: Counter[str] = Counter()
    ranked = []
    for place, row in enumerate(table.rows):
        currency = _currency_of(row)
        ranked.append((turns[currency], place))
        turns[currency] += 1
    kept = sorted(place for _, place in sorted(ranked)[:rows_max])
    return [table.rows[place] for place in kept]


def _currency_of(row: Row) -> str:
    return next((cell.currency for cell in row if isinstance(cell, Money)), "")


def _total_row(columns: Sequence[Column], currency: str, sums: Sequence[Decimal | int]) -> Row:
    cells: list[Cell] = [None] * len(columns)
    for place, column in enumerate(columns):
        if column.summed:
            cells[place] = Money(Decimal(sums[place]), currency) if column.kind is Kind.MONEY else sums[place]
    cells[0] = f"Total {currency}".strip()
    return tuple(cells)


def age_in_days(since: int, now: int) -> int:
    """Return the whole days from one instant to another, at least 0."""
    return max(now - since, 0) // DAY_MS


def shown(cell: Cell, kind: Kind) -> str:
    """Return a cell as people read it: thousands separators, the currency's minor unit, one decimal of a percent."""
    match cell:
        case None:
            return NO_VALUE
        case str():
            return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in cell) or NO_VALUE
        case Money(amount, currency):
            return f"{_in_minor_units(amount, currency):,f} {currency}".strip()
        case int() if kind is Kind.DAY:
            return moment(cell).date().isoformat()
        case int():
            return f"{cell:,d}"
    match kind:
        case Kind.PERCENT:
            return f"{_rounded(cell * 100):,f} %"
        case Kind.POINTS:
            return f"{_rounded(cell * 100):,f}"
        case _:
            return f"{_rounded(cell):,f}"


def exact(cell: Cell, kind: Kind) -> list[str]:
    """Return a cell as a spreadsheet takes it: plain numbers, exact times; money is two cells, amount and currency."""
    if kind is Kind.MONEY:
        return [f"{_in_minor_units(*cell):f}", cell.currency] if isinstance(cell, Money) else ["", ""]
    match cell:
        case None:
            return [""]
        case str():
            # A text that begins like a formula would be run by the spreadsheet that opens the file.
            return [f"'{cell}" if cell.startswith(SPREADSHEET_COMMANDS) else cell]
        case int() if kind is Kind.DAY:
            return [moment(cell).isoformat(timespec="seconds").replace("+00:00", "Z")]
        case _:
            return [f"{cell:f}" if isinstance(cell, Decimal) else str(cell)]


def _in_minor_units(amount: Decimal, currency: str) -> Decimal:
    # A sum of foreign amounts may carry more digits than its minor unit shows; without a currency nothing is rounded.
    if not currency:
        return amount
    rounded = round_money(amount, currency)
    return rounded if rounded else minor_unit(currency) * 0


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.1"), ROUND_HALF_UP)
