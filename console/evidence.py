"""Amounts in the evidence of alerts and exceptions. Evidence is a map of texts: what is read from it may be absent."""

from datetime import date
from decimal import Decimal, InvalidOperation

from console.readmodel import Alert, Matter, ReadModel
from console.table import Money
from streams.domain.calendar import start_of


def number_in(record: Alert | Matter, name: str) -> Decimal | None:
    """Return a number of the evidence, or None where it is absent or says no finite number."""
    try:
        number = Decimal(record.evidence[name])
    except (KeyError, InvalidOperation):
        return None
    return number if number.is_finite() else None


def served_at(matter: Matter) -> int | None:
    """Return the day of the service behind a hold, as an instant, or None where it is not told."""
    try:
        return start_of(date.fromisoformat(matter.evidence["service_date"]))
    except (KeyError, ValueError):
        return None


def unbilled_since(matter: Matter) -> int:
    """Return since when a held item could have been billed: its service, or when it was first seen held."""
    served = served_at(matter)
    return matter.first_seen if served is None else served


def money_in(model: ReadModel, record: Alert | Matter, name: str) -> Money | None:
    """Return an amount of the evidence, or None where it is absent."""
    amount = number_in(record, name)
    return None if amount is None else Money(amount, _currency(model, record))


def measured_money(model: ReadModel, alert: Alert) -> Money:
    """Return the measure of an alert about money."""
    is_currency = len(alert.unit) == 3 and alert.unit.isalpha() and alert.unit.isupper()
    return Money(alert.measure, alert.unit if is_currency else _currency(model, alert))


def _currency(model: ReadModel, record: Alert | Matter) -> str:
    # Without a currency of its own, evidence is in that of the contract; a contract never billed has told none.
    return record.evidence.get("currency") or model.currencies.get(record.contract_number or "", "")


def by_amount(model: ReadModel, alert: Alert) -> tuple[str, Decimal, int, str]:
    """Return the place of an alert about money: by currency, the largest amount first, then the oldest."""
    money = measured_money(model, alert)
    return (money.currency, -abs(money.amount), alert.opened_at, alert.alert_id)
