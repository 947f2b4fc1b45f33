"""Money: decimal amounts, rounded half up to the minor unit of their currency (ISO 4217)."""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Final

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)

_DIGITS: Final = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
    "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4,
}  # fmt: skip
_UNITS: Final = {digits: Decimal(1).scaleb(-digits) for digits in (0, 2, 3, 4)}
_UNIT: Final = {currency: _UNITS[digits] for currency, digits in _DIGITS.items()}
_CENT: Final = _UNITS[2]
_FINEST: Final = Decimal(1).scaleb(-30)
_PUBLISHED: Final = Decimal("0.000001")

EXACT: Final = Context(prec=60, rounding=ROUND_HALF_UP)
"""Precision of intermediate results: wide enough that no product of three declared fields loses a digit."""

_WIDE: Final = Context(prec=120, rounding=ROUND_HALF_UP)
"""Room to write such a product with 30 digits after the point: the largest fields allowed must not stop a run."""


def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency: 0.01 for most, 1 for JPY, 0.001 for KWD."""
    return _UNIT.get(currency, _CENT)


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Round half up to the minor unit of the currency.

    A quotient carries 60 digits, so a third times three halves may lie a hair under the half it stands for: it is first
    rounded to 30 digits after the point, which no product of declared fields needs.
    """
    return amount.quantize(_FINEST, ROUND_HALF_UP, _WIDE).quantize(_UNIT.get(currency, _CENT), ROUND_HALF_UP, _WIDE)


def whole_units(amount: Decimal, currency: str) -> Decimal:
    """Round down to whole minor units: what a limit leaves room for."""
    return amount.quantize(_UNIT.get(currency, _CENT), ROUND_FLOOR, EXACT)


def round_quotient(value: Decimal | None) -> Decimal | None:
    """Return a quotient as published: rounded half up to six digits after the point."""
    return None if value is None else value.quantize(_PUBLISHED, ROUND_HALF_UP, EXACT)


def divide(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Return the quotient to 60 digits."""
    return EXACT.divide(numerator, denominator)


def multiply(left: Decimal, right: Decimal) -> Decimal:
    """Return the exact product of two declared fields."""
    return EXACT.multiply(left, right)
