"""Exact arithmetic for the batch: fractions inside, decimals at the edge, one place that rounds."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

# ISO 4217 currencies whose minor unit is not 2 digits (those that firms of the tests use and their neighbours)
MINOR_DIGITS = {"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "VND": 0, "KWD": 3, "BHD": 3, "JOD": 3, "OMR": 3, "TND": 3}
ONE = Fraction(1)
ZERO = Fraction(0)


def number(text: str | None) -> Fraction:
    """A decimal string as an exact number; null is nought."""
    return ZERO if text is None else Fraction(Decimal(text))


def minor(currency: str) -> int:
    """Digits after the point of a currency."""
    return MINOR_DIGITS.get(currency, 2)


def rounded(amount: Fraction, currency: str) -> Fraction:
    """Half-up (away from nought) to the currency's minor unit."""
    unit = Fraction(10) ** minor(currency)
    steps = (abs(amount) * unit + Fraction(1, 2)).__floor__()
    return Fraction(steps if amount >= 0 else -steps) / unit


def shown(amount: Fraction, digits: int = 50) -> Decimal:
    """An exact number as a decimal, to 50 digits where it does not end."""
    with localcontext() as context:
        context.prec = digits
        return Decimal(amount.numerator) / Decimal(amount.denominator)


def ratio(part: Fraction, whole: Fraction) -> Fraction | None:
    """part ÷ whole, None over nought."""
    return part / whole if whole else None


def working_days(first: date, last: date) -> int:
    """Days Monday to Friday from first to last, both counted."""
    if last < first:
        return 0
    weeks, rest = divmod((last - first).days + 1, 7)
    return weeks * 5 + sum((first + timedelta(days=offset)).weekday() < 5 for offset in range(rest))
