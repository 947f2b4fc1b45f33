"""What the Tryton sink does when a step between draft and posted invoice fails, and how each refusal is told."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.lined_yaml import UnusableFile
from streams.domain.posting import Posting, Status
from streams.sinks.contract import Fatal, Retriable, Skippable, Trouble
from streams.sinks.tryton_books import TrytonMapping, booked_on, noted, read_mapping
from tests.contract.feeds.program import Program
from tests.contract.station import NOON, Item, Station
from tests.contract.tryton_target import MAPPING, SERVER, Trytons, TrytonTarget

ITEMS = [Item(number, f"C{number % 3}", amount=f"{number}00.25") for number in range(1, 7)]


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    made = Program(SERVER)
    yield made
    made.stop()


@pytest.fixture
def targets(program: Program) -> Iterator[Trytons]:
    with Trytons(program) as made:
        yield made


@pytest.fixture
def target(targets: Trytons) -> TrytonTarget:
    return targets.make()


def postings(target: TrytonTarget) -> list[Posting]:
    return [target.deliverable(item) for item in ITEMS]


def changes(target: TrytonTarget) -> list[str]:
    """The last word of each call, without what only asks."""
    calls = [method.rsplit(".", 1)[1] for method in target.order("asked")]
    return [call for call in calls if call not in ("search_read", "get_access")]


def test_a_batch_is_three_changes_and_each_invoice_says_what_it_is(target: TrytonTarget) -> None:
    receipts = target.plain().post(postings(target), NOON)
    assert changes(target) == ["create", "validate_invoice", "post"]
    assert [(r.status, r.document_id) for r in receipts] == [(Status.POSTED, f"INV/{n:05d}") for n in range(1, 7)]
    (first, *_) = target.order("posted")
    assert first["untaxed"] == "100.25"
    assert (first["party"], first["company"]) == (11, 1)
    line = first["line"]
    assert (line["quantity"], line["account"], line["taxes"]) == (1, 4, [["add", [5]]])
    assert line["description"] == "time CONS, senior, 2026-02-03: 1.5000 h at 66.67 EUR"
    assert line["note"].splitlines()[1:] == ["contract: C1", "project: P-C1"]


def test_a_reversal_is_a_credit_note_of_negative_quantity_that_names_the_line_it_takes_back(
    target: TrytonTarget,
) -> None:
    sink = target.plain()
    sink.post([target.deliverable(Item(1))], NOON)
    sink.post([target.deliverable(Item(2, reverses=1, amount="-100.00"))], NOON)
    original, credit = target.order("posted")
    assert credit["untaxed"] == "-100.00"
    assert (credit["line"]["quantity"], credit["line"]["unit_price"]["decimal"]) == (-1, "100.00")
    assert credit["line"]["origin"] == f"account.invoice.line,{original['line']['id']}"


@pytest.mark.parametrize("lost", ["create", "validate_invoice", "invoice.post"])
@pytest.mark.parametrize("kind", ["cut", "hang"])
def test_an_answer_that_is_lost_between_two_steps_is_found_and_finished(
    target: TrytonTarget, lost: str, kind: str
) -> None:
    sink = target.plain(**{"timeout.ms": 300})
    target.order("fault", method=lost, kind=kind, seconds=2)
    with pytest.raises(Retriable) as failure:
        sink.post(postings(target), NOON)
    assert not failure.value.nothing_sent
    found = sink.find([posting.posting_id for posting in postings(target)])
    assert {receipt.status for receipt in found} == {Status.POSTED}
    assert {(r.trigger_id, r.contract_number, r.project_id) for r in found} == {
        (p.trigger_id, p.contract_number, p.project_id) for p in postings(target)
    }
    assert len(target.order("all")) == len(target.arrived()) == len(ITEMS)
    assert changes(target).count("create") == 1
    again = sink.post(postings(target), NOON)
    assert [r.document_id for r in again] == [
        r.document_id for r in sink.find([p.posting_id for p in postings(target)])
    ]


@pytest.mark.parametrize("stage", ["create", "validate", "post"])
def test_who_is_refused_leaves_no_draft_and_the_others_are_posted(target: TrytonTarget, stage: str) -> None:
    bad = postings(target)[3]
    target.order("refuse", reference=bad.posting_id, stage=stage, words=["The party is blocked."])
    receipts = target.plain().post(postings(target), NOON)
    assert [r.status for r in receipts].count(Status.POSTED) == len(ITEMS) - 1
    assert (receipts[3].status, receipts[3].error) == (Status.REJECTED, "The party is blocked.")
    assert len(target.order("all")) == len(target.arrived()) == len(ITEMS) - 1


def test_an_unfinished_invoice_that_is_refused_when_it_is_found_is_rejected_and_gone(target: TrytonTarget) -> None:
    sink = target.plain()
    bad = postings(target)[0]
    target.order("fault", method="validate_invoice", kind="status", status=500)
    with pytest.raises(Retriable):
        sink.post(postings(target)[:2], NOON)
    target.order("refuse", reference=bad.posting_id, stage="post", words=["No period."])
    found = {r.posting_id: r for r in sink.find([p.posting_id for p in postings(target)])}
    assert (found[bad.posting_id].status, found[bad.posting_id].error) == (Status.REJECTED, "No period.")
    assert len(target.order("all")) == 1


def test_a_closed_period_is_refused_in_the_words_of_tryton(target: TrytonTarget) -> None:
    target.order("close", period="2026-02")
    (receipt,) = target.plain().post(postings(target)[:1], NOON)
    assert (receipt.status, receipt.error) == (
        Status.REJECTED, "To continue, you must reopen the period of 02/2026."
    )  # fmt: skip
    assert target.order("all") == []


def test_a_draft_that_cannot_be_deleted_is_named(target: TrytonTarget) -> None:
    bad = postings(target)[0].posting_id
    target.order("refuse", reference=bad, stage="post", words=["No.", "undeletable"])
    (receipt,) = target.plain().post(postings(target)[:1], NOON)
    assert receipt.error == "No.; invoice 1 is left there unposted: delete it (You cannot delete it.)"


def test_a_call_that_made_its_invoice_late_makes_no_second_booking(target: TrytonTarget) -> None:
    sink = target.plain(**{"timeout.ms": 300})
    (posting, *_) = postings(target)
    target.order("fault", method="validate_invoice", kind="status", status=500)
    with pytest.raises(Retriable):
        sink.post([posting], NOON)
    target.order("double", reference=posting.posting_id)
    assert len(target.order("all")) == 2
    (receipt,) = sink.find([posting.posting_id])
    assert receipt.status is Status.POSTED
    assert len(target.order("all")) == len(target.arrived()) == 1
    target.order("double", reference=posting.posting_id)
    assert sink.find([posting.posting_id]) == [receipt]
    assert len(target.order("all")) == 1


@pytest.mark.parametrize("step", ["validate_invoice", "invoice.post"])
def test_what_somebody_else_did_in_the_same_moment_is_no_refusal(target: TrytonTarget, step: str) -> None:
    sink = target.plain()
    done_already = ["UserError", ['You can not call "it" on "1" of "Account Invoice".', "", None]]
    for _ in range(6):  # for the whole, and for the parts of it
        target.order("fault", method=step, kind="error-after", error=done_already)
    with pytest.raises(Retriable, match="somebody else changed the invoices") as failure:
        sink.post(postings(target)[:3], NOON)
    assert (failure.value.trouble, failure.value.nothing_sent) == (Trouble.RECORD, False)
    assert {r.status for r in sink.find([p.posting_id for p in postings(target)])} == {Status.POSTED}
    assert len(target.order("all")) == len(target.arrived()) == 3


def test_a_second_invoice_that_cannot_be_deleted_any_more_keeps_the_first_from_being_posted(
    target: TrytonTarget,
) -> None:
    sink = target.plain()
    (posting, *_) = postings(target)
    target.order("fault", method="validate_invoice", kind="status", status=500)
    with pytest.raises(Retriable):
        sink.post([posting], NOON)
    target.order("double", reference=posting.posting_id)
    target.order("refuse", reference=posting.posting_id, stage="never", words=["", "undeletable"])
    with pytest.raises(Retriable, match="somebody else"):
        sink.find([posting.posting_id])
    assert target.arrived() == []
    target.order("change", id=2, fields={"state": "posted", "number": "INV/7"})
    (receipt,) = sink.post([posting], NOON)
    assert receipt.document_id == "INV/7"
    assert sink.poll(NOON).problems[0].reason.startswith("invoice 1 is left there unposted: delete it")
    target.order("change", id=1, fields={"state": "posted", "number": "INV/8"})
    assert sink.find([posting.posting_id])[0].document_id == "INV/8"
    assert sink.poll(NOON).problems[0].reason == "stands in Tryton as INV/8 and as INV/7: cancel one of them there"


def test_what_a_person_cancelled_before_it_was_posted_is_rejected(target: TrytonTarget) -> None:
    sink = target.plain()
    (posting, *_) = postings(target)
    target.order("fault", method="validate_invoice", kind="status", status=500)
    with pytest.raises(Retriable):
        sink.post([posting], NOON)
    target.order("change", id=1, fields={"state": "cancelled"})
    (found,) = sink.find([posting.posting_id])
    assert (found.status, found.error) == (
        Status.REJECTED, "its invoice was cancelled in Tryton before it was posted"
    )  # fmt: skip
    (again,) = sink.post([posting], NOON)
    assert (again.status, again.document_id) == (Status.REJECTED, None)
    target.order("change", id=1, fields={"number": "INV/7"})
    (taken_back_later,) = sink.find([posting.posting_id])
    assert (taken_back_later.status, taken_back_later.document_id) == (Status.POSTED, "INV/7")
    target.order("change", id=1, fields={"state": "validated"})
    sink.find([posting.posting_id])
    assert len(target.arrived()) == 1


def test_an_amount_that_somebody_changed_in_a_draft_is_refused_and_in_a_booking_told(target: TrytonTarget) -> None:
    sink = target.plain()
    first, second, *_ = postings(target)
    target.order("fault", method="validate_invoice", kind="status", status=500)
    with pytest.raises(Retriable):
        sink.post([first], NOON)
    target.order("change", id=1, fields={"untaxed": "90.25"})
    (found,) = sink.find([first.posting_id])
    assert found.error == 'The "Untaxed" value of the invoice must equal the source value.'
    sink.post([second], NOON)
    target.order("change", id=2, fields={"untaxed": "90.25"})
    sink.post([second], NOON)
    (problem,) = sink.poll(NOON).problems
    assert problem.subject == f"posting {second.posting_id}"
    assert "is 200.25 EUR, and stands in Tryton as INV/00001 with 90.25 without taxes" in problem.reason
    assert sink.poll(NOON).problems == ()


def test_a_session_that_expired_or_is_not_young_enough_is_replaced(target: TrytonTarget) -> None:
    sink = target.plain()
    target.order("fault", method="validate_invoice", kind="status", status=500)
    with pytest.raises(Retriable):
        sink.post(postings(target)[:1], NOON)
    target.order("stale")
    assert sink.post(postings(target)[:2], NOON)[1].status is Status.POSTED
    target.order("expire")
    assert len(sink.post(postings(target), NOON)) == len(ITEMS)
    assert target.order("logins") == 3
    assert len(target.arrived()) == len(ITEMS)


FAILURES: list[tuple[dict[str, Any], bool, Trouble, int | None]] = [
    ({"kind": "status", "status": 429, "headers": {"retry-after": "7"}}, True, Trouble.BUSY, 7_000),
    ({"kind": "status", "status": 500}, False, Trouble.DOWN, None),
    ({"kind": "status", "status": 503, "body": "could not serialize access due to"}, False, Trouble.RECORD, None),
    ({"kind": "status", "status": 404}, True, Trouble.DOWN, None),
    ({"kind": "error", "error": ["ConcurrencyException", "changed meanwhile"]}, True, Trouble.RECORD, None),
    ({"kind": "error", "error": []}, True, Trouble.BUSY, None),
    ({"kind": "error", "error": ["deadlock detected", "Traceback"]}, False, Trouble.RECORD, None),
    ({"kind": "error-after", "error": ["no such printer", "Traceback"]}, False, Trouble.DOWN, None),
]


@pytest.mark.parametrize(("fault", "nothing_sent", "trouble", "wait_ms"), FAILURES)
def test_a_failure_says_what_it_is_about(
    target: TrytonTarget, fault: dict[str, Any], nothing_sent: bool, trouble: Trouble, wait_ms: int | None
) -> None:
    sink = target.plain()
    target.order("fault", method="create", **fault)
    with pytest.raises(Retriable) as failure:
        sink.post(postings(target), NOON)
    told = failure.value
    assert (told.nothing_sent, told.trouble, told.retry_after_ms) == (nothing_sent, trouble, wait_ms)
    target.order("fault", method="validate_invoice", **fault)
    with pytest.raises(Retriable) as later:
        sink.post(postings(target), NOON)
    assert not later.value.nothing_sent
    assert {r.status for r in sink.post(postings(target), NOON)} == {Status.POSTED}
    assert len(target.order("all")) == len(ITEMS)


def test_a_server_that_is_not_there_got_nothing(targets: Trytons) -> None:
    target = targets.make()
    sink = target.plain(url="http://127.0.0.1:1")
    with pytest.raises(Retriable) as failure:
        sink.post(postings(target), NOON)
    assert (failure.value.nothing_sent, failure.value.trouble) == (True, Trouble.DOWN)
    with pytest.raises(Retriable):
        sink.find(["x"])


def test_who_may_not_is_told_to_a_person(target: TrytonTarget) -> None:
    with pytest.raises(Fatal, match="the credentials are refused") as failure:
        target.plain(password=SecretStr("wrong-one")).post(postings(target), NOON)
    assert "wrong-one" not in str(failure.value)
    target.order("rights", rights={"account.invoice": {"delete": 0}, "party.address": {"read": 0}})
    with pytest.raises(Fatal, match=r"our user may not delete account.invoice, read party.address in Tryton"):
        target.plain().find(["x"])
    target.order("rights", rights={})
    target.order("fault", method="invoice.post", kind="error", error=["UserError", [
        'Calling button "post on "Account Invoice" is not allowed.', "", None
    ]])  # fmt: skip
    with pytest.raises(Fatal, match="give the user the right"):
        target.plain().post(postings(target), NOON)
    target.order("fault", method="create", kind="status", status=403)
    with pytest.raises(Fatal, match="403"):
        target.plain().post([target.deliverable(Item(9))], NOON)
    target.order("fault", method="create", kind="error", error=["LoginException", ["x", "Second factor", "char"]])
    with pytest.raises(Fatal, match="more than a password"):
        target.plain().post([target.deliverable(Item(9))], NOON)


def test_a_login_that_is_put_off_has_sent_nothing(target: TrytonTarget) -> None:
    target.order("fault", method="login", status=429)
    with pytest.raises(Retriable) as failure:
        target.plain().post(postings(target), NOON)
    assert (failure.value.nothing_sent, failure.value.trouble) == (True, Trouble.BUSY)


def test_a_warning_about_taxes_is_confirmed_and_any_other_refuses(targets: Trytons) -> None:
    books = MAPPING.legal_entities["LE1"].model_copy(update={"taxes": {"DE-19": (99,)}})
    target = targets.make(MAPPING.model_copy(update={"legal_entities": {"LE1": books}}))
    sink = target.plain()
    assert {r.status for r in sink.post(postings(target), NOON)} == {Status.POSTED}
    assert changes(target).count("validate_invoice") == len(ITEMS) + 1
    target.order("fault", method="create", kind="error", error=[
        "UserWarning", ["1.party_insolvent", "Is this party solvent?", ""]
    ])  # fmt: skip
    (receipt,) = sink.post([target.deliverable(Item(9))], NOON)
    assert (receipt.status, receipt.error) == (Status.REJECTED, "Is this party solvent?")


def test_what_the_mapping_lacks_is_named(targets: Trytons) -> None:
    target = targets.make()
    (posting, *_) = postings(target)
    strays = [
        replace(posting, posting_id="1", legal_entity="LE9"), replace(posting, posting_id="2", erp_customer_id="CU9"),
        replace(posting, posting_id="3", tax_code="FR-20"), replace(posting, posting_id="4", currency="USD"),
    ]  # fmt: skip
    with pytest.raises(Skippable) as refused:
        target.plain().post([posting, *strays], NOON)
    assert refused.value.reasons == {
        "1": "the mapping has no legal_entities for 'LE9'",
        "2": "the mapping has no customers for 'CU9'",
        "3": "the mapping has no legal_entities.LE1.taxes for 'FR-20'",
        "4": "the mapping has no currencies for 'USD'",
    }
    homeless = targets.make(MAPPING.model_copy(update={"customers": {"CU1": 13}}))
    (receipt,) = homeless.plain().post([homeless.deliverable(Item(1))], NOON)
    assert (receipt.status, receipt.error) == (Status.REJECTED, "party 13 has no address in tryton")


def test_more_than_one_call_takes_is_left_for_the_next(target: TrytonTarget) -> None:
    many = [target.deliverable(Item(number)) for number in range(1, 31)]
    assert len(target.plain().post(many, NOON)) == 20
    station = Station(target)
    station.log = [Item(number) for number in range(1, 31)]
    station.settle(NOON)
    station.verify()


@pytest.mark.parametrize(("period", "expected"), [
    ("2026-02", date(2026, 2, 3)), ("2026-03", date(2026, 3, 1)), ("2026-01", date(2026, 1, 31)),
    ("2025-12", date(2025, 12, 31)), ("2027-01", date(2027, 1, 1)),
])  # fmt: skip
def test_it_is_booked_in_its_posting_period(target: TrytonTarget, period: str, expected: date) -> None:
    assert booked_on(replace(target.deliverable(Item(1)), posting_period=period)) == expected


def test_the_mapping_is_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "tryton.yaml"
    file.write_text(json.dumps(MAPPING.model_dump(mode="json")), encoding="utf-8")
    assert read_mapping(file) == MAPPING
    assert MAPPING.companies == [1]
    file.write_text("version: 1\nlegal_entities: {LE1: {company: 0}}\ncustomers: {C: x}\nother: 1\n", encoding="utf-8")
    with pytest.raises(UnusableFile) as wrong:
        read_mapping(file)
    for place in ("legal_entities.LE1.company", "legal_entities.LE1.journal", "customers.C", "currencies", "other"):
        assert f": {place}: " in str(wrong.value)
    assert f"{file}:2: legal_entities.LE1.company: Input should be greater than 0" in str(wrong.value)
    for text in ("{", "1"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UnusableFile):
            read_mapping(file)
    with pytest.raises(UnusableFile, match="cannot be read"):
        read_mapping(tmp_path / "missing.yaml")
    assert TrytonMapping.model_validate(MAPPING.model_dump()).legal_entities["LE1"].payment_term is None
    assert noted([{"note": None}, {"note": "someone wrote: this"}]).trigger_id == ""


def test_an_amount_keeps_every_digit(target: TrytonTarget) -> None:
    big = target.deliverable(Item(1, amount="90071992547409931.17"))
    (receipt,) = target.plain().post([big], NOON)
    (posted,) = target.order("posted")
    assert Decimal(posted["untaxed"]) == big.amount
    assert receipt.status is Status.POSTED
