"""The firm's invoices name the triggers that its work gives rise to, with the amounts the batch works out."""

from decimal import Decimal
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from firm.history import History
from firm.size import FirmSize
from tests.oracle.batch import Batch, batch_of

SIZE = FirmSize(5_000, seed=4)
Row = dict[str, Any]


@cache
def records() -> tuple[Row, ...]:
    return tuple(record._asdict() for record in History(SIZE).records())


@cache
def batch() -> Batch:
    return batch_of(records())


def newest(topic: str) -> dict[str, Row]:
    rows = (record["value"]["after"] for record in records() if record["topic"] == topic)
    return {row["Id"]: row for row in rows if row is not None}


def trigger(contract: str | None, kind: str, source_id: str, revision: int = 0) -> str:
    return str(uuid5(NAMESPACE_URL, f"throughline:{contract}:{kind}:{source_id}:{revision}"))


def amounts_by_trigger() -> dict[str, Decimal]:
    return {
        line["TriggerId"]: Decimal(line["Amount"])
        for invoice in newest("erp.Invoice").values()
        for line in invoice["Lines"]
        if line["TriggerId"]
    }


def test_the_first_trigger_of_most_billed_time_is_invoiced_to_the_cent() -> None:
    invoiced = amounts_by_trigger()
    right = wrong = 0
    for item in batch().items.values():
        if item.kind == "time" and item.value and not item.reasons:
            amount = invoiced.get(trigger(item.contract, "time_entry", item.source_id))
            right += amount == Decimal(item.value.numerator) / item.value.denominator
            wrong += amount != Decimal(item.value.numerator) / item.value.denominator
    assert right > 20 * wrong  # the others were corrected, or approved after the last run


def test_a_correction_is_credited_and_invoiced_anew() -> None:
    invoiced = amounts_by_trigger()
    uncapped = {name for name, terms in batch().contracts.items() if terms["cap"] is None}
    items = [item for item in batch().items.values() if item.kind == "time" and item.contract in uncapped]
    corrected = []
    for item in items:
        first, credit, anew = (
            invoiced.get(trigger(item.contract, "time_entry", item.source_id, revision)) for revision in range(3)
        )
        if first is not None and credit is not None and anew is not None:
            corrected.append((first, credit, anew))
    assert len(corrected) > 20
    assert all(credit == -first for first, credit, _ in corrected)
    assert any(anew != first for first, _, anew in corrected)


def test_what_lay_over_a_cap_is_invoiced_once_the_cap_is_raised() -> None:
    invoiced = amounts_by_trigger()
    capped = {name for name, terms in batch().contracts.items() if terms["cap"] is not None}
    parts = [
        (invoiced.get(trigger(item.contract, "time_entry", item.source_id, 0)), more, item.value)
        for item in batch().items.values()
        if item.contract in capped and item.kind == "time" and item.value and not item.reasons
        if (more := invoiced.get(trigger(item.contract, "time_entry", item.source_id, 1))) is not None and more > 0
    ]
    assert any(
        first is not None and first + more == Decimal(value.numerator) / value.denominator
        for first, more, value in parts
    )


def test_no_item_is_invoiced_twice() -> None:
    named = [
        line["TriggerId"]
        for invoice in newest("erp.Invoice").values()
        for line in invoice["Lines"]
        if line["TriggerId"]
    ]
    assert len(named) == len(set(named))


def test_milestones_are_named_by_their_id_by_their_trigger_or_by_both() -> None:
    milestones = {
        trigger(item.contract, "milestone", item.source_id): item.source_id
        for item in batch().items.values()
        if item.kind == "milestone"
    }
    lines = [line for invoice in newest("erp.Invoice").values() for line in invoice["Lines"]]
    of_milestones = [line for line in lines if line["MilestoneId"] or line["TriggerId"] in milestones]
    assert {(line["MilestoneId"] is None, line["TriggerId"] is None) for line in of_milestones} >= {
        (False, False),
        (True, False),
    }
    both = [line for line in of_milestones if line["MilestoneId"] and line["TriggerId"] in milestones]
    assert all(milestones[line["TriggerId"]] == line["MilestoneId"] for line in both)


def test_a_retainer_is_invoiced_its_fee_for_every_month() -> None:
    invoiced = amounts_by_trigger()
    fees = [item for item in batch().items.values() if item.source_kind == "retainer_period" and not item.reasons]
    found = [invoiced.get(trigger(item.contract, "retainer_period", item.source_id)) for item in fees]
    assert fees
    assert sum(amount is not None for amount in found) >= 0.9 * len(fees)


def test_an_invoice_is_drafted_posted_released_and_paid_in_that_order() -> None:
    order = ["Draft", "Posted", "Released", "Paid"]
    seen: dict[str, list[str]] = {}
    for record in records():
        if record["topic"] == "erp.Invoice":
            row = record["value"]["after"]
            seen.setdefault(row["Id"], []).append(row["Status"])
            assert (row["PostedAt"] is None) == (row["Status"] == "Draft")
            assert (row["ReleasedAt"] is None) == (row["Status"] in {"Draft", "Posted"})
    assert all(statuses == order[: len(statuses)] for statuses in seen.values())
    assert order in seen.values()


def test_most_approved_expenses_are_booked_as_cost_in_their_own_amount() -> None:
    postings = {row["SourceId"]: row for row in newest("erp.CostPosting").values() if row["SourceKind"] == "expense"}
    approved = {
        row["id"]: row
        for record in records()
        if record["topic"] == "psa.public.expenses"
        and (row := record["value"]["after"])
        and row["status"] == "Approved"
    }
    booked = [name for name in approved if name in postings]
    assert 0.85 * len(approved) < len(booked) < len(approved)
    same = [name for name in booked if postings[name]["Amount"] == approved[name]["amount"]]
    assert len(same) > 0.95 * len(booked)
