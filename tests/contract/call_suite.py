"""What calls over a network add to the contract: a target joins by a subclass and a fixture, as in `suite`.

The fixture `make` returns a new `CallTarget` with an empty far side each time it is called. `CANNOT` says which cases
cannot be at a target, and why; all others hold for all of them.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Protocol

import pytest

from streams.delivery.limits import Limits
from streams.domain.posting import Status
from streams.sinks.contract import Fatal, Receipt, Retriable, Sink, Skippable, Trouble
from tests.contract.simulators.faults import Killed
from tests.contract.station import LIMITS, NOON, Item, Station, Target
from tests.contract.suite import ITEMS, SECOND, MoneyContract, run_storm

OUTCOME_UNKNOWN = [
    "timeout_before", "timeout_after", "reset_before", "reset_after", "lost", "error_before", "error_after", "cut",
]  # fmt: skip
"""What may become of a call, before or after it was applied, so that whoever made it does not know."""

CANNOT: Mapping[str, Mapping[str, str]] = {
    "files": {
        "test_a_busy_target_says_when_to_come_again": "nobody counts what is written into a folder",
        "test_what_is_too_much_is_told_as_such": "nobody counts what is written into a folder",
        "test_a_login_that_ends_in_mid_batch_is_renewed": "a folder has no login; that of SFTP is a connection, and "
        "tests/stack/test_sftp.py drops it",
        "test_calls_may_be_under_way_at_once_while_a_login_ends": "batches are written one after the other",
        "test_wrong_credentials_are_a_persons_business": "a folder has no login; test_sftp.py has wrong ones",
        "test_a_value_that_is_not_mapped_refuses_its_posting_before_anything_is_sent": "codes go as they are",
        "test_a_locked_record_passes": "nothing of the ERP is touched when a batch is written: its answer comes later",
        "test_a_locked_record_holds_up_its_contract_only": "nothing of the ERP is touched when a batch is written",
        "test_what_is_locked_of_a_batch_is_left_for_later": "nothing of the ERP is touched when a batch is written",
        "test_a_target_that_books_or_finds_late_is_asked_late": "a file is there once it was renamed, or never",
    },
    "tryton": {
        "test_calls_may_be_under_way_at_once_while_a_login_ends": "it numbers invoices one transaction at a time, and "
        "is called so",
        "test_a_locked_record_holds_up_its_contract_only": "a call is one transaction for all its invoices, and rows "
        "are locked for no longer than a transaction takes: what meets a lock goes again as a whole",
        "test_what_is_locked_of_a_batch_is_left_for_later": "a call is one transaction for all its invoices",
    },
}
"""By kind of target, cases of the suite that cannot be there, and why."""

MONEY = [
    Item(1, "C1", None, "1250.50", "EUR"),
    Item(2, "C2", None, "180000", "JPY"),
    Item(3, "C1", None, "0.10", "EUR"),
    Item(4, "C3", None, "12.345", "KWD"),
    Item(5, "C4", None, "9999999999.99", "EUR"),
]


class CallTarget(Target, Protocol):
    """A target behind an API, as one test sees it."""

    closed: str
    """What a refusal says because a period is closed."""

    def impatient(self) -> None:
        """Have calls give up soon, from the next `open` on."""

    def trouble(self, kind: str, after: int = 0, **more: Any) -> None:
        """Have the call that books next, or that comes after so many others, meet this."""

    def expire_login(self, after: int) -> None:
        """Have the token, session or what else a login brought end after so many further calls."""

    def spoil_login(self) -> None:
        """Have us log in with wrong credentials, from the next `open` on."""

    def lock(self, item: Item) -> None:
        """Have somebody lock what an item touches."""

    def unlock(self) -> None:
        """Have nothing locked any more."""

    def close_period(self, period: str) -> None:
        """Close a period (YYYY-MM) at the target."""

    def lag(self, ms: int) -> None:
        """Have searches miss what was booked in the last so many milliseconds of the target's own clock."""

    def pass_time(self, ms: int) -> None:
        """Let the target's own clock go on; it stands otherwise."""

    def booked(self) -> list[tuple[str, Decimal, str]]:
        """Posting id, signed amount and currency of each document there."""

    def unmapped(self, item: Item) -> tuple[Any, str]:
        """An item's posting with a value that is not mapped, and what a refusal must say."""

    def unknown_there(self, item: Item) -> tuple[Any, str]:
        """An item's posting of somebody who is mapped, but not known to the target; and what a refusal must say."""


