"""Money of the firm as whole minor units (cents, yen, fils): integers in, decimal text out, no floats."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

DIGITS = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3, "CHF": 2}
_SCALE = {currency: int("1" + "0" * digits) for currency, digits in DIGITS.items()}  # minor units in one unit

# Millionths of a unit for one euro when the history begins: planning converts with these, FX rates start from them.
MICRO_PER_EURO = {
    "EUR": 1_000_000,
    "USD": 1_080_000,
    "GBP": 850_000,
    "JPY": 160_000_000,
    "KWD": 333_000,
    "CHF": 950_000,
}


def text_of(minor: int, currency: str) -> str:
    """Decimal text of an amount in minor units: 12345 EUR is `123.45`, 12345 JPY is `12345`."""
    digits = DIGITS[currency]
    if not digits:
        return str(minor)
    sign = "-" if minor < 0 else ""
    whole, part = divmod(abs(minor), _SCALE[currency])
    return f"{sign}{whole}.{part:0{digits}d}"


def minor_of(amount: Decimal, currency: str) -> int:
    """Minor units of an amount, rounded half up."""
    return int(amount.scaleb(DIGITS[currency]).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def from_cents(euro_cents: int, currency: str) -> int:
    """Minor units of `currency` that `euro_cents` were worth at the start, for planning."""
    return (euro_cents * MICRO_PER_EURO[currency] * _SCALE[currency] + 50_000_000) // 100_000_000


def exchange(minor: int, source: str, target: str) -> int:
    """Minor units of `target` that `minor` units of `source` were worth at the start, for planning."""
    if source == target:
        return minor
    up = minor * MICRO_PER_EURO[target] * _SCALE[target]
    down = MICRO_PER_EURO[source] * _SCALE[source]
    return (up * 2 + down) // (2 * down)


def in_hundreds(minor: int, currency: str) -> int:
    """The amount rounded down to whole hundreds of units, at least one hundred: prices are agreed in round numbers."""
    step = 100 * _SCALE[currency]
    return max(step, minor // step * step)


def quarters_text(quarters: int) -> str:
    """Hours of a number of quarter hours: 30 is `7.5`."""
    sign = "-" if quarters < 0 else ""
    whole, part = divmod(abs(quarters), 4)
    return f"{sign}{whole}{('', '.25', '.5', '.75')[part]}"


def value_of(quarters: int, rate_minor: int) -> int:
    """Minor units of a number of quarter hours at an hourly rate, rounded half up."""
    return (quarters * rate_minor + 2) // 4


def fraction_text(part: int, whole: int) -> str:
    """`part` ÷ `whole` as a fraction of one with six digits; 0 if there is no whole."""
    if whole == 0:
        return "0"
    return str((Decimal(part) / Decimal(whole)).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP))
