"""The answers as one HTML page that stands alone: style and plots inside, nothing fetched from anywhere."""

from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from console.plots import plots_of
from console.questions import answer_all
from console.readmodel import ReadModel
from console.table import Cell, Kind, Table, first_rows, shown
from streams.domain.calendar import moment

ROWS_MAX = 200
"""Rows of one table on the page; the CSV files hold all of them."""


class Tile(NamedTuple):
    """A figure at the top of the page: what it is, and one line a currency or a single count."""

    words: str
    figures: tuple[str, ...]
    table_name: str


def render(model: ReadModel, now: int) -> str:
    """Return the page as HTML text, with everything as of the time given in ms, UTC."""
    answers = answer_all(model, now)
    tables = {table.name: table for _, tables in answers for table in tables}
    environment = Environment(
        loader=PackageLoader("console", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shown"] = shown
    environment.filters["first_rows"] = first_rows
    environment.filters["exact_time"] = _exact_time
    return environment.get_template("page.html.j2").render(
        answers=answers,
        tiles=tiles_of(model, tables),
        plots=plots_of(tables),
        as_of=moment(now).strftime("%Y-%m-%d %H:%M UTC"),
        rows_max=ROWS_MAX,
        DAY=Kind.DAY,
    )


def tiles_of(model: ReadModel, tables: dict[str, Table]) -> list[Tile]:
    """Return the figures at the top of the page."""
    critical = sum(alert.severity == "critical" for alert in model.open_alerts())
    alerts = f"{len(model.open_alerts()):,d}" + (f" ({critical:,d} critical)" if critical else "")
    other = [matter for matter in model.open_matters() if matter.kind != "billing_hold"]
    return [
        Tile("Net billed", _totals(tables["billing-by-contract"], "Net billed"), "billing-by-contract"),
        Tile("Posted to the ERP", _totals(tables["billing-by-contract"], "Posted"), "billing-by-contract"),
        Tile("Held", _totals(tables["held-billing"], "Amount"), "held-billing"),
        Tile("Open alerts", (alerts,), "alerts-by-kind"),
        Tile("Other exceptions", (f"{len(other):,d}",), "other-exceptions"),
        Tile("Unreadable records", (f"{len(model.dead_letters):,d}",), "dead-letters"),
    ]


def _totals(table: Table, heading: str) -> tuple[str, ...]:
    place = [column.heading for column in table.columns].index(heading)
    return tuple(shown(total[place], Kind.MONEY) for total in table.totals) or ("nothing",)


def _exact_time(cell: Cell) -> str:
    return moment(cell).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(cell, int) else ""
