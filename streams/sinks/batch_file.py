"""The format of batches and acknowledgements: CSV in UTF-8, one record type a line, totals at the end.

A batch:
    header,1,SYSTEM,NUMBER,CREATED
    columns,line,…                        names of what follows on each detail line
    detail,LINE,…                         one posting; an empty field is an absent value
    control,CURRENCY,LINES,TOTAL          one for each currency, in order of currency
    trailer,NUMBER,DETAIL LINES,CONTROL LINES

An acknowledgement, which answers every line of one batch once:
    header,1,SYSTEM,NUMBER,ANSWERED,SHA-256 OF THE BATCH,read | refused,REASON
    answer,LINE,POSTING ID,accepted | rejected,DOCUMENT ID,AMOUNT,CURRENCY,REASON
    control,CURRENCY,LINES,TOTAL          of the accepted lines
    trailer,NUMBER,ACCEPTED,REJECTED
A refused batch has no answers. Amounts are in the currency's minor unit (ISO 4217), times RFC 3339 UTC, numbers of
batches have eight digits.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any
from unicodedata import category

from pydantic import TypeAdapter, ValidationError

from streams.domain.calendar import instant, moment
from streams.domain.money import minor_unit, round_money
from streams.domain.posting import Posting
from streams.sinks.durable_files import BadFile, LocalFiles, digest_of, read_checked

VERSION = "1"
_COLUMNS = tuple(field.name for field in fields(Posting) if field.name != "system")
_VALUES = attrgetter(*_COLUMNS)
_AMOUNT = _COLUMNS.index("amount")
_DECIMALS = (_COLUMNS.index("quantity"), _COLUMNS.index("rate"))
_POSTINGS = TypeAdapter(Posting)
_BATCHES_KEPT = 16
_OPTIONAL = frozenset({"reverses", "project_id", "po_number", "quantity", "rate"})

_LINE_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of what some reader takes for the end of a line, or cannot be written at all."""

Totals = dict[str, tuple[int, Decimal]]
"""Currency to number of lines and sum of amounts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: postings in order of their lines. `created_at` is in milliseconds since 1970, UTC."""

    system: str
    number: int
    created_at: int
    postings: tuple[Posting, ...]
    sha256: str = ""

    @property
    def totals(self) -> Totals:
        """Return the control totals."""
        return totals_of((posting.currency, posting.amount) for posting in self.postings)


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What the ERP answered for one line of a batch: a document, or the reason why there is none."""

    line: int
    posting_id: str
    accepted: bool
    document_id: str | None
    amount: Decimal
    currency: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the ERP answered for a batch; `refusal` says why it took none of it. `answered_at` is in ms."""

    system: str
    number: int
    answered_at: int
    batch_sha256: str
    refusal: str | None
    answers: tuple[LineAnswer, ...]


def totals_of(amounts: Iterable[tuple[str, Decimal]]) -> Totals:
    """Return lines and sum by currency, in order of currency."""
    totals: Totals = {}
    for currency, amount in amounts:
        lines, total = totals.get(currency, (0, Decimal(0)))
        totals[currency] = (lines + 1, total + amount)
    return dict(sorted(totals.items()))


def unfit(posting: Posting) -> str | None:
    """Return why a posting cannot stand in a batch, or None: a refused amount is better than a rounded one."""
    currency = posting.currency
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        return f"currency {currency!r} is no ISO 4217 code"
    if posting.amount != round_money(posting.amount, currency):
        return f"amount {posting.amount} has more digits than {currency} has (smallest unit {minor_unit(currency)})"
    values = _VALUES(posting)
    if "" not in values and "".join(value for value in values if isinstance(value, str)).isprintable():
        return None  # only signs that cannot be printed are of those categories, and hardly any text has one
    for name, value in zip(_COLUMNS, values, strict=True):
        if isinstance(value, str) and not value.isprintable() and _breaks_lines(value):
            return f"{name} holds a control character: {value!r}"
        if value == "" and name in _OPTIONAL:
            return f"{name} is empty text: it must be absent or say something"
    return None


def _breaks_lines(value: str) -> bool:
    return any(category(sign) in _LINE_BREAKING for sign in value)


