"""The plots of the page. Each is drawn from a table that the page shows too, so that both say the same."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from console.svg import Group, Mark, Spread, bars_across, bars_upright, compact, dots
from console.table import Cell, Kind, Money, Table, shown

PROJECTS_MAX = 20
MONTHS_MAX = 24
_SERIES_OF_AGE = ("Held billing", "Other exceptions", "Alerts")


class Plot(NamedTuple):
    """A drawing with its heading, and the name of the table with its figures."""

    title: str
    svg: Markup
    table_name: str
    note: str = ""


def plots_of(tables: Mapping[str, Table]) -> list[Plot]:
    """Return the plots that have something to show; `tables` are by name."""
    return [
        *_net_by_month(tables["billing-by-month"]),
        *_margins(tables["margin-by-project"]),
        *_held_by_reason(tables["held-by-reason"]),
        *_alerts_by_kind(tables["alerts-by-kind"]),
        *_ageing(tables["ageing"]),
    ]


def _cells(table: Table, heading: str) -> list[Cell]:
    place = [column.heading for column in table.columns].index(heading)
    return [row[place] for row in table.rows]


def _by_currency(table: Table, label: str, amount: str) -> dict[str, list[tuple[str, Money]]]:
    found: dict[str, list[tuple[str, Money]]] = {}
    for words, money in zip(_cells(table, label), _cells(table, amount), strict=True):
        if isinstance(money, Money):
            found.setdefault(money.currency, []).append((shown(words, Kind.TEXT), money))
    return found


def _mark(label: str, money: Money) -> Mark:
    return Mark(money.amount, compact(money.amount), f"{label}: {shown(money, Kind.MONEY)}")


def _net_by_month(table: Table) -> list[Plot]:
    plots: list[Plot] = []
    for currency, months in _by_currency(table, "Month", "Net billed").items():
        groups = [Group(month, (_mark(month, money),)) for month, money in reversed(months[:MONTHS_MAX])]
        title = f"Net billed by month, {currency}"
        plots.append(Plot(title, bars_upright(f"plot-month-{len(plots)}", title, groups), table.name))
    return plots


def _held_by_reason(table: Table) -> list[Plot]:
    plots: list[Plot] = []
    for currency, reasons in _by_currency(table, "First reason", "Held").items():
        groups = [Group(reason, (_mark(reason, money),)) for reason, money in reasons]
        title = f"Held by reason, {currency}" if currency else "Held by reason"
        plots.append(Plot(title, bars_across(f"plot-held-{len(plots)}", title, groups), table.name))
    return plots


def _alerts_by_kind(table: Table) -> list[Plot]:
    counts = zip(_cells(table, "Kind"), _cells(table, "Open"), strict=True)
    groups = [_counted(str(kind), (count,)) for kind, count in counts if isinstance(count, int) and count]
    title = "Open alerts by kind"
    return [Plot(title, bars_across("plot-alerts", title, groups), table.name)] if groups else []


def _ageing(table: Table) -> list[Plot]:
    series = zip(*(_cells(table, heading) for heading in _SERIES_OF_AGE), strict=True)
    bands = zip(_cells(table, "Open for"), series, strict=True)
    groups = [_counted(str(band), [count for count in counts if isinstance(count, int)]) for band, counts in bands]
    title = "Age of what is open"
    return [Plot(title, bars_upright("plot-age", title, groups, _SERIES_OF_AGE), table.name)] if groups else []


def _counted(label: str, counts: Sequence[int]) -> Group:
    names = [f"{label}, {name}" for name in _SERIES_OF_AGE] if len(counts) > 1 else [label]
    marks = [
        Mark(Decimal(count), f"{count:,d}", f"{name}: {count:,d}", number)
        for number, (name, count) in enumerate(zip(names, counts, strict=True), 1)
    ]
    return Group(label, tuple(marks))


def _margins(table: Table) -> list[Plot]:
    headings = ("Project", "Margin now", "Forecast", "Baseline")
    spreads = []
    for project, *fractions in zip(*(_cells(table, heading) for heading in headings), strict=True):
        now, forecast, baseline = (part if isinstance(part, Decimal) else None for part in fractions)
        said = ", ".join(
            f"{name} {shown(part, Kind.PERCENT)}"
            for name, part in (("now", now), ("forecast", forecast), ("baseline", baseline))
        )
        if now is not None or forecast is not None:
            spreads.append(Spread(str(project), now, forecast, baseline, f"{project}: {said}"))
    if not spreads:
        return []
    title = "Margin and its forecast by project"
    svg = dots("plot-margin", title, spreads[:PROJECTS_MAX], ("forecast", "now", "baseline"))
    left_out = len(spreads) - PROJECTS_MAX
    note = f"The {PROJECTS_MAX} lowest forecasts; {left_out:,d} more are in the table." if left_out > 0 else ""
    return [Plot(title, svg, table.name, note)]
