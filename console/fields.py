"""Reading derived records: the one place where their values become Python values.

A derived record comes either in its JSON view (decimals and times are text) or as it is inside (Decimal, date,
datetime, or an instant in milliseconds). Both read the same here. Instants leave as milliseconds since 1970, UTC.
"""

from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from sys import intern
from typing import Any

from streams.domain.calendar import instant


class UnreadableRecord(ValueError):
    """A derived record cannot be shown; the message names topic, key, field and value, and what was expected."""


class Fields:
    """The value of one derived record, read field by field.

    Every method raises `UnreadableRecord` for a value of another type, and for an absent one unless it says otherwise.
    """

    def __init__(self, topic: str, key: Any, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise UnreadableRecord(f"{topic}, key {key!r}: the value is {value!r}; expected an object with fields")
        self._topic = topic
        self._key = key
        self._value = value

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        found = self._value.get(name)
        if not isinstance(found, str) or not found:
            raise self._wrong(name, "a text")
        return intern(str(found))

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None where it is absent, null or empty."""
        return self.text(name) if self._value.get(name) not in (None, "") else None

    def decimal(self, name: str) -> Decimal:
        """Return a finite decimal. A float is refused: it has lost digits already."""
        found = self._value.get(name)
        if isinstance(found, Decimal | str) or (isinstance(found, int) and not isinstance(found, bool)):
            try:
                amount = Decimal(found)
            except InvalidOperation:
                raise self._wrong(name, "a decimal number") from None
            if amount.is_finite():
                return amount
        raise self._wrong(name, "a decimal number")

    def optional_decimal(self, name: str) -> Decimal | None:
        """Return a finite decimal, or None where it is absent or null."""
        return self.decimal(name) if self._value.get(name) is not None else None

    def whole(self, name: str) -> int:
        """Return a whole number."""
        number = self.decimal(name)
        if number != number.to_integral_value():
            raise self._wrong(name, "a whole number")
        return int(number)

    def instant(self, name: str) -> int:
        """Return an instant in milliseconds since 1970: given so, as an aware datetime, or as RFC 3339 text."""
        found = self._value.get(name)
        if isinstance(found, int) and not isinstance(found, bool):
            return found
        if isinstance(found, str):
            try:
                found = datetime.fromisoformat(found)
            except ValueError:
                raise self._wrong(name, "a time such as 2026-03-31T18:00:00Z") from None
        if isinstance(found, datetime) and found.tzinfo is not None:
            return instant(found.astimezone(UTC))
        raise self._wrong(name, "a time with its zone, such as 2026-03-31T18:00:00Z")

    def optional_instant(self, name: str) -> int | None:
        """Return an instant, or None where it is absent or null."""
        return self.instant(name) if self._value.get(name) is not None else None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; an absent one is empty."""
        found = self._value.get(name)
        if found is None:
            return ()
        if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
            raise self._wrong(name, "a list of texts")
        return tuple(intern(str(each)) for each in found)

    def labels(self, name: str) -> dict[str, str]:
        """Return a map of texts; an absent one is empty."""
        found = self._value.get(name)
        if found is None:
            return {}
        if not isinstance(found, Mapping) or not all(isinstance(each, str) for each in (*found, *found.values())):
            raise self._wrong(name, "a map of texts")
        return {intern(str(label)): str(each) for label, each in found.items()}

    def _wrong(self, name: str, expected: str) -> UnreadableRecord:
        return UnreadableRecord(
            f"{self._topic}, key {self._key!r}: {name} is {self._value.get(name)!r}; expected {expected}"
        )


def headers_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a record as text by name; they come as a map or as pairs, of bytes, or of Base64 in files.

    Bytes that are no UTF-8 show as replacement characters: a dead letter must be seen, whatever is in it. Raises
    `UnreadableRecord` for text that is no Base64.
    """
    found = record.get("headers") or {}
    pairs = found.items() if isinstance(found, Mapping) else found
    return {str(name): _header_text(record, name, each) for name, each in pairs}


def _header_text(record: Mapping[str, Any], name: str, value: str | bytes | None) -> str:
    try:
        raw = b64decode(value, validate=True) if isinstance(value, str) else value or b""
    except ValueError:
        raise UnreadableRecord(
            f"{record.get('topic')}, key {record.get('key')!r}: header {name} is {value!r}; expected bytes or Base64"
        ) from None
    return raw.decode("utf-8", "replace")
