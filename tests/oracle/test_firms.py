"""The random firms, their orders of arrival, and the comparison that judges a stream over them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from tests.oracle.amounts import ZERO
from tests.oracle.batch import batch, batch_of
from tests.oracle.compare import caps_lowered, disagreements
from tests.oracle.drift import assumed_triggers, emitted
from tests.oracle.firms import UNTIL, arrivals, by_row, firms, interleave, random_firm, row_of, shrunk
from tests.oracle.folding import Record, clock_of, final_rows
from tests.oracle.shapes import Row
from tests.oracle.terms import Firm

SEED, SIZE = 11, 3


def said_by_a_faultless_stream(records: list[Record]) -> list[Record]:
    """What a stream says that has billed every item once: the batch's own words."""
    folded, clock = final_rows(records), clock_of(records, UNTIL)
    free = batch(folded, clock)
    found: list[Record] = []

    def say(topic: str, key: str, value: Row) -> None:
        found.append({"topic": topic, "key": key, "value": value})

    for trigger in assumed_triggers(Firm(folded.rows, clock), free.items):
        value: Row = {
            "trigger_id": trigger.trigger_id,
            "contract_number": trigger.contract,
            "amount": str(trigger.amount),
        }
        value |= {"source_kind": trigger.source_kind, "source_id": trigger.source_id, "revision": 0, "reverses": None}
        value |= {"project_id": trigger.project, "posting_period": trigger.posting_period}
        say("billing.triggers", trigger.contract, {**value, "occurred_at": "2026-01-01T00:00:00Z"})
    settled = batch(folded, clock, emitted(record["value"] for record in found))
    for item in settled.items.values():
        if item.reasons:
            entity = {"kind": "billing_hold", "entity_kind": item.source_kind, "entity_id": item.source_id}
            say("exceptions", f"hold:{item.key}", {**entity, "state": "open", "reasons": list(item.reasons)})
    named = [("ownership_violation", name.partition(".")[0]) for name in settled.ownership_violations]
    named += [("uncosted", key.partition(":")[2]) for key in settled.uncosted]
    named += [(kind, name) for (_, name), kind in settled.refused.items()]
    for kind, name in named:
        say("exceptions", f"{kind}:{name}", {"kind": kind, "state": "open", "entity_id": name, "entity_kind": "row"})
    for name, facts in settled.projects.items():
        say("margin.updates", name, {f: v if v is None else str(v) for f, v in facts.items()})
    for name, measure in settled.alerts.items():
        say("drift.alerts", name, {"state": "open", "measure": str(measure)})
    return found


def test_a_faultless_stream_agrees() -> None:
    records = random_firm(SEED, SIZE)
    assert disagreements(records, said_by_a_faultless_stream(records), UNTIL) == []


def raised(field: str) -> Callable[[Row], Row]:
    return lambda value: {**value, field: "1234567"}


@pytest.mark.parametrize(
    ("topic", "spoilt", "word"),
    [
        ("billing.triggers", raised("amount"), "net of"),
        ("billing.triggers", lambda value: {**value, "revision": 1}, "revision 1, expected 0"),
        ("billing.triggers", lambda value: {**value, "trigger_id": "x"}, "is not that of revision 0"),
        ("billing.triggers", lambda value: {**value, "reverses": "x"}, "is no standing trigger"),
        ("exceptions", lambda value: {**value, "state": "resolved"}, "missing, expected"),
        ("exceptions", lambda value: {**value, "entity_id": "T-NONE"}, "expected none"),
        ("margin.updates", raised("labor_cost"), "labor_cost"),
        ("margin.updates", raised("held"), "held"),
        ("margin.updates", raised("percent_complete"), "percent_complete"),
        ("drift.alerts", lambda value: {**value, "state": "resolved"}, "not open, expected"),
        ("drift.alerts", raised("measure"), "measure 1234567, expected"),
    ],
)
def test_a_wrong_word_is_found(topic: str, spoilt: Callable[[Row], Row], word: str) -> None:
    records = random_firm(SEED, SIZE)
    said = said_by_a_faultless_stream(records)
    place = next(n for n, record in enumerate(said) if record["topic"] == topic)
    wrong = [{**r, "value": spoilt(r["value"])} if n == place else r for n, r in enumerate(said)]
    assert any(word in line for line in disagreements(records, wrong, UNTIL))


