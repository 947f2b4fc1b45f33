"""The contract over SAP S/4HANA, and what is its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.domain.posting import Status
from streams.sinks.contract import Answers, Fatal, Problem, Retriable, Skippable
from tests.contract.api_targets import SapTarget, made, program
from tests.contract.call_suite import CallContract, Make
from tests.contract.feeds.program import Program
from tests.contract.station import NOON, Item, Station
from tests.contract.suite import ITEMS


@pytest.fixture(scope="module")
def far() -> Iterator[Program]:
    yield from program("sap")


@pytest.fixture
def make(far: Program, tmp_path: Path) -> Iterator[Make]:
    yield from made(lambda: SapTarget(far, tmp_path))


class TestSap(CallContract):
    """SAP S/4HANA, by project billing requests."""


@pytest.fixture
def target(make: Make) -> SapTarget:
    found = make()
    assert isinstance(found, SapTarget)
    return found


def test_a_request_says_what_is_billed_for_which_wbs_element(target: SapTarget) -> None:
    posting = target.deliverable(Item(12, "C12", 1, "-100.00"))
    said = f"trigger {posting.trigger_id}: time T12 of 2026-02-03, 1.5 h at 66.67, contract C12 taken back"
    target.open().post([posting], NOON)
    [booked] = target.far.order("documents")
    assert {name: value for name, value in booked["request"].items() if "UUID" not in name} == {
        "BillingWBSElementInternalID": "00000012",
        "YY1_Reference_PBR": posting.posting_id,
        "Amount": "-100.00",
        "TransactionCurrency": "EUR",
        "BillingDate": "2026-02-03",
        "RequestText": said[:120],
        "CompanyCode": "1010",
        "Product": "CONSULT",
        "ProjectBillingRequest": "1000",
    }


def test_an_internal_id_is_taken_from_the_mapping_or_asked_for_once(target: SapTarget) -> None:
    sink = target.open()
    for item in (Item(1, "C1"), Item(2, "C2"), Item(3, "C2")):
        sink.post([target.deliverable(item)], NOON)
    asked = [line for line in target.far.order("asked") if line.endswith("A_EnterpriseProjectElement")]
    assert len(asked) == 1
    fee = replace(target.deliverable(Item(4, "C2")), project_id=None)
    sink.post([fee], NOON)
    sent = [each["request"]["BillingWBSElementInternalID"] for each in target.far.order("documents")]
    assert sent == ["00000001", "00000002", "00000002", "00000077"]


def test_a_project_that_sap_does_not_know_refuses_its_posting(target: SapTarget) -> None:
    sink = target.open()
    with pytest.raises(Skippable, match="has no project element 'X1'"):
        sink.post([replace(target.deliverable(ITEMS[0]), project_id="X1")], NOON)
    with pytest.raises(Skippable, match="contract_wbs 'C1' is not mapped"):
        sink.post([replace(target.deliverable(ITEMS[0]), project_id=None)], NOON)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("hollow", "names nothing that was created"), ("vanished", "answered as created, but is not there")],
)
def test_what_was_answered_as_created_but_is_not_there_is_no_success(target: SapTarget, kind: str, said: str) -> None:
    station = Station(target)
    station.log = [ITEMS[0]]
    target.trouble(kind)
    station.turn(NOON)
    assert station.last(ITEMS[0]).status is Status.UNKNOWN
    assert said in (station.last(ITEMS[0]).error or "")
    station.settle(NOON)
    station.verify()
    assert station.last(ITEMS[0]).status is Status.POSTED


def test_a_read_back_that_fails_leaves_the_outcome_open(target: SapTarget) -> None:
    sink = target.open()
    sink.post([target.deliverable(ITEMS[2])], NOON)
    target.trouble("busy", on="any", after=2)
    with pytest.raises(Retriable) as raised:
        sink.post([target.deliverable(ITEMS[0])], NOON)
    assert not raised.value.nothing_sent
    assert len(target.arrived()) == 2


def test_a_token_that_is_refused_again_and_again_has_sent_nothing(target: SapTarget) -> None:
    sink = target.open()
    for _ in range(3):
        target.trouble("no_token")
    with pytest.raises(Retriable, match="just fetched is refused") as raised:
        sink.post([target.deliverable(ITEMS[0])], NOON)
    assert raised.value.nothing_sent
    assert target.arrived() == []


def test_without_our_reference_there_nothing_more_is_sent(far: Program, tmp_path: Path) -> None:
    target = SapTarget(far, tmp_path, forgotten=["YY1_Reference_PBR"])
    sink = target.open()
    [receipt] = sink.post([target.deliverable(ITEMS[0])], NOON)
    assert receipt.status is Status.POSTED
    with pytest.raises(Fatal, match="without our reference in YY1_Reference_PBR"):
        sink.post([target.deliverable(ITEMS[1])], NOON)
    assert len(target.arrived()) == 1
    target.close()


def test_what_is_there_twice_is_told(target: SapTarget) -> None:
    sink, posting = target.open(), target.deliverable(ITEMS[0])
    sink.post([posting], NOON)
    target.far.order("again")
    sink.find([posting.posting_id])
    reason = "has 2 billing requests: 1000, 10009; the first counts: delete the others in sap"
    assert sink.poll(NOON) == Answers((), (Problem("sap", f"posting {posting.posting_id}", reason),))
