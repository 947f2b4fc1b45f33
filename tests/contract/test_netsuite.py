"""The contract over NetSuite, and what is its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.sinks.contract import Fatal, Retriable, Trouble
from tests.contract.api_targets import NetSuiteTarget, made, program
from tests.contract.call_suite import CallContract, Make
from tests.contract.feeds.program import Program
from tests.contract.station import NOON, Item
from tests.contract.suite import ITEMS


@pytest.fixture(scope="module")
def far() -> Iterator[Program]:
    yield from program("netsuite")


@pytest.fixture
def make(far: Program, tmp_path: Path) -> Iterator[Make]:
    yield from made(lambda: NetSuiteTarget(far, tmp_path))


class TestNetSuite(CallContract):
    """NetSuite, by SuiteTalk REST."""


@pytest.fixture
def target(make: Make) -> NetSuiteTarget:
    found = make()
    assert isinstance(found, NetSuiteTarget)
    return found


def test_being_asked_too_much_may_come_as_an_error_code(target: NetSuiteTarget) -> None:
    target.far.order("fault", kind="busy_code")
    with pytest.raises(Retriable, match="SSS_REQUEST_LIMIT_EXCEEDED") as raised:
        target.open().post([target.deliverable(ITEMS[0])], NOON)
    assert (raised.value.trouble, raised.value.nothing_sent) == (Trouble.BUSY, True)


def test_an_invoice_says_what_is_billed_to_whom(target: NetSuiteTarget) -> None:
    posting = replace(target.deliverable(ITEMS[0]), po_number="PO-7", posting_period="2026-03")
    note = f"trigger {posting.trigger_id}: time T1 of 2026-02-03, 1.5 h at 66.67, contract C1"
    target.open().post([posting], NOON)
    [booked] = target.far.order("documents")
    assert booked["body"] == {
        "externalId": posting.posting_id,
        "entity": {"id": "220"},
        "subsidiary": {"id": "1"},
        "currency": {"id": "1"},
        "tranDate": "2026-03-01",
        "otherRefNum": "PO-7",
        "memo": note,
        "item": {"items": [{"item": {"id": "144"}, "amount": "100.00", "description": note, "taxCode": {"id": "7"}}]},
        "job": {"id": "P-C1"},
    }


def test_a_reversal_is_a_credit_memo(target: NetSuiteTarget) -> None:
    posting = target.deliverable(Item(2, reverses=1, amount="-100.00"))
    target.open().post([posting], NOON)
    [booked] = target.far.order("documents")
    assert (booked["kind"], booked["lines"][0]["amount"], booked["amount"]) == ("creditMemo", "100.00", "-100.00")


def test_what_is_not_allowed_at_all_stops_the_sink(target: NetSuiteTarget) -> None:
    sink = target.open()
    target.far.order("fault", kind="forbidden", on="any", after=1)
    with pytest.raises(Fatal, match="INSUFFICIENT_PERMISSION"):
        sink.find(["x"])
