"""Changes in the shape a Debezium PostgreSQL connector writes: what a generated feed sends in place of a connector.

The schemas are those a connector registered for the reference PSA database (`source/debezium/*.avsc`).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from schemas.contracts import DEBEZIUM, Contract, Schema

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_VERSION: Final = "3.6.0.Final"
_NANOSECONDS: Final = 1_000_000
_KNOWN_MAX: Final = 8_192
"""Days and hours come again and again."""

Converter = Callable[[Any], Any]
Row = Mapping[str, Any]


def debezium_subject(topic: str) -> str:
    """Return the subject under which a codec encodes what `DebeziumShape` makes of a topic's changes."""
    return f"{DEBEZIUM}{topic}"


class DebeziumShape:
    """The compiled writing of one topic's changes as Debezium writes them."""

    def __init__(self, contract: Contract, database: str = "psa") -> None:
        """Take the contract of `debezium_subject(topic)`."""
        value = contract.schema["fields"][0]["type"][1]
        self._fields = tuple((field["name"], _converter(field)) for field in value["fields"])
        self._schema, self._table = contract.schema["namespace"].split(".")[1:3]
        self._database = database

    def envelope(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Return the Debezium envelope of a change in the product's own; its rows hold native values or JSON's strings.

        Raises KeyError or ValueError for a row that lacks a field or holds what the column cannot.
        """
        source = change["source"]
        happened, captured = source["ts_ms"], change["ts_ms"]
        return {
            "before": self._row(change["before"]),
            "after": self._row(change["after"]),
            "op": change["op"],
            "ts_ms": captured,
            "ts_us": captured * 1000,
            "ts_ns": captured * _NANOSECONDS,
            "transaction": None,
            "source": {
                "version": _VERSION,
                "connector": "postgresql",
                "name": source["name"],
                "ts_ms": happened,
                "ts_us": happened * 1000,
                "ts_ns": happened * _NANOSECONDS,
                "snapshot": "true" if source["snapshot"] else "false",
                "db": self._database,
                "sequence": None,
                "schema": self._schema,
                "table": self._table,
                "txId": None,
                "lsn": source["position"],
                "xmin": None,
                "origin": None,
                "origin_lsn": None,
            },
        }

    def _row(self, row: Row | None) -> dict[str, Any] | None:
        if row is None:
            return None
        return {
            name: value if (value := row[name]) is None or convert is None else convert(value)
            for name, convert in self._fields
        }


def _converter(field: Schema) -> Converter | None:
    """Return what makes a column's value of a row's, or None where they are the same."""
    branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
    plain = next(branch for branch in branches if branch != "null")
    if not isinstance(plain, dict):
        return None
    if plain.get("logicalType") == "decimal":
        return _padded(Decimal(1).scaleb(-plain["scale"]))
    return {"io.debezium.time.Date": _days, "io.debezium.time.ZonedTimestamp": _zoned}.get(
        plain.get("connect.name", "")
    )


def _padded(quantum: Decimal) -> Converter:
    def padded(value: Any) -> Decimal:
        number = Decimal(value)
        found = number.quantize(quantum)
        if found != number:
            raise ValueError(f"{value} has more digits after the point than its column holds")
        return found

    known = lru_cache(maxsize=_KNOWN_MAX)(padded)

    def convert(value: Any) -> Decimal:
        return known(value) if isinstance(value, str) else padded(value)

    return convert


def _days(value: date | str) -> int:
    return _days_of(value) if isinstance(value, str) else value.toordinal() - _EPOCH_DAY


@lru_cache(maxsize=_KNOWN_MAX)
def _days_of(text: str) -> int:
    return date.fromisoformat(text).toordinal() - _EPOCH_DAY


def _zoned(value: datetime | str) -> str:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(value, str) and len(value) == 24 and value[19] == "." and value[-1] == "Z":
        return f"{value[:-1]}000Z"  # as the JSON view has it
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
