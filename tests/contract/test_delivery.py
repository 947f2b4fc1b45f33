"""Delivery and the contract: ids, what a posting is made of, and what each class of error leads to."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from streams.delivery.calls import Look, Sending
from streams.delivery.limits import Limits
from streams.domain.posting import Posting, Status, posting_id_of, posting_of
from streams.sinks.contract import Answers, Fatal, Receipt, Retriable, Skippable, receipt_of
from tests.contract.simulators.faults import Faults
from tests.contract.simulators.memory_erp import Busy, LostAnswer
from tests.contract.station import NOON, Item, Station, money_posting, trigger_id, trigger_of
from tests.contract.targets import MemoryTarget

SECOND = 1_000
Behaviour = list[Exception | list[tuple[int, Status]]]


class ScriptedSink:
    """Answers each call of `post` by script: an error, or the numbers of the call's postings and their statuses."""

    def __init__(self, script: Behaviour) -> None:
        self.pipelined = True
        self.calls_at_once, self.postings_per_call, self.answers_later = 1, 10_000, True
        self.answer_ms_max = self.stale_ms_max = 0
        self.system = "scripted"
        self.script = script
        self.calls: list[list[str]] = []
        self.asked: list[list[str]] = []
        self.found: dict[str, Receipt] = {}

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        self.calls.append([posting.source_id for posting in postings])
        turn = self.script.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return [receipt_of(postings[at], status, first_sent_at=now) for at, status in turn]

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        self.asked.append(list(posting_ids))
        return [self.found[posting_id] for posting_id in posting_ids if posting_id in self.found]

    def poll(self, now: int) -> Answers:  # noqa: ARG002 - it has answered already
        return Answers()

    def close(self) -> None:
        pass


class ScriptedTarget(MemoryTarget):
    system = "scripted"

    def __init__(self, script: Behaviour) -> None:
        super().__init__()
        self.faults = Faults()
        self.sink = ScriptedSink(script)

    def open(self) -> ScriptedSink:  # type: ignore[override]
        return self.sink


def scripted(*script: Exception | list[tuple[int, Status]]) -> Station:
    return Station(ScriptedTarget(list(script)))


def calls(station: Station) -> list[list[str]]:
    assert isinstance(station.target, ScriptedTarget)
    return station.target.sink.calls


def test_a_posting_id_never_changes() -> None:
    assert posting_id_of("legacy-erp", "7e57d004-2b97-5e7a-b45f-5387367791cd") == "ed5b9cd8-6d66-5524-bad5-b2ae00a7b896"
    assert posting_id_of("tryton", "7e57d004-2b97-5e7a-b45f-5387367791cd") == "57f92d62-54ae-59ce-b2b0-0f732e93b283"


def test_a_posting_carries_its_trigger() -> None:
    trigger = {**trigger_of(Item(7, "C9", 3, "-1250", "JPY")), "po_number": "PO 4"}
    assert posting_of(trigger, "legacy-erp") == Posting(
        posting_id=posting_id_of("legacy-erp", trigger_id(7)), trigger_id=trigger_id(7), system="legacy-erp",
        kind="time", source_kind="time_entry", source_id="T7", revision=1, reverses=trigger_id(3), contract_number="C9",
        project_id="P-C9", client_id="A1", legal_entity="LE1", erp_customer_id="CU1", service_date=date(2026, 2, 3),
        posting_period="2026-02", billing_code="CONS, senior", tax_code="DE-19", po_number="PO 4",
        quantity=Decimal("1.5"), rate=Decimal("66.67"), amount=Decimal(-1250), currency="JPY",
    )  # fmt: skip


def test_what_a_trigger_may_lack_is_none() -> None:
    trigger = trigger_of(Item(1))
    for name in ("reverses", "project_id", "po_number", "quantity", "rate"):
        del trigger[name]
    posting = posting_of(trigger, "legacy-erp")
    assert [posting.reverses, posting.project_id, posting.po_number, posting.quantity, posting.rate] == [None] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trigger_id": None}, "billing trigger: trigger_id is missing"),
        ({"amount": 12.5}, f"billing trigger {trigger_id(1)}: amount: Value error, money is a decimal or its text"),
        ({"amount": "NaN"}, f"billing trigger {trigger_id(1)}: amount: Input should be a finite number"),
        ({"currency": None}, f"billing trigger {trigger_id(1)}: currency: Input should be a valid string"),
        (
            {"service_date": "2026-02-30"},
            f"billing trigger {trigger_id(1)}: service_date: Input should be a valid date",
        ),
    ],
)
def test_a_trigger_that_cannot_be_posted_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message is compared
        posting_of({**trigger_of(Item(1)), **change}, "legacy-erp")
    assert str(raised.value).startswith(message)


