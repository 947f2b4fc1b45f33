"""Questions about drift: where margins, people, systems and revenue part ways, from open alerts.

Of the evidence of alerts these names are read: `baseline_margin_pct` (margin_erosion), `hours` and `capacity`
(overallocation), `taken_over` (amendment_unpropagated), `crm`, `psa` and `erp` (status_mismatch), `billed` and `cap`
(cap_burn), `triggered` and `invoiced` (reconciliation_gap), `recognized` and `earned` (revenue_drift), and `currency`
wherever amounts are. What is absent shows as having no value.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal

from console.evidence import by_amount, measured_money, money_in, number_in
from console.readmodel import Alert, Margin, ReadModel
from console.table import Cell, Column, Kind, Money, Row, Table, age_in_days, answer
from console.wording import kind_words, owner_words, plain, weeks_words
from streams.domain.calendar import iso_week

_SINCE = (Column("Since", Kind.DAY, aside=True), Column("Days", Kind.DAYS))


def _since(alert: Alert, now: int) -> tuple[int, int]:
    return alert.since, age_in_days(alert.since, now)


def _oldest_first(alerts: Iterable[Alert]) -> list[Alert]:
    return sorted(alerts, key=lambda each: (each.since, each.alert_id))


def margin_at_risk(model: ReadModel, now: int) -> Table:
    """Which projects will miss their margin, and since when; the furthest under its threshold first."""
    rows: list[Row] = []
    for alert in sorted(model.open_alerts("margin_erosion"), key=_furthest_under):
        margin = model.margins.get(alert.entity_id)
        baseline = margin.baseline_margin_pct if margin else number_in(alert, "baseline_margin_pct")
        place = (alert.entity_id, alert.contract_number, alert.client_id)
        figures: tuple[Cell, ...] = (
            margin.margin_pct if margin else None,
            margin.forecast_margin_pct if margin else alert.measure,
            alert.threshold,
            baseline,
            Money(margin.forecast_revenue - margin.forecast_cost, margin.currency) if margin else None,
        )
        rows.append((*place, *figures, *_since(alert, now)))
    columns = (
        Column("Project"),
        Column("Contract", aside=True),
        Column("Client", aside=True),
        Column("Margin now", Kind.PERCENT),
        Column("Forecast", Kind.PERCENT),
        Column("Least allowed", Kind.PERCENT),
        Column("Baseline", Kind.PERCENT),
        Column("Forecast margin", Kind.MONEY, aside=True, summed=True),
        *_SINCE,
    )
    return answer(
        "margin-at-risk",
        "Margin at risk",
        "Which projects will miss their margin, by how much, and since when?",
        columns, rows, "No project is about to miss its margin.",
        "Forecast is the margin at completion. Least allowed is the floor, or some points under a high baseline.",
    )  # fmt: skip


def _furthest_under(alert: Alert) -> tuple[Decimal, int, str]:
    threshold = Decimal(0) if alert.threshold is None else alert.threshold
    return (alert.measure - threshold, alert.opened_at, alert.alert_id)


def margin_by_project(model: ReadModel, _now: int) -> Table:
    """The margin of every project now and at completion; the lowest forecast first."""
    rows: list[Row] = []
    for margin in sorted(model.margins.values(), key=_lowest_forecast):
        amounts = (Money(margin.revenue, margin.currency), Money(margin.margin, margin.currency))
        fractions = (margin.margin_pct, margin.forecast_margin_pct, margin.baseline_margin_pct)
        forecast = Money(margin.forecast_revenue - margin.forecast_cost, margin.currency)
        rows.append((margin.project_id, margin.contract_number, *amounts, *fractions, forecast))
    columns = (
        Column("Project"),
        Column("Contract", aside=True),
        Column("Revenue earned", Kind.MONEY, aside=True, summed=True),
        Column("Margin so far", Kind.MONEY, summed=True),
        Column("Margin now", Kind.PERCENT),
        Column("Forecast", Kind.PERCENT),
        Column("Baseline", Kind.PERCENT, aside=True),
        Column("Forecast margin", Kind.MONEY, summed=True),
    )
    return answer(
        "margin-by-project",
        "Margin by project",
        "What does each project earn now, and what will it have earned when it is done?",
        columns, rows, "No project has any figures yet.",
        "A project without revenue has no percentage.",
    )  # fmt: skip


def _lowest_forecast(margin: Margin) -> tuple[bool, Decimal, str]:
    forecast = margin.forecast_margin_pct
    return (forecast is None, Decimal(0) if forecast is None else forecast, margin.project_id)


def overallocated_people(model: ReadModel, _now: int) -> Table:
    """Who is planned for more than they can work, in which weeks, and by how much in the worst of them."""
    weeks: dict[str, dict[str, Alert]] = defaultdict(dict)
    for alert in model.open_alerts("overallocation"):
        employee, _, week = alert.entity_id.rpartition(":")
        weeks[employee][week] = alert
    worst = {
        employee: max(planned.values(), key=lambda each: (each.measure, each.alert_id))
        for employee, planned in weeks.items()
    }
    rows: list[Row] = []
    for employee in sorted(weeks, key=lambda each: (-worst[each].measure, -len(weeks[each]), each)):
        alert = worst[employee]
        hours, capacity = number_in(alert, "hours"), number_in(alert, "capacity")
        over = hours - capacity if hours is not None and capacity is not None else None
        words = weeks_words(weeks[employee], {week: _week_after(week) for week in weeks[employee]})
        rows.append((employee, len(weeks[employee]), words, alert.entity_id.rpartition(":")[2], alert.measure, over))
    columns = (
        Column("Employee"),
        Column("Weeks", Kind.COUNT),
        Column("Which weeks"),
        Column("Worst week", aside=True),
        Column("Load then", Kind.PERCENT),
        Column("Hours over then", Kind.HOURS),
    )
    return answer(
        "overallocated-people",
        "Overallocated people",
        "Who is planned for more hours than they can work, in which weeks, and by how much?",
        columns, rows, "Nobody is planned for more than their capacity.",
        "Load is hours planned over all projects and regions, against weekly capacity. People are shown by id only.",
    )  # fmt: skip


def _week_after(week: str) -> str:
    try:
        monday = date.fromisocalendar(int(week[:4]), int(week[6:]), 1)
    except ValueError:
        return ""  # no ISO week: it stands alone
    return iso_week(monday + timedelta(days=7))


def unseen_amendments(model: ReadModel, now: int) -> Table:
    """Which approved amendments finance has not taken over; the longest waiting first."""
    rows: list[Row] = []
    for alert in _oldest_first(model.open_alerts("amendment_unpropagated")):
        taken_over = number_in(alert, "taken_over")
        counts = (int(alert.measure), int(taken_over) if taken_over is not None else None)
        rows.append((alert.entity_id, alert.contract_number, alert.client_id, *counts, *_since(alert, now)))
    columns = (
        Column("Amendment"),
        Column("Contract"),
        Column("Client", aside=True),
        Column("Its number", Kind.COUNT),
        Column("ERP has taken over", Kind.COUNT),
        *_SINCE,
    )
    return answer(
        "amendments-not-seen",
        "Amendments finance has not seen",
        "Which approved contract amendments has the ERP not taken over?",
        columns, rows, "The ERP has taken over every approved amendment.",
    )  # fmt: skip


def late_expenses(model: ReadModel, now: int) -> Table:
    """Which approved expenses the ERP has not posted; the largest first."""
    alerts = sorted(model.open_alerts("expense_late"), key=lambda each: by_amount(model, each))
    rows: list[Row] = [
        (alert.entity_id, alert.project_id, alert.contract_number, measured_money(model, alert), *_since(alert, now))
        for alert in alerts
    ]
    columns = (
        Column("Expense"),
        Column("Project"),
        Column("Contract"),
        Column("Amount", Kind.MONEY, summed=True),
        *_SINCE,
    )
    return answer(
        "late-expenses",
        "Late expenses",
        "Which approved expenses are not in the books yet?",
        columns, rows, "Every approved expense is posted, or not due yet.",
    )  # fmt: skip


def status_mismatches(model: ReadModel, now: int) -> Table:
    """Where the systems disagree on a project's status, and what each says; the longest disagreement first."""
    rows: list[Row] = []
    for alert in _oldest_first(model.open_alerts("status_mismatch")):
        stages = [alert.evidence.get(system) for system in ("crm", "psa", "erp")]
        said = [None if stage is None else plain(stage) for stage in stages]
        rows.append((alert.entity_id, alert.contract_number, *said, *_since(alert, now)))
    columns = (
        Column("Project"),
        Column("Contract"),
        Column("CRM says"),
        Column("PSA says"),
        Column("ERP says"),
        *_SINCE,
    )
    return answer(
        "status-mismatches",
        "Systems that disagree on status",
        "Where do CRM, PSA and ERP not agree whether a project runs?",
        columns, rows, "All systems agree on every project.",
    )  # fmt: skip


