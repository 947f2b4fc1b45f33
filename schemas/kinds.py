"""The kinds of value a field may have, and the canonical vocabularies that status values are mapped to.

A kind fixes three things at once: how a value is validated, its Avro type, and how many digits it may carry. Digits are
fixed for the whole product: money 20 with 4 after the point, rates and exchange rates 20/8, fractions 9/6, hours 9/4.
Outputs add sums of hours (20/4) and measures (20/6), since a project's hours or the margin of a tiny revenue outgrow
the digits of one row.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Kind(StrEnum):
    """What a field holds.

    `currency` is an ISO 4217 code, `period` a calendar month YYYY-MM, `effort` a sum of hours, `measure` a quotient or
    another figure of an output, `strings` a list, `labels` a map of strings.
    """

    STRING = "string"
    BOOL = "bool"
    INT = "int"
    MONEY = "money"
    RATE = "rate"
    FRACTION = "fraction"
    HOURS = "hours"
    EFFORT = "effort"
    MEASURE = "measure"
    DATE = "date"
    TIMESTAMP = "timestamp"
    CURRENCY = "currency"
    PERIOD = "period"
    STRINGS = "strings"
    LABELS = "labels"
    RECORD = "record"
    RECORDS = "records"


DIGITS = MappingProxyType(
    {
        Kind.MONEY: (20, 4),
        Kind.RATE: (20, 8),
        Kind.FRACTION: (9, 6),
        Kind.HOURS: (9, 4),
        Kind.EFFORT: (20, 4),
        Kind.MEASURE: (20, 6),
    }
)
"""Kind of decimal -> (digits in all, digits after the point)."""


OUTPUT_KINDS = frozenset({Kind.EFFORT, Kind.MEASURE, Kind.STRINGS, Kind.LABELS, Kind.RECORD})
"""Kinds that fields of derived records may have, and fields of source rows may not."""


_PLAIN_AVRO: dict[Kind, Any] = {
    Kind.STRING: "string",
    Kind.BOOL: "boolean",
    Kind.INT: "long",
    Kind.DATE: {"type": "int", "logicalType": "date"},
    Kind.TIMESTAMP: {"type": "long", "logicalType": "timestamp-millis"},
    Kind.CURRENCY: "string",
    Kind.PERIOD: "string",
    Kind.STRINGS: {"type": "array", "items": "string"},
    Kind.LABELS: {"type": "map", "values": "string"},
}


def avro_type(kind: Kind) -> Any:
    """Return the Avro type of a kind that has no fields of its own."""
    if kind in DIGITS:
        precision, scale = DIGITS[kind]
        return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return _PLAIN_AVRO[kind]


_STAGES = ("planned", "active", "on_hold", "closed", "cancelled")

CANONICAL_VALUES = MappingProxyType(
    {
        "stage": _STAGES,
        "milestone": ("planned", "in_progress", "completed", "accepted", "cancelled"),
        "entry": ("draft", "submitted", "approved", "rejected"),
        "billing_type": ("time_and_materials", "capped_time_and_materials", "fixed_fee", "retainer"),
        "assignment": ("confirmed", "tentative", "cancelled"),
        "amendment": ("draft", "approved", "rejected"),
        "expense_policy": ("pass_through", "markup", "non_billable"),
        "invoice": ("draft", "posted", "released", "paid", "cancelled"),
        "customer": ("active", "inactive"),
        "period": ("open", "closed"),
        "cost_source": ("time_entry", "expense"),
    }
)
"""Vocabulary -> the values rules know. Mapping files translate a system's own words into these."""

BILLING_KINDS = ("time", "overage", "milestone", "expense", "retainer")
"""The kinds of a billing trigger; each needs a default billing code."""
