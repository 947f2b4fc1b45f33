"""Sheets: what a line of a file says, as changes of rows.

A CSV file tells rows of one topic under a line of column names. A file of JSON lines tells changes of any topics, in
the envelope of the product, as `throughline generate` writes them.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from connect.csv_records import Record, UnreadableFile
from connect.feeds.contract import SEQUENCE_MAX, Change, Reject, Row, position
from connect.rows import Read, RowFault, RowShape, shapes
from schemas.contracts import load_contracts
from schemas.debezium_writing import debezium_subject
from schemas.whole_rows import row_of

Mode = Literal["load", "correction"]

_CSV_OPS: Final = {"": "", "c": "c", "create": "c", "u": "u", "update": "u", "upsert": "u", "d": "d", "delete": "d"}
_OPS: Final = frozenset("crud")
_INSTANTS_MAX: Final = 1 << 43


class Terms(NamedTuple):
    """How files are read.

    `topic` is that of all CSV files, if they do not say their own. `whole` has rows refused that their contract cannot
    hold, line by line; without, whoever lands them finds out.
    """

    mode: Mode = "load"
    topic: str = ""
    op_column: str = "op"
    delimiter: str = ","
    batch_rows: int = 2_000
    whole: bool = False


class Told(NamedTuple):
    """Of a file: its name, when it was picked up, and its number among all files of its feed."""

    name: str
    picked_ms: int
    number: int


class Sheet(Protocol):
    """What reads the lines of a file."""

    def read(self, record: Record) -> Sequence[Change] | Reject:
        """Return the changes on a line, or what is wrong with it."""


class CsvSheet:
    """The columns of a file, and what a line of it says. Raises `UnreadableFile` for columns that make no row."""

    def __init__(self, shape: RowShape, columns: Sequence[str], terms: Terms, told: Told) -> None:
        names = [column.strip() for column in columns]
        wanted = [column for column in names if column != terms.op_column]
        if len(set(names)) != len(names):
            raise UnreadableFile(f"a column is there twice: {', '.join(names)}")
        if unknown := sorted(set(wanted) - set(shape.fields)):
            hint = "; if other characters stand between them, say so by delimiter" if len(names) == 1 else ""
            known = ", ".join(shape.fields)
            raise UnreadableFile(f"{shape.topic} has no {', '.join(unknown)}; its fields are {known}{hint}")
        if missing := sorted(shape.key_fields - set(wanted)):
            raise UnreadableFile(f"columns are missing that every row of {shape.topic} needs: {', '.join(missing)}")
        if terms.mode == "correction" and is_captured(shape.topic):
            raise UnreadableFile(
                f"{shape.topic} is captured from a database, and a correction would go before all that changes there "
                "later: correct the rows in that database"
            )
        self._shape = shape
        self._names = names
        self._op = names.index(terms.op_column) if terms.op_column in names else None
        self._is_load = terms.mode == "load"
        self._told = told
        self._check = _fit_of(shape) if terms.whole else None

    def read(self, record: Record) -> Sequence[Change] | Reject:
        """Return the change on a line, or what is wrong with it."""
        key, fields = None, record.fields
        try:
            if fields is None:
                raise RowFault(record.fault)
            if len(fields) != len(self._names):
                raise RowFault(f"{len(fields)} fields, there should be {len(self._names)}")
            op, at_op = self._op_of(fields), self._op
            values = {name: value or None for name, value in zip(self._names, fields, strict=True)}
            if at_op is not None:
                del values[self._names[at_op]]
            read = self._shape.read(values)
            key = read.key
            if self._check is not None:
                self._check(read.row)
            return (self._change(read, op, record.line),)
        except ValueError as error:  # RowFault is one
            return Reject(self._shape.topic, key, record.raw, f"{self._told.name}, line {record.line}", str(error))

    def _op_of(self, fields: Sequence[str]) -> str:
        if self._op is None:
            return ""
        said = fields[self._op].strip().lower()
        if said not in _CSV_OPS:
            raise RowFault(f"op {said!r}: write delete, or nothing")
        return _CSV_OPS[said]

    def _change(self, read: Read, op: str, line: int) -> Change:
        # In a correction, later lines go before earlier ones. In a load the row itself says when it was changed, and of
        # two files that tell of one change the later one counts.
        told, is_load = self._told, self._is_load
        if is_load and (changed := _changed_at(self._shape, read)) is not None:
            happened, place = changed, _place(changed, told.number)
        else:
            more, sequence = divmod(line, SEQUENCE_MAX + 1)
            happened, place = told.picked_ms, position(told.picked_ms + more, sequence)
        if op == "d":
            return Change(self._shape.topic, read.key, "d", read.row, None, happened, place, history=is_load)
        op = op or ("r" if is_load else "u")
        return Change(self._shape.topic, read.key, op, None, read.row, happened, place, op == "r", is_load)


class JsonSheet:
    """The lines of a replay file, loaded: envelopes with rows in their JSON view."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._shapes = shapes()
        self._checks: dict[str, Callable[[Row], None]] = {}
        self._decode = msgspec.json.Decoder(float_hook=Decimal).decode

    def read(self, record: Record) -> Sequence[Change] | Reject:
        """Return the changes on a line, or what is wrong with it. A tombstone changes nothing."""
        topic, key = "", None
        try:
            line = self._line(record.raw)
            topic, key, value = line["topic"], line["key"], line["value"]
            return () if value is None else self._changes(topic, key, value)
        except (ValueError, RecursionError) as error:  # RowFault is one
            said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            return Reject(topic, key, record.raw, f"{self._told.name}, line {record.line}", said)

    def _line(self, raw: bytes) -> dict[str, Any]:
        try:
            found = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RowFault(f"no JSON: {error}") from None
        if not isinstance(found, dict) or not isinstance(found.get("topic"), str) or "value" not in found:
            raise RowFault("no object with topic, key and value; bytes are not loaded")
        if not isinstance(found.get("key"), str | None):
            raise RowFault(f"{found['topic']}: its key is no text")
        return {"key": None, **found}

    def _changes(self, topic: str, key: str | None, value: Any) -> Sequence[Change]:
        shape = self._shapes.get(topic)
        if shape is None:
            raise RowFault(f"{topic!r} is no topic whose rows can be loaded")
        if not isinstance(value, dict) or value.get("op") not in _OPS or not isinstance(value.get("source"), dict):
            raise RowFault("the value is no change envelope: it needs op (c, u, d or r), before or after, and source")
        op, happened = value["op"], value["source"].get("ts_ms")
        if type(happened) is not int or not 0 <= happened < _INSTANTS_MAX:
            raise RowFault(f"source.ts_ms {happened!r} is no count of milliseconds since 1970")
        before = self._read(shape, value, "before") if op == "d" or (op == "u" and value.get("before")) else None
        after = None if op == "d" else self._read(shape, value, "after")
        found = before if after is None else after
        assert found is not None
        if key is not None and key not in (found.key, before and before.key):
            raise RowFault(f"record key {key!r} is not {found.key!r}, its row's")
        if after is None or before is None or before.key == after.key:
            return (self._change(shape, op, found, happened),)
        return self._change(shape, "d", before, happened), self._change(shape, "c", after, happened)

    def _read(self, shape: RowShape, value: Mapping[str, Any], side: str) -> Read:
        row = value.get(side)
        if not isinstance(row, dict):
            raise RowFault(f"{side} is missing, which op {value['op']} needs")
        read = shape.read(row)
        check = self._checks.get(shape.topic)
        if check is None:
            check = self._checks[shape.topic] = _fit_of(shape)
        check(read.row)
        return read

    def _change(self, shape: RowShape, op: str, read: Read, happened: int) -> Change:
        # The row says when it was changed, but not when it was deleted.
        if op != "d" and (changed := _changed_at(shape, read)) is not None:
            happened = changed
        place = _place(happened, self._told.number)
        if op == "d":
            return Change(shape.topic, read.key, op, read.row, None, happened, place, history=True)
        return Change(shape.topic, read.key, op, None, read.row, happened, place, op == "r", history=True)


