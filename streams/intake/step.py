"""The intake step: rows come in under their source's key, facts go out under the contract's or the person's."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from schemas.debezium import HEARTBEAT_PREFIX
from schemas.mapping import Mappings, Ownership
from streams.domain.fact import Cause, Claim, Fact
from streams.domain.kept import Home, Kept, Refused, Silence, Violation
from streams.domain.ledger import NO_CONTRACT_PREFIX
from streams.domain.money import ZERO
from streams.domain.policy import Policy
from streams.intake.change import NO_MAPPING, Change, Heartbeat, Refusal, Unreadable
from streams.intake.hearing import Hearing
from streams.intake.homes import Homes
from streams.intake.memory import MASTERS, TABLES, Memory, after, is_known, is_new
from streams.intake.ownership import OwnershipCheck
from streams.intake.reading import Reader
from streams.intake.telling import Teller, entity_kind
from streams.rules.claims import AGAINST, NONE
from streams.rules.exceptions import Entity
from streams.step import Context, Record, Step
from streams.topics import (
    AUDIT,
    CONTRACT_FACTS,
    DEAD_LETTERS,
    DRIFT_CLAIMS,
    EXCEPTIONS,
    PERSON_FACTS,
    SOURCES,
)

_ITEM_KINDS: Final = frozenset({"TimeEntry", "Expense", "Milestone", "Assignment"})
_OF_PROJECTS: Final = _ITEM_KINDS | {"Project", "ErpProject", "Invoice", "CostPosting"}
_OF_CONTRACTS: Final = frozenset({"Contract", "Amendment"})
_REFERENCES: Final = {
    "FxRate": "fx_rate", "Customer": "customer", "LegalEntity": "legal_entity", "Period": "period", "Client": "client",
    "Account": "account",
}  # fmt: skip
_PEOPLE: Final = {"Resource": "resource", "Worker": "worker"}
_RELEASED: Final = frozenset({"released", "paid"})
_DELETED: Final = Refusal("validation_failed", ("deleted: this row is a master; archive it in its system instead",))


class IntakeBehaviour:
    """The rows of one partition at work."""

    def __init__(
        self, context: Context, reader: Reader, ownership: Ownership, fingerprint: str, hearing: Hearing
    ) -> None:
        self._context = context
        self._hearing = hearing
        self._reader = reader
        self._memory = Memory(context)
        self._homes = Homes(context, self._memory)
        self._teller = Teller(context)
        self._ownership = OwnershipCheck(context, self._memory, ownership, self._teller.exception)
        self._fingerprints = context.table("intake.fingerprint")
        self._fingerprint = fingerprint
        self._retried = False
        self._routes: dict[str, Callable[[Change, Any], None]] = {
            **dict.fromkeys(_ITEM_KINDS, self._item),
            **dict.fromkeys(_REFERENCES, self._reference),
            **dict.fromkeys(_PEOPLE, self._person),
            "Project": self._project,
            "ErpProject": self._project,
            "Contract": self._contract,
            "Opportunity": self._opportunity,
            "Amendment": self._amendment,
            "RevenueSchedule": self._schedule,
            "Invoice": self._invoice,
            "CostPosting": self._cost_posting,
        }

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in changes, dead letters and signs of life."""
        if not self._retried:
            self._look_again()
        heard: set[str] = set()
        for record in records:
            value = record.value
            if isinstance(value, Change):
                heard.add(value.feed)
                self._change(value)
            elif isinstance(value, Unreadable):
                self._teller.unreadable(record, value)
            elif isinstance(value, Heartbeat):
                heard.add(value.feed)
                self._context.count("heartbeats")
            elif isinstance(value, dict):
                self._assembled(record)
        if self._hearing.expected:
            self._hearing.heard(heard)

    def _assembled(self, record: Record) -> None:
        """Take in a row that assembly has made: where no broker lies between, it comes as it was emitted."""
        change = self._reader.read(record)
        if isinstance(change, Change):
            self._change(change)
        elif isinstance(change, Unreadable):
            self._teller.unreadable(record, change)

    def on_timer(self, key: str) -> None:
        """It is time to look whether a feed is silent."""
        self._hearing.on_timer(key)

    def before_commit(self) -> None:
        """Nothing waits for the commit."""

    # -- rows

    def _change(self, change: Change) -> None:
        kept = self._memory.kept(change)
        if not is_new(change, kept):
            self._context.count("duplicates")
            return
        if change.reread and kept is not None and is_known(change, kept):
            self._context.count("duplicates")
            self._memory.keep(change, after(change, kept, kept.good, False))
            return
        self._apply(change, kept)

    def _apply(self, change: Change, kept: Kept[Any] | None) -> None:
        before = kept.good if kept is not None else None
        refusal = change.refusal
        if change.deleted and change.kind in MASTERS:
            refusal = _DELETED if before is not None else None
        good = before if refusal is not None else change.row
        self._memory.keep(change, after(change, kept, good, refusal is not None))
        if refusal is not None:
            self._refuse(change, refusal)
            return
        if kept is not None and kept.refused and self._memory.refusal(change) is not None:
            self._forgive(change)
        route = self._routes.get(change.kind)
        if route is not None and (before is not None or good is not None):
            route(change, before)

    def _refuse(self, change: Change, refusal: Refusal) -> None:
        raw = orjson.dumps(change.raw, default=str).decode() if change.raw is not None else ""
        before = self._memory.refusal(change)
        if before is not None and before.kind != refusal.kind:
            self._forgive(change)
        refused = self._memory.refuse(change, refusal, raw, max(self._context.now, change.cause.occurred_at))
        self._tell_refused(change, refused.kind, refused.reasons, (refused.first_seen, True), refused.attempts)

    def _forgive(self, change: Change) -> None:
        refused = self._memory.refusal(change)
        assert refused is not None  # the caller has looked
        self._memory.forgive(change)
        self._tell_refused(change, refused.kind, refused.reasons, (refused.first_seen, False), refused.attempts)

    def _tell_refused(
        self, change: Change, kind: str, reasons: tuple[str, ...], state: tuple[int, bool], attempts: int
    ) -> None:
        kind_of_entity = entity_kind(change.kind) if change.kind else change.topic
        place = "" if change.scope == change.id else change.scope
        project = change.scope if change.kind in _OF_PROJECTS else None
        contract = change.scope if change.kind in _OF_CONTRACTS else None
        entity = Entity(kind_of_entity, change.id, project, contract, place=place)
        message = f"{change.topic} {change.id} at position {change.cause.position} is not applied: {'; '.join(reasons)}"
        self._teller.exception(kind, entity, reasons, message, state, change.cause, {}, attempts)

    def _look_again(self) -> None:
        """Retry what was refused and look at open violations, if mappings or ownership have changed since."""
        self._retried = True
        if self._fingerprints.get("") == self._fingerprint:
            return
        self._fingerprints.put("", self._fingerprint)
        for refused in list(self._memory.all_refused()):
            if refused.raw:
                self._retry(refused)
        self._ownership.look_again()

    def _retry(self, refused: Refused) -> None:
        raw = orjson.loads(refused.raw)
        change = self._reader.again(refused.topic, refused.scope, refused.id, raw, refused.cause)
        mapped_now = refused.reasons[0].startswith(NO_MAPPING) and change.kind != ""
        if mapped_now or change.refusal is None:
            # What was told of a row without mapping names its topic, and the row may be known by another id now.
            was = change._replace(id=refused.id, scope=refused.scope, kind="" if mapped_now else change.kind)
            self._memory.forgive(was)
            self._tell_refused(was, refused.kind, refused.reasons, (refused.first_seen, False), refused.attempts + 1)
            self._apply(change, self._memory.kept(change))
        elif change.kind and change.refusal != (refused.kind, refused.reasons):
            self._refuse(change, change.refusal)

    # -- facts

    def _emit(self, key: str, kind: str, change: Change) -> None:
        self._context.emit(
            CONTRACT_FACTS, key, Fact(kind, change.scope, change.id, change.row, change.cause, _version(change))
        )

    def _item(self, change: Change, before: Any) -> None:
        self._homes.item(change.kind, change.scope, before, change.row, change.id, change.cause)

    def _project(self, change: Change, _: Any) -> None:
        self._homes.place(change.scope, change.cause)
        self._ownership.check(change.scope, change.cause)

    def _contract(self, change: Change, _: Any) -> None:
        self._emit(change.id, "contract", change)

    def _opportunity(self, change: Change, before: Any) -> None:
        old = None if before is None else before.contract_number or f"{NO_CONTRACT_PREFIX}{before.id}"
        new = None if change.row is None else change.row.contract_number or f"{NO_CONTRACT_PREFIX}{change.id}"
        if old is not None and old != new:
            self._emit(old, "opportunity", change._replace(row=None))
        if new is not None:
            self._emit(new, "opportunity", change)

    def _amendment(self, change: Change, before: Any) -> None:
        approved = change.row is not None and change.row.status == "approved"
        if approved:
            self._emit(change.scope, "amendment", change)
        elif before is not None and before.status == "approved":
            self._emit(change.scope, "amendment", change._replace(row=None))

    def _schedule(self, change: Change, before: Any) -> None:
        after = change.row
        if before is not None and (after is None or after.contract_number != before.contract_number):
            self._emit(before.contract_number, "schedule", change._replace(row=None))
        if after is not None:
            self._emit(after.contract_number, "schedule", change)

    def _reference(self, change: Change, _: Any) -> None:
        fact = Fact(_REFERENCES[change.kind], change.scope, change.id, change.row, change.cause, _version(change))
        self._context.emit_to_all(CONTRACT_FACTS, change.id, fact)

    def _person(self, change: Change, _: Any) -> None:
        fact = Fact(_PEOPLE[change.kind], change.scope, change.id, change.row, change.cause, _version(change))
        self._context.emit(PERSON_FACTS, change.id, fact)

    def _invoice(self, change: Change, before: Any) -> None:
        self._homes.invoice(change.scope, before, change.row, change.id, change.cause)
        # An invoice that moves between projects may arrive before it is taken back under its old one: each speaks for
        # itself.
        place = f"{change.scope}/{change.id}"
        named, now = _milestones_named(before, place), _milestones_named(change.row, place)
        for line, milestone in named.items():
            if now.get(line) != milestone:
                self._claim("milestone_unbilled", milestone, line, NONE, change.cause)
        for line, milestone in now.items():
            if named.get(line) != milestone:
                self._claim("milestone_unbilled", milestone, line, AGAINST, change.cause)

    def _cost_posting(self, change: Change, before: Any) -> None:
        old = before.source_id if before is not None and before.source_kind == "expense" else None
        new = change.row.source_id if change.row is not None and change.row.source_kind == "expense" else None
        if old == new:
            return
        if old is not None:
            self._claim("expense_late", old, f"{change.scope}/{change.id}", NONE, change.cause)
        if new is not None:
            self._claim("expense_late", new, f"{change.scope}/{change.id}", AGAINST, change.cause)

    def _claim(self, kind: str, entity_id: str, claimant: str, stance: str, cause: Cause) -> None:
        told = Claim(kind, entity_id, claimant, stance, 0, ZERO, ZERO, "", None, None, None, (), cause)
        self._context.emit(DRIFT_CLAIMS, f"{kind}:{entity_id}", told)


