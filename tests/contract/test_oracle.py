"""The contract over Oracle Fusion, and what is its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.domain.posting import Status
from streams.sinks.contract import Answers, Problem, Retriable
from tests.contract.api_targets import OracleTarget, made, program
from tests.contract.call_suite import CallContract, Make
from tests.contract.feeds.program import Program
from tests.contract.station import NOON, Item
from tests.contract.suite import ITEMS


@pytest.fixture(scope="module")
def far() -> Iterator[Program]:
    yield from program("oracle")


@pytest.fixture
def make(far: Program, tmp_path: Path) -> Iterator[Make]:
    yield from made(lambda: OracleTarget(far, tmp_path))


class TestOracleFusion(CallContract):
    """Oracle Fusion, by billing events."""


@pytest.fixture
def target(make: Make) -> OracleTarget:
    found = make()
    assert isinstance(found, OracleTarget)
    return found


def test_an_event_says_what_is_billed_by_which_contract(target: OracleTarget) -> None:
    posting = target.deliverable(Item(2, reverses=1, amount="-100.00"))
    said = f"trigger {posting.trigger_id}: time T2 of 2026-02-03, 1.5 h at 66.67, contract C1 taken back"
    target.open().post([posting], NOON)
    [booked] = target.far.order("documents")
    assert {name: value for name, value in booked.items() if name[0].isupper()} == {
        "SourceName": "Throughline",
        "SourceReference": posting.posting_id,
        "ContractTypeName": "Sell : Project lines",
        "ContractNumber": "C1",
        "ContractLineNumber": "1",
        "EventTypeName": "Consulting",
        "EventDescription": said,
        "ProjectNumber": "P-C1",
        "BillTrnsAmount": "-100.00",
        "BillTrnsCurrencyCode": "EUR",
        "CompletionDate": "2026-02-03",
        "OrganizationName": "Vision Operations",
        "EventId": 1000,
    }


def test_a_basic_login_does(target: OracleTarget) -> None:
    target.login = {"auth": "basic", "auth.user": "ann", "auth.password": "s3cret"}
    [receipt] = target.open().post([target.deliverable(ITEMS[0])], NOON)
    assert receipt.status is Status.POSTED


def test_a_fee_without_project_names_none(target: OracleTarget) -> None:
    target.open().post([replace(target.deliverable(ITEMS[0]), project_id=None)], NOON)
    [booked] = target.far.order("documents")
    assert "ProjectNumber" not in booked


def test_what_is_there_twice_is_told_until_it_is_no_more(target: OracleTarget) -> None:
    sink, posting = target.open(), target.deliverable(ITEMS[0])
    sink.post([posting], NOON)
    assert sink.poll(NOON) == Answers()
    target.far.order("again")
    [found] = sink.find([posting.posting_id])
    subject = f"posting {posting.posting_id}"
    reason = "has 2 billing events: 1000, 10009; the first counts: delete the others in oracle"
    assert found.document_id == "1000"
    assert sink.poll(NOON) == Answers((), (Problem("oracle", subject, reason),))
    assert sink.poll(NOON) == Answers()
    target.far.order("undo")
    sink.find([posting.posting_id])
    assert sink.poll(NOON) == Answers((), (), (subject,))


def test_an_answer_that_names_no_event_leaves_the_outcome_open(target: OracleTarget) -> None:
    target.trouble("nameless")
    with pytest.raises(Retriable, match="names no EventId") as raised:
        target.open().post([target.deliverable(ITEMS[0])], NOON)
    assert not raised.value.nothing_sent


def test_a_question_that_fails_before_anything_is_sent_leaves_nothing_open(target: OracleTarget) -> None:
    sink = target.open()
    sink.find(["x"])
    target.trouble("reset_before", on="any")
    with pytest.raises(Retriable) as raised:
        sink.post([target.deliverable(ITEMS[0])], NOON)
    assert raised.value.nothing_sent