def render_batch(batch: Batch) -> bytes:
    """Return the file content of a batch whose postings are all fit."""
    rows: list[Sequence[str | int]] = [
        ("header", VERSION, batch.system, number_text(batch.number), _time_text(batch.created_at)),
        ("columns", "line", *_COLUMNS),
    ]
    for line, posting in enumerate(batch.postings, 1):
        rows.append(("detail", line, *_shown(posting)))
    totals = batch.totals
    rows += [("control", currency, lines, _money_text(total, currency)) for currency, (lines, total) in totals.items()]
    rows.append(("trailer", number_text(batch.number), len(batch.postings), len(totals)))
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def read_batch(path: Path) -> Batch:
    """Return the batch in a file, with its checksum and control totals verified.

    Raises BadFile naming the file, the line and what is wrong; OSError if the file cannot be read.
    """
    return parse_batch(read_checked(LocalFiles(), path), path.name)


@lru_cache(_BATCHES_KEPT)
def parse_batch(content: bytes, name: str) -> Batch:
    """Return the batch in a file's content, with its control totals verified. Raises BadFile.

    Every partition's sink reads a batch when it is answered, and every program what another wrote: the last are kept.
    """
    reader = _Reader(content, name)
    _, system, number_field, created = reader.header(5)
    number, created_at = reader.number(number_field), reader.time(created)
    columns = reader.take("columns", len(_COLUMNS) + 2)
    if tuple(columns[1:]) != _COLUMNS:
        raise reader.bad(f"columns must be line,{','.join(_COLUMNS)}")
    postings: list[Posting] = []
    for row in reader.take_all("detail", len(_COLUMNS) + 2):
        if row[0] != str(len(postings) + 1):
            raise reader.bad(f"detail line {row[0]!r} must be {len(postings) + 1}")
        postings.append(_posting(reader, system, row[1:]))
    batch = Batch(system, number, created_at, tuple(postings), digest_of(content))
    controls = reader.controls(batch.totals)
    reader.trailer((number_text(number), str(len(postings)), str(controls)))
    return batch


def parse_acknowledgement(content: bytes, name: str) -> Acknowledgement:
    """Return the acknowledgement in a file's content, with its totals verified. Raises BadFile."""
    reader = _Reader(content, name)
    _, system, number_field, answered, sha256, verdict, refusal = reader.header(8)
    number, answered_at = reader.number(number_field), reader.time(answered)
    if verdict not in ("read", "refused"):
        raise reader.bad(f"verdict {verdict!r} must be read or refused")
    answers = tuple(_answer(reader, row) for row in reader.take_all("answer", 8))
    if verdict == "refused" and answers:
        raise reader.bad("a refused batch has no answers")
    accepted = [(answer.currency, answer.amount) for answer in answers if answer.accepted]
    reader.controls(totals_of(accepted))
    reader.trailer((number_field, str(len(accepted)), str(len(answers) - len(accepted))))
    refused = (refusal or "no reason given") if verdict == "refused" else None
    return Acknowledgement(system, number, answered_at, sha256, refused, answers)


def number_text(number: int) -> str:
    """Return the number of a batch as it is written."""
    return f"{number:08d}"


