"""Posting: triggers go out to the ERP that keeps their legal entity's books, and its answers come back as receipts.

A step like any other, but for one thing: its targets are outside, so what it sends cannot be undone with its state.
`streams.sinks.delivery` owns that: intent is committed before anything is sent, and a target is asked about everything
in doubt before it is sent again. Calls to targets are short; they run between checkpoints, on a timer.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from streams.domain.calendar import moment
from streams.domain.canonical import LegalEntity
from streams.domain.fact import Cause, Fact
from streams.domain.posting import Posting, posting_id_of, posting_of
from streams.rules.exceptions import Entity, exception_record
from streams.sinks.contract import (
    FINAL,
    Fatal,
    Problem,
    Receipt,
    Retriable,
    Sink,
    Status,
)
from streams.sinks.delivery import Delivery, Limits
from streams.step import Context, Record, Step
from streams.topics import CONTRACT_FACTS, EXCEPTIONS, RECEIPTS, TRIGGERS

NAME = "posting"
FATAL_PAUSE_MS = 60_000
"""How long a system whose sink gave up is left alone before it is opened again."""
PATIENCE_MS = 60_000
"""How long a system may fail in ways that pass by themselves before a person hears of it."""

_NO_CAUSE = Cause(None, None, None, None, 0, 0)
_UNROUTED = ""
_WORK = "work"


class PostingBehaviour:
    """The triggers of one partition on their way.

    Tables: `posting.delivery` is the deliveries' memory; `posting.systems` the system of each legal entity;
    `posting.waiting` the postings whose legal entity is unknown here, in order; `posting.open` the exceptions opened,
    with the instant each was first seen.
    """

    def __init__(self, context: Context, connect: Callable[[str], Sink[Posting]], limits: Limits, poll_ms: int) -> None:
        self._context = context
        self._connect = connect
        self._limits = limits
        self._poll_ms = poll_ms
        self._memory = context.table("posting.delivery")
        self._systems = context.table("posting.systems")
        self._waiting = context.table("posting.waiting")
        self._open = context.table("posting.open")
        self._deliveries: dict[str, Delivery[Posting]] = {}
        self._paused: dict[str, int] = {}
        self._failing_since: dict[str, int] = {}

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in triggers, and which ERP keeps a legal entity's books."""
        for record in records:
            if record.topic == TRIGGERS:
                self._trigger(record)
            elif isinstance(record.value, Fact) and isinstance(record.value.row, LegalEntity):
                self._legal_entity(record.value.row)
        self._keep_working()

    def on_timer(self, key: str) -> None:
        """Send what is due and take in what was answered; `key` is that of the one timer there is."""
        assert key == _WORK
        for system in sorted(set(self._systems_known())):
            delivery = self._delivery(system)
            if delivery is not None:
                self._work(system, delivery)
        self._keep_working()

    def before_commit(self) -> None:
        """Nothing waits for the commit."""

    def _keep_working(self) -> None:
        if self._context.timers.next_due() is None:
            self._context.timers.set(_WORK, self._context.now + self._poll_ms)

    # -- routing

    def _trigger(self, record: Record) -> None:
        trigger = record.value
        system = self._system_of(trigger.get("legal_entity", ""), trigger.get("reverses"))
        posting = posting_of(trigger, _UNROUTED if system is None else system)
        if system is None:
            self._waiting.put(f"{posting.legal_entity}\x1f{record.offset:020d}", posting)
        else:
            self._intend(posting, record.offset)

    def _system_of(self, legal_entity: str, reverses: str | None) -> str | None:
        """Return the system a trigger belongs to: a reversal goes where its original went."""
        if reverses is not None:
            for system in self._systems_known():
                receipt = f"{system}/receipt/{posting_id_of(system, reverses)}"
                if self._memory.get(receipt) is not None or self._waits_for(system, reverses):
                    return system
        known: str | None = self._systems.get(legal_entity)
        return known

    def _waits_for(self, system: str, trigger_id: str) -> bool:
        """Tell whether a trigger waits for a system's sink to be had again."""
        return any(posting.trigger_id == trigger_id for _, posting in self._waiting.scan(f"\x1f{system}\x1f"))

    def _systems_known(self) -> list[str]:
        return list(dict.fromkeys(system for _, system in self._systems.scan("")))

    def _legal_entity(self, row: LegalEntity) -> None:
        if self._systems.get(row.id) == row.erp_system:
            return
        entity = Entity("legal_entity", row.id, place=str(self._context.partition))
        try:
            self._connect(row.erp_system).close()
        except ValueError as error:
            self._exception("unroutable", entity, f"legal entity {row.id}: {error}", True)
            return
        except (Fatal, Retriable):
            pass  # the system exists, but is not to be had now: the timer tries again
        self._exception("unroutable", entity, "", False)
        # An old system stays known under its own name: answers to what was sent there are still to come.
        former = self._systems.get(row.id)
        if former is not None:
            self._systems.put(f"\x1f{former}", former)
        self._systems.put(row.id, row.erp_system)
        for key, posting in self._waiting.scan(f"{row.id}\x1f"):
            self._waiting.delete(key)
            identity = posting_id_of(row.erp_system, posting.trigger_id)
            routed = replace(posting, system=row.erp_system, posting_id=identity)
            self._intend(routed, int(key.rpartition("\x1f")[2]))

    def _intend(self, posting: Posting, offset: int) -> None:
        delivery = self._delivery(posting.system)
        if delivery is None:
            # Its sink gave up: the intent waits with those whose system is unknown, and is taken up by `_delivery` in
            # the order of the triggers, which is that of their contract's decisions.
            self._waiting.put(f"\x1f{posting.system}\x1f{offset:020d}", posting)
        else:
            self._tell(delivery.intend([posting], self._context.now))

    # -- delivering

    def _delivery(self, system: str) -> Delivery[Posting] | None:
        """Return the delivery to a system, or None while its sink is left alone."""
        delivery = self._deliveries.get(system)
        if delivery is not None:
            return delivery
        now = self._context.now
        if self._paused.get(system, 0) > now:
            return None
        try:
            delivery = Delivery(self._connect(system), self._memory, Posting, self._limits)
        except (Fatal, Retriable) as error:
            self._give_up(system, error)
            return None
        self._deliveries[system] = delivery
        for key, posting in self._waiting.scan(f"\x1f{system}\x1f"):
            self._waiting.delete(key)
            self._tell(delivery.intend([posting], now))
        return delivery

    def _work(self, system: str, delivery: Delivery[Posting]) -> None:
        now = self._context.now
        try:
            self._tell(delivery.send(now))
            answers = delivery.poll(now)
        except Retriable as error:
            self._context.count(f"sink/{system}/retriable")
            self._be_patient(system, str(error))
            return
        except Fatal as error:
            self._give_up(system, error)
            return
        self._context.count(f"sink/{system}/{'ok' if delivery.failure is None else 'retriable'}")
        self._tell(answers.receipts)
        for subject in answers.sound:
            self._exception("delivery_failed", _answer_entity(system, subject), "", False)
        for problem in answers.problems:
            self._problem(problem)
        self._be_patient(system, delivery.failure)

    def _be_patient(self, system: str, failure: str | None) -> None:
        """Open an exception for what should have passed by itself and has not; resolve it once nothing fails."""
        if failure is None:
            self._failing_since.pop(system, None)
            self._exception("delivery_failed", self._system_entity(system), "", False)
        elif self._failing_since.setdefault(system, self._context.now) + PATIENCE_MS <= self._context.now:
            message = f"{system}: {failure}; tried again until it passes"
            self._exception("delivery_failed", self._system_entity(system), message, True)

    def _give_up(self, system: str, error: Exception) -> None:
        self._context.count(f"sink/{system}/{'fatal' if isinstance(error, Fatal) else 'retriable'}")
        self._deliveries.pop(system, None)
        self._paused[system] = self._context.now + FATAL_PAUSE_MS
        self._exception("delivery_failed", self._system_entity(system), f"{system}: {error}", True)

    def _system_entity(self, system: str) -> Entity:
        return Entity("erp_system", system, place=str(self._context.partition))

    # -- telling

    def _tell(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            if receipt.status in FINAL:
                self._context.emit(RECEIPTS, receipt.contract_number, receipt_record(receipt, self._context.now))
                refused = receipt.status is Status.REJECTED
                entity = Entity("billing_trigger", receipt.trigger_id, receipt.project_id, receipt.contract_number)
                message = f"{receipt.system} refused trigger {receipt.trigger_id}: {receipt.error or 'no reason given'}"
                self._exception("delivery_failed", entity, message, refused)

    def _problem(self, problem: Problem) -> None:
        message = f"{problem.system}, {problem.subject}: {problem.reason}"
        self._exception("delivery_failed", _answer_entity(problem.system, problem.subject), message, True)

    def _exception(self, kind: str, entity: Entity, message: str, wrong: bool) -> None:
        """Open an exception that is not open, or resolve one that is."""
        key = f"{kind}\x1f{entity.kind}\x1f{entity.place}\x1f{entity.id}"
        now, since = self._context.now, self._open.get(key)
        if wrong == (since is not None):
            return
        if wrong:
            self._open.put(key, now)
        else:
            self._open.delete(key)
        reasons = (message,) if message else ()
        told = message or f"{entity.kind} {entity.id}: solved"
        record = exception_record(kind, entity, reasons, told, (since or now, now), wrong, _NO_CAUSE)
        self._context.emit(EXCEPTIONS, record["exception_id"], record)


def _answer_entity(system: str, subject: str) -> Entity:
    return Entity("erp_answer", f"{system}:{subject}")


def receipt_record(receipt: Receipt, now: int) -> dict[str, Any]:
    """Return the `erp.receipts` record of a final receipt; what was never sent has its instant of decision, `now`."""
    answered_at = receipt.answered_at or now
    return {
        "trigger_id": receipt.trigger_id,
        "posting_id": receipt.posting_id,
        "contract_number": receipt.contract_number,
        "project_id": receipt.project_id,
        "system": receipt.system,
        "document_id": receipt.document_id,
        "status": receipt.status.value,
        "attempts": receipt.attempts,
        "first_sent_at": moment(receipt.first_sent_at or answered_at),
        "answered_at": moment(answered_at),
        "error": receipt.error,
    }


def posting_step(connect: Callable[[str], Sink[Posting]], limits: Limits, poll_ms: int) -> Step:
    """Declare the step that posts triggers. `connect` opens the sink of a system and raises ValueError for none."""
    return Step(
        name=NAME,
        key="contract number",
        reads=(TRIGGERS, CONTRACT_FACTS),
        writes=(RECEIPTS, EXCEPTIONS),
        begin=lambda context: PostingBehaviour(context, connect, limits, poll_ms),
        remembers={
            "posting.delivery": bytes,
            "posting.systems": str,
            "posting.waiting": Posting,
            "posting.open": int,
        },
    )
