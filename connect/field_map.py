"""How the records of an API become rows: which path of a record is which field, as settings say.

`fields` has one `Field=path` for each field, with commas between; a text in single quotes stands for itself. A field
that is a list has `FIELD.path` and `FIELD.fields`; a field whose words are others has `FIELD.words`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from connect.rows import RowShape, at
from schemas.kinds import Kind

_PAIR: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*('(?:[^']*)'|[^,']+?)\s*(?:,|$)")
_WORD: Final = re.compile(r"\s*([^=,]+?)\s*=\s*([^=,]+?)\s*(?:,|$)")
_OF_A_FIELD: Final = ("path", "fields", "words")


class MapFault(ValueError):
    """Settings that map no row; the text names the key."""


class _Where(NamedTuple):
    """Where a value stands: at a path, or it is a text that stands for itself."""

    path: str
    text: str | None

    def of(self, record: Any) -> Any:
        return at(record, self.path) if self.text is None else self.text


class _List(NamedTuple):
    path: str
    fields: Mapping[str, _Where]


class FieldMap:
    """The reading of one kind of record. Raises `MapFault` for settings that do not fit the topic's rows."""

    def __init__(self, shape: RowShape, fields: str, columns: Mapping[str, str]) -> None:
        """Take the setting `fields`, and those of single fields (`CostRates.path`)."""
        self.shape = shape
        self._fields = _pairs("fields", fields)
        self._lists: dict[str, _List] = {}
        self._words: dict[str, Mapping[str, str]] = {}
        for key in columns:
            self._column(key, columns)
        self._check("fields", self._fields, shape.fields)
        if missing := sorted(shape.key_fields - self._fields.keys()):
            raise MapFault(f"fields: {', '.join(missing)} is missing, without which no row of {shape.topic} is known")

    def values(self, record: Any) -> dict[str, Any]:
        """Return the values of a row, as the record has them. A list that is not there is an empty one."""
        values = {name: where.of(record) for name, where in self._fields.items()}
        for name, listed in self._lists.items():
            items = at(record, listed.path)
            values[name] = self.listed(name, [] if items is None else items)
        for name, words in self._words.items():
            values[name] = words.get(str(values.get(name)), values.get(name))
        return values

    def listed(self, name: str, items: Any) -> Any:
        """Return the records of a list field; what is no list is returned as it is, to be refused with its row."""
        if not isinstance(items, list):
            return items
        fields = self._lists[name].fields
        return [{inner: where.of(item) for inner, where in fields.items()} for item in items]

    def _column(self, key: str, columns: Mapping[str, str]) -> None:
        name, _, what = key.partition(".")
        spec = self.shape.field(name)
        if spec is None or what not in _OF_A_FIELD:
            raise MapFault(
                f"{key}: there is no such setting; those of a field are FIELD.path and FIELD.fields of a list, and "
                f"FIELD.words; fields of {self.shape.topic} are {', '.join(self.shape.fields)}"
            )
        if what == "words":
            self._words[name] = _words(key, columns[key])
        elif spec.kind is not Kind.RECORDS:
            raise MapFault(f"{key}: {name} is no list; give its path in fields")
        elif what == "fields":
            fields = _pairs(key, columns[key])
            self._check(key, fields, (inner.name for inner in spec.fields))
            self._lists[name] = _List(columns.get(f"{name}.path", name), fields)
        elif f"{name}.fields" not in columns:
            raise MapFault(f"{name}.fields: is missing; it says what the items of {name} hold")

    def _check(self, key: str, fields: Mapping[str, _Where], known: Iterable[str]) -> None:
        known = tuple(known)
        if unknown := sorted(set(fields) - set(known)):
            raise MapFault(f"{key}: there is no field {', '.join(unknown)}; there are {', '.join(known)}")


def _pairs(key: str, text: str) -> dict[str, _Where]:
    found: dict[str, _Where] = {}
    place = 0
    while place < len(text.rstrip()):
        pair = _PAIR.match(text, place)
        if pair is None:
            raise MapFault(f"{key}: {text[place : place + 40].strip()!r}: write Field=path, with commas between")
        where = pair[2]
        found[pair[1]] = _Where("", where[1:-1]) if where.startswith("'") else _Where(where, None)
        place = pair.end()
    return found


def _words(key: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    while place < len(text.rstrip()):
        pair = _WORD.match(text, place)
        if pair is None:
            raise MapFault(f"{key}: {text[place : place + 40].strip()!r}: write theirs=ours, with commas between")
        found[pair[1]] = pair[2]
        place = pair.end()
    return found
