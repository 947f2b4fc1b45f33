"""A sink's worker in miniature: input log, memory and receipts that commit together, and a life that can end."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from state import MemoryStore, State
from streams.delivery.calls import Look, Work
from streams.delivery.delivery import Delivery
from streams.delivery.limits import Limits, never_frozen
from streams.domain.posting import FINAL, Posting, Status, posting_of
from streams.sinks.contract import Problem, Receipt, Sink
from tests.contract.simulators.faults import Faults, Killed

NOON = 1_772_366_400_000
LIMITS = Limits(postings_max=5, age_ms_max=0, backoff_ms_first=1_000, backoff_ms_max=8_000)


@dataclass(frozen=True)
class Item:
    """What a test wants delivered: a number, the contract or project it is of, and the number it takes back."""

    number: int
    contract: str = "C1"
    reverses: int | None = None
    amount: str = "100.00"
    currency: str = "EUR"


class Target(Protocol):
    """The world outside, as one test sees it. It survives the worker."""

    system: str
    posting_type: type[Any]
    books_money: bool
    faults: Faults

    def open(self) -> Sink[Any]:
        """A new worker's sink."""

    def deliverable(self, item: Item) -> Any:
        """What is delivered for an item; the same for ever."""

    def answer(self, now: int) -> None:
        """Let the target answer what it has."""

    def arrived(self) -> list[str]:
        """Trigger ids the target holds, in the order it applies them by contract, each as often as it holds it."""

    def refuse(self, item: Item, reason: str) -> None:
        """Have the target reject an item."""

    def lose_answer(self) -> None:
        """Let the next posting arrive, and its answer get lost."""

    def be_busy(self) -> None:
        """Have the target take nothing of the next call."""

    def disturb(self, step: int, when: str) -> None:
        """Order a fault of the target, not of the worker, at a step or soon after."""


