"""The two codecs of the reference job: fastavro, which is a wheel, and the compiled one. Their bytes are the same."""

from collections.abc import Callable
from typing import Any, NamedTuple

from fastavro import parse_schema

from bench.reference.avro import SCHEMAS, Framed
from schemas.plan import Planner, plan

FASTAVRO, COMPILED = "fastavro", "compiled"


class Both(NamedTuple):
    """How one schema is read and written."""

    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


def codec_of(kind: str, name: str) -> Both:
    """Return one of the codecs for a schema. Raises `schemas.plan.Unplanned` if the compiled one was not built."""
    framed = Framed(name)
    if kind == FASTAVRO:
        return Both(framed.read, framed.write)
    schema: Any = SCHEMAS[name][1]
    parsed: Any = parse_schema(schema)
    nodes, head = Planner(parsed).whole(), framed.head
    decode, encode = plan(nodes, b"", framed.read).decode, plan(nodes, head, framed.write).encode

    def read(payload: bytes) -> Any:
        if not payload.startswith(head):
            return framed.read(payload)  # says what is wrong
        return decode(payload)

    return Both(read, encode)