def _milestones_named(invoice: Any, place: str) -> dict[str, str]:
    """Return which milestone each line of a released invoice names."""
    if invoice is None or invoice.status not in _RELEASED:
        return {}
    return {f"{place}/{line.line_id}": line.milestone_id for line in invoice.lines if line.milestone_id}


def _version(change: Change) -> tuple[int, int]:
    return change.cause.epoch, change.cause.position or 0


def intake_step(
    reader: Reader, mappings: Mappings, ownership: Ownership, policy: Policy, feeds: tuple[str, ...] = ()
) -> Step:
    """Declare the step that takes rows in, and listens for the feeds that are expected to be heard."""
    fingerprint = f"{mappings.fingerprint}:{ownership.fingerprint}"
    heartbeats = [HEARTBEAT_PREFIX + feed for feed in feeds]
    topics = dict.fromkeys((*[topic.name for topic in SOURCES], *mappings.topics, *heartbeats))

    def begin(context: Context) -> IntakeBehaviour:
        return IntakeBehaviour(context, reader, ownership, fingerprint, Hearing(context, policy, feeds))

    return Step(
        name="intake",
        key="as its source is",
        reads=tuple(topics),
        writes=(CONTRACT_FACTS, PERSON_FACTS, DRIFT_CLAIMS, EXCEPTIONS, DEAD_LETTERS, AUDIT),
        begin=begin,
        remembers={
            **TABLES,
            "intake.home": Home,
            "intake.fingerprint": str,
            "intake.violation": Violation,
            "intake.silence": Silence,
        },
    )