class Station:
    """Delivers an input log to a target. `turn` is what a worker does between two commits."""

    def __init__(self, target: Target, limits: Limits = LIMITS) -> None:
        self.target = target
        self.log: list[Item] = []
        self.receipts: list[Receipt] = []
        self.problems: list[Problem] = []
        self.deaths = 0
        self.limits = limits
        self._store = MemoryStore()
        self._read = 0
        # It is there for so long that nothing of a former life can be under way any more, should there have been one.
        self.now = NOON - settling_ms(target)
        self.restart()
        self.now = NOON

    def restart(self, frozen: Callable[[Any, int], int | None] = never_frozen) -> None:
        """Begin a new life with what was committed."""
        self._state = State(self._store)
        memory = self._state.table("delivery", bytes)
        target, limits = self.target, self.limits
        self.delivery = Delivery(target.open(), memory, target.posting_type, limits, lambda: self.now, frozen)

    def replay(self) -> None:
        """Have the whole input come again."""
        self._read = 0

    def forget(self) -> None:
        """Lose all that was remembered and told: the input comes again, to whoever begins then."""
        self._store = MemoryStore()
        self.receipts.clear()
        self.problems.clear()
        self._read = 0

    def turn(self, now: int, flush: bool = True) -> None:
        """Read, send, poll, each with its commit; die on the way if a fault says so."""
        self.now = now
        try:
            self.intend()
            while works := self._works(flush):
                for work in works:
                    self._run(work)
            self._run(self.delivery.look())
            self.commit()
        except Killed:
            self.deaths += 1
            self.restart()

    def _works(self, flush: bool) -> list[Work]:
        """What is to be run, once it is committed that it may have been."""
        try:
            return self.delivery.work(self.now, 1_000_000, flush)
        finally:
            self.commit()

    def _run(self, work: Work) -> None:
        while work.run().more:
            pass
        self.delivery.settle(work, self.now)
        self.problems += self.delivery.problems()
        if isinstance(work, Look):
            self.problems += work.answers.problems

    def intend(self) -> None:
        """Take in what the log has more."""
        self.delivery.intend([self.target.deliverable(item) for item in self.log[self._read :]], self.now)

    def commit(self) -> None:
        """Commit what was taken in, remembered and told, as one."""
        self.target.faults.commit()
        self._state.flush()
        self._read = len(self.log)
        self.receipts += self.delivery.changes()

    def settle(self, now: int) -> int:
        """Take turns without faults, an hour each, until every posting has its final receipt; return the time."""
        self.target.faults.clear()
        for _ in range(len(self.log) + 20):
            now += 3_600_000
            self.turn(now)
            self.target.answer(now)
            if not self.delivery.open_receipts() and self._read == len(self.log):
                return now
        raise AssertionError(f"still open: {self.delivery.open_receipts()[:3]}")

    def statuses(self) -> dict[str, Status]:
        """The last published status of each trigger."""
        return {receipt.trigger_id: receipt.status for receipt in self.receipts}

    def history(self, item: Item) -> list[str]:
        """The statuses published for an item, in order."""
        trigger_id = self.target.deliverable(item).trigger_id
        return [receipt.status.value for receipt in self.receipts if receipt.trigger_id == trigger_id]

    def last(self, item: Item) -> Receipt:
        trigger_id = self.target.deliverable(item).trigger_id
        return [receipt for receipt in self.receipts if receipt.trigger_id == trigger_id][-1]

    def verify(self, *, in_order: bool = True) -> None:
        """Nothing lost, nothing doubled, order kept, and receipts that say what is true."""
        arrived, statuses = self.target.arrived(), self.statuses()
        assert [trigger for trigger, times in Counter(arrived).items() if times > 1] == []
        rejected = {receipt.trigger_id for receipt in self.receipts if receipt.status is Status.REJECTED}
        superseded_later = {trigger for trigger in rejected if statuses[trigger] is Status.SUPERSEDED}
        posted = {trigger for trigger, status in statuses.items() if status is Status.POSTED}
        assert posted == set(arrived) - rejected
        place = {self.target.deliverable(item).trigger_id: at for at, item in enumerate(self.log)}
        assert set(statuses) == set(place)
        assert {status for status in statuses.values() if status not in FINAL} == set()
        by_contract: dict[str, list[int]] = {}
        for trigger in arrived:
            by_contract.setdefault(self.log[place[trigger]].contract, []).append(place[trigger])
        if in_order:
            assert [contract for contract, places in by_contract.items() if places != sorted(places)] == []
        finals = Counter(receipt.trigger_id for receipt in self.receipts if receipt.status in FINAL)
        assert {trigger for trigger, times in finals.items() if times > 1} == superseded_later


def settling_ms(target: Target) -> int:
    """How long a new worker waits before it asks for what the one before may have sent."""
    sink = target.open()
    return sink.answer_ms_max + sink.stale_ms_max


def trigger_of(item: Item) -> dict[str, Any]:
    """A billing trigger for an item, as its topic has it."""
    return {
        "trigger_id": trigger_id(item.number), "kind": "time", "revision": 0 if item.reverses is None else 1,
        "reverses": None if item.reverses is None else trigger_id(item.reverses),
        "contract_number": item.contract, "contract_version": 0, "project_id": f"P-{item.contract}",
        "client_id": "A1", "legal_entity": "LE1", "erp_customer_id": "CU1", "source_kind": "time_entry",
        "source_id": f"T{item.number}", "employee_id": "E1", "service_date": "2026-02-03", "service_period": "2026-02",
        "posting_period": "2026-02", "quantity": "1.5000", "rate": "66.67", "amount": item.amount,
        "currency": item.currency, "tax_code": "DE-19", "billing_code": "CONS, senior", "po_number": None,
        "emitted_at": "2026-02-03T10:00:00Z",
    }  # fmt: skip


def trigger_id(number: int) -> str:
    return f"00000000-0000-5000-8000-{number:012d}"


def money_posting(item: Item, system: str) -> Posting:
    return posting_of(trigger_of(item), system)


def totals(postings: Sequence[Posting]) -> dict[str, Decimal]:
    """The sum of amounts by currency."""
    sums: dict[str, Decimal] = {}
    for posting in postings:
        sums[posting.currency] = sums.get(posting.currency, Decimal(0)) + posting.amount
    return sums
