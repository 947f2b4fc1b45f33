"""One value of Salesforce in the JSON view: decimals, dates and instants are text."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from connect.feeds.salesforce.objects import Field, Kind

_DAY_MS: Final = 86_400_000
_DOUBLE_DIGITS: Final = 15


class WrongType(Exception):
    """A field holds what it cannot hold: its type was changed. The message says what it holds."""


def of_rest(field: Field, value: Any) -> Any:
    """Return what a value of a REST answer is in a row. Numbers were read as int or Decimal.

    Raises:
        WrongType: It is of another type than the field.
    """
    return _converted(field, value, _REST)


def of_event(field: Field, value: Any) -> Any:
    """Return what a value of a change event is in a row: numbers are doubles, times milliseconds.

    Raises:
        WrongType: It is of another type than the field.
    """
    return _converted(field, value, _EVENT)


def instant(text: str) -> int:
    """Return milliseconds of an instant as REST has it: `2026-01-05T10:00:00.000+0000`."""
    moment = datetime.fromisoformat(text)
    seconds = int(moment.replace(microsecond=0).timestamp())
    return seconds * 1000 + moment.microsecond // 1000


def instant_text(at_ms: int) -> str:
    """Return RFC 3339 text of an instant, with milliseconds only where there are some."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds").replace("+00:00", "Z")


def settled(number: Decimal, scale: int) -> str:
    """Return a number that Salesforce keeps as a double, as the decimal that was meant.

    A double of 0.1 + 0.2 reads 0.30000000000000004: what differs from the scale of the field by no more than a double
    can tell apart is what arithmetic left behind, and goes. A true digit too many stays, so that the landing refuses
    it: nothing is rounded in silence.
    """
    meant = number.quantize(Decimal(1).scaleb(-scale)) if number.adjusted() + scale < 27 else number
    grain = abs(number).scaleb(-_DOUBLE_DIGITS)
    kept = meant if abs(meant - number) <= grain else number
    text = format(kept, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _converted(field: Field, value: Any, converters: Mapping[Kind, Callable[[Field, Any], Any]]) -> Any:
    if value is None:
        return None
    try:
        return converters[field.kind](field, value)
    except (ValueError, OverflowError) as error:
        raise WrongType(f"{value!r} is no {field.kind}: {error}") from None


def _text(_field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(type(value).__name__)
    return value


def _flag(_field: Field, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(type(value).__name__)
    return value


def _number(field: Field, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(type(value).__name__)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("no number")
        # The shortest text that reads back as the same double is the number that was typed in.
        value = Decimal(repr(value))
    number = Decimal(value)
    return settled(number.scaleb(-2) if field.percent else number, field.scale)


def _date_text(_field: Field, value: Any) -> str:
    return date.fromisoformat(_text(_field, value)).isoformat()


def _moment_text(_field: Field, value: Any) -> str:
    text = _text(_field, value)
    if "T" not in text:
        raise ValueError("a date alone")
    return instant_text(instant(text))


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(type(value).__name__)
    return value


def _event_date(_field: Field, value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()[:10]
    return datetime.fromtimestamp(_milliseconds(value) // _DAY_MS * _DAY_MS // 1000, UTC).date().isoformat()


def _event_moment(_field: Field, value: Any) -> str:
    if isinstance(value, datetime):
        return instant_text(int(value.replace(microsecond=0).timestamp()) * 1000 + value.microsecond // 1000)
    return instant_text(_milliseconds(value))


_SAME: Final[dict[Kind, Callable[[Field, Any], Any]]] = {Kind.TEXT: _text, Kind.BOOL: _flag, Kind.NUMBER: _number}
_REST: Final = {**_SAME, Kind.DATE: _date_text, Kind.MOMENT: _moment_text}
_EVENT: Final = {**_SAME, Kind.DATE: _event_date, Kind.MOMENT: _event_moment}
