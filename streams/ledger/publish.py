"""Publishing: what a ledger decides becomes records of the public topics, each with its trace in the audit trail."""

from decimal import Decimal
from typing import Any

from streams.domain.calendar import iso_date, moment, period_of
from streams.domain.fact import Cause
from streams.domain.ledger import (
    MILESTONE,
    NO_CONTRACT_PREFIX,
    Item,
    Outstanding,
    Reconciled,
    TriggerPlace,
    shown_key,
)
from streams.domain.money import ZERO
from streams.domain.posting import intent_of
from streams.ledger.book import Book, ItemKey
from streams.ledger.reference import SEP, Reference
from streams.rules.audit import audit_record
from streams.rules.billing import first_open_period, trigger_id
from streams.rules.exceptions import Entity, cause_record, exception_record
from streams.step import Context
from streams.topics import AUDIT, EXCEPTIONS, POSTINGS, TRIGGERS


class Publisher:
    """Writes triggers and exceptions of one partition's ledgers, and keeps what invoices will be reconciled with."""

    def __init__(self, context: Context, book: Book, reference: Reference) -> None:
        self._context = context
        self._book = book
        self._reference = reference

    @property
    def now(self) -> int:
        """The time given, in milliseconds."""
        return self._context.now

    def trigger_id(self, key: ItemKey, revision: int) -> str:
        """Return the id of an item's trigger at a revision."""
        return trigger_id(*key, revision)

    def trigger(
        self, key: ItemKey, made: Outstanding, revision: int, because: str, version: int, cause: Cause
    ) -> None:  # fmt: skip
        """Write a trigger, and the intent to book it; `because` says what decided where."""
        record = self._write(key, made, (made.trigger_id, revision, None), made.amount, version, cause)
        self._intend(record, made.posted_to, because)

    def reversal(self, key: ItemKey, taken: Outstanding, revision: int, version: int, cause: Cause) -> None:
        """Write the reversal of a trigger: the same in all but amount, revision and posting period."""
        identity = trigger_id(*key, revision)
        record = self._write(key, taken, (identity, revision, taken.trigger_id), -taken.amount, version, cause)
        self._intend(record, taken.posted_to, "like what it reverses")

    def _intend(self, trigger: dict[str, Any], systems: tuple[str, ...] | None, because: str) -> None:
        for system in systems or ():
            intent = intent_of(trigger, system, self.now)
            intent["systems"], intent["because"] = systems, because
            self._context.emit(POSTINGS, trigger["contract_number"], intent)

    def _write(
        self, key: ItemKey, made: Outstanding, identity: tuple[str, int, str | None], amount: Decimal, version: int,
        cause: Cause,
    ) -> dict[str, Any]:  # fmt: skip
        trigger, revision, reverses = identity
        service_period = period_of(made.day)
        entity = made.legal_entity
        posting = first_open_period(service_period, lambda period: self._reference.is_closed(entity, period))
        record = {
            "trigger_id": trigger,
            "kind": made.kind,
            "revision": revision,
            "reverses": reverses,
            "contract_number": key[0],
            "contract_version": version,
            "project_id": made.project_id,
            "client_id": made.client_id,
            "legal_entity": entity,
            "erp_customer_id": made.customer_id,
            "source_kind": key[1],
            "source_id": key[2],
            "employee_id": made.employee_id,
            "service_date": made.day,
            "service_period": service_period,
            "posting_period": posting,
            "quantity": made.quantity,
            "rate": made.rate,
            "amount": amount,
            "currency": made.currency,
            "tax_code": made.tax_code,
            "billing_code": made.billing_code,
            "po_number": made.po_number,
            "cause": cause_record(cause),
            "occurred_at": moment(cause.occurred_at),
            "emitted_at": moment(self.now),
        }
        self._context.emit(TRIGGERS, key[0], record)
        action = "trigger_reversed" if reverses else "trigger_emitted"
        before = {"trigger_id": reverses, "amount": str(made.amount)} if reverses else None
        self._audit(key, action, made.project_id, before, {"trigger_id": trigger, "amount": str(amount)}, cause)
        self._reconcile(key, trigger, (made.project_id, posting), amount, cause)
        return record

    def _reconcile(
        self, key: ItemKey, trigger: str, spot: tuple[str | None, str], amount: Decimal, cause: Cause
    ) -> None:
        book = self._book
        project_id, posting = spot
        book.triggers.put(f"{key[0]}{SEP}{trigger}", TriggerPlace(key[1], key[2], project_id, posting))
        if project_id is None:
            return
        invoiced = ZERO
        # An invoice may name a trigger that is not made yet: ids are known beforehand.
        for line in book.lines.get(f"{key[0]}{SEP}{trigger}") or ():
            invoiced += line.amount
            if key[1] == MILESTONE:
                book.dirty_claims[key] = cause
        place = SEP.join((key[0], project_id, posting))
        sums = book.reconciled.get(place) or Reconciled()
        newest = max(sums.newest_at, cause.occurred_at)
        book.reconciled.put(place, Reconciled(sums.triggered + amount, sums.invoiced + invoiced, newest))
        book.dirty_reconciled[key[0], project_id, posting] = cause

    def hold(self, key: ItemKey, item: Item, before: tuple[str, ...], since: int, cause: Cause) -> None:
        """Write that an item is held, for which reasons, or with none that it is held no more."""
        reasons = item.hold or before
        message = f"{key[1]} {key[2]} is not billed: {', '.join(reasons)}"
        terms = self._book.terms(key[0])
        evidence = {}
        if item.work is not None:
            evidence["service_date"] = iso_date(item.work.day)
        if item.held and terms is not None:
            evidence |= {"held": str(item.held), "currency": terms.contract.currency}
        self._exception(key, "billing_hold", item, reasons, message, (since, bool(item.hold)), evidence, cause)

    def uncosted(self, key: ItemKey, item: Item, since: int, open_: bool, cause: Cause) -> None:
        """Write that the cost of an item is unknown, or is known now."""
        message = f"{key[1]} {key[2]} has no cost: its worker's cost rate or an exchange rate is missing"
        self._exception(key, "uncosted", item, ("no_cost",), message, (since, open_), {}, cause)

    def left(self, key: ItemKey, item: Item, since: int, open_: bool, cause: Cause) -> None:
        """Write that nobody bills what was approved or released too late for those who billed its day, or no more."""
        message = f"{key[1]} {key[2]} is not posted: its service lies before the first day that is; bill it by hand"
        self._exception(key, "unroutable", item, ("before_go_live",), message, (since, open_), {}, cause)

    def overdrawn(self, key: str, since: int, open_: bool, cap: Decimal, drawn: Decimal, cause: Cause) -> None:
        """Write that a cap lies under what is billed already, or does so no more."""
        entity = Entity("contract", key, contract_number=key)
        message = f"contract {key} is billed {drawn} under a cap of {cap}: nothing more bills until the cap is raised"
        evidence = {"cap": str(cap), "billed": str(drawn)}
        self.exception(
            key, "validation_failed", entity, ("cap_under_billed",), message, (since, open_), evidence, cause
        )

    def _exception(  # noqa: PLR0913 - the parts of an exception are independent
        self, key: ItemKey, kind: str, item: Item, reasons: tuple[str, ...], message: str, state: tuple[int, bool],
        evidence: dict[str, str], cause: Cause,
    ) -> None:  # fmt: skip
        project_id = item.work.project_id or None if item.work is not None else item.share_of or None
        contract = None if key[0].startswith(NO_CONTRACT_PREFIX) else key[0]
        entity = Entity(key[1], key[2], project_id, contract, place=key[0])
        self.exception(key[0], kind, entity, reasons, message, state, evidence, cause)

    def exception(  # noqa: PLR0913 - the parts of an exception are independent
        self,
        key: str,
        kind: str,
        entity: Entity,
        reasons: tuple[str, ...],
        message: str,
        state: tuple[int, bool],
        evidence: dict[str, str],
        cause: Cause,
        attempts: int = 1,
    ) -> None:
        """Write an exception and its trace in the audit trail; `state` is (since, open)."""
        since, open_ = state
        seen = (since or self.now, self.now)
        entity = entity._replace(place=shown_key(entity.place))
        record = exception_record(kind, entity, reasons, message, seen, open_, cause, evidence, attempts)
        self._context.emit(EXCEPTIONS, record["exception_id"], record)
        action = f"{kind}_{'opened' if open_ else 'resolved'}"
        after = {"reasons": ",".join(reasons)} if open_ else None
        before = None if open_ else {"reasons": ",".join(reasons)}
        item_key = (key, entity.kind, entity.id)
        self._audit(item_key, action, entity.project_id, before, after, cause)

    def activation(self, key: str, opportunity_id: str, step: tuple[str, str, int], cause: Cause) -> None:
        """Write the trace of a step of a deal's activation: (step, state, attempt)."""
        name, state, attempt = step
        after = {"step": name, "state": state, "attempt": str(attempt)}
        self._audit((key, "opportunity", opportunity_id), f"activation_{state}", None, None, after, cause)

    def _audit(self, key: ItemKey, action: str, project_id: str | None, before: Any, after: Any, cause: Cause) -> None:
        contract = None if key[0].startswith(NO_CONTRACT_PREFIX) else key[0]
        record = audit_record(action, (key[1], key[2]), contract, project_id, before, after, cause, self.now)
        self._context.emit(AUDIT, contract or project_id or shown_key(key[0]), record)
