"""The contract suite: what every sink must do, whatever its target. A target joins by a subclass and a fixture.

A subclass gives the fixture `make`, which returns a new target with an empty far side each time it is called; targets
may share that, so that only the newest is used.
"""

from collections.abc import Callable
from random import Random

import pytest

from streams.delivery.limits import Limits
from streams.domain.posting import Status
from streams.sinks.contract import Receipt
from tests.contract.simulators.faults import WHEN, Killed
from tests.contract.station import LIMITS, NOON, Item, Station, Target, settling_ms

Make = Callable[[], Target]

SECOND = 1_000
ITEMS = [Item(1, "C1"), Item(2, "C2"), Item(3, "C1"), Item(4, "C3"), Item(5, "C2"), Item(6, "C1"), Item(7, "C4")]


def run_through(station: Station) -> int:
    """Read the log in two halves with an answer between; return the time."""
    items, station.log = station.log, station.log[:4]
    station.turn(NOON)
    station.target.answer(NOON + SECOND)
    station.log = items
    station.turn(NOON + 10 * SECOND)
    return NOON + 10 * SECOND


class SinkContract:
    """Holds for every target, of money or of facts."""

    storm_postings = 300

    def test_everything_arrives_once_and_is_posted(self, make: Make) -> None:
        station = Station(make())
        station.log = list(ITEMS)
        station.settle(run_through(station))
        station.verify()
        assert set(station.statuses().values()) == {Status.POSTED}
        assert station.problems == []

    def test_a_receipt_names_what_it_answers(self, make: Make) -> None:
        station = Station(make())
        station.log = [ITEMS[1]]
        station.settle(NOON)
        sent, receipt = station.target.deliverable(ITEMS[1]), station.last(ITEMS[1])
        assert receipt == Receipt(
            sent.posting_id, sent.trigger_id, station.target.system, receipt.document_id, Status.POSTED, 1,
            NOON + 3_600_000, receipt.answered_at, None, "C2", sent.project_id,
        )  # fmt: skip
        assert receipt.document_id
        assert receipt.answered_at is not None
        assert receipt.answered_at >= NOON + 3_600_000

    def test_what_comes_again_changes_nothing(self, make: Make) -> None:
        station = Station(make())
        station.log = [*ITEMS, *ITEMS[:3]]
        now = station.settle(NOON)
        receipts = list(station.receipts)
        for _ in range(2):
            station.replay()
            now = station.settle(now)
            station.restart()
        assert station.receipts == receipts
        assert len(station.target.arrived()) == len(ITEMS)

    def test_what_comes_again_while_it_is_on_its_way_changes_nothing(self, make: Make) -> None:
        station = Station(make())
        station.log = list(ITEMS)
        station.turn(NOON)
        station.replay()
        station.turn(NOON + 1)
        station.restart()
        station.replay()
        station.settle(NOON + 2)
        station.verify()

    def test_memory_that_was_lost_is_no_reason_to_send_again(self, make: Make) -> None:
        target = make()
        first = Station(target)
        first.log = list(ITEMS)
        now = first.settle(NOON)
        second = Station(target)
        second.log = list(ITEMS)
        second.settle(now)
        second.verify()
        assert len(target.arrived()) == len(ITEMS)

    @pytest.mark.parametrize("when", WHEN)
    def test_the_worker_may_die_at_any_step(self, make: Make, when: str) -> None:
        steps = self._steps(make)
        for step in range(steps):
            station = Station(make())
            station.log = list(ITEMS)
            station.target.faults.order(step, when, Killed())
            now = run_through(station)
            assert station.deaths == 1, f"no death at step {step} of {steps}"
            station.settle(now)
            station.verify()

    def test_the_worker_may_die_twice(self, make: Make) -> None:
        steps = self._steps(make)
        for first in range(0, steps, 2):
            for second in range(3):
                station = Station(make())
                station.log = list(ITEMS)
                station.target.faults.order(first, "after", Killed())
                station.target.faults.order(first + 1 + second, "before", Killed())
                station.settle(run_through(station))
                station.verify()

    def test_a_busy_target_is_left_alone_for_longer_and_longer(self, make: Make) -> None:
        station = Station(make())
        station.log = [ITEMS[0]]
        tried = []
        for now in range(NOON, NOON + 40 * SECOND, SECOND // 2):
            station.target.be_busy()
            before = len(station.receipts)
            station.turn(now)
            station.target.faults.clear()
            if len(station.receipts) > before:
                tried.append((now - NOON) / SECOND)
        assert tried == [0, 1, 3, 7, 15, 23, 31, 39]
        assert station.target.arrived() == []
        assert station.last(ITEMS[0]).status is Status.PENDING
        assert station.last(ITEMS[0]).attempts == 8
        assert station.last(ITEMS[0]).error
        assert station.last(ITEMS[0]).first_sent_at is None

    def test_a_busy_target_gets_everything_in_the_end(self, make: Make) -> None:
        station = Station(make())
        station.log = list(ITEMS)
        station.target.be_busy()
        station.turn(NOON)
        station.settle(NOON)
        station.verify()

    def test_a_lost_answer_is_asked_for_before_anything_is_sent_again(self, make: Make) -> None:
        station = Station(make())
        station.log = [ITEMS[0], ITEMS[2]]
        station.target.lose_answer()
        station.turn(NOON)
        station.target.answer(NOON)
        station.turn(NOON)
        assert "unknown" in station.history(ITEMS[0])
        station.settle(NOON)
        station.verify()
        assert station.last(ITEMS[0]).status is Status.POSTED
        assert station.last(ITEMS[0]).attempts == 1

    def test_one_refused_does_not_disturb_the_others(self, make: Make) -> None:
        station = Station(make())
        station.log = list(ITEMS)
        station.target.refuse(ITEMS[2], "unknown billing code")
        station.settle(NOON)
        station.verify()
        refused = station.last(ITEMS[2])
        assert (refused.status, refused.document_id) == (Status.REJECTED, None)
        assert "unknown billing code" in (refused.error or "")
        others = {status for trigger, status in station.statuses().items() if trigger != refused.trigger_id}
        assert others == {Status.POSTED}

    def test_a_batch_waits_until_it_is_full_or_old_and_one_by_one_nothing_waits(self, make: Make) -> None:
        target = make()
        station = Station(target, Limits(postings_max=3, age_ms_max=60 * SECOND))
        station.log = [Item(1, "C1"), Item(2, "C2")]
        station.turn(NOON, flush=False)
        if target.open().postings_per_call == 1:
            assert len(station.target.arrived()) == 2
            return
        station.turn(NOON + 59 * SECOND, flush=False)
        assert station.target.arrived() == []
        settled_at = NOON + 59 * SECOND + settling_ms(target)
        station.restart()
        old = max(NOON + 60 * SECOND, settled_at)
        station.turn(old, flush=False)
        assert len(station.target.arrived()) == 2
        station.log += [Item(3, "C3"), Item(4, "C4"), Item(5, "C5"), Item(6, "C6")]
        station.turn(old + SECOND, flush=False)
        assert len(station.target.arrived()) == 5  # a full one goes
        station.turn(old + 2 * SECOND, flush=True)
        assert len(station.target.arrived()) == 6

    def test_what_is_for_another_system_is_refused(self, make: Make) -> None:
        target = make()
        station = Station(target)
        stray = target.deliverable(ITEMS[0])
        station.target.system = "another-erp"
        other = target.deliverable(ITEMS[0])
        assert other.posting_id != stray.posting_id
        with pytest.raises(ValueError, match="is for another-erp, not for"):
            station.delivery.intend([other], NOON)

    @pytest.mark.parametrize("seed", range(6))
    def test_any_schedule_of_faults_loses_nothing_and_doubles_nothing(self, make: Make, seed: int) -> None:
        run_storm(make(), seed, postings=self.storm_postings, limits=LIMITS)

    def _steps(self, make: Make) -> int:
        station = Station(make())
        station.log = list(ITEMS)
        run_through(station)
        return station.target.faults.steps


class MoneyContract(SinkContract):
    """Holds for every target that books money, where a reversal takes something back."""

    def test_a_reversal_waits_for_its_original_and_the_contract_with_it(self, make: Make) -> None:
        station = Station(make())
        original, reversal, again = Item(1), Item(2, reverses=1, amount="-100.00"), Item(3, amount="90.00")
        other = Item(4, "C2")
        station.log = [original]
        station.turn(NOON)
        station.log += [reversal, again, other]
        station.settle(NOON + SECOND)
        station.verify()
        assert [station.last(item).status for item in (original, reversal, again, other)] == [Status.POSTED] * 4
        posted_at = [station.receipts.index(station.last(item)) for item in (original, reversal, again)]
        assert posted_at == sorted(posted_at)

    def test_a_reversal_cancels_an_original_that_was_not_sent(self, make: Make) -> None:
        station = Station(make())
        station.log = [Item(1), Item(2, reverses=1, amount="-100.00"), Item(3, amount="90.00")]
        station.settle(NOON)
        station.verify()
        assert [station.history(item)[-1] for item in station.log] == ["superseded", "superseded", "posted"]
        assert station.target.arrived() == [station.target.deliverable(station.log[2]).trigger_id]

    def test_a_reversal_does_not_cancel_what_only_the_memory_forgot(self, make: Make) -> None:
        steps = self._one_posting_steps(make)
        target = make()
        station = Station(target)
        station.log = [Item(1)]
        target.faults.order(steps - 1, "before", Killed())  # sent, but not committed
        station.turn(NOON)
        assert station.deaths == 1
        assert len(target.arrived()) == 1
        station.log += [Item(2, reverses=1, amount="-100.00")]
        station.settle(NOON + SECOND)
        station.verify()
        assert [station.last(item).status for item in station.log] == [Status.POSTED] * 2

    def test_a_reversal_of_what_was_refused_ends_both(self, make: Make) -> None:
        station = Station(make())
        original, reversal = Item(1), Item(2, reverses=1, amount="-100.00")
        station.target.refuse(original, "closed period")
        station.log = [original]
        now = station.settle(NOON)
        station.log += [reversal]
        station.settle(now)
        assert station.history(original)[-2:] == ["rejected", "superseded"]
        assert station.history(reversal) == ["pending", "superseded"]

    def test_a_reversal_of_what_nobody_knows_is_refused(self, make: Make) -> None:
        station = Station(make())
        station.log = [Item(2, reverses=1, amount="-100.00"), Item(3)]
        station.settle(NOON)
        refused = station.last(station.log[0])
        assert refused.status is Status.REJECTED
        assert refused.error == (
            f"reverses trigger 00000000-0000-5000-8000-000000000001, which was never posted to {station.target.system}"
        )
        assert station.last(station.log[1]).status is Status.POSTED

    def test_a_reversal_finds_an_original_from_before_its_memory(self, make: Make) -> None:
        target = make()
        first = Station(target)
        first.log = [Item(1)]
        now = first.settle(NOON)
        second = Station(target)
        second.log = [Item(2, reverses=1, amount="-100.00")]
        second.settle(now)
        assert second.last(second.log[0]).status is Status.POSTED
        assert len(target.arrived()) == 2

    def _one_posting_steps(self, make: Make) -> int:
        station = Station(make())
        station.log = [Item(1)]
        station.turn(NOON)
        return station.target.faults.steps


def run_storm(target: Target, seed: int, postings: int, limits: Limits) -> Station:
    """Deliver many postings while the worker dies and the disk fills at random; return the station, verified."""
    random = Random(seed)
    station = Station(target, limits)
    items = random_items(random, postings, reversals=target.books_money)
    for item in items:
        if item.number % 37 == 0:
            target.refuse(item, "refused by rule")
    now = NOON
    while len(station.log) < len(items):
        station.log = items[: len(station.log) + random.randint(0, 2 * limits.postings_max)]
        for _ in range(random.randint(0, 2)):
            step, when = random.randint(0, 12), random.choice(WHEN)
            if random.random() < 0.3:
                target.disturb(step, when)
            else:
                target.faults.order(step, when, Killed())
        station.turn(now, flush=random.random() < 0.5)
        if random.random() < 0.5:
            target.answer(now)
        if random.random() < 0.05:
            station.replay()
        now += random.randint(1, 20) * SECOND
    deaths = station.deaths
    station.settle(now)
    station.verify()
    assert deaths > postings / limits.postings_max / 20, f"seed {seed}: a calm storm, {deaths} deaths"
    return station


def random_items(random: Random, count: int, *, reversals: bool) -> list[Item]:
    """Items of forty contracts in three currencies; some take back an earlier one of their contract."""
    items: list[Item] = []
    standing: dict[str, list[Item]] = {}
    for number in range(1, count + 1):
        contract = f"C{random.randint(1, 40)}"
        billed = standing.setdefault(contract, [])
        if reversals and billed and random.random() < 0.15:
            back = billed.pop(random.randrange(len(billed)))
            items.append(Item(number, contract, back.number, f"-{back.amount}", back.currency))
            continue
        currency, digits = random.choice([("EUR", 2), ("JPY", 0), ("KWD", 3)])
        whole = random.randint(1, 10**7)
        amount = f"{whole // 10**digits}.{whole % 10**digits:0{digits}d}" if digits else str(whole)
        items.append(Item(number, contract, None, amount, currency))
        billed.append(items[-1])
    return items
