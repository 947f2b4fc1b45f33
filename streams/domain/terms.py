"""Terms as of a date: a contract with its approved amendments."""

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from streams.domain.canonical import Amendment, Contract, CostRate
from streams.domain.money import ZERO, whole_units

ANY_ROLE: Final = "*"
CAPPED: Final = "capped_time_and_materials"
TIME_AND_MATERIALS: Final = "time_and_materials"
FIXED_FEE: Final = "fixed_fee"
RETAINER: Final = "retainer"
INACTIVE_STAGES: Final = frozenset({"planned", "on_hold", "cancelled"})


class _DatedRate(NamedTuple):
    since: date
    rank: int
    rate: Decimal


class Terms:
    """What a contract says on any date. Amendments given are the approved ones."""

    def __init__(self, contract: Contract, amendments: tuple[Amendment, ...]) -> None:
        self.contract = contract
        self.amendments = tuple(sorted(amendments, key=lambda a: (a.effective_from, a.id)))
        self.version = len(self.amendments)
        self.end_on = self._end()
        self.cap = self._cap()
        self.total_value = (contract.value or ZERO) + sum((a.value_delta or ZERO for a in self.amendments), ZERO)
        self._rates = self._rates_by_role()

    def rate_of(self, role: str, worked_on: date) -> Decimal | None:
        """Return the bill rate in force for a role: its own if it has one by that date, else that of `*`."""
        own = self._in_force(role, worked_on)
        return own if own is not None else self._in_force(ANY_ROLE, worked_on)

    def value_at(self, day: date) -> Decimal:
        """Return the contract's value with the amendments effective by a date."""
        deltas = [a.value_delta for a in self.amendments if a.effective_from <= day and a.value_delta]
        return sum(deltas, self.contract.value or ZERO)

    def covers(self, day: date) -> bool:
        """Tell whether a date lies in the term, new end dates counted."""
        return self.contract.start_on <= day and (self.end_on is None or day <= self.end_on)

    def place_of(self, amendment_id: str) -> int:
        """Return the place of an amendment among the approved ones by effective date and id, from 1."""
        return next(place for place, a in enumerate(self.amendments, 1) if a.id == amendment_id)

    def dated_rates(self) -> set[tuple[str, date, int, Decimal]]:
        """Return (role, effective from, place among equal dates, rate) of every rate, to compare two states."""
        found = set()
        for role, rates in self._rates.items():
            days = [dated.since for dated in rates]
            for index, dated in enumerate(rates):
                found.add((role, dated.since, days[index:].count(dated.since), dated.rate))
        return found

    def _end(self) -> date | None:
        ends = [a.new_end_on for a in self.amendments if a.new_end_on is not None]
        return ends[-1] if ends else self.contract.end_on

    def _cap(self) -> Decimal | None:
        if self.contract.billing_type != CAPPED or self.contract.cap is None:
            return None
        # Deltas that take more than there is leave nothing to bill, not less than nothing. Amounts are whole minor
        # units: a fraction of one can neither be billed nor earned.
        cap = self.contract.cap + sum((a.cap_delta or ZERO for a in self.amendments), ZERO)
        return whole_units(max(cap, ZERO), self.contract.currency)

    def _rates_by_role(self) -> dict[str, list[_DatedRate]]:
        # On equal dates the later amendment wins, any amendment beats the contract, and in one row the last listed:
        # so rates are ranked in that order and the highest (date, rank) in force is taken.
        rates: dict[str, list[_DatedRate]] = {}
        rank = 0
        for listed, not_before in (
            (self.contract.rates, date.min),
            *[(a.rates, a.effective_from) for a in self.amendments],
        ):
            for rate in listed:
                rank += 1
                since = max(rate.effective_from, not_before)
                rates.setdefault(rate.role, []).append(_DatedRate(since, rank, rate.rate))
        for dated in rates.values():
            dated.sort(reverse=True)
        return rates

    def _in_force(self, role: str, day: date) -> Decimal | None:
        for dated in self._rates.get(role, ()):
            if dated.since <= day:
                return dated.rate
        return None


def cost_rate_at(rates: tuple[CostRate, ...] | None, day: date) -> CostRate | None:
    """Return the newest cost rate effective by a date; of equal dates the last listed."""
    best: CostRate | None = None
    for rate in rates or ():
        if rate.effective_from <= day and (best is None or rate.effective_from >= best.effective_from):
            best = rate
    return best