Make = Callable[[], CallTarget]


class CallContract(MoneyContract):
    """Holds for every target that something lies between: a network, or a disk. `at` is its kind in `CANNOT`."""

    storm_postings = 60

    def __init_subclass__(cls, at: str = "api") -> None:
        """Leave out what cannot be."""
        for name in CANNOT.get(at, ()):
            assert hasattr(cls, name), f"CANNOT names {name}, and there is no such case"
            setattr(cls, name, None)

    search_lags = True
    """Whether a search there may miss what was just booked; what is read by its key is never missed."""

    def test_a_duplicate_send_books_nothing_more(self, make: Make) -> None:
        target = make()
        sink, posting = target.open(), target.deliverable(ITEMS[0])
        first, second = told(target, sink, [posting]), told(target, sink, [posting])
        assert [receipt.status for receipt in (*first, *second)] == [Status.POSTED] * 2
        assert first[0].document_id == second[0].document_id
        assert first[0].document_id
        assert len(target.arrived()) == 1

    @pytest.mark.parametrize("kind", OUTCOME_UNKNOWN)
    def test_an_unknown_outcome_is_asked_for_before_anything_is_sent_again(self, make: Make, kind: str) -> None:
        target = make()
        if kind.startswith("timeout"):
            target.impatient()
        trusted_later = target.open().stale_ms_max > 0
        station = Station(target)
        station.log = [ITEMS[0], ITEMS[1], ITEMS[2]]
        target.trouble(kind)
        station.turn(NOON)
        target.answer(NOON)
        met, *_ = [receipt for receipt in station.receipts if receipt.status is Status.UNKNOWN]
        assert met.error
        # It is asked for at once where that can be trusted at once.
        assert (station.statuses()[met.trigger_id] is Status.UNKNOWN) == trusted_later
        station.settle(NOON)
        station.verify()
        assert set(station.statuses().values()) == {Status.POSTED}

    @pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
    def test_an_unknown_outcome_in_mid_batch_leaves_the_rest_unsent(self, make: Make, kind: str) -> None:
        target = make()
        takes_many = target.open().postings_per_call > 1
        station = Station(target)
        station.log = list(ITEMS)
        target.trouble(kind, after=0 if takes_many else 2)
        station.turn(NOON)
        assert Status.UNKNOWN in {receipt.status for receipt in station.receipts}
        station.settle(NOON)
        station.verify()
        assert set(station.statuses().values()) == {Status.POSTED}

    def test_a_batch_may_be_taken_in_part(self, make: Make) -> None:
        target = make()
        target.refuse(ITEMS[1], "no such rate")
        first, refused, last = postings = [target.deliverable(item) for item in (ITEMS[0], ITEMS[1], ITEMS[3])]
        receipts = told(target, target.open(), postings)
        assert {receipt.posting_id: receipt.status for receipt in receipts} == {
            first.posting_id: Status.POSTED,
            refused.posting_id: Status.REJECTED,
            last.posting_id: Status.POSTED,
        }
        assert {one[0] for one in target.booked()} == {first.posting_id, last.posting_id}

    def test_what_is_locked_of_a_batch_is_left_for_later(self, make: Make) -> None:
        target = make()
        target.lock(ITEMS[3])
        first, locked = target.deliverable(ITEMS[0]), target.deliverable(ITEMS[3])
        receipts = target.open().post([first, locked], NOON)
        assert [(receipt.posting_id, receipt.status) for receipt in receipts] == [(first.posting_id, Status.POSTED)]
        assert target.arrived() == [first.trigger_id]

    def test_a_busy_target_says_when_to_come_again(self, make: Make) -> None:
        target = make()
        station = Station(target)
        station.log = [ITEMS[0]]
        target.trouble("busy", retry_after="7")
        for now in (NOON, NOON + SECOND, NOON + 7 * SECOND - 1):
            station.turn(now)
            assert (target.arrived(), station.last(ITEMS[0]).status) == ([], Status.PENDING)
        assert station.last(ITEMS[0]).first_sent_at is None
        station.turn(NOON + 7 * SECOND)
        assert station.last(ITEMS[0]).status is Status.POSTED

    def test_what_is_too_much_is_told_as_such(self, make: Make) -> None:
        target = make()
        sink = target.open()
        for asked, wait_ms in (("3", 3_000), (None, None)):
            target.trouble("busy", retry_after=asked)
            with pytest.raises(Retriable) as raised:
                sink.post([target.deliverable(ITEMS[0])], NOON)
            failure = raised.value
            assert (failure.trouble, failure.nothing_sent, failure.retry_after_ms) == (Trouble.BUSY, True, wait_ms)

    def test_a_login_that_ends_in_mid_batch_is_renewed(self, make: Make) -> None:
        target = make()
        station = Station(target)
        station.log = list(ITEMS)
        target.expire_login(3)
        station.turn(NOON)
        station.settle(NOON)
        station.verify()
        assert {receipt.status for receipt in station.receipts} == {Status.PENDING, Status.SENT, Status.POSTED}
        assert {receipt.attempts for receipt in station.receipts if receipt.status is Status.POSTED} == {1}

    def test_calls_may_be_under_way_at_once_while_a_login_ends(self, make: Make) -> None:
        target = make()
        sink = target.open()
        assert sink.calls_at_once > 1
        postings = [target.deliverable(Item(number, f"C{number}")) for number in range(1, 25)]
        target.expire_login(9)
        with ThreadPoolExecutor(sink.calls_at_once) as threads:
            receipts = [
                one for told in threads.map(lambda posting: sink.post([posting], NOON), postings) for one in told
            ]
        assert [receipt.status for receipt in receipts] == [Status.POSTED] * len(postings)
        assert sorted(target.arrived()) == [posting.trigger_id for posting in postings]
        assert len({receipt.document_id for receipt in receipts}) == len(postings)

    def test_wrong_credentials_are_a_persons_business(self, make: Make) -> None:
        target = make()
        target.spoil_login()
        with pytest.raises(Fatal):
            target.open().find([target.deliverable(ITEMS[0]).posting_id])

    def test_a_refusal_is_told_in_the_targets_own_words(self, make: Make) -> None:
        target = make()
        target.refuse(ITEMS[0], "Project C1 has no billing rule 77")
        assert "Project C1 has no billing rule 77" in refused(target, target.deliverable(ITEMS[0]))

    def test_a_closed_period_refuses_its_postings(self, make: Make) -> None:
        target = make()
        station = Station(target)
        target.close_period("2026-02")
        station.log = [ITEMS[0]]
        station.settle(NOON)
        assert station.last(ITEMS[0]).status is Status.REJECTED
        assert target.closed in (station.last(ITEMS[0]).error or "")
        assert target.booked() == []

    def test_a_value_that_is_not_mapped_refuses_its_posting_before_anything_is_sent(self, make: Make) -> None:
        target = make()
        posting, said = target.unmapped(ITEMS[0])
        with pytest.raises(Skippable, match=said):
            target.open().post([posting, target.deliverable(ITEMS[1])], NOON)
        assert target.arrived() == []

    def test_a_company_or_customer_that_the_target_does_not_know_is_refused(self, make: Make) -> None:
        target = make()
        posting, said = target.unknown_there(ITEMS[0])
        assert re.search(said, refused(target, posting))
        assert target.booked() == []

    def test_a_locked_record_passes(self, make: Make) -> None:
        target = make()
        target.lock(ITEMS[0])
        with pytest.raises(Retriable) as raised:
            target.open().post([target.deliverable(ITEMS[0])], NOON)
        assert (raised.value.trouble, raised.value.nothing_sent) == (Trouble.RECORD, True)
        station = Station(target)
        station.log = list(ITEMS)
        station.turn(NOON)
        assert station.last(ITEMS[0]).status is Status.PENDING
        target.unlock()
        station.settle(NOON)
        station.verify()
        assert set(station.statuses().values()) == {Status.POSTED}

    def test_a_locked_record_holds_up_its_contract_only(self, make: Make) -> None:
        target = make()
        station = Station(target)
        station.log = list(ITEMS)
        target.lock(ITEMS[0])
        station.turn(NOON)
        arrived = target.arrived()
        assert arrived
        assert not {target.deliverable(item).trigger_id for item in ITEMS if item.contract == "C1"} & set(arrived)
        target.unlock()
        station.settle(NOON)
        station.verify()
        assert set(station.statuses().values()) == {Status.POSTED}

    def test_slow_answers_are_waited_for(self, make: Make) -> None:
        target = make()
        station = Station(target)
        station.log = list(ITEMS)
        for _ in range(3):
            target.trouble("slow")
        station.turn(NOON)
        station.settle(NOON)
        station.verify()
        assert {receipt.status for receipt in station.receipts} == {Status.PENDING, Status.SENT, Status.POSTED}

    def test_what_a_search_misses_is_in_it_after_the_time_declared(self, make: Make) -> None:
        target = make()
        sink, posting = target.open(), target.deliverable(ITEMS[0])
        target.lag(sink.stale_ms_max)
        [booked] = told(target, sink, [posting])
        missed = [] if self.search_lags else [booked.document_id]
        assert [receipt.document_id for receipt in sink.find([posting.posting_id])] == missed
        target.pass_time(sink.stale_ms_max)
        assert [receipt.document_id for receipt in sink.find([posting.posting_id])] == [booked.document_id]

    @pytest.mark.parametrize("kind", ["reset_after", "late"])
    def test_a_target_that_books_or_finds_late_is_asked_late(self, make: Make, kind: str) -> None:
        target = make()
        target.impatient()
        stale_ms = target.open().stale_ms_max
        station = Station(target, Limits(5, 0, max(LIMITS.backoff_ms_first, stale_ms + 1), 3_600_000))
        station.log = [ITEMS[0], ITEMS[2]]
        target.lag(stale_ms if kind == "reset_after" else 0)
        target.trouble(kind)
        station.turn(NOON)
        assert "unknown" in station.history(ITEMS[0])
        target.pass_time(stale_ms)
        station.turn(NOON + stale_ms + SECOND)
        station.settle(NOON + stale_ms + SECOND)
        station.verify()
        assert set(station.statuses().values()) == {Status.POSTED}

    def test_what_was_found_names_its_trigger(self, make: Make) -> None:
        target = make()
        sink = target.open()
        postings = [target.deliverable(item) for item in ITEMS[:2]]
        for posting in postings:
            told(target, sink, [posting])
        found = sink.find([*(posting.posting_id for posting in postings), target.deliverable(ITEMS[4]).posting_id])
        assert Counter(map(_named, found)) == Counter((p.posting_id, p.trigger_id, target.system) for p in postings)

    def test_what_is_booked_is_what_was_decided_to_the_last_digit(self, make: Make) -> None:
        target = make()
        station = Station(target)
        back = Item(6, "C1", 1, "-1250.50", "EUR")
        station.log = list(MONEY)
        now = station.settle(NOON)
        station.log.append(back)
        station.settle(now)
        station.verify()
        expected = [target.deliverable(item) for item in station.log]
        assert sorted(target.booked()) == sorted((p.posting_id, p.amount, p.currency) for p in expected)

    def test_hundreds_are_found_at_once(self, make: Make) -> None:
        target = make()
        sink = target.open()
        posting = target.deliverable(ITEMS[0])
        sink.post([posting], NOON)
        asked = [target.deliverable(Item(number)).posting_id for number in range(1_000, 1_499)]
        assert [receipt.posting_id for receipt in sink.find([*asked, posting.posting_id])] == [posting.posting_id]

    def test_a_worker_that_dies_in_a_storm_of_the_network_loses_nothing(self, make: Make) -> None:
        target = make()
        for kind in ("reset_after", "error_after", "busy", "cut", "reset_before"):
            target.trouble(kind, after=2)  # of the calls since the one before
        target.faults.order(9, "after", Killed())
        run_storm(target, 11, postings=self.storm_postings, limits=LIMITS)


def told(target: CallTarget, sink: Sink[Any], postings: list[Any]) -> list[Receipt]:
    """What becomes of postings that are sent, also where the answer comes later."""
    receipts = sink.post(postings, NOON)
    if any(receipt.status is Status.SENT for receipt in receipts):
        target.answer(NOON)
        return sink.find([posting.posting_id for posting in postings])
    return receipts


def refused(target: CallTarget, posting: Any) -> str:
    """Why a posting is refused, however that is said."""
    try:
        [receipt] = told(target, target.open(), [posting])
    except Skippable as skipped:
        [(posting_id, reason)] = skipped.reasons.items()
        return reason if posting_id == posting.posting_id else ""
    assert (receipt.posting_id, receipt.status) == (posting.posting_id, Status.REJECTED)
    return receipt.error or ""


def _named(receipt: Receipt) -> tuple[str, str, str]:
    return receipt.posting_id, receipt.trigger_id, receipt.system