def cap_burn(model: ReadModel, now: int) -> Table:
    """Which caps are nearly used up; the fullest first."""
    rows: list[Row] = []
    for alert in sorted(model.open_alerts("cap_burn"), key=lambda each: (-each.measure, each.alert_id)):
        billed, cap = money_in(model, alert, "billed"), money_in(model, alert, "cap")
        left = Money(cap.amount - billed.amount, cap.currency) if cap and billed else None
        place = (alert.entity_id, alert.client_id, plain(alert.severity))
        rows.append((*place, alert.measure, billed, cap, left, *_since(alert, now)))
    columns = (
        Column("Contract"),
        Column("Client", aside=True),
        Column("Severity"),
        Column("Burnt", Kind.PERCENT),
        Column("Billed", Kind.MONEY, aside=True),
        Column("Cap", Kind.MONEY),
        Column("Left", Kind.MONEY),
        *_SINCE,
    )
    return answer(
        "cap-burn",
        "Caps nearly burnt",
        "Which contracts come close to their cap, or have reached it?",
        columns, rows, "No cap is near its end.",
    )  # fmt: skip


def reconciliation_gaps(model: ReadModel, now: int) -> Table:
    """Where posted invoices differ from what was triggered; the largest gap first."""
    rows: list[Row] = []
    for alert in sorted(model.open_alerts("reconciliation_gap"), key=lambda each: by_amount(model, each)):
        project, _, period = alert.entity_id.rpartition(":")
        sums = (money_in(model, alert, "triggered"), money_in(model, alert, "invoiced"), measured_money(model, alert))
        rows.append((project, period, alert.contract_number, *sums, *_since(alert, now)))
    columns = (
        Column("Project"),
        Column("Month"),
        Column("Contract", aside=True),
        Column("Triggered", Kind.MONEY, summed=True),
        Column("Invoiced", Kind.MONEY, summed=True),
        Column("Gap", Kind.MONEY, summed=True),
        *_SINCE,
    )
    return answer(
        "reconciliation-gaps",
        "Invoices that differ from billing",
        "Where do posted invoices not add up to what we triggered for the month?",
        columns, rows, "Posted invoices add up to what was triggered.",
    )  # fmt: skip


