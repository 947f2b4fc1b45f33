"""Reading: a record of a source topic becomes a change of a row, or is told to be unreadable."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from schemas.codec import Undecodable
from schemas.debezium import HEARTBEAT_PREFIX, NoEnvelope, is_reread, reread_position
from schemas.history import HISTORY_EPOCH, is_history
from schemas.mapping import Mappings
from streams.domain.calendar import start_of
from streams.domain.fact import Cause
from streams.domain.made import made
from streams.intake.change import NO_MAPPING, Change, Heartbeat, NativeChange, Refusal, Unreadable
from streams.intake.fields import TEXT_MAX, Fault, shown
from streams.intake.natives import NativeReader
from streams.intake.rows import Refused, RowReader
from streams.step import Record

Decode = Callable[[str, bytes], Mapping[str, Any]]
"""(topic, bytes) to an envelope with native values; raises schemas.codec.Undecodable, or what stops its topic."""

_OPS: Final = frozenset("curd")
_INT64: Final = 2**63
_NAMES_MAX: Final = 1_000
_LATEST_MS: Final = start_of(date(2200, 1, 1))
"""Changes must have happened before. The clock of a file run follows them and never goes back: a wrong unit, or a date
that stands for "never", would bill the retainers of thousands of years."""


class EnvelopeFault(ValueError):
    """An envelope that is none; the text says what is missing."""


class Reader:
    """Reads records of all source topics.

    `epochs` gives the epoch of each feed, by its name; where not given, it is 0, and below that of what was loaded.
    """

    def __init__(self, mappings: Mappings, decode: Decode, epochs: Mapping[str, int] | None = None) -> None:
        self._decode = decode
        self._epochs: dict[Any, int] = dict(epochs or {})
        self._readers = {topic: RowReader(mapping) for topic, mapping in mappings.topics.items()}
        self._natives = {
            topic: NativeReader(table) for assembly in mappings.assemblies for topic, table in assembly.tables.items()
        }
        self._decoded: tuple[bytes, Mapping[str, Any]] | None = None

    def is_native(self, topic: str) -> bool:
        """Tell whether a topic carries a table that rows are assembled from: its records are for assembly."""
        return topic in self._natives

    def row_reader(self, topic: str) -> RowReader:
        """Return what reads the rows of a topic that a mapping declares. Raises KeyError for any other."""
        return self._readers[topic]

    def shape_of(self, topic: str) -> str:
        """Return the topic whose contract the rows of a declared topic follow. Raises KeyError for any other."""
        return self._readers[topic].mapping.shape

    def read(self, record: Record) -> Change | NativeChange | Unreadable | Heartbeat | None:
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
                value = self._envelope_of(record.topic, value)
            return self._change(record, value)
        except Undecodable as error:
            return Unreadable(type(error).__name__, str(error), "VALUE_CONVERTER", record.value)
        except EnvelopeFault as error:
            return Unreadable("InvalidEnvelope", str(error), "TRANSFORMATION", record.value)

    def split(self, record: Record) -> list[Record]:
        """Return an update that changes its record key as a delete under the old key and a create under the new one."""
        value = record.value
        reader: RowReader | NativeReader | None = self._readers.get(record.topic) or self._natives.get(record.topic)
        if reader is None:
            return [record]
        if isinstance(value, bytes):
            try:
                value = self._envelope_of(record.topic, value)
            except Undecodable:
                return [record]
        if not isinstance(value, dict) or value.get("op") != "u":
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

    def _envelope_of(self, topic: str, payload: bytes) -> Mapping[str, Any]:
        # A file run asks twice for the same bytes: whether to split them, and what they say.
        if self._decoded is None or self._decoded[0] is not payload:
            self._decoded = payload, self._decode(topic, payload)
        return self._decoded[1]

    def _change(self, record: Record, envelope: Any) -> Change | NativeChange:
        op, row, cause, reread = self._envelope(record, envelope)
        name = envelope["source"].get("name")
        feed = name if type(name) is str else ""
        reader = self._readers.get(record.topic)
        if reader is None:
            native = self._natives.get(record.topic)
            if native is not None:
                return self._native(native, record, op == "d", row, (cause, reread))
            return self._without_mapping(record, op == "d", row, cause, feed)
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
                    refusal = _foreign_key(scope, said)
                    scope = scope or said
            except Refused as error:
                refusal = error.refusal
        elif isinstance(said := row.get(reader.mapping.key[0]), str) and len(reader.mapping.key) == 1 and said != scope:
            # Nothing is deleted under a key that the row never had: silence would leave it billed.
            refusal = _foreign_key(scope, said)
        if not scope:
            raise EnvelopeFault("the record has no key")
        kept = row if refusal is not None and op != "d" else None
        canonical = None if refusal else canonical
        return made(
            Change,
            (
                reader.kind, record.topic, scope, identity, canonical, op == "d", refusal, kept, cause, reread, feed,
            ),
        )  # fmt: skip

    def _native(
        self, native: NativeReader, record: Record, deleted: bool, row: Any, version: tuple[Cause, bool]
    ) -> NativeChange:
        try:
            return native.change(record.key, row, deleted, *version)
        except KeyError as error:
            raise EnvelopeFault(f"the row has no {error.args[0]}, which identifies it") from None
        except Fault as fault:
            raise EnvelopeFault(str(fault)) from None

    def _without_mapping(self, record: Record, deleted: bool, row: Any, cause: Cause, feed: str) -> Change:
        if not record.key:
            raise EnvelopeFault("the record has no key")
        refusal = Refusal("unmapped_value", (f"{NO_MAPPING}no mapping file declares topic {record.topic}",))
        identity = _likely_identity(row) or record.key
        return Change(
            "", record.topic, record.key, identity, None, deleted, None if deleted else refusal, row, cause, feed=feed
        )  # fmt: skip

    def _envelope(self, record: Record, envelope: Any) -> tuple[str, dict[str, Any], Cause, bool]:
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
        found, reread = _position(source)
        position = _counted("position", found, _INT64)
        happened = _counted("ts_ms", source.get("ts_ms"), _LATEST_MS)
        name = source.get("name")
        epoch = self._epochs.get(name) if type(name) is str else 0
        if epoch is None:
            # As few names as there are feeds: each is looked at once. What was loaded goes before all that is live.
            epoch = HISTORY_EPOCH if is_history(name) else 0
            if len(self._epochs) < _NAMES_MAX:
                self._epochs[name] = epoch
        cause = made(Cause, (record.topic, record.partition, record.offset, position, epoch, happened))
        return op, row, cause, reread and op == "r"

    def again(self, topic: str, scope: str, identity: str, raw: Any, cause: Cause) -> Change:
        """Return a refused version read once more, under the mappings of today."""
        reader = self._readers.get(topic)
        if reader is not None and reader.formerly and isinstance(raw, dict):
            raw = {reader.formerly.get(name, name): value for name, value in raw.items()}
        envelope = {"op": "u", "after": raw, "source": {"position": cause.position, "ts_ms": cause.occurred_at}}
        record = Record(topic, scope, envelope, cause.occurred_at, cause.partition or 0, cause.offset or 0)
        try:
            change = self._change(record, envelope)
        except EnvelopeFault as error:
            refusal = Refusal("validation_failed", (str(error),))
            return Change("", topic, scope, identity, None, False, refusal, raw, cause)
        if isinstance(change, NativeChange):
            return self._without_mapping(record, False, raw, cause, "")
        return change._replace(cause=cause)


def _likely_identity(row: Mapping[str, Any]) -> str:
    """Return what tells apart the rows of one record key, as far as one can tell without a mapping."""
    value = row.get("id", row.get("Id"))
    if isinstance(value, str | int) and 0 < len(text := str(value)) <= TEXT_MAX and text.isprintable():
        return text
    return ""


def _position(source: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return the position that a source gives, and whether it is that of a row read anew on request."""
    if "position" in source:
        return source["position"], "reread" in source
    if source.get("lsn") is None and is_reread(source):
        try:
            return reread_position(source), True
        except NoEnvelope as error:
            raise EnvelopeFault(str(error)) from None
    return source.get("lsn"), False


def _foreign_key(scope: str | None, said: str) -> Refusal:
    return Refusal("validation_failed", (f"record key {shown(scope)} is not {shown(said)}, its row's",))


def _counted(name: str, number: Any, limit: int) -> int:
    if type(number) is int and 0 <= number < limit:  # a bool is none
        return number
    raise EnvelopeFault(f"source.{name} {shown(number)} is no whole number from 0 to {limit - 1}")
