"""Postings: one decision on its way into one ERP.

A posting's id is computed from the target system and the trigger, so that whoever sends it again sends the same thing,
and the target can be asked about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from streams.domain.calendar import moment
from streams.domain.identity import identity_of


class Status(StrEnum):
    """Where a posting stands: `pending` is not sent, `unknown` may have been; the last three are final."""

    PENDING = "pending"
    SENT = "sent"
    UNKNOWN = "unknown"
    POSTED = "posted"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"


FINAL = frozenset({Status.POSTED, Status.REJECTED, Status.SUPERSEDED})


def _no_float(value: Any) -> Any:
    if isinstance(value, float | bool):
        raise ValueError("money is a decimal or its text, never a float")
    return value


Exact = Annotated[Decimal, BeforeValidator(_no_float)]
"""A decimal that was never a float; NaN and infinity are refused."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One trigger on its way into one system. `amount` is negative for a reversal, which names what it `reverses`.

    `quantity` is in hours and `rate` in currency per hour, where the trigger has them. `posting_period` is YYYY-MM.
    """

    posting_id: str
    trigger_id: str
    system: str
    kind: str
    source_kind: str
    source_id: str
    revision: int
    reverses: str | None
    contract_number: str
    project_id: str | None
    client_id: str
    legal_entity: str
    erp_customer_id: str
    service_date: date
    posting_period: str
    billing_code: str
    tax_code: str
    po_number: str | None
    quantity: Exact | None
    rate: Exact | None
    amount: Exact
    currency: str

    @property
    def order_key(self) -> str:
        """Postings of one contract reach the target in the order they were decided."""
        return self.contract_number


_postings = TypeAdapter(Posting)


def posting_id_of(system: str, trigger_id: str) -> str:
    """Return the posting id of a trigger in a system: the same for ever, whoever computes it."""
    return identity_of(f"throughline:posting:{system}:{trigger_id}")


def posting_of(trigger: Mapping[str, Any], system: str) -> Posting:
    """Return the posting that carries a billing trigger into a system.

    Fields have their names of `billing.triggers`; decimals and dates may be text. Raises ValueError naming the trigger
    and every field that is missing or wrong.
    """
    trigger_id = trigger.get("trigger_id")
    if not isinstance(trigger_id, str) or not trigger_id:
        raise ValueError("billing trigger: trigger_id is missing")
    told = {**trigger, "system": system, "posting_id": posting_id_of(system, trigger_id)}
    for optional in ("reverses", "project_id", "po_number", "quantity", "rate"):
        told.setdefault(optional, None)
    try:
        return _postings.validate_python(told)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"billing trigger {trigger_id}: {wrong}") from error


_FIELDS: Final = tuple(field.name for field in fields(Posting))
_TOLD: Final = tuple(name for name in _FIELDS if name not in ("posting_id", "system"))
"""What an intent has from its trigger, under the same names."""


def intent_of(trigger: Mapping[str, Any], system: str, now: int) -> dict[str, Any]:
    """Return the `erp.postings` record of the intent to book a trigger, as its codec reads it, in a system.

    `now` is when it is written, in milliseconds since 1970, UTC.
    """
    # As it is: to make a posting of it first, and check that, would take as long as all else.
    intent = {name: trigger[name] for name in _TOLD}
    intent["posting_id"] = posting_id_of(system, trigger["trigger_id"])
    intent["system"] = system
    intent["service_period"] = trigger["service_period"]
    intent["erp_project_number"] = None
    intent["created_at"] = moment(now)
    return intent


def posting_told(intent: Mapping[str, Any]) -> Posting:
    """Return the posting of an `erp.postings` record as its codec reads it."""
    return Posting(*map(intent.__getitem__, _FIELDS))