def test_every_wrong_field_is_named_at_once() -> None:
    trigger = trigger_of(Item(1))
    del trigger["currency"], trigger["kind"]
    with pytest.raises(ValueError, match=r"kind: Field required; currency: Field required$"):
        posting_of(trigger, "legacy-erp")


def test_an_unknown_outcome_holds_up_its_contract_and_no_other() -> None:
    station = Station(MemoryTarget())
    station.log = [Item(1, "C1"), Item(2, "C1"), Item(3, "C2")]
    station.target.faults.order(0, "before", LostAnswer())
    station.turn(NOON)
    assert station.target.arrived() == [trigger_id(3)]
    assert station.history(Item(1, "C1")) == ["pending", "sent", "unknown", "pending"]
    assert station.history(Item(2, "C1")) == ["pending", "sent", "pending"]
    station.turn(NOON + SECOND)
    assert station.target.arrived() == [trigger_id(3), trigger_id(1), trigger_id(2)]
    assert station.history(Item(1, "C1")) == ["pending", "sent", "unknown", "pending", "sent", "posted"]
    assert station.last(Item(1, "C1")).attempts == 2


def test_the_target_says_how_long_to_wait() -> None:
    station = Station(MemoryTarget())
    station.log = [Item(1)]
    station.target.faults.order(0, "before", Busy(retry_after_ms=30 * SECOND))
    station.turn(NOON)
    station.turn(NOON + 30 * SECOND - 1)
    assert station.target.arrived() == []
    station.turn(NOON + 30 * SECOND)
    assert station.target.arrived() == [trigger_id(1)]


def test_skipped_postings_are_rejected_and_the_rest_is_sent_at_once() -> None:
    first, third = money_posting(Item(1), "scripted"), money_posting(Item(3), "scripted")
    refusal = Skippable({first.posting_id: "no such customer", third.posting_id: "no such tax code"})
    station = scripted(refusal, [(0, Status.POSTED)])
    station.log = [Item(1), Item(2), Item(3)]
    station.turn(NOON)
    assert calls(station) == [["T1", "T2", "T3"], ["T2"]]
    assert [station.last(item).status for item in station.log] == [Status.REJECTED, Status.POSTED, Status.REJECTED]
    assert station.last(Item(3)).error == "no such tax code"
    assert station.last(Item(3)).attempts == 0


def test_a_failure_of_unknown_effect_is_asked_about_before_the_next_attempt() -> None:
    station = scripted(Retriable("connection reset"), [(0, Status.POSTED)])
    station.log = [Item(1)]
    station.turn(NOON)
    station.turn(NOON + SECOND)
    assert station.history(Item(1)) == ["pending", "sent", "unknown", "pending", "sent", "posted"]
    assert isinstance(station.target, ScriptedTarget)
    assert [len(ids) for ids in station.target.sink.asked] == [1, 1]
    assert station.last(Item(1)).first_sent_at == NOON


def test_what_got_no_receipt_was_not_sent_and_goes_next() -> None:
    station = scripted([(0, Status.SENT)], [(0, Status.SENT), (1, Status.SENT)])
    station.log = [Item(1, "C1"), Item(2, "C2"), Item(3, "C3")]
    station.turn(NOON)
    assert calls(station) == [["T1", "T2", "T3"], ["T2", "T3"]]
    assert [receipt.attempts for receipt in station.delivery.open_receipts()] == [1, 1, 1]


def test_a_target_that_keeps_order_by_itself_gets_more_before_it_answered() -> None:
    station = scripted([(0, Status.SENT)], [(0, Status.SENT)])
    station.log = [Item(1, "C1"), Item(2, "C1")]
    station.turn(NOON)
    assert calls(station) == [["T1", "T2"], ["T2"]]


def test_a_target_that_does_not_keep_order_gets_one_after_the_other() -> None:
    station = scripted([(0, Status.SENT), (2, Status.SENT)])
    assert isinstance(station.target, ScriptedTarget)
    station.target.sink.pipelined = False
    station.log = [Item(1, "C1"), Item(2, "C1"), Item(3, "C2")]
    station.turn(NOON)
    station.turn(NOON + 1)
    assert calls(station) == [["T1", "T2", "T3"]]


def test_nothing_follows_an_unknown_outcome_even_where_the_target_keeps_order() -> None:
    station = scripted([(0, Status.UNKNOWN), (2, Status.SENT)])
    station.log = [Item(1, "C1"), Item(2, "C1"), Item(3, "C2")]
    station.turn(NOON)
    assert calls(station) == [["T1", "T2", "T3"]]


