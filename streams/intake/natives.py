"""Rows of tables of a system's own design, as assembly takes them in: the columns it needs, as text.

What form each type has is said in `streams.domain.assembled`. A column whose value is no text, number, date or duration
cannot be read; the version is refused then, and the one before stays in force.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.assembly import NativeTable
from schemas.debezium import UNAVAILABLE_TEXT, Unavailable
from streams.domain.fact import Cause
from streams.domain.made import made
from streams.intake.change import NativeChange, Refusal
from streams.intake.fields import TEXT_MAX, Fault, shown

_SECOND: Final = 1_000_000


def text_of(value: Any) -> str:
    """Return a value of a column as text. Raises Fault for what has no form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    raise Fault(
        f"{shown(value)} is {type(value).__name__}: a column that is mapped holds text, numbers, dates or times"
    )


def _duration(value: timedelta) -> str:
    count = (value.days * 86_400 + value.seconds) * _SECOND + value.microseconds
    sign, count = ("-", -count) if count < 0 else ("", count)
    whole, rest = divmod(count, _SECOND)
    return f"{sign}PT{whole}.{rest:06d}S" if rest else f"{sign}PT{whole}S"


class NativeReader:
    """Reads the rows of one table. Those of a file are in JSON: texts, numbers and bools in place of native values."""

    def __init__(self, table: NativeTable) -> None:
        self._topic = table.topic
        self._identity = table.identity
        self._columns = table.columns

    def key_of(self, row: Mapping[str, Any]) -> str | None:
        """Return the record key of a row, None if it has none that is one. Raises KeyError without the column."""
        value = row[self._identity]
        if not isinstance(value, str | int) or isinstance(value, bool):
            return None
        text = str(value)
        return text if 0 < len(text) <= TEXT_MAX and text.isprintable() else None

    def change(
        self, key: str | None, row: Mapping[str, Any], deleted: bool, cause: Cause, reread: bool = False
    ) -> NativeChange:
        """Return what a version of a row says. Raises KeyError and Fault where it has no identity."""
        identity = self.key_of(row)
        if identity is None:
            raise Fault(f"{shown(row[self._identity])} in {self._identity} identifies no row")
        refusal = None
        if key != identity:
            refusal = Refusal("validation_failed", (f"record key {shown(key)} is not {shown(identity)}, its row's",))
        if deleted or refusal is not None:
            return NativeChange(self._topic, identity, (), (), (), deleted, refusal, cause, reread)
        columns, texts, untold, faults = [], [], [], []
        for name in self._columns:
            try:
                value = row[name]
                if isinstance(value, Unavailable) or value == UNAVAILABLE_TEXT:
                    untold.append(name)
                    continue
                text = None if value is None else text_of(value)
            except KeyError:
                faults.append(f"{name}: the row has no such column")
            except Fault as fault:
                faults.append(f"{name}: {fault}")
            else:
                columns.append(name)
                texts.append(text)
        if faults:
            refusal = Refusal("validation_failed", tuple(faults))
        told = (tuple(columns), tuple(texts), tuple(untold))
        return made(NativeChange, (self._topic, identity, *told, False, refusal, cause, reread))
