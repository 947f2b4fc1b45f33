"""The codec: records to Confluent's wire format and back (a zero byte, the schema id in four bytes, the Avro body).

Decoding resolves an older or newer writer's schema to ours where there is a contract for it, and takes the writer's as
it is where there is none, such as a database nobody here designed. Schemas are read once an id.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from fastavro import parse_schema
from fastavro.schema import SchemaParseException

from schemas.bounds import unbounded
from schemas.contracts import Contract, Schema, avro_fault, fingerprint, full_name, load_contracts
from schemas.debezium import Envelope, NoEnvelope, is_debezium
from schemas.evolution import Judge, Reading
from schemas.plan import Node, Planner, Tuples, Unplanned, plan
from schemas.plan_changes import change_nodes, debezium_nodes, is_change, slim
from schemas.plan_resolved import resolved_nodes
from schemas.pure_codec import HEAD, Decoder, Encoder, Fields, Undecodable, Unencodable
from schemas.registry import Registry, UnknownSchema

if TYPE_CHECKING:
    from schemas._plan import Plan

__all__ = ["RECORD_BYTES_MAX", "Codec", "Fields", "Shape", "Undecodable", "Unencodable", "Unknown", "Way"]

RECORD_BYTES_MAX: Final = 1024 * 1024
_SHORTEST: Final = HEAD.size

Unknown = Callable[[str, int], None]
"""(topic, id of a schema that nobody here knows) to nothing, or it raises what is to become of the topic."""

Decode = Callable[[bytes], Any]
Encode = Callable[[Any], bytes]


class Shape(NamedTuple):
    """How the records of a contract are held if not as fields: as tuples of the classes in `tuples`.

    `to_fields` and `of_fields` say between which tuple and which fields; ValueError, if fields make none.
    """

    tuples: Tuples
    to_fields: Callable[[Any], Fields]
    of_fields: Callable[[Fields], Any]


class Way(NamedTuple):
    """How one schema is decoded or encoded: `what` names it, `unplanned` says why not by the compiled codec.

    `declined` counts the records that the compiled codec has left to the pure one.
    """

    what: str
    unplanned: str | None
    declined: int


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
        shapes: Mapping[str, Shape] | None = None,
        compiled: bool = True,
        judge: Judge | None = None,
        unknown: Unknown | None = None,
    ) -> None:
        """Take the shapes of records that are not held as fields, by subject.

        `judge` says how the schemas of a connector are read; without, each is read as it is. `unknown` is asked about
        records of a schema that nobody knows; where it does not raise, each is `Undecodable`. `compiled` False leaves
        everything to the pure codec, also where the compiled one was built.
        """
        self._registry = registry
        self._contracts = load_contracts() if contracts is None else contracts
        self._by_name = {
            full_name(contract.schema): contract for contract in self._contracts.values() if contract.is_own
        }
        self._record_bytes_max = record_bytes_max
        self._shapes = shapes or {}
        self._compiled = compiled
        self._judge = judge
        self._unknown = unknown
        self._decoders: dict[tuple[str, bytes], Decode] = {}
        self._change_decoders: dict[tuple[str, bytes], Decode] = {}
        self._encoders: dict[str, Encode] = {}
        self._ways: dict[str, Plan | str] = {}

    def decode(self, topic: str, payload: bytes) -> Any:
        """Return the record in the bytes of a topic: its fields, or a tuple where its contract has a shape.

        A change comes in the product's own envelope, also where a Debezium connector wrote it: before, after, op, ts_ms
        and source with connector, name, ts_ms, snapshot (bool) and position. Raises Undecodable saying why,
        RegistryUnavailable, or what `judge` and `unknown` raise.
        """
        decode = self._decoders.get((topic, payload[:_SHORTEST]))
        if decode is None or len(payload) > self._record_bytes_max:
            decode = self._decoder(self._decoders, topic, payload)
        return decode(payload)

    def decode_change(self, topic: str, payload: bytes) -> Any:
        """Return the change in the bytes of a source topic as whoever applies it needs it.

        As `decode`, but `before` is None unless it is a delete, and `source` has name, ts_ms and position alone; and
        `reread`, true, where a connector read a row anew on request.
        """
        decode = self._change_decoders.get((topic, payload[:_SHORTEST]))
        if decode is None or len(payload) > self._record_bytes_max:
            decode = self._decoder(self._change_decoders, topic, payload)
        return decode(payload)

    def encode(self, subject: str, record: Any) -> bytes:
        """Return the bytes of a record under the contract of a subject.

        Values as `decode` gives them; instants may also be whole milliseconds. Quotients that the contract declares
        `rounded` are rounded half up to its scale; any other decimal must fit. Raises Unencodable naming the field, or
        RegistryUnavailable.
        """
        encode = self._encoders.get(subject)
        if encode is None:
            encode = self._encoders[subject] = self._encoder(subject)
        payload = encode(record)
        if len(payload) > self._record_bytes_max:
            raise Unencodable(f"{subject}: too large: {len(payload)} bytes, the limit is {self._record_bytes_max}")
        return payload

    def ways(self) -> Iterator[Way]:
        """Yield how each schema met so far is decoded or encoded."""
        for what, way in self._ways.items():
            yield Way(what, way, 0) if isinstance(way, str) else Way(what, None, way.declined)

    def _decoder(self, known: dict[tuple[str, bytes], Decode], topic: str, payload: bytes) -> Decode:
        if len(payload) > self._record_bytes_max:
            raise Undecodable(f"too large: {len(payload)} bytes, the limit is {self._record_bytes_max}")
        if len(payload) < _SHORTEST:
            raise Undecodable(f"too short: {len(payload)} bytes, a schema id takes {_SHORTEST}")
        magic, schema_id = HEAD.unpack_from(payload)
        if magic:
            raise Undecodable(f"bad magic byte 0x{payload[0]:02x}: a record begins with 0x00 and its schema id")
        head = payload[:_SHORTEST]
        decode = known[topic, head] = self._decoder_of(topic, schema_id, known is self._change_decoders)
        return decode

    def _decoder_of(self, topic: str, schema_id: int, is_slim: bool) -> Decode:
        writer = self._writer(topic, schema_id)
        what = f"decode {topic}, schema id {schema_id}{', changes' if is_slim else ''}"
        if is_debezium(writer):
            reading = Reading(writer, {}) if self._judge is None else self._judge(topic, schema_id, writer)
            return self._debezium_decoder(what, reading, is_slim)
        contract = self._by_name.get(full_name(writer)) or self._contracts.get(topic)
        same = contract is None or fingerprint(contract.schema) == fingerprint(writer)
        parsed = _parsed(_as_read(writer, contract))
        reader = None if contract is None or same else _parsed(_as_read(contract.schema, contract))
        shape = None if contract is None else self._shapes.get(contract.subject)
        is_slim = is_slim and is_change(parsed if reader is None else reader)
        finish = shape.of_fields if shape is not None else slim if is_slim else None

        def nodes() -> tuple[Node, ...]:
            if reader is None:
                return change_nodes(parsed) if is_slim else Planner(parsed, shape.tuples if shape else None).whole()
            if shape is not None:
                raise Unplanned("its schema is another than that of the tuples")
            return resolved_nodes(parsed, reader, is_slim)

        return self._way(what, nodes, Decoder(parsed, reader, finish))

    def _debezium_decoder(self, what: str, reading: Reading, is_slim: bool) -> Decode:
        try:
            envelope = Envelope(reading.schema)
        except NoEnvelope as error:
            raise Undecodable(str(error)) from error

        def finish(record: Fields) -> Fields:
            change = envelope.change(record)
            if reading.refused and change["after"] is not None:
                change["after"].update(reading.refused)
            return slim(change) if is_slim else change

        def nodes() -> tuple[Node, ...]:
            if reading.refused:
                raise Unplanned("its rows are to be refused")
            return debezium_nodes(parsed, envelope, is_slim)

        parsed = _parsed(reading.schema)
        return self._way(what, nodes, Decoder(parsed, None, finish))

    def _way(self, what: str, nodes: Callable[[], tuple[Node, ...]], pure: Decoder) -> Decode:
        found = self._plan(what, nodes, b"", pure.decode)
        return pure.decode if found is None else found.decode

    def _plan(
        self, what: str, nodes: Callable[[], tuple[Node, ...]], head: bytes, pure: Callable[[Any], Any]
    ) -> "Plan | None":
        """Return the plan of a schema, or None; remember it, or why there is none."""
        try:
            if not self._compiled:
                raise Unplanned("the compiled codec is not wanted")
            made = self._ways[what] = plan(nodes(), head, pure)
        except (Unplanned, RecursionError) as error:
            self._ways[what] = str(error)
            return None
        return made

    def _writer(self, topic: str, schema_id: int) -> Schema:
        try:
            writer = self._registry.schema(schema_id)
        except UnknownSchema as error:
            if self._unknown is not None:
                self._unknown(topic, schema_id)
            raise Undecodable(str(error)) from error
        if writer.get("type") != "record":
            raise Undecodable(f"schema id {schema_id} is no record: {str(writer)[:60]}")
        if fault := avro_fault(writer):
            raise Undecodable(f"schema id {schema_id} is no valid Avro: {fault}")
        if fault := unbounded(writer):
            raise Undecodable(f"schema id {schema_id} cannot be read safely: {fault}")
        return writer

    def _encoder(self, subject: str) -> Encode:
        contract = self._contracts.get(subject)
        if contract is None:
            raise Unencodable(f"there is no contract {subject!r}")
        try:
            schema_id = self._registry.id_of(subject, contract.schema)
        except UnknownSchema as error:
            raise Unencodable(str(error)) from error
        if fault := unbounded(contract.schema):
            raise Unencodable(f"{subject}: its contract cannot be written safely: {fault}")
        shape = self._shapes.get(subject)
        pure = Encoder(subject, contract.schema, schema_id, None if shape is None else shape.to_fields)

        def nodes() -> tuple[Node, ...]:
            return Planner(_parsed(contract.schema), shape.tuples if shape else None, contract=True).whole()

        found = self._plan(f"encode {subject}", nodes, HEAD.pack(0, schema_id), pure.encode)
        return pure.encode if found is None else found.encode


def _parsed(schema: Schema) -> Schema:
    try:
        parsed: Any = parse_schema(schema)
    except (SchemaParseException, ValueError, KeyError, TypeError) as error:
        raise Undecodable(f"its schema is no valid Avro: {error}") from error
    return cast(Schema, parsed)


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