def test_after_a_success_the_first_wait_is_short_again() -> None:
    station = Station(MemoryTarget())
    station.log = [Item(1)]
    for now in (NOON, NOON + SECOND):
        station.target.be_busy()
        station.turn(now)
    station.turn(NOON + 3 * SECOND)
    assert station.target.arrived() == [trigger_id(1)]
    station.log = [Item(1), Item(2)]
    station.target.be_busy()
    station.turn(NOON + 10 * SECOND)
    station.turn(NOON + 11 * SECOND - 1)
    assert station.target.arrived() == [trigger_id(1)]
    station.turn(NOON + 11 * SECOND)
    assert station.target.arrived() == [trigger_id(1), trigger_id(2)]


def test_an_original_from_before_the_memory_is_asked_about_again_after_a_restart() -> None:
    station = scripted([(0, Status.POSTED)])
    assert isinstance(station.target, ScriptedTarget)
    original, sink = money_posting(Item(1), "scripted"), station.target.sink
    sink.found[original.posting_id] = receipt_of(original, Status.SENT, first_sent_at=NOON)
    station.log = [Item(2, reverses=1, amount="-100.00")]
    station.turn(NOON)
    assert calls(station) == []
    sink.found[original.posting_id] = receipt_of(original, Status.POSTED, document_id="D1", answered_at=NOON)
    station.restart()
    station.turn(NOON + 1)
    assert calls(station) == [["T2"]]


def test_an_original_from_before_the_memory_is_told_of_as_what_its_reversal_takes_back() -> None:
    station = scripted([(0, Status.POSTED)])
    assert isinstance(station.target, ScriptedTarget)
    original = money_posting(Item(1, "C7"), "scripted")
    found = receipt_of(original, Status.POSTED, document_id="D1", answered_at=NOON)
    station.target.sink.found[original.posting_id] = replace(
        found, trigger_id="", contract_number=None, project_id=None
    )
    station.log = [Item(2, "C7", reverses=1, amount="-100.00")]
    station.turn(NOON)
    assert station.receipts[1] == replace(found, attempts=1)
    assert station.history(Item(2, "C7")) == ["pending", "sent", "posted"]


def test_what_waits_for_the_answer_to_its_original_waits_for_nothing_else_and_hurries_nobody() -> None:
    station = scripted([(0, Status.SENT)], [(0, Status.SENT)], [(0, Status.SENT)])
    station.log = [Item(1, "C1")]
    station.turn(NOON)
    station.log += [Item(2, "C1", reverses=1, amount="-100.00")]
    station.turn(NOON)
    assert station.delivery.due(NOON) is None
    station.log += [Item(3, "C2")]
    station.turn(NOON)
    assert calls(station) == [["T1"], ["T3"]]
    original = money_posting(Item(1, "C1"), "scripted")
    station.delivery.settle(answered(receipt_of(original, Status.POSTED, document_id="D1", answered_at=NOON)), NOON)
    assert station.delivery.due(NOON) == NOON
    station.turn(NOON)
    assert calls(station) == [["T1"], ["T3"], ["T2"]]


def answered(*receipts: Receipt) -> Look[Posting]:
    """A look that found answers."""
    look = Look[Posting](ScriptedSink([]), lambda: NOON)
    look.answers = Answers(receipts)
    return look


def test_young_postings_wait_for_others_however_many_must_not_go() -> None:
    station = scripted([(0, Status.SENT), (1, Status.SENT), (2, Status.SENT)])
    station.limits = Limits(postings_max=3, age_ms_max=60 * SECOND)
    closed = NOON + 500 * SECOND
    station.restart(lambda posting, now: closed if posting.contract_number == "C9" and now < closed else None)
    station.log = [*(Item(number, "C9") for number in range(1, 9)), Item(11, "C1"), Item(12, "C2")]
    station.turn(NOON, flush=False)
    assert calls(station) == []
    assert station.delivery.due(NOON) == NOON + 60 * SECOND
    station.log += [Item(13, "C3")]
    station.turn(NOON + SECOND, flush=False)
    assert calls(station) == [["T11", "T12", "T13"]]
    assert station.delivery.due(NOON + SECOND) == closed


