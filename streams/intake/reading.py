"""Reading: a record of a source topic becomes a change of a row, or is told to be unreadable."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from schemas.codec import Undecodable
from schemas.mapping import Mappings
from streams.domain.calendar import start_of
from streams.domain.fact import Cause
from streams.intake.change import Change, Heartbeat, Refusal, Unreadable
from streams.intake.fields import TEXT_MAX, shown
from streams.intake.rows import Refused, RowReader
from streams.step import Record

Decode = Callable[[str, bytes], Mapping[str, Any]]
"""(topic, bytes) to an envelope with native values; raises schemas.codec.Undecodable."""

HEARTBEAT_PREFIX = "__debezium-heartbeat."
_OPS = frozenset("curd")
_INT64 = 2**63
_LATEST_MS = start_of(date(9999, 1, 1))
"""Changes must have happened before: deadlines that follow from them stay within what a date can say."""


class EnvelopeFault(ValueError):
    """An envelope that is none; the text says what is missing."""


class Reader:
    """Reads records of all source topics. `epochs` gives the epoch of each feed, by its name; 0 where not given."""

    def __init__(self, mappings: Mappings, decode: Decode, epochs: Mapping[str, int] | None = None) -> None:
        self._decode = decode
        self._epochs = dict(epochs or {})
        self._readers = {topic: RowReader(mapping) for topic, mapping in mappings.topics.items()}

    def read(self, record: Record) -> Change | Unreadable | Heartbeat | None:
        """Return what a record says; None for a tombstone, which only follows a delete."""
        value = record.value
        if value is None:
            return None
        if isinstance(value, Unreadable):
            return value
        if record.topic.startswith(HEARTBEAT_PREFIX):
            return Heartbeat(record.topic[len(HEARTBEAT_PREFIX) :], record.timestamp)
        try:
            if isinstance(value, bytes):
                value = self._decode(record.topic, value)
            return self._change(record, value)
        except Undecodable as error:
            return Unreadable(type(error).__name__, str(error), "VALUE_CONVERTER", record.value)
        except EnvelopeFault as error:
            return Unreadable("InvalidEnvelope", str(error), "TRANSFORMATION", record.value)

    def split(self, record: Record) -> list[Record]:
        """Return an update that changes its record key as a delete under the old key and a create under the new one."""
        value, reader = record.value, self._readers.get(record.topic)
        if reader is None or not isinstance(value, dict) or value.get("op") != "u":
            return [record]
        before, after = value.get("before"), value.get("after")
        if not isinstance(before, dict) or not isinstance(after, dict):
            return [record]
        try:
            old, new = reader.key_of(before), reader.key_of(after)
        except KeyError:
            return [record]
        # A feed that sends only the identity of the row before leaves its other fields null.
        if old == new or not isinstance(old, str):
            return [record]
        gone = {**value, "op": "d", "after": None}
        made = {**value, "op": "c", "before": None}
        key = new if record.key == old and isinstance(new, str) else record.key
        return [record._replace(key=old, value=gone), record._replace(key=key, value=made)]

    def _change(self, record: Record, envelope: Any) -> Change:
        op, row, cause = self._envelope(record, envelope)
        reader = self._readers.get(record.topic)
        if reader is None:
            return self._without_mapping(record, op == "d", row, cause)
        try:
            identity = reader.identity_of(row)
        except KeyError as error:
            raise EnvelopeFault(f"the row has no {error.args[0]}, which identifies it") from None
        if not isinstance(identity, str) or not 0 < len(identity) <= TEXT_MAX or not identity.isprintable():
            raise EnvelopeFault(f"{shown(identity)} in {', '.join(reader.mapping.identity)} identifies no row")
        scope = record.key
        refusal, canonical = None, None
        if op != "d":
            try:
                canonical = reader.read(row)
                said = reader.key_of(row)
                if scope != said:
                    told = f"record key {shown(scope)} is not {shown(said)}, its row's"
                    refusal = Refusal("validation_failed", (told,))
                    scope = scope or said
            except Refused as error:
                refusal = error.refusal
        if not scope:
            raise EnvelopeFault("the record has no key")
        kept = row if refusal is not None else None
        return Change(
            reader.kind, record.topic, scope, identity, None if refusal else canonical, op == "d", refusal, kept, cause
        )

    def _without_mapping(self, record: Record, deleted: bool, row: Any, cause: Cause) -> Change:
        if not record.key:
            raise EnvelopeFault("the record has no key")
        refusal = Refusal("unmapped_value", (f"no_mapping: no mapping file declares topic {record.topic}",))
        return Change("", record.topic, record.key, record.key, None, deleted, None if deleted else refusal, row, cause)

    def _envelope(self, record: Record, envelope: Any) -> tuple[str, Mapping[str, Any], Cause]:
        if not isinstance(envelope, dict):
            raise EnvelopeFault("the value is no change envelope")
        source, op = envelope.get("source"), envelope.get("op")
        if not isinstance(source, dict):
            raise EnvelopeFault("the envelope has no source")
        if not isinstance(op, str) or op not in _OPS:
            raise EnvelopeFault(f"op {shown(op)} is none of c, u, d, r")
        side = "before" if op == "d" else "after"
        row = envelope.get(side)
        if not isinstance(row, dict):
            raise EnvelopeFault(f"{side} is missing, which op {op} needs")
        position = _counted("position", source["position"] if "position" in source else source.get("lsn"), _INT64)
        happened = _counted("ts_ms", source.get("ts_ms"), _LATEST_MS)
        epoch = self._epochs.get(str(source.get("name")), 0) if self._epochs else 0
        return op, row, Cause(record.topic, record.partition, record.offset, position, epoch, happened)

    def again(self, topic: str, scope: str, identity: str, raw: Any, cause: Cause) -> Change:
        """Return a refused version read once more, under the mappings of today."""
        envelope = {"op": "u", "after": raw, "source": {"position": cause.position, "ts_ms": cause.occurred_at}}
        record = Record(topic, scope, envelope, cause.occurred_at, cause.partition or 0, cause.offset or 0)
        try:
            change = self._change(record, envelope)
        except EnvelopeFault as error:
            refusal = Refusal("validation_failed", (str(error),))
            return Change("", topic, scope, identity, None, False, refusal, raw, cause)
        return change._replace(cause=cause)


def _counted(name: str, number: Any, limit: int) -> int:
    if type(number) is int and 0 <= number < limit:  # a bool is none
        return number
    raise EnvelopeFault(f"source.{name} {shown(number)} is no whole number from 0 to {limit - 1}")
