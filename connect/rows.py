"""Rows as topics want them: what a source says in its own types becomes the JSON view of a topic's fields.

The mappings say which fields a topic has, what identifies its rows and what they are keyed by. Nothing is guessed: a
value that is no such thing is refused, with its field.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from schemas.kinds import DIGITS, Kind
from schemas.mapping import FieldSpec, TopicMapping, load_mappings

_CHANGED_AT: Final = "changed_at"
_SHOWN_MAX: Final = 60
_BOOLS: Final = {**dict.fromkeys(("true", "t", "1"), True), **dict.fromkeys(("false", "f", "0"), False)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Any]


class RowFault(ValueError):
    """A row cannot be read; the text names field and value."""


class Read(NamedTuple):
    """A row as its topic wants it: its identity, its record key, and when it was last changed, if it says so."""

    row: Row
    identity: str
    key: str
    changed_ms: int | None


class RowShape:
    """The rows of one topic."""

    def __init__(self, mapping: TopicMapping) -> None:
        self.topic = mapping.topic
        self._mapping = mapping
        self._readers = _readers(mapping.fields)
        self._changed = next((f.name for f in mapping.fields if f.canonical == _CHANGED_AT), None)
        self._key_fields = frozenset((*mapping.identity, *mapping.key))

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(self._readers)

    def field(self, name: str) -> FieldSpec | None:
        """Return what is known of a field, or None if there is none of that name."""
        reader = self._readers.get(name)
        return None if reader is None else reader[1]

    @property
    def is_keyed_by_identity(self) -> bool:
        """Whether a row keeps its record key for good."""
        return {*self._mapping.key} <= {*self._mapping.identity}

    @property
    def changed_field(self) -> str | None:
        """The field that says when a row was changed, None if there is none."""
        return self._changed

    @property
    def key_fields(self) -> frozenset[str]:
        """The fields without which a row has neither identity nor key."""
        return self._key_fields

    def read(self, values: Mapping[str, Any]) -> Read:
        """Return a row of values; fields that are not there are null. Raises `RowFault`."""
        if unknown := values.keys() - self._readers.keys():
            raise RowFault(f"{self.topic} has no field {', '.join(sorted(unknown))}")
        return self.of_row(_converted(self._readers, values))

    def of_row(self, row: Row) -> Read:
        """Return what a row in its JSON view is known by. Raises `RowFault`."""
        for name in self._key_fields:
            if row.get(name) in (None, ""):
                raise RowFault(f"{name} is missing, without which no row of {self.topic} is known")
        said = None if self._changed is None else row.get(self._changed)
        changed = None if said is None else milliseconds(datetime.fromisoformat(said))
        return Read(row, self._mapping.identity_of(row), self._mapping.key_of(row), changed)

    def known_by(self, row: Mapping[str, Any]) -> Row:
        """Return the part of a row that says which it is: what a delete has to have."""
        return {name: value for name, value in row.items() if name in self._key_fields}


@cache
def shapes() -> Mapping[str, RowShape]:
    """Return the rows of every topic that the mappings shipped describe."""
    return {topic: RowShape(mapping) for topic, mapping in load_mappings().topics.items()}


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since 1970, UTC, of an aware time, exactly."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def moment_of(ms: int) -> str:
    """Return milliseconds since 1970 as RFC 3339 text in UTC."""
    whole, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def instant(value: Any) -> int:
    """Return milliseconds since 1970 of a time or date as text. Raises `RowFault`."""
    try:
        return milliseconds(datetime.fromisoformat(_rfc3339(value)))
    except ValueError as error:
        raise RowFault(f"{value!r} is no time: {error}") from None


def at(content: Any, path: str) -> Any:
    """Return what stands at a path of names with dots between, None where it ends early. A number picks of a list."""
    for name in path.split("."):
        if isinstance(content, Mapping):
            content = content.get(name)
        elif isinstance(content, list) and name.isdecimal() and int(name) < len(content):
            content = content[int(name)]
        else:
            return None
    return content


_Reader = tuple[Callable[[FieldSpec, Any], Any], FieldSpec]


def _readers(fields: Iterable[FieldSpec]) -> dict[str, _Reader]:
    """Return what brings the values of some fields into their JSON view, by field."""
    return {field.name: (_CONVERTERS[field.kind], field) for field in fields}


def _converted(readers: Mapping[str, _Reader], values: Mapping[str, Any]) -> Row:
    """Return values, each of a field that has a reader, in their JSON view. Raises `RowFault` naming the first bad."""
    row, name, value = dict[str, Any](), "", None
    try:
        for name, value in values.items():
            if value is None:
                row[name] = None
            else:
                convert, field = readers[name]
                row[name] = convert(field, value)
    except (ValueError, ArithmeticError, TypeError, RecursionError) as error:
        said = repr(value)
        said = said if len(said) <= _SHOWN_MAX else said[:_SHOWN_MAX] + "…"
        why = str(error) if type(error) in (ValueError, RowFault) else f"no {readers[name][1].kind}"
        raise RowFault(f"{name}: {said}: {why}") from None
    return row


def _text(_field: FieldSpec, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("no text")
    return str(value)


def _bool(_field: FieldSpec, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    said = _BOOLS.get(str(value).strip().lower())
    if said is None:
        raise ValueError("no yes or no: write true or false")
    return said


def _whole(_field: FieldSpec, value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError("no whole number")
    number = Decimal(str(value).strip())
    if number != number.to_integral_value():
        raise ValueError("no whole number")
    return int(number)


def _decimal(_field: FieldSpec, value: Any) -> str:
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise ValueError("no decimal number")
    text = str(value).strip()
    return _plain(text) if len(text) <= _SHOWN_MAX else _plain_of(text)


def _plain_of(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("no decimal number: write it as 1234.50") from None
    if not number.is_finite() or abs(number.adjusted()) > 100:
        raise ValueError("no decimal number")
    return f"{number:f}"


_plain: Final = lru_cache(maxsize=8_192)(_plain_of)
"""Hours and amounts come again and again."""


def _date(_field: FieldSpec, value: Any) -> str:
    text = str(value).strip()
    if len(text) == 10:
        return _day(text)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date().isoformat()


@lru_cache(maxsize=8_192)
def _day(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _moment(_field: FieldSpec, value: Any) -> str:
    return _rfc3339(value)


def _rfc3339(value: Any) -> str:
    text = str(value).strip()
    size = len(text)
    if size in (20, 24) and text[4] + text[7] + text[10] + text[13] + text[16] + text[-1] == "--T::Z":
        # As most write it, and as we do: nothing to bring into another zone or form.
        datetime.fromisoformat(text)
        if size == 20:
            return f"{text[:19]}.000Z"
        if text[19] == ".":
            return text
    if len(text) == 10:
        return f"{_day(text)}T00:00:00.000Z"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone: write Z or an offset behind it")
    return moment_of(milliseconds(moment))


def _period(field: FieldSpec, value: Any) -> str:
    text = str(value).strip()
    return text if len(text) == 7 else _date(field, text)[:7]


def _records(field: FieldSpec, value: Any) -> list[Row]:
    listed = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise ValueError("no list")
    known = _readers(field.fields)
    found = []
    for number, item in enumerate(listed, 1):
        if not isinstance(item, Mapping):
            raise ValueError(f"item {number} is no record")
        if unknown := item.keys() - known.keys():
            raise ValueError(f"item {number} has no field {', '.join(sorted(unknown))}")
        found.append(_converted(known, item))
    return found


_CONVERTERS: Final[Mapping[Kind, Callable[[FieldSpec, Any], Any]]] = {
    **dict.fromkeys((Kind.STRING, Kind.CURRENCY), _text),
    Kind.PERIOD: _period,
    **dict.fromkeys(DIGITS, _decimal),
    Kind.BOOL: _bool,
    Kind.INT: _whole,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _moment,
    Kind.RECORDS: _records,
}
"""Kind of field -> what brings a value into its JSON view. The dates of times are UTC, if these have a zone."""
