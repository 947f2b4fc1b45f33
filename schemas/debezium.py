"""Debezium's envelopes and its semantic types, read into native values and written as its connectors write them.

A connector describes values by `connect.name` beside the Avro type: a date is an int of days named
`io.debezium.time.Date`, a timestamptz a string named `ZonedTimestamp`, and so on. Converters are compiled once a schema
and touch only the fields that need one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.contracts import Schema

Converter = Callable[[Any], Any]
Row = dict[str, Any]

HEARTBEAT_PREFIX: Final = "__debezium-heartbeat."
"""What the name of a topic of heartbeats begins with; the name of the feed follows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
UNAVAILABLE_TEXT: Final = "__debezium_unavailable_value"
NO_SNAPSHOT: Final = ("false", None, False)
"""What `source.snapshot` says of a change that no snapshot has read."""

REREAD: Final = "incremental"
"""What `source.snapshot` says of a row that was read anew on request, while changes went on."""

DECIMAL_BYTES_MAX: Final = 512
"""The longest number that is read: of a thousand digits. To tell those of a million takes minutes."""


class Unavailable:
    """Stands for a value that an update did not touch and Debezium was not told: the old one is to be kept."""

    def __repr__(self) -> str:
        return UNAVAILABLE_TEXT


UNAVAILABLE: Final = Unavailable()


class NoEnvelope(ValueError):
    """A schema that is no change envelope, or an envelope without what every change has."""


def is_heartbeat(topic: str) -> bool:
    """Tell whether a topic carries a connector's signs of life: records of `ts_ms` alone, no changes."""
    return topic.startswith(HEARTBEAT_PREFIX)


def _date(days: int) -> date:
    return date.fromordinal(days + _EPOCH_DAY)


def _milliseconds(count: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=count)


def _microseconds(count: int) -> datetime:
    return _EPOCH + timedelta(microseconds=count)


