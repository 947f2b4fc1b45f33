"""The schemas of the reference job and their bytes: Confluent's framing, fastavro's body. All variants use them."""

import struct
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

TERMS, ENTRIES, MILESTONES = "bench.terms", "bench.entries", "bench.milestones"
INPUTS = (TERMS, ENTRIES, MILESTONES)
TRIGGERS, MARGINS = "triggers", "margins"

_HEAD = struct.Struct(">bI")


def _record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


SCHEMAS: dict[str, tuple[int, dict[str, Any]]] = {
    TERMS: (1, _record("Terms", contract="string", rate="int", cap="long")),
    ENTRIES: (
        2,
        _record(
            "TimeEntry",
            contract="string",
            entry="string",
            hours="int",
            worked_on={"type": "int", "logicalType": "date"},
            resource="string",
        ),
    ),
    MILESTONES: (3, _record("Milestone", contract="string", milestone="string", amount="long", done="boolean")),
    TRIGGERS: (4, _record("Trigger", id="string", contract="string", kind="string", amount="long")),
    MARGINS: (5, _record("Margin", contract="string", hours="long", value="long", billed="long", portions="int")),
}
"""Schema id and schema by input topic or kind of output. Amounts are cents, hours hundredths of an hour."""


class Framed:
    """One schema's bytes: a zero byte, the schema's id in four bytes, the Avro body."""

    def __init__(self, name: str) -> None:
        number, schema = SCHEMAS[name]
        self.head = _HEAD.pack(0, number)
        self._schema = parse_schema(schema)

    def read(self, payload: bytes) -> Any:
        """Return the record. Raises ValueError for bytes of another schema."""
        body = BytesIO(payload)
        if body.read(5) != self.head:
            raise ValueError(f"bytes begin with {payload[:5].hex()}, and {self.head.hex()} was expected")
        return schemaless_reader(body, self._schema, None)

    def write(self, record: Any) -> bytes:
        """Return the bytes of a record."""
        body = BytesIO()
        body.write(self.head)
        schemaless_writer(body, self._schema, record)
        return body.getvalue()
