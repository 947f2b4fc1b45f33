"""The codec: records to Confluent's wire format and back (a zero byte, the schema id in four bytes, the Avro body).

Decoding resolves an older or newer writer's schema to ours where there is a contract for it, and takes the writer's as
it is where there is none, such as a database nobody here designed. Schemas are parsed once an id.
"""

import struct
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import SchemaParseException

from schemas.contracts import Contract, Schema, avro_fault, fingerprint, full_name, load_contracts
from schemas.debezium import Envelope, NoEnvelope, is_debezium
from schemas.misfit import misfit
from schemas.registry import Registry, UnknownSchema

Fields = dict[str, Any]

RECORD_BYTES_MAX: Final = 1024 * 1024
_HEAD: Final = struct.Struct(">bI")
_WIDE: Final = Context(prec=60)


class Undecodable(ValueError):
    """Bytes that cannot be read as a record. The text says why; the bytes belong in the dead letters."""


class Unencodable(ValueError):
    """A record that does not fit its contract. The text names contract, field and value: a defect of the writer."""


class Codec:
    """Encodes and decodes the records of all topics, with ids from a registry.

    Decoded values: Decimal, date, aware datetime (UTC), str, bool, int, dict and list. In canonical facts instants are
    whole milliseconds (int). One Codec may be used by one thread at a time.
    """

    def __init__(
        self,
        registry: Registry,
        contracts: Mapping[str, Contract] | None = None,
        record_bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        self._registry = registry
        self._contracts = load_contracts() if contracts is None else contracts
        self._by_name = {
            full_name(contract.schema): contract for contract in self._contracts.values() if contract.is_own
        }
        self._record_bytes_max = record_bytes_max
        self._decoders: dict[tuple[str, int], Decoder] = {}
        self._encoders: dict[str, Encoder] = {}

    def decode(self, topic: str, payload: bytes) -> Fields:
        """Return the record in the bytes of a topic.

        A change comes in the product's own envelope, also where a Debezium connector wrote it: before, after, op, ts_ms
        and source with connector, name, ts_ms, snapshot (bool) and position. Raises Undecodable saying why, or
        RegistryUnavailable.
        """
        if len(payload) > self._record_bytes_max:
            raise Undecodable(f"too large: {len(payload)} bytes, the limit is {self._record_bytes_max}")
        if len(payload) < _HEAD.size:
            raise Undecodable(f"too short: {len(payload)} bytes, a schema id takes {_HEAD.size}")
        magic, schema_id = _HEAD.unpack_from(payload)
        if magic:
            raise Undecodable(f"bad magic byte 0x{payload[0]:02x}: a record begins with 0x00 and its schema id")
        decoder = self._decoders.get((topic, schema_id))
        if decoder is None:
            decoder = self._decoders[topic, schema_id] = self._decoder(topic, schema_id)
        return decoder.decode(payload)

    def encode(self, subject: str, record: Fields) -> bytes:
        """Return the bytes of a record under the contract of a subject.

        Values as `decode` gives them; instants may also be whole milliseconds. Quotients that the contract declares
        `rounded` are rounded half up to its scale; any other decimal must fit. Raises Unencodable naming the field, or
        RegistryUnavailable.
        """
        encoder = self._encoders.get(subject)
        if encoder is None:
            encoder = self._encoders[subject] = self._encoder(subject)
        payload = encoder.encode(record)
        if len(payload) > self._record_bytes_max:
            raise Unencodable(f"{subject}: too large: {len(payload)} bytes, the limit is {self._record_bytes_max}")
        return payload

    def _decoder(self, topic: str, schema_id: int) -> "Decoder":
        try:
            writer = self._registry.schema(schema_id)
        except UnknownSchema as error:
            raise Undecodable(str(error)) from error
        if writer.get("type") != "record":
            raise Undecodable(f"schema id {schema_id} is no record: {str(writer)[:60]}")
        if fault := avro_fault(writer):
            raise Undecodable(f"schema id {schema_id} is no valid Avro: {fault}")
        if is_debezium(writer):
            return Decoder(writer, None)
        contract = self._by_name.get(full_name(writer)) or self._contracts.get(topic)
        if contract is None or fingerprint(contract.schema) == fingerprint(writer):
            return Decoder(_as_read(writer, contract), None)
        return Decoder(_as_read(writer, contract), _as_read(contract.schema, contract))

    def _encoder(self, subject: str) -> "Encoder":
        contract = self._contracts.get(subject)
        if contract is None:
            raise Unencodable(f"there is no contract {subject!r}")
        try:
            schema_id = self._registry.id_of(subject, contract.schema)
        except UnknownSchema as error:
            raise Unencodable(str(error)) from error
        return Encoder(subject, contract.schema, schema_id)


class Decoder:
    """The compiled decoding of one writer's schema."""

    def __init__(self, writer: Schema, reader: Schema | None) -> None:
        try:
            self._writer = parse_schema(writer)
            self._reader = None if reader is None else parse_schema(reader)
            self._change = Envelope(writer).change if is_debezium(writer) else None
        except NoEnvelope as error:
            raise Undecodable(str(error)) from error
        except (SchemaParseException, ValueError, KeyError, TypeError) as error:
            raise Undecodable(f"its schema is no valid Avro: {error}") from error

    def decode(self, payload: bytes) -> Fields:
        """Return the record in a payload whose head was read; raises Undecodable."""
        body = BytesIO(payload)
        body.seek(_HEAD.size)
        try:
            record: Any = schemaless_reader(body, self._writer, self._reader)
        except Exception as error:
            # Hostile or cut bytes raise whatever they happen to run into; nothing else is called here.
            raise Undecodable(f"the body does not fit its schema: {_told(error)}") from error
        if body.tell() != len(payload):
            raise Undecodable(f"{len(payload) - body.tell()} bytes are left over after the record")
        if self._change is None:
            return record  # type: ignore[no-any-return]
        try:
            return self._change(record)
        except ValueError as error:
            raise Undecodable(str(error)) from error


class Encoder:
    """The compiled encoding of one contract."""

    def __init__(self, subject: str, schema: Schema, schema_id: int) -> None:
        self._subject = subject
        self._avro = schema
        self._schema = parse_schema(schema)
        self._head = _HEAD.pack(0, schema_id)
        self._fields = frozenset(field["name"] for field in schema["fields"])
        self._quanta = tuple(_quanta(schema))
        self._wholes = tuple(_wholes(schema))
        self._instants = tuple(name for name, plain in _plain_types(schema) if _logical(plain) == "timestamp-millis")

    def encode(self, record: Fields) -> bytes:
        """Return the bytes of a record; raises Unencodable."""
        if not self._fields >= record.keys():
            unknown = ", ".join(sorted(record.keys() - self._fields))
            raise Unencodable(f"{self._subject}: the contract has no field {unknown}")
        for name in self._instants:
            if type(moment := record.get(name)) is datetime:
                self._check_moment(name, moment)
        if self._quanta:
            record = self._rounded(record)
        for name, whole in self._wholes:
            # fastavro counts the digits given, and so lets through a number whose padding to the scale is too long.
            if type(number := record.get(name)) is Decimal and number.is_finite() and number.adjusted() >= whole:
                raise Unencodable(f"{self._subject}: {name} {number} has more than {whole} digits before the point")
        body = BytesIO()
        body.write(self._head)
        try:
            schemaless_writer(body, self._schema, record)
        except Exception as error:
            raise Unencodable(f"{self._subject}: {misfit(self._avro, record) or error}") from error
        return body.getvalue()

    def _check_moment(self, name: str, moment: datetime) -> None:
        if moment.tzinfo is None:
            raise Unencodable(f"{self._subject}: {name} {moment} has no time zone")
        if moment.microsecond % 1000:
            raise Unencodable(f"{self._subject}: {name} {moment} is finer than a millisecond")

    def _rounded(self, record: Fields) -> Fields:
        record = dict(record)
        for name, quantum in self._quanta:
            number = record.get(name)
            if isinstance(number, Decimal):
                try:
                    record[name] = number.quantize(quantum, ROUND_HALF_UP, _WIDE)
                except InvalidOperation:
                    raise Unencodable(f"{self._subject}: {name} {number} is no finite number") from None
        return record


def _as_read(schema: Schema, contract: Contract | None) -> Schema:
    """Return a schema as it is read: facts hold instants as whole milliseconds, so the same bytes stay a long there."""
    if contract is None or not contract.is_canonical:
        return schema
    plain: Schema = _without_instants(schema)
    return plain


def _without_instants(node: Any) -> Any:
    if isinstance(node, dict):
        if node.get("logicalType") == "timestamp-millis":
            return "long"
        return {key: _without_instants(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_without_instants(item) for item in node]
    return node


def _plain_types(schema: Schema) -> Iterator[tuple[str, Any]]:
    for field in schema["fields"]:
        for branch in field["type"] if isinstance(field["type"], list) else [field["type"]]:
            yield field["name"], branch


def _logical(plain: Any) -> str | None:
    return plain.get("logicalType") if isinstance(plain, dict) else None


def _quanta(schema: Schema) -> Iterator[tuple[str, Decimal]]:
    declared = {field["name"] for field in schema["fields"] if field.get("rounded") == "half_up"}
    for name, plain in _plain_types(schema):
        if name in declared and _logical(plain) == "decimal":
            yield name, Decimal(1).scaleb(-plain["scale"])


def _wholes(schema: Schema) -> Iterator[tuple[str, int]]:
    for name, plain in _plain_types(schema):
        if _logical(plain) == "decimal":
            yield name, plain["precision"] - plain["scale"]


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
