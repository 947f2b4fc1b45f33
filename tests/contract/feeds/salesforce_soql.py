"""The part of SOQL that the simulated organisation knows."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<moment>\d{4}-\d\d-\d\dT[0-9:.]+Z)|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<sign><=|>=|!=|[=<>(),]))"
)

Record = dict[str, Any]
Test = Callable[[Record], bool]


class Malformed(ValueError):
    """A query that cannot be read."""


@dataclass
class Query:
    """A query as it was read. A column is a path or a query of child records."""

    columns: list["str | Query"]
    source: str
    test: Test = lambda _record: True
    order: list[str] = field(default_factory=list)
    limit: int | None = None
    fields: list[str] = field(default_factory=list)  # those that the condition and the order name


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = list(self._split(text))
        self._place = 0
        self.fields: list[str] = []

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                raise Malformed(f"unexpected token: {text[place : place + 10]!r}")
            place = match.end()
            yield str(match.lastgroup), match[str(match.lastgroup)]

    def query(self) -> Query:
        self._take("SELECT")
        columns: list[str | Query] = [self._column()]
        while self._next(","):
            columns.append(self._column())
        self._take("FROM")
        found = Query(columns, self._word())
        outer, self.fields = self.fields, found.fields
        if self._next("WHERE"):
            found.test = self._any()
        if self._next("ORDER"):
            self._take("BY")
            found.order.append(self._named())
            while self._next(","):
                found.order.append(self._named())
        if self._next("LIMIT"):
            found.limit = int(self._word())
        self.fields = outer
        return found

    def end(self) -> None:
        if self._place < len(self._tokens):
            raise Malformed(f"unexpected token: {self._tokens[self._place][1]!r}")

    def _column(self) -> "str | Query":
        if not self._next("("):
            return self._word()
        found = self.query()
        self._take(")")
        return found

    def _any(self) -> Test:
        tests = [self._all()]
        while self._next("OR"):
            tests.append(self._all())
        return lambda record: any(test(record) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._next("AND"):
            tests.append(self._one())
        return lambda record: all(test(record) for test in tests)

    def _one(self) -> Test:
        if self._next("("):
            found = self._any()
            self._take(")")
            return found
        name = self._named()
        if self._next("IN"):
            self._take("(")
            values = {self._value()}
            while self._next(","):
                values.add(self._value())
            self._take(")")
            return lambda record: record[name] in values
        sign, value = self._word(), self._value()
        return lambda record: _compared(record[name], sign, value)

    def _value(self) -> Any:
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "text":
            return text[1:-1].replace("\\'", "'")
        if kind == "moment":
            return int(datetime.fromisoformat(text).timestamp()) * 1000
        if kind == "number":
            return float(text)
        return {"true": True, "false": False, "null": None}[text]

    def _named(self) -> str:
        name = self._word()
        self.fields.append(name)
        return name

    def _word(self) -> str:
        if self._place == len(self._tokens):
            raise Malformed("unexpected end of the query")
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _next(self, word: str) -> bool:
        here = self._place < len(self._tokens) and self._tokens[self._place][1].upper() == word
        self._place += here
        return here

    def _take(self, word: str) -> None:
        if not self._next(word):
            raise Malformed(f"expecting {word}")


def read(text: str) -> Query:
    """Read a query. Raises Malformed."""
    reader = _Reader(text)
    found = reader.query()
    reader.end()
    return found


def _compared(left: Any, sign: str, right: Any) -> bool:
    if sign in {"=", "!="}:
        return (left == right) is (sign == "=")
    if left is None:
        return False
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])
