"""Field converters: from what a feed delivers (JSON view or decoded Avro) to canonical values, or a clear fault."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from schemas.kinds import Kind
from schemas.mapping import FieldSpec, Vocabulary
from streams.domain.calendar import instant
from streams.domain.money import EXACT

Converter = Callable[[Any], Any]

_EARLIEST: Final = date(1900, 1, 1)
_LATEST: Final = date(9999, 12, 31)
_PERIOD: Final = re.compile(r"(19|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_INT64: Final = 2**63
_SHOWN_MAX: Final = 100
TEXT_MAX: Final = 4_000
"""Characters of a text field: ids, names, roles and codes, never prose."""


class Fault(ValueError):
    """A value that a field cannot hold; the text says why."""


class UnmappedValue(Fault):
    """A value that the system's vocabulary does not translate."""


def shown(value: Any) -> str:
    """Return a value as messages show it: cut where it is long, since a message travels with its exception."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def converter(spec: FieldSpec) -> Converter:
    """Return the converter of a field; it raises Fault."""
    if spec.vocabulary is not None:
        return _vocabulary(spec.vocabulary)
    if spec.fields:
        raise TypeError(f"{spec.name} is a list of records: build it with its record type")
    if spec.digits:
        return _decimal(spec)
    return _PLAIN[spec.kind]


def _vocabulary(vocabulary: Vocabulary) -> Converter:
    values = vocabulary.values

    def convert(value: Any) -> Any:
        try:
            return values[value]
        except (KeyError, TypeError):
            raise UnmappedValue(f"{shown(value)} is no {vocabulary.name} that its mapping knows") from None

    return convert


def _decimal(spec: FieldSpec) -> Converter:
    scale, whole = spec.scale, spec.digits - spec.scale
    signed, limit, unit = spec.signed, Decimal(10) ** (spec.digits - spec.scale), Decimal(1).scaleb(-spec.scale)

    @lru_cache(maxsize=4096)
    def parse(text: str) -> Decimal:
        if _DECIMAL.fullmatch(text) is None:
            raise Fault(f"{shown(text)} is no decimal number")
        return check(Decimal(text))

    def check(number: Decimal) -> Decimal:
        if not number.is_finite():
            raise Fault(f"{shown(number)} is no finite number")
        if number < 0 and not signed:
            raise Fault(f"{shown(number)} is negative")
        if abs(number) >= limit:
            raise Fault(f"{shown(number)} has more than {whole} digits before the point")
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > scale:
            kept = number.quantize(unit, context=EXACT)
            if number != kept:
                raise Fault(f"{shown(number)} has more than {scale} digits after the point")
            return kept  # without the zeros of a column that is wider: contracts have no place for them
        return number

    def convert(value: Any) -> Decimal:
        if isinstance(value, str):
            # Before what is parsed is kept in a cache: zeros at the end may go on for long.
            return parse(value) if len(value) <= _SHOWN_MAX else parse.__wrapped__(value)
        if isinstance(value, Decimal):
            return check(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return check(Decimal(value))
        raise Fault(f"{shown(value)} is no decimal: decimals are strings")

    return convert


def _string(value: Any) -> str:
    if type(value) is str and len(value) <= TEXT_MAX and value.isprintable():
        return value  # almost all
    if not isinstance(value, str):
        raise Fault(f"{shown(value)} is no text")
    if len(value) > TEXT_MAX:
        raise Fault(f"{shown(value)} has {len(value)} characters, more than {TEXT_MAX}")
    if _CONTROL.search(value):
        raise Fault(f"{shown(value)} has control characters or half a character")
    return value


def _bool(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise Fault(f"{shown(value)} is neither true nor false")


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
        return value
    raise Fault(f"{shown(value)} is no whole number of 64 bits")


@lru_cache(maxsize=8192)
def _parsed_date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Fault(f"{shown(text)} is no date YYYY-MM-DD") from None
    if day.isoformat() != text:  # such as 20260131 or 2026-W05-6
        raise Fault(f"{shown(text)} is no date YYYY-MM-DD")
    return _in_range(day)


def _in_range(day: date) -> date:
    if not _EARLIEST <= day <= _LATEST:
        raise Fault(f"{day} is out of range: {_EARLIEST} to {_LATEST}")
    return day


def _date(value: Any) -> date:
    if isinstance(value, str):
        return _parsed_date(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return _in_range(value)
    raise Fault(f"{shown(value)} is no date")


def _timestamp(value: Any) -> int:
    if isinstance(value, str):
        return _parsed_timestamp(value)
    if isinstance(value, datetime):
        return _checked_timestamp(value)
    raise Fault(f"{shown(value)} is no time")


@lru_cache(maxsize=8192)
def _parsed_timestamp(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Fault(f"{shown(text)} is no time as RFC 3339 writes it") from None
    return _checked_timestamp(moment)


def _checked_timestamp(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise Fault(f"{moment} has no time zone: write UTC as Z")
    if not _EARLIEST.year < moment.year < _LATEST.year:  # else no time zone can bring it out of range
        try:
            _in_range(moment.astimezone(UTC).date())
        except OverflowError:
            raise Fault(f"{moment} is out of range: {_EARLIEST} to {_LATEST}") from None
    return instant(moment)


def _period(value: Any) -> str:
    if isinstance(value, str) and _PERIOD.fullmatch(value):
        return value
    raise Fault(f"{shown(value)} is no month YYYY-MM")


def _currency(value: Any) -> str:
    if isinstance(value, str) and _CURRENCY.fullmatch(value):
        return value
    raise Fault(f"{shown(value)} is no currency code of three capital letters")


_PLAIN: Final[dict[Kind, Converter]] = {
    Kind.STRING: _string,
    Kind.BOOL: _bool,
    Kind.INT: _int,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
    Kind.PERIOD: _period,
    Kind.CURRENCY: _currency,
}
