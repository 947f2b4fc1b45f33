"""The read model: derived records folded into what is true now, one small entry an entity.

Owns which records supersede which. Does not own questions: it answers with its entries and their plain sums. Memory
grows with triggers, projects, alerts, exceptions, receipts, deals and dead letters, never with their histories.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from console.fields import Fields, UnreadableRecord, headers_of
from streams import topics
from streams.domain.posting import FINAL


class Trigger(NamedTuple):
    """A billing trigger: `amount` is negative for a reversal. `posting_period` is YYYY-MM."""

    trigger_id: str
    contract_number: str
    client_id: str
    source_kind: str
    source_id: str
    posting_period: str
    amount: Decimal
    currency: str


class Margin(NamedTuple):
    """The newest margin of a project, in its currency; fractions are of one."""

    project_id: str
    contract_number: str | None
    client_id: str | None
    currency: str
    revenue: Decimal
    margin: Decimal
    margin_pct: Decimal | None
    forecast_revenue: Decimal
    forecast_cost: Decimal
    forecast_margin_pct: Decimal | None
    baseline_margin_pct: Decimal | None
    sequence: int


class Alert(NamedTuple):
    """The newest state of a drift alert. `measure` and `threshold` are in `unit`; instants in ms, UTC."""

    alert_id: str
    kind: str
    severity: str
    is_open: bool
    entity_id: str
    project_id: str | None
    contract_number: str | None
    client_id: str | None
    owner: str
    opened_at: int
    due_at: int | None
    measure: Decimal
    threshold: Decimal | None
    unit: str
    evidence: Mapping[str, str]
    seen_at: int

    @property
    def since(self) -> int:
        """Return since when it is late: when it fell due, else when it was opened. A deadline may pass unwatched."""
        return self.opened_at if self.due_at is None else min(self.due_at, self.opened_at)


class Matter(NamedTuple):
    """The newest state of an exception: a matter that a person must look at. Instants in ms, UTC."""

    exception_id: str
    kind: str
    is_open: bool
    reasons: tuple[str, ...]
    owner: str
    entity_kind: str
    entity_id: str
    project_id: str | None
    contract_number: str | None
    first_seen: int
    message: str | None
    evidence: Mapping[str, str]
    seen_at: int


class Receipt(NamedTuple):
    """The newest that is known of a trigger in an ERP; `answered_at` is None until the ERP has answered."""

    trigger_id: str
    system: str
    document_id: str | None
    status: str
    answered_at: int | None
    error: str | None
    seen_at: int

    @property
    def is_posted(self) -> bool:
        """Tell whether the ERP has taken it into its books."""
        return self.status in ("posted", "accepted")


class Deal(NamedTuple):
    """How far the activation of a won deal is: its newest event, and the newest command given for it."""

    opportunity_id: str
    client_id: str | None = None
    contract_number: str | None = None
    project_id: str | None = None
    started_at: int | None = None
    step: str | None = None
    state: str | None = None
    changed_at: int = 0
    reasons: tuple[str, ...] = ()
    asked_step: str | None = None
    asked_of: str | None = None
    asked_at: int = 0


class DeadLetter(NamedTuple):
    """A record that could not be read: where it stood and what was wrong with it. Its bytes stay in the topic."""

    topic: str
    stage: str
    error: str
    message: str
    arrived_at: int | None


class ReadModel:
    """What is true now, as far as the derived records applied tell.

    `currencies` are those of the contracts that have been billed.
    """

    def __init__(self) -> None:
        self.triggers: dict[str, Trigger] = {}
        self.currencies: dict[str, str] = {}
        self.margins: dict[str, Margin] = {}
        self.alerts: dict[str, Alert] = {}
        self.matters: dict[str, Matter] = {}
        self.receipts: dict[tuple[str, str], Receipt] = {}
        self.deals: dict[str, Deal] = {}
        self.dead_letters: dict[tuple[str, str, str], DeadLetter] = {}
        self._folds: dict[str, Callable[[Fields, int], None]] = {
            topics.TRIGGERS: self._trigger,
            topics.MARGINS: self._margin,
            topics.ALERTS: self._alert,
            topics.EXCEPTIONS: self._matter,
            topics.RECEIPTS: self._receipt,
            topics.ACTIVATION_COMMANDS: self._command,
            topics.ACTIVATION_EVENTS: self._event,
        }

    def apply(self, record: Mapping[str, Any]) -> None:
        """Fold one derived record: `topic`, `key`, `value`, and where known `timestamp` (ms or text) and `headers`.

        Applying a record again, or one older than what is known of its entity, changes nothing. Topics that are not
        for people are passed over. Raises `UnreadableRecord`, and then nothing has changed.
        """
        topic = record.get("topic")
        if not isinstance(topic, str):
            raise UnreadableRecord(f"a record without topic: {str(record)[:200]}; expected topic, key and value")
        key = record.get("key")
        if topic == topics.DEAD_LETTERS:
            self._dead_letter(record)
        elif topic in self._folds:
            written_at = Fields(topic, key, record).optional_instant("timestamp")
            self._folds[topic](Fields(topic, key, record.get("value")), written_at or 0)

    def net_billed(self) -> dict[str, Decimal]:
        """Return the net amount of all triggers by currency."""
        net: dict[str, Decimal] = {}
        for trigger in self.triggers.values():
            net[trigger.currency] = net.get(trigger.currency, Decimal(0)) + trigger.amount
        return net

    def open_alerts(self, *kinds: str) -> list[Alert]:
        """Return the open alerts of these kinds, or of all."""
        return [alert for alert in self.alerts.values() if alert.is_open and (not kinds or alert.kind in kinds)]

    def open_matters(self, *kinds: str) -> list[Matter]:
        """Return the open exceptions of these kinds, or of all."""
        return [matter for matter in self.matters.values() if matter.is_open and (not kinds or matter.kind in kinds)]

    def _trigger(self, fields: Fields, _written_at: int) -> None:
        trigger = Trigger(
            trigger_id=fields.text("trigger_id"),
            contract_number=fields.text("contract_number"),
            client_id=fields.text("client_id"),
            source_kind=fields.text("source_kind"),
            source_id=fields.text("source_id"),
            posting_period=fields.text("posting_period"),
            amount=fields.decimal("amount"),
            currency=fields.text("currency"),
        )
        self.triggers[trigger.trigger_id] = trigger
        self.currencies[trigger.contract_number] = trigger.currency

    def _margin(self, fields: Fields, _written_at: int) -> None:
        margin = Margin(
            project_id=fields.text("project_id"),
            contract_number=fields.optional_text("contract_number"),
            client_id=fields.optional_text("client_id"),
            currency=fields.text("currency"),
            revenue=fields.decimal("revenue"),
            margin=fields.decimal("margin"),
            margin_pct=fields.optional_decimal("margin_pct"),
            forecast_revenue=fields.decimal("forecast_revenue"),
            forecast_cost=fields.decimal("forecast_cost"),
            forecast_margin_pct=fields.optional_decimal("forecast_margin_pct"),
            baseline_margin_pct=fields.optional_decimal("baseline_margin_pct"),
            sequence=fields.whole("sequence"),
        )
        known = self.margins.get(margin.project_id)
        if known is None or margin.sequence >= known.sequence:
            self.margins[margin.project_id] = margin

    def _alert(self, fields: Fields, written_at: int) -> None:
        alert = Alert(
            alert_id=fields.text("alert_id"),
            kind=fields.text("kind"),
            severity=fields.text("severity"),
            is_open=fields.text("state") != "resolved",
            entity_id=fields.text("entity_id"),
            project_id=fields.optional_text("project_id"),
            contract_number=fields.optional_text("contract_number"),
            client_id=fields.optional_text("client_id"),
            owner=fields.text("owner"),
            opened_at=fields.instant("opened_at"),
            due_at=fields.optional_instant("due_at"),
            measure=fields.decimal("measure"),
            threshold=fields.optional_decimal("threshold"),
            unit=fields.text("unit"),
            evidence=fields.labels("evidence"),
            seen_at=written_at,
        )
        known = self.alerts.get(alert.alert_id)
        if known is None or alert.seen_at >= known.seen_at:
            self.alerts[alert.alert_id] = alert

    def _matter(self, fields: Fields, written_at: int) -> None:
        matter = Matter(
            exception_id=fields.text("exception_id"),
            kind=fields.text("kind"),
            is_open=fields.text("state") != "resolved",
            reasons=fields.texts("reasons"),
            owner=fields.text("owner"),
            entity_kind=fields.text("entity_kind"),
            entity_id=fields.text("entity_id"),
            project_id=fields.optional_text("project_id"),
            contract_number=fields.optional_text("contract_number"),
            first_seen=fields.instant("first_seen"),
            message=fields.optional_text("message"),
            evidence=fields.labels("evidence"),
            seen_at=written_at,
        )
        known = self.matters.get(matter.exception_id)
        if known is None or matter.seen_at >= known.seen_at:
            self.matters[matter.exception_id] = matter

    def _receipt(self, fields: Fields, written_at: int) -> None:
        status = fields.text("status")
        receipt = Receipt(
            trigger_id=fields.text("trigger_id"),
            system=fields.text("system"),
            document_id=fields.optional_text("document_id"),
            status=status,
            # Where there is no answer yet it says when the receipt was written.
            answered_at=fields.optional_instant("answered_at") if status in FINAL else None,
            error=fields.optional_text("error"),
            seen_at=written_at,
        )
        place = (receipt.trigger_id, receipt.system)
        known = self.receipts.get(place)
        if known is None or receipt.seen_at >= known.seen_at:
            self.receipts[place] = receipt

    def _command(self, fields: Fields, _written_at: int) -> None:
        deal = self._deal(fields)
        asked_at = fields.instant("issued_at")
        step, target = fields.text("step"), fields.text("target")
        if asked_at >= deal.asked_at:
            deal = deal._replace(asked_step=step, asked_of=target, asked_at=asked_at)
        self.deals[deal.opportunity_id] = deal

    def _event(self, fields: Fields, _written_at: int) -> None:
        deal = self._deal(fields)
        changed_at = fields.instant("occurred_at")
        step, state, reasons = fields.text("step"), fields.text("state"), fields.texts("reasons")
        # Whoever announces a deal speaks when it is complete already.
        is_over = deal.state == "completed" and state not in ("started", "completed")
        if changed_at >= deal.changed_at and not is_over:
            deal = deal._replace(step=step, state=state, changed_at=changed_at, reasons=reasons)
        if deal.started_at is None or changed_at < deal.started_at:
            deal = deal._replace(started_at=changed_at)
        self.deals[deal.opportunity_id] = deal

    def _deal(self, fields: Fields) -> Deal:
        # A later step knows the project and the contract; an earlier one that comes again must not forget them.
        opportunity_id = fields.text("opportunity_id")
        known = self.deals.get(opportunity_id, Deal(opportunity_id))
        return known._replace(
            client_id=fields.optional_text("client_id") or known.client_id,
            contract_number=fields.optional_text("contract_number") or known.contract_number,
            project_id=fields.optional_text("project_id") or known.project_id,
        )

    def _dead_letter(self, record: Mapping[str, Any]) -> None:
        headers = headers_of(record)
        about = {name.removeprefix("__connect.errors."): each for name, each in headers.items()}
        letter = DeadLetter(
            topic=about.get("topic", "unknown topic"),
            stage=about.get("stage", "unknown stage"),
            error=about.get("exception.class.name", "unknown error"),
            message=about.get("exception.message", ""),
            arrived_at=Fields(topics.DEAD_LETTERS, record.get("key"), record).optional_instant("timestamp"),
        )
        # Without an offset nothing tells a letter that comes again from another one like it: then each counts.
        spot = about.get("offset") or f"number {len(self.dead_letters)}"
        self.dead_letters[letter.topic, about.get("partition", ""), spot] = letter


def fold(records: Iterable[Mapping[str, Any]]) -> ReadModel:
    """Return the read model of derived records, taken in order. Raises `UnreadableRecord`."""
    model = ReadModel()
    for record in records:
        model.apply(record)
    return model
