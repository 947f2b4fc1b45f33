"""The rules of the reference job, a function an input: state of a contract and record in, state and triggers out.

A milestone done is one trigger; every whole portion of hours of a contract is one, once its terms are known. Ids follow
from the input, and what is in the end follows from totals: neither depends on the order between topics.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from bench.reference.avro import ENTRIES, MILESTONES, TERMS

PORTION = 4_000
"""Hundredths of hours that one trigger bills."""


class State(NamedTuple):
    """What is remembered of a contract. `rate` and `cap` in cents, -1 while unknown; `hours` in hundredths."""

    rate: int
    cap: int
    hours: int
    value: int
    billed: int
    portions: int


NEW = State(-1, -1, 0, 0, 0, 0)

Trigger = dict[str, Any]
Taken = tuple[State, list[Trigger]]


def worth(hours: int, rate: int, cap: int) -> int:
    """Return what hours are worth, in cents."""
    return min(hours * rate // 100, cap)


def take_terms(state: State, terms: dict[str, Any]) -> Taken:
    """Take in the terms of a contract: what was worked before they came is valued and billed now."""
    return _settled(terms["contract"], state, state.hours, terms["rate"], terms["cap"])


def take_entry(state: State, entry: dict[str, Any]) -> Taken:
    """Take in a time entry."""
    return _settled(entry["contract"], state, state.hours + entry["hours"], state.rate, state.cap)


def take_milestone(state: State, milestone: dict[str, Any]) -> Taken:
    """Take in a milestone: one that is done is billed."""
    if not milestone["done"]:
        return state, []
    amount, contract = milestone["amount"], milestone["contract"]
    trigger = {
        "id": f"{contract}:milestone:{milestone['milestone']}",
        "contract": contract,
        "kind": "milestone",
        "amount": amount,
    }
    return state._replace(billed=state.billed + amount), [trigger]


def _settled(contract: str, state: State, hours: int, rate: int, cap: int) -> Taken:
    billed, portions = state.billed, state.portions
    if rate < 0:
        return State(rate, cap, hours, 0, billed, portions), []
    triggers = []
    while hours >= (portions + 1) * PORTION:
        amount = worth((portions + 1) * PORTION, rate, cap) - worth(portions * PORTION, rate, cap)
        portions += 1
        billed += amount
        triggers.append(
            {"id": f"{contract}:portion:{portions}", "contract": contract, "kind": "portion", "amount": amount}
        )
    return State(rate, cap, hours, worth(hours, rate, cap), billed, portions), triggers


TAKE: dict[str, Callable[[State, dict[str, Any]], Taken]] = {
    TERMS: take_terms,
    ENTRIES: take_entry,
    MILESTONES: take_milestone,
}
"""The function of each input topic."""


def margin_of(contract: str, state: State) -> dict[str, Any]:
    """Return what is told of a contract after it has changed."""
    return {
        "contract": contract,
        "hours": state.hours,
        "value": state.value,
        "billed": state.billed,
        "portions": state.portions,
    }
