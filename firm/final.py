"""The rows of a firm as they are in the end, each system's as it says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from firm.wire import Record

_IDENTITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "crm.Contract": ("ContractNumber",),
    "hr.Worker": ("EmployeeId",),
    "erp.Project": ("ProjectId",),
    "erp.FxRate": ("FromCurrency", "ToCurrency", "Date"),
    "erp.Period": ("LegalEntity", "Period"),
}


def final_records(records: Iterable[Record]) -> dict[tuple[str, str], Record]:
    """The last change of each row by topic and identity; deleted ones are left out."""
    last: dict[tuple[str, str], Record] = {}
    for record in records:
        before, after = record.value["before"], record.value["after"]
        place = record.topic, identity_of(record.topic, after or before)
        if after is None:
            last.pop(place, None)
        else:
            last[place] = record
    return last


def final_rows(records: Iterable[Record]) -> dict[tuple[str, str], dict[str, Any]]:
    """The last version of each row by topic and identity; deleted ones are left out."""
    return {place: record.value["after"] for place, record in final_records(records).items()}


def identity_of(topic: str, row: Mapping[str, Any]) -> str:
    """What tells a row of a topic from others."""
    if topic in _IDENTITIES:
        return ":".join(str(row[name]) for name in _IDENTITIES[topic])
    return str(row["id"] if "id" in row else row["Id"])