def _nanoseconds(count: int) -> datetime:
    return _EPOCH + timedelta(microseconds=count // 1000)


def _zoned(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _duration(count: int) -> timedelta:
    return timedelta(microseconds=count)


def _variable_scale(number: Mapping[str, Any]) -> Decimal:
    digits: bytes = number["value"]
    if len(digits) > DECIMAL_BYTES_MAX:
        raise ValueError(f"a decimal of {len(digits)} bytes, the limit is {DECIMAL_BYTES_MAX}")
    return Decimal(int.from_bytes(digits, "big", signed=True)).scaleb(-number["scale"])


_CONVERTERS: Mapping[str, Converter] = {
    "io.debezium.time.Date": _date,
    "io.debezium.time.Timestamp": _milliseconds,
    "io.debezium.time.MicroTimestamp": _microseconds,
    "io.debezium.time.NanoTimestamp": _nanoseconds,
    "io.debezium.time.ZonedTimestamp": _zoned,
    "io.debezium.time.MicroDuration": _duration,
    "io.debezium.data.VariableScaleDecimal": _variable_scale,
}
"""Semantic type -> converter. A timestamp without a zone is taken as UTC. Other types stay as Avro has them."""

NATIVE: Mapping[Converter, str] = {
    _date: "date",
    _milliseconds: "timestamp-millis",
    _microseconds: "timestamp-micros",
    _nanoseconds: "timestamp-nanos",
    _zoned: "zoned-text",
}
"""Converter -> the kind of node by which a plan does the same."""


class Envelope:
    """The compiled reading of one Debezium schema: a decoded record becomes a change in the product's own envelope.

    `pairs` are the fields of its rows that are converted, each with its converter; `untouchable` names those that may
    hold a value which Debezium was not told.
    """

    def __init__(self, schema: Schema) -> None:
        """Compile a schema; raises NoEnvelope if it is no change envelope."""
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        missing = [name for name in ("before", "after", "op", "source") if name not in fields]
        if missing:
            raise NoEnvelope(f"{schema.get('name')} is no change envelope: it has no {', '.join(missing)}")
        named: dict[str, Schema] = {}
        row = _record(fields["before"], named) or _record(fields["after"], named)
        if row is None:
            raise NoEnvelope(f"{schema.get('name')} is no change envelope: before and after are no records")
        source = _record(fields["source"], named)
        if source is None or "ts_ms" not in {field["name"] for field in source["fields"]}:
            raise NoEnvelope(f"{schema.get('name')} is no change envelope: its source has no ts_ms")
        self.pairs = tuple(_pairs(row))
        self._texts, self._blobs = tuple(_names_of(row, "string")), tuple(_names_of(row, "bytes"))
        self.untouchable = frozenset(self._texts + self._blobs)

    def change(self, decoded: Row) -> Row:
        """Return the change a decoded record describes; raises NoEnvelope or ValueError naming what is wrong.

        Its rows have Decimal, date, aware datetime and timedelta; `source.position` is the log position. The record
        given is used up.
        """
        before, after, source = decoded["before"], decoded["after"], decoded["source"]
        if before is not None:
            self._convert(before)
        if after is not None:
            self._convert(after)
            if decoded["op"] == "u":
                self._keep_untouched(before, after)
        captured = decoded.get("ts_ms")
        return {
            "before": before,
            "after": after,
            "op": decoded["op"],
            "ts_ms": source["ts_ms"] if captured is None else captured,
            "source": self.source(source),
        }

    @staticmethod
    def source(source: Mapping[str, Any]) -> Row:
        """Return what counts of a connector's source; raises NoEnvelope if it has no position.

        `reread` is there, and true, for a row that was read anew on request.
        """
        reread = {"reread": True} if is_reread(source) else {}
        return reread | {
            "connector": source.get("connector"),
            "name": source.get("name"),
            "ts_ms": source["ts_ms"],
            "snapshot": source.get("snapshot") not in NO_SNAPSHOT,
            "position": _position(source),
            "schema": source.get("schema"),
            "table": source.get("table"),
        }

    def _convert(self, row: Row) -> None:
        name = ""
        try:
            for name, convert in self.pairs:
                value = row[name]
                if value is not None:
                    row[name] = convert(value)
        except (ValueError, ArithmeticError, KeyError, TypeError) as error:
            raise ValueError(f"field {name!r} holds {row[name]!r}: {error}") from error

    def _keep_untouched(self, before: Row | None, after: Row) -> None:
        for name in self._texts:
            if after[name] == UNAVAILABLE_TEXT:
                after[name] = _old(before, name)
        for name in self._blobs:
            if after[name] == UNAVAILABLE_TEXT.encode():
                after[name] = _old(before, name)


def change_from_debezium(decoded: Row, writer_schema: Schema) -> Row:
    """Return the change that a record decoded by a Debezium schema describes (see `Envelope`, which caches)."""
    return Envelope(writer_schema).change(decoded)


def is_debezium(schema: Schema) -> bool:
    """Tell a connector's envelope from the product's own, which has `source.position`."""
    fields = {field["name"]: field["type"] for field in schema.get("fields", ())}
    source = fields.get("source")
    names = {field["name"] for field in source["fields"]} if isinstance(source, dict) and "fields" in source else set()
    return bool(names) and "position" not in names


def is_reread(source: Mapping[str, Any]) -> bool:
    """Tell whether a connector's source is that of a row which was read anew on request."""
    return source.get("snapshot") == REREAD


def reread_position(source: Mapping[str, Any]) -> int:
    """Return how far the log had been read when a row that was read anew was written; raises NoEnvelope.

    Such a row has no place in the log. All of its changes that were written before it lie at or before this position;
    a change written later may lie before it, too, if its transaction was open meanwhile.
    """
    try:
        reached = [int(position) for position in json.loads(source["sequence"]) if position is not None]
        return max(reached)
    except (KeyError, TypeError, ValueError):
        raise NoEnvelope(f"sequence {source.get('sequence')!r} does not say how far the log had been read") from None


def _position(source: Mapping[str, Any]) -> int:
    position = source.get("lsn")
    if position is not None:
        return int(position)
    if is_reread(source):
        return reread_position(source)
    file, offset = source.get("file"), source.get("pos")
    if file is not None and offset is not None:
        # The number in a MySQL log file's name, such as binlog.000042, goes before the offset within it.
        number = str(file).rpartition(".")[2]
        if number.isdecimal():
            return int(number) << 32 | int(offset)
    raise NoEnvelope("source has neither lsn nor file and pos: nothing orders the versions of its rows")


def _old(before: Row | None, name: str) -> Any:
    return UNAVAILABLE if before is None else before[name]


def _record(node: Any, named: dict[str, Schema]) -> Schema | None:
    for branch in node if isinstance(node, list) else [node]:
        if isinstance(branch, dict) and branch.get("type") == "record":
            named[branch["name"]] = branch
            return branch
        if isinstance(branch, str) and branch in named:
            return named[branch]
    return None


def _branches(field: Schema) -> Iterator[Any]:
    yield from field["type"] if isinstance(field["type"], list) else [field["type"]]


def _pairs(row: Schema) -> Iterator[tuple[str, Converter]]:
    known: dict[str, Converter] = {}
    for field in row["fields"]:
        for branch in _branches(field):
            # A named type is described in full only where it comes first; later fields use its name alone.
            converter = known.get(branch) if isinstance(branch, str) else _CONVERTERS.get(branch.get("connect.name"))
            if converter is not None:
                if isinstance(branch, dict) and "name" in branch:
                    known[branch["name"]] = known[f"{branch.get('namespace')}.{branch['name']}"] = converter
                yield field["name"], converter


def _names_of(row: Schema, avro: str) -> Iterator[str]:
    for field in row["fields"]:
        for branch in _branches(field):
            plain = branch if isinstance(branch, str) else branch.get("type")
            if plain == avro and not (isinstance(branch, dict) and "logicalType" in branch):
                yield field["name"]