def _time_text(instant_ms: int) -> str:
    return moment(instant_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _money_text(amount: Decimal, currency: str) -> str:
    return f"{round_money(amount, currency):f}"


def _shown(posting: Posting) -> list[Any]:
    """Return the fields of a line; what is None, a date or a whole number, is as CSV writes it already."""
    values = list(_VALUES(posting))
    for place in _DECIMALS:
        if values[place] is not None:
            values[place] = f"{values[place]:f}"
    values[_AMOUNT] = _money_text(posting.amount, posting.currency)
    return values


def _posting(reader: "_Reader", system: str, values: Sequence[str]) -> Posting:
    named: Mapping[str, str | None] = {
        name: None if value == "" and name in _OPTIONAL else value for name, value in zip(_COLUMNS, values, strict=True)
    }
    try:
        return _POSTINGS.validate_python({**named, "system": system})
    except ValidationError as error:
        first = error.errors()[0]
        raise reader.bad(f"{first['loc'][0]}: {first['msg']}") from error


def _answer(reader: "_Reader", row: Sequence[str]) -> LineAnswer:
    line, posting_id, verdict, document_id, amount, currency, reason = row
    if verdict not in ("accepted", "rejected"):
        raise reader.bad(f"verdict {verdict!r} must be accepted or rejected")
    if verdict == "accepted" and not document_id:
        raise reader.bad("an accepted line needs a document id")
    if verdict == "rejected" and not reason:
        raise reader.bad("a rejected line needs a reason")
    return LineAnswer(
        reader.number(line), posting_id, verdict == "accepted", document_id or None, reader.amount(amount), currency,
        reason or None,
    )  # fmt: skip


class _Reader:
    """Takes the lines of a file one by one, and says of a bad one where it is."""

    def __init__(self, content: bytes, name: str) -> None:
        self._name = name
        self._line = 0
        try:
            self._rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadFile(f"{name}: no CSV in UTF-8: {error}") from error

    def bad(self, reason: str) -> BadFile:
        """Return the error for the line taken last."""
        return BadFile(f"{self._name}:{self._line}: {reason}")

    def take(self, kind: str, width: int) -> list[str]:
        """Take the next line, which must be of this kind and have so many fields; return all but the first."""
        row = self._rows[self._line] if self._line < len(self._rows) else ["nothing"]
        self._line += 1
        if not row or row[0] != kind:
            raise self.bad(
                f"expected a {kind} line, found {(row or ['an empty line'])[0]!r}: the file is cut or mixed up"
            )
        if len(row) != width:
            raise self.bad(f"a {kind} line has {width} fields, this one {len(row)}")
        return row[1:]

    def take_all(self, kind: str, width: int) -> Iterable[list[str]]:
        """Take lines as long as they are of this kind."""
        while self._line < len(self._rows) and self._rows[self._line][:1] == [kind]:
            yield self.take(kind, width)

    def header(self, width: int) -> list[str]:
        """Take the header line; its version must be the one known here."""
        row = self.take("header", width)
        if row[0] != VERSION:
            raise self.bad(f"format version {row[0]!r} is not known here, only {VERSION}")
        return row

    def controls(self, expected: Totals) -> int:
        """Take the control lines, which must say what the lines above add up to; return how many there are."""
        stated: Totals = {}
        for currency, lines, total in self.take_all("control", 4):
            if currency in stated:
                raise self.bad(f"a second control total for {currency}")
            stated[currency] = (self.number(lines), self.amount(total))
        if stated != expected:
            raise self.bad(f"control totals are {_totals_text(stated)}, the lines add up to {_totals_text(expected)}")
        return len(stated)

    def trailer(self, expected: tuple[str, str, str]) -> None:
        """Take the trailer, which must be the last line and say what was read."""
        row = self.take("trailer", 4)
        if tuple(row) != expected:
            raise self.bad(f"the trailer says {','.join(row)}, the lines {','.join(expected)}")
        if self._line != len(self._rows):
            raise self.bad("lines follow the trailer")

    def number(self, text: str) -> int:
        """Return a whole number that was written with digits only."""
        if not (text.isascii() and text.isdigit()):
            raise self.bad(f"{text!r} is no whole number")
        return int(text)

    def amount(self, text: str) -> Decimal:
        """Return a finite decimal."""
        try:
            amount = Decimal(text)
        except InvalidOperation as error:
            raise self.bad(f"{text!r} is no amount") from error
        if not amount.is_finite():
            raise self.bad(f"{text!r} is no amount")
        return amount

    def time(self, text: str) -> int:
        """Return an instant written in RFC 3339."""
        try:
            when = datetime.fromisoformat(text)
        except ValueError as error:
            raise self.bad(f"{text!r} is no time in RFC 3339") from error
        if when.tzinfo is None:
            raise self.bad(f"{text!r} has no time zone")
        return instant(when)


def _totals_text(totals: Totals) -> str:
    return ", ".join(f"{currency} {total} in {lines}" for currency, (lines, total) in totals.items()) or "none"
