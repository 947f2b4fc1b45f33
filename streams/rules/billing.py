"""Billing: diff what an item should be worth against what was emitted for it, and emit the difference."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, NamedTuple

from streams.domain.calendar import next_period
from streams.domain.identity import identity_of
from streams.domain.ledger import Item, Outstanding, Worth
from streams.domain.money import ZERO, whole_units
from streams.rules.gates import OVER_CAP

UNDER_CAP: Final = frozenset({"time", "expense"})
"""Trigger kinds that draw a cap down."""


class Settled(NamedTuple):
    """The outcome of settling one item.

    `reversed` are triggers taken back, in order; `billed` is what may be billed now in contract currency, `held` what
    may not, with `reasons`.
    """

    reversed: tuple[Outstanding, ...]
    kept: tuple[Outstanding, ...]
    billed: Decimal
    held: Decimal
    reasons: tuple[str, ...]


def trigger_id(contract_number: str, source_kind: str, source_id: str, revision: int) -> str:
    """Return the id of a trigger: the same for the same revision of an item, on any machine, at any time."""
    return identity_of(f"throughline:{contract_number}:{source_kind}:{source_id}:{revision}")


def settle(item: Item, worth: Worth, currency: str, gates: tuple[str, ...], room: Decimal | None) -> Settled:
    """Return what to take back, to bill and to hold so that an item's triggers say what it is worth.

    `room` is what its contract's cap leaves before this item is settled, None without a cap. What is taken back from
    this item makes room for it again.
    """
    if worth.kind is None:
        return Settled(item.outstanding, (), ZERO, ZERO, ())
    if worth.amount is None:
        return Settled(item.outstanding, (), ZERO, ZERO, (*worth.reasons, *gates))
    work = item.work
    assert work is not None  # an item without a row is worth nothing
    stands = item.worth.amount == worth.amount and all(
        o.kind == worth.kind
        and o.currency == currency
        and o.day == work.day
        and (o.project_id or "") == work.project_id
        for o in item.outstanding
    )
    kept = item.outstanding if stands else ()
    taken_back = () if stands else item.outstanding
    rest = worth.amount - sum((o.amount for o in kept), ZERO)
    if rest <= 0:
        return Settled(taken_back, kept, ZERO, ZERO, ())
    if gates:
        return Settled(taken_back, kept, ZERO, rest, gates)
    if room is None or worth.kind not in UNDER_CAP:
        return Settled(taken_back, kept, rest, ZERO, ())
    free = room + sum((o.amount for o in taken_back if o.kind in UNDER_CAP), ZERO)
    fits = min(rest, max(whole_units(free, currency), ZERO))
    over = rest - fits
    return Settled(taken_back, kept, fits, over, (OVER_CAP,) if over else ())


def first_open_period(service_period: str, is_closed: Callable[[str], bool]) -> str:
    """Return the first period not closed, at or after the service period. A period without a row is open."""
    period = service_period
    while is_closed(period):
        period = next_period(period)
    return period