def is_captured(topic: str) -> bool:
    """Tell whether the live feed of a topic is a database, whose positions are places in its log."""
    return debezium_subject(topic) in load_contracts()


def _changed_at(shape: RowShape, read: Read) -> int | None:
    """Return when a row was changed, if it says so. Raises `RowFault` for a time that has no place in their order."""
    changed, name = read.changed_ms, shape.changed_field
    if changed is None or name is None or 0 <= changed < _INSTANTS_MAX:
        return changed
    said = "no time from 1970 to 2248: write when the row was changed, or leave it out"
    raise RowFault(f"{name}: {read.row[name]!r}: {said}")


def _place(changed_ms: int, number: int) -> int:
    return position(changed_ms, min(number, SEQUENCE_MAX))


def _fit_of(shape: RowShape) -> Callable[[Row], None]:
    """Return what raises `RowFault` for a row that the contract of its topic, as it is written, cannot hold."""
    contracts = load_contracts()
    contract = contracts.get(debezium_subject(shape.topic)) or contracts[shape.topic]
    needed = tuple(
        field["name"]
        for field in row_of(contract.schema)["fields"]
        if not (isinstance(field["type"], list) and "null" in field["type"])
    )
    fields = [field for name in shape.fields if (field := shape.field(name)) is not None and field.digits]
    decimals = [(field.name, field.digits - field.scale, field.scale) for field in fields]

    def check(row: Row) -> None:
        for name in needed:
            if row.get(name) is None:
                raise RowFault(f"{name} is missing, which every row of {shape.topic} has")
        for name, before_point, scale in decimals:
            text = row.get(name)
            if text is not None and not _fits(text, before_point, scale):
                raise RowFault(
                    f"{name}: {text[:_SHOWN_MAX]}: more than {before_point} digits before the point, "
                    f"or {scale} behind it"
                )

    return check


_SHOWN_MAX: Final = 60


@lru_cache(maxsize=8_192)
def _fits(text: str, before_point: int, scale: int) -> bool:
    _, digits, exponent = Decimal(text).normalize().as_tuple()
    assert isinstance(exponent, int)  # only finite numbers come so far
    return -exponent <= scale and len(digits) + exponent <= before_point