def test_a_missing_word_is_found() -> None:
    records = random_firm(SEED, SIZE)
    said = said_by_a_faultless_stream(records)
    for topic in ("billing.triggers", "exceptions", "margin.updates", "drift.alerts"):
        place = next(n for n, record in enumerate(said) if record["topic"] == topic)
        assert disagreements(records, said[:place] + said[place + 1 :], UNTIL), topic


@settings(max_examples=25)
@given(arrivals())
def test_the_batch_does_not_know_the_order(firm_and_arrival: tuple[list[Record], list[Record]]) -> None:
    records, arrived = firm_and_arrival
    assert batch_of(arrived, UNTIL) == batch_of(records, UNTIL)
    assert caps_lowered(arrived) == caps_lowered(records)


@settings(max_examples=25)
@given(firms(lower_caps=True, foreign=True))
def test_every_value_is_billed_gated_or_over_the_cap(records: list[Record]) -> None:
    for item in batch_of(records, UNTIL).items.values():
        if item.value is not None:
            assert item.billed + (item.value if item.gated else ZERO) + item.over_cap == item.value


def test_a_seed_is_a_firm() -> None:
    assert random_firm(SEED, SIZE) == random_firm(SEED, SIZE)
    assert random_firm(SEED, SIZE) != random_firm(SEED + 1, SIZE)


def test_interleaving_keeps_the_order_of_each_row() -> None:
    records = random_firm(SEED, SIZE)
    arrived = interleave(records, Random(SEED))
    assert len(arrived) > len(records)

    def newest_first_seen(given_records: list[Record]) -> dict[Any, list[int]]:
        found: dict[Any, list[int]] = {}
        for record in given_records:
            if (name := row_of(record)) is not None:
                seen = found.setdefault(name, [])
                position = record["value"]["source"]["position"]
                seen += [position] if not seen or position > max(seen) else []
        return found

    assert newest_first_seen(arrived) == newest_first_seen(records)


def test_firms_hold_what_goes_wrong() -> None:
    seen: set[str] = set()
    for seed in range(40):
        found = batch_of(random_firm(seed, 3), UNTIL)
        seen |= {reason for item in found.items.values() for reason in item.reasons}
        seen |= {item.kind for item in found.items.values()} | set(found.refused.values())
        seen |= {name.partition(":")[0] for name in found.alerts}
        seen |= {facts["currency"] for facts in found.contracts.values()}
        seen |= {"parked"} if found.parked else set()
    assert seen >= {"no_contract", "outside_term", "no_rate", "no_fx_rate", "contract_inactive", "project_hold"}
    assert seen >= {"po_missing", "no_legal_entity", "no_erp_customer", "over_cap", "parked"}
    assert seen >= {"time", "overage", "milestone", "expense", "retainer", "unmapped_value", "validation_failed"}
    assert seen >= {"EUR", "USD", "JPY", "KWD", "milestone_unbilled", "margin_erosion", "revenue_drift", "cap_burn"}
    assert seen >= {"overallocation", "amendment_unpropagated", "status_mismatch", "expense_late"}


def test_shrunk_keeps_only_what_the_failure_needs() -> None:
    records = random_firm(SEED, 1)

    def fails(kept: list[Record]) -> bool:
        return any(r["topic"] == "hr.Worker" and r["key"] == "E1" for r in kept)

    assert fails(records)
    small = shrunk(records, fails)
    assert [(r["topic"], r["key"]) for r in small] == [("hr.Worker", "E1")]
    assert list(by_row(small)) == [("hr.Worker", "E1")]
