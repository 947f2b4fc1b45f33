"""Between Kafka's bytes and what steps see: every value is Avro with its schema's id, but for dead letters.

Sources are read by intake's reader, which turns what it cannot read into dead letters; a dead letter's value is the
original's bytes. Internal topics carry messages (`streams.engine.facts`), public ones the records of their contracts.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
from confluent_kafka import Message

from schemas.codec import Codec, Unknown
from schemas.contracts import CANONICAL
from schemas.evolution import BrokenSchema
from schemas.registry import Confluent, Layered, Manifest, Recorded, Registry
from streams.config import Contracts
from streams.domain.made import made
from streams.engine.facts import MESSAGES, FactShapes
from streams.intake.reading import Reader
from streams.step import Record
from streams.topics import DEAD_LETTERS, KNOWN, Role

_SUBJECTS = {message: f"{CANONICAL}{name}" for name, message in MESSAGES.items()}
_REGISTRY_SECONDS_MAX = 5.0


class CutShort(Exception):
    """Records are not to be read from `offset` on, for their schema; `records` are those before it."""

    def __init__(self, records: list[Record], offset: int, broken: BrokenSchema) -> None:
        super().__init__(str(broken))
        self.records = records
        self.offset = offset
        self.broken = broken


class Wire(Protocol):
    """How the values of each topic become bytes and come back."""

    def records(self, topic: str, partition: int, messages: Sequence[Message], /) -> list[Record]:
        """Return what a step sees of the records of one partition. Raises `CutShort`, if some can be read at most."""

    def read(self, record: Record, /) -> Any:
        """Return what a step sees of a record whose value is still bytes, or None for a tombstone."""

    def write(self, topic: str, value: Any, /) -> bytes | None:
        """Return the bytes of an output's value; None is a tombstone."""

    def unavailable(self) -> str | None:
        """Return why schemas cannot be asked for now, or None. May be called by any thread."""


def registry_of(contracts: Contracts) -> Registry:
    """Return where schema ids come from: a registry by URL, or the shipped manifest; recorded ids before either.

    What was written before a registry was set has ids of the manifest, and is still read.

    Raises `schemas.lined_yaml.UnusableFile` for a file of recorded ids that cannot be used.
    """
    registry: Registry = Manifest()
    if contracts.registry_url is not None:
        from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415, slow and seldom needed

        # Asked on the event loop, so it is given up soon; who asks waits and asks again, and lets others on meanwhile.
        asked = {"url": contracts.registry_url, "timeout": _REGISTRY_SECONDS_MAX, "max.retries": 0}
        registry = Confluent(SchemaRegistryClient(asked), behind=registry)
    if contracts.schemas_file is not None:
        registry = Layered(Recorded.read(contracts.schemas_file), registry)
    return registry


def records_of(topic: str, partition: int, messages: Sequence[Message], read: Callable[[Record], Any]) -> list[Record]:
    """Return records whose values are what `read` makes of each record with its bytes. Raises `CutShort`."""
    records: list[Record] = []
    for message in messages:
        key, headers, offset = message.key(), message.headers(), message.offset() or 0
        told_key = None if key is None else key.decode("utf-8", "surrogateescape")
        timestamp, told = max(message.timestamp()[1], 0), tuple(headers) if headers else ()
        try:
            value = read(made(Record, (topic, told_key, message.value(), timestamp, partition, offset, told)))
        except BrokenSchema as broken:
            raise CutShort(records, offset, broken) from broken
        # Written out twice: _replace, or two halves unpacked, cost as much as all the rest.
        records.append(made(Record, (topic, told_key, value, timestamp, partition, offset, told)))
    return records


class ContractWire:
    """The wire of the product's topics. One object may be used by one thread at a time."""

    def __init__(self, registry: Registry, reader: Reader, unknown: Unknown | None = None) -> None:
        """`unknown` is asked about schema ids in internal and public topics that the registry lacks."""
        self._registry = registry
        self._reader = reader
        self._codec = Codec(registry, shapes=FactShapes().of_subjects(), unknown=unknown)

    def records(self, topic: str, partition: int, messages: Sequence[Message], /) -> list[Record]:
        """Return records that carry changes, messages or derived records, as `read` does."""
        return records_of(topic, partition, messages, self.read)

    def read(self, record: Record, /) -> Any:
        """Return a change, a message or a derived record.

        Raises `schemas.codec.Undecodable` for bytes of an internal or public topic: they are ours, and a defect; and
        what `unknown` raises.
        """
        topic = KNOWN.get(record.topic)
        if topic is None or topic.role is Role.SOURCE:
            return self._reader.read(record)
        value = record.value
        return value if value is None or record.topic == DEAD_LETTERS else self._codec.decode(record.topic, value)

    def write(self, topic: str, value: Any, /) -> bytes | None:
        """Return the bytes of an output. Raises `schemas.codec.Unencodable` for one that breaks its contract."""
        if value is None:
            return None
        if topic == DEAD_LETTERS:
            return value if isinstance(value, bytes) else orjson.dumps(value, default=str)
        known = KNOWN.get(topic)
        if known is None:  # assembled rows have the contract of the topic that they are like
            return self._codec.encode(self._reader.shape_of(topic), value)
        if known.role is Role.INTERNAL:
            return self._codec.encode(_SUBJECTS[type(value)], value)
        return self._codec.encode(topic, value)

    def unavailable(self) -> str | None:
        """Return why the registry does not answer, or None."""
        return self._registry.unavailable()
