"""A table of the PSA database as somebody has altered it: the schema its connector registers then, and rows by it."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

from schemas.codec import Codec
from schemas.contracts import Contract, Level, Schema, load_contracts
from schemas.debezium_writing import DebeziumShape, debezium_subject
from schemas.registry import Recorded
from tests.support.feed import Json

TEXT: Any = "string"
INTEGER: Any = "int"
ZONED: Any = {"type": "string", "connect.name": "io.debezium.time.ZonedTimestamp"}


def numeric(precision: int, scale: int) -> Any:
    """The type that a connector gives a column of `numeric(precision,scale)`."""
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


class Table:
    """A table as the contracts have it at first. Columns that are added may be null, unless they are `required`."""

    def __init__(self, name: str) -> None:
        self.topic = f"psa.public.{name}"
        self.schema: Schema = deepcopy(load_contracts()[debezium_subject(self.topic)].schema)
        self._columns: list[Any] = self.schema["fields"][0]["type"][1]["fields"]

    def add(self, column: str, kind: Any, required: bool = False) -> Self:
        """Add a column at the end."""
        type_ = kind if required else ["null", kind]
        self._columns.append({"name": column, "type": type_, **({} if required else {"default": None})})
        return self

    def drop(self, column: str) -> Self:
        """Drop a column."""
        self._columns.remove(self._column(column))
        return self

    def rename(self, column: str, name: str) -> Self:
        """Give a column another name."""
        self._column(column)["name"] = name
        return self

    def retype(self, column: str, kind: Any) -> Self:
        """Give a column another type; whether it may be null stays as it was."""
        found = self._column(column)
        found["type"] = ["null", kind] if isinstance(found["type"], list) else kind
        return self

    def _column(self, name: str) -> Any:
        return next(column for column in self._columns if column["name"] == name)

    def payload(self, schema_id: int, change: Json) -> bytes:
        """A change in our own envelope, with rows as the table has them, in the bytes of its connector."""
        contract = Contract(debezium_subject(self.topic), Level.BACKWARD, Path("altered"), self.schema)
        codec = Codec(Recorded({schema_id: self.schema}), {contract.subject: contract})
        return codec.encode(contract.subject, DebeziumShape(contract).envelope(change))


def schemas_file(folder: Path, schemas: dict[int, Table]) -> Path:
    """Write a file of recorded schemas by id."""
    file = folder / "schemas.json"
    file.write_text(json.dumps({number: table.schema for number, table in schemas.items()}), "utf-8")
    return file
