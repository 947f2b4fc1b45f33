"""The pure codec: one writer's schema decoded, one contract encoded, with fastavro.

It says what a record's bytes are and what is wrong with them. The compiled codec (`schemas.plan`) must give the same,
faster, and asks this one whenever it is not sure.
"""

import struct
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.read import LOGICAL_READERS

from schemas.contracts import Schema
from schemas.debezium import DECIMAL_BYTES_MAX
from schemas.misfit import misfit

Fields = dict[str, Any]

HEAD: Final = struct.Struct(">bI")
"""What stands before every record: a zero byte and the id of its schema."""
_WIDE: Final = Context(prec=60)


class Undecodable(ValueError):
    """Bytes that cannot be read as a record. The text says why; the bytes belong in the dead letters."""


class Unencodable(ValueError):
    """A record that does not fit its contract. The text names contract, field and value: a defect of the writer."""


class Decoder:
    """The decoding of one writer's schema."""

    def __init__(self, writer: Schema, reader: Schema | None, finish: Callable[[Fields], Any] | None = None) -> None:
        """Take parsed schemas. `finish` makes what is wanted of the fields, or raises ValueError saying why not."""
        self._writer = writer
        self._reader = reader
        self._finish = finish

    def decode(self, payload: bytes) -> Any:
        """Return the record in a payload whose head was read; raises Undecodable."""
        record = self._read(payload, None)
        if self._reader is not None:
            # fastavro passes over fields that a reader does not know without a look at where the bytes end: it would
            # count to any number that a hostile array says. What was read as it was written has an end.
            record = self._read(payload, self._reader)
        if self._finish is None:
            return record
        try:
            return self._finish(record)
        except ValueError as error:
            raise Undecodable(str(error)) from error

    def _read(self, payload: bytes, reader: Schema | None) -> Any:
        body = BytesIO(payload)
        body.seek(HEAD.size)
        try:
            record = schemaless_reader(body, self._writer, reader)
        except Exception as error:
            # Hostile or cut bytes raise whatever they happen to run into; nothing else is called here.
            raise Undecodable(f"the body does not fit its schema: {_told(error)}") from error
        if body.tell() != len(payload):
            raise Undecodable(f"{len(payload) - body.tell()} bytes are left over after the record")
        return record


class Encoder:
    """The encoding of one contract. `to_fields` makes fields of a record that is held as something else."""

    def __init__(
        self, subject: str, schema: Schema, schema_id: int, to_fields: Callable[[Any], Fields] | None = None
    ) -> None:
        self._subject = subject
        self._avro = schema
        self._schema = parse_schema(schema)
        self._head = HEAD.pack(0, schema_id)
        self._to_fields = to_fields
        self._fields = frozenset(field["name"] for field in schema["fields"])
        self._quanta = tuple(_quanta(schema))
        self._wholes = tuple(_wholes(schema))
        self._instants = tuple(name for name, plain in _plain_types(schema) if _logical(plain) == "timestamp-millis")

    def encode(self, record: Any) -> bytes:
        """Return the bytes of a record; raises Unencodable."""
        if self._to_fields is not None:
            record = self._to_fields(record)
        if not self._fields >= record.keys():
            unknown = ", ".join(sorted(map(str, record.keys() - self._fields)))
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


def _bounded(read: Callable[..., Decimal]) -> Callable[..., Decimal]:
    """Return fastavro's reader of a decimal, but for numbers so long that telling their digits would take minutes."""

    def bounded(number: bytes, *schemas: Any) -> Decimal:
        if len(number) > DECIMAL_BYTES_MAX:
            raise ValueError(f"a decimal of {len(number)} bytes, the limit is {DECIMAL_BYTES_MAX}")
        return read(number, *schemas)

    return bounded


for _kind in ("bytes-decimal", "fixed-decimal"):
    LOGICAL_READERS[_kind] = _bounded(LOGICAL_READERS[_kind])


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
            yield name, Decimal(1).scaleb(-plain.get("scale", 0))


def _wholes(schema: Schema) -> Iterator[tuple[str, int]]:
    for name, plain in _plain_types(schema):
        if _logical(plain) == "decimal":
            yield name, plain["precision"] - plain.get("scale", 0)


def _told(error: Exception) -> str:
    # Where in memory the bytes lay is of no use to anyone, and would make each dead letter differ.
    return str(error).partition(" from <_io.BytesIO")[0] or type(error).__name__