def test_what_is_tried_again_does_not_wait_for_young_ones_to_grow_old() -> None:
    station = scripted(Retriable("busy", nothing_sent=True), [(0, Status.SENT)])
    station.limits = Limits(postings_max=3, age_ms_max=60 * SECOND, backoff_ms_first=5 * SECOND)
    station.restart()
    station.log = [Item(1, "C1")]
    station.turn(NOON, flush=False)
    station.turn(NOON + 60 * SECOND, flush=False)
    station.log += [Item(2, "C2")]
    station.turn(NOON + 61 * SECOND, flush=False)
    assert calls(station) == [["T1"]]
    assert station.delivery.due(NOON + 61 * SECOND) == NOON + 65 * SECOND
    station.turn(NOON + 65 * SECOND, flush=False)
    assert calls(station) == [["T1"], ["T1", "T2"]]


def test_where_order_is_ours_to_keep_a_posting_found_unanswered_still_holds_its_contract() -> None:
    station = scripted(Retriable("reset"), [(0, Status.POSTED)])
    assert isinstance(station.target, ScriptedTarget)
    sink, first = station.target.sink, money_posting(Item(1), "scripted")
    sink.pipelined, sink.stale_ms_max = False, SECOND
    station.log = [Item(1)]
    station.restart()
    for now in (NOON, NOON + SECOND):  # nothing is sent before it is known that nobody else has
        station.turn(now)
    assert calls(station) == [["T1"]]
    sink.found[first.posting_id] = receipt_of(first, Status.SENT, first_sent_at=NOON)
    station.log += [Item(2)]
    station.turn(NOON + 5 * SECOND)
    station.turn(NOON + 60 * SECOND)
    assert calls(station) == [["T1"]]
    station.delivery.settle(answered(receipt_of(first, Status.POSTED, document_id="D1", answered_at=NOON)), NOON)
    station.turn(NOON + 61 * SECOND)
    assert calls(station) == [["T1"], ["T2"]]


def test_failures_are_counted_over_what_was_called_and_forgotten_once_one_is_booked() -> None:
    busy = Retriable("busy", nothing_sent=True)
    station = scripted(busy, busy, busy, [(0, Status.POSTED)], busy)
    station.log = [Item(1)]
    station.turn(NOON)
    station.turn(NOON + SECOND)
    [unmade] = station.delivery.work(NOON + 3 * SECOND, 1)
    station.delivery.settle(unmade, NOON + 3 * SECOND)  # it came back without a call, which is no success
    station.turn(NOON + 3 * SECOND)
    assert station.delivery.due(NOON + 3 * SECOND) == NOON + 7 * SECOND
    station.turn(NOON + 7 * SECOND)
    station.log += [Item(2)]
    station.turn(NOON + 10 * SECOND)
    assert station.delivery.due(NOON + 10 * SECOND) == NOON + 11 * SECOND


def test_calls_of_one_sending_end_with_an_unknown_outcome_even_where_the_target_keeps_order() -> None:
    sink = ScriptedSink([[(0, Status.SENT)], [(0, Status.UNKNOWN)], [(0, Status.SENT)]])
    sink.postings_per_call = 1
    sending = Sending(sink, [money_posting(Item(number), "scripted") for number in (1, 2, 3)], lambda: NOON)
    assert [sending.run().more, sending.run().more] == [True, False]
    assert sink.calls == [["T1"], ["T2"]]


def test_a_fatal_error_comes_after_the_receipts_before_it() -> None:
    station = scripted([(0, Status.POSTED)], Fatal("no permission"))
    station.log = [Item(1, "C1"), Item(2, "C2")]
    with pytest.raises(Fatal, match="no permission"):
        station.turn(NOON)
    assert [station.history(item) for item in station.log] == [
        ["pending", "sent", "posted"],
        ["pending", "sent", "pending", "sent", "unknown"],
    ]
    with pytest.raises(Fatal, match="no permission"):
        station.turn(NOON + SECOND)


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ([(0, Status.PENDING)], "scripted answered pending for posting"),
        (Skippable({"another": "no"}), "scripted skipped postings that were not in the call: another"),
        (Skippable({}), "scripted skipped postings that were not in the call: none named"),
    ],
)
def test_a_sink_that_breaks_the_contract_stops(turn: Exception | list[tuple[int, Status]], message: str) -> None:
    station = scripted(turn)
    station.log = [Item(1)]
    with pytest.raises(Fatal, match=message):
        station.turn(NOON)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"postings_max": 0}, "postings_max must be at least 1"),
        ({"age_ms_max": -1}, "age_ms_max at least 0"),
        ({"backoff_ms_first": 0}, "backoff_ms_first must be above 0"),
        ({"backoff_ms_first": 10, "backoff_ms_max": 5}, "at most backoff_ms_max"),
    ],
)
def test_limits_that_could_never_work_are_refused(limits: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(**limits)
