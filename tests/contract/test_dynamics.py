"""The contract over Dynamics 365, row by row and by batches, and what is its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.domain.posting import Status
from streams.sinks.contract import Retriable, Skippable, Trouble
from streams.sinks.dynamics import DynamicsMapping
from streams.sinks.target_mapping import target_names
from tests.contract.api_targets import DYNAMICS, DynamicsTarget, made, program
from tests.contract.call_suite import CallContract, Make
from tests.contract.feeds.program import Program
from tests.contract.station import NOON
from tests.contract.suite import ITEMS


@pytest.fixture(scope="module")
def far() -> Iterator[Program]:
    yield from program("dynamics")


class TestDynamics(CallContract):
    """Dynamics 365, a call a row."""

    search_lags = False

    @pytest.fixture
    def make(self, far: Program, tmp_path: Path) -> Iterator[Make]:
        yield from made(lambda: DynamicsTarget(far, tmp_path))


class TestDynamicsByBatch(CallContract):
    """Dynamics 365, five rows a call."""

    search_lags = False

    @pytest.fixture
    def make(self, far: Program, tmp_path: Path) -> Iterator[Make]:
        yield from made(lambda: DynamicsTarget(far, tmp_path, postings_per_call=5))


@pytest.fixture
def target(far: Program, tmp_path: Path) -> Iterator[DynamicsTarget]:
    found = DynamicsTarget(far, tmp_path, postings_per_call=5)
    yield found
    found.close()


def test_a_row_says_what_is_billed_under_the_names_of_the_mapping(target: DynamicsTarget) -> None:
    posting = target.deliverable(ITEMS[0])
    [receipt] = target.open().post([posting], NOON)
    assert receipt.document_id == "V-1000"
    [booked] = target.far.order("documents")
    assert booked["row"] == {
        "dataAreaId": "usmf",
        "TransactionId": posting.posting_id,
        "Amount": "100.00",
        "CurrencyId": "EUR",
        "InvoiceDate": "2026-02-03T12:00:00Z",
        "Description": f"trigger {posting.trigger_id}: time T1 of 202",
        "ContractLineRef": "C1",
        "CustomerAccount": "CU1",
        "CategoryId": "Consult",
        "ProjectID": "P-C1",
        "Quantity": "1.5000",
        "SalesPrice": "66.67",
        "SalesTaxGroup": "DE19",
        "LineStatus": "Ready",
        "VoucherNumber": "V-1000",
    }


def test_a_short_key_takes_a_short_form_of_our_reference(far: Program, tmp_path: Path) -> None:
    target = DynamicsTarget(far, tmp_path, key_length=20)
    target.names = target_names(target.mapping(DYNAMICS + "key_length: 20\n"), DynamicsMapping)
    sink, posting = target.open(), target.deliverable(ITEMS[0])
    first, second = sink.post([posting], NOON), sink.post([posting], NOON)
    [booked] = target.far.order("documents")
    assert len(booked["row"]["TransactionId"]) == 20
    assert first[0].document_id == second[0].document_id == "V-1000"
    [found] = sink.find([posting.posting_id])
    assert (found.posting_id, found.trigger_id) == (posting.posting_id, posting.trigger_id)
    target.close()


def test_each_part_of_a_batch_has_an_outcome_of_its_own(target: DynamicsTarget) -> None:
    postings = [target.deliverable(item) for item in (ITEMS[0], ITEMS[1], ITEMS[3], ITEMS[6])]
    first, refused, busy, last = postings
    target.far.order("reset", busy=[busy.posting_id])
    target.refuse(ITEMS[1], "no such rate")
    told = {receipt.posting_id: receipt.status for receipt in target.open().post(postings, NOON)}
    assert told == {
        first.posting_id: Status.POSTED,
        refused.posting_id: Status.REJECTED,
        last.posting_id: Status.POSTED,
    }


def test_a_batch_of_which_all_is_too_much_is_told_as_such(target: DynamicsTarget) -> None:
    posting = target.deliverable(ITEMS[0])
    target.far.order("reset", busy=[posting.posting_id])
    with pytest.raises(Retriable) as raised:
        target.open().post([posting], NOON)
    failure = raised.value
    assert (failure.trouble, failure.nothing_sent, failure.retry_after_ms) == (Trouble.BUSY, True, 5_000)


def test_a_batch_carries_one_posting_of_a_contract(target: DynamicsTarget) -> None:
    postings = [target.deliverable(item) for item in (ITEMS[0], ITEMS[2], ITEMS[1])]
    told = {receipt.posting_id for receipt in target.open().post(postings, NOON)}
    assert told == {postings[0].posting_id, postings[2].posting_id}


def test_what_a_batchs_answer_leaves_out_is_unknown(target: DynamicsTarget) -> None:
    target.trouble("batch_cut_short")
    with pytest.raises(Retriable, match="says nothing of this posting") as raised:
        target.open().post([target.deliverable(ITEMS[0])], NOON)
    assert not raised.value.nothing_sent


def test_an_answer_without_the_row_leaves_the_outcome_open(far: Program, tmp_path: Path) -> None:
    target = DynamicsTarget(far, tmp_path)
    target.trouble("nothing")
    with pytest.raises(Retriable, match="names no TransactionId of ours") as raised:
        target.open().post([target.deliverable(ITEMS[0])], NOON)
    assert not raised.value.nothing_sent
    target.close()


def test_something_else_that_is_there_twice_is_a_refusal(target: DynamicsTarget) -> None:
    target.refuse(ITEMS[0], "voucher 7 already exists")
    with pytest.raises(Skippable, match="voucher 7 already exists"):
        target.open().post([target.deliverable(ITEMS[0])], NOON)


def test_what_has_no_property_is_not_sent(far: Program, tmp_path: Path) -> None:
    target = DynamicsTarget(far, tmp_path)
    file = target.mapping(DYNAMICS.replace("  quantity: Quantity\n", ""))
    target.names = target_names(file, DynamicsMapping)
    posting = replace(target.deliverable(ITEMS[0]), project_id=None)
    target.open().post([posting], NOON)
    [booked] = target.far.order("documents")
    assert not {"Quantity", "ProjectID"} & booked["row"].keys()
    target.close()