def revenue_drift(model: ReadModel, now: int) -> Table:
    """Where recognized revenue and delivery part ways; the largest difference first."""
    rows: list[Row] = []
    for alert in sorted(model.open_alerts("revenue_drift"), key=lambda each: by_amount(model, each)):
        recognized, earned = money_in(model, alert, "recognized"), money_in(model, alert, "earned")
        difference = measured_money(model, alert)
        if recognized and earned:
            difference = Money(recognized.amount - earned.amount, earned.currency)
        rows.append((alert.entity_id, alert.client_id, recognized, earned, difference, *_since(alert, now)))
    columns = (
        Column("Contract"),
        Column("Client", aside=True),
        Column("Recognized", Kind.MONEY, summed=True),
        Column("Earned by delivery", Kind.MONEY, summed=True),
        Column("Difference", Kind.MONEY, summed=True),
        *_SINCE,
    )
    return answer(
        "revenue-drift",
        "Revenue that differs from delivery",
        "On which contracts does recognized revenue differ from what delivery has earned?",
        columns, rows, "Recognized revenue follows delivery.",
        "Positive: recognized ahead of delivery. Negative: behind it.",
    )  # fmt: skip


def alerts_by_kind(model: ReadModel, now: int) -> Table:
    """How many alerts of each kind are open, whose they are, and how old the oldest is."""
    groups: dict[tuple[str, str], list[Alert]] = defaultdict(list)
    for alert in model.alerts.values():
        groups[alert.kind, alert.owner].append(alert)
    counted = {group: [alert for alert in alerts if alert.is_open] for group, alerts in groups.items()}
    rows: list[Row] = []
    for kind, owner in sorted(groups, key=lambda each: (-len(counted[each]), each)):
        still_open = counted[kind, owner]
        oldest = min((alert.since for alert in still_open), default=None)
        days = age_in_days(oldest, now) if oldest is not None else None
        critical = sum(alert.severity == "critical" for alert in still_open)
        resolved = len(groups[kind, owner]) - len(still_open)
        rows.append((kind_words(kind), owner_words(owner), len(still_open), critical, resolved, oldest, days))
    columns = (
        Column("Kind"),
        Column("Whose turn"),
        Column("Open", Kind.COUNT),
        Column("Critical", Kind.COUNT),
        Column("Resolved", Kind.COUNT, aside=True),
        Column("Oldest since", Kind.DAY, aside=True),
        Column("Days", Kind.DAYS),
    )
    return answer(
        "alerts-by-kind",
        "Alerts by kind",
        "How many alerts of each kind are open, whose turn is it, and how old is the oldest?",
        columns, rows, "No alert has been raised.",
    )  # fmt: skip
