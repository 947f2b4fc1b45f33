"""Analytics: every derived record becomes one flat fact of the topic that analysts read."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from streams.domain.calendar import moment
from streams.domain.posting import FINAL
from streams.rules.activation import TRIES
from streams.rules.analytics import activation_fact, alert_fact, billing_fact, margin_fact, receipt_fact
from streams.step import Context, Record, Step
from streams.topics import ACTIVATION_EVENTS, ALERTS, ANALYTICS, MARGINS, RECEIPTS, TRIGGERS

_FACTS: Final[dict[str, Callable[[Record], dict[str, Any]]]] = {
    TRIGGERS: lambda record: billing_fact(record.value),
    MARGINS: lambda record: margin_fact(record.value),
    ALERTS: lambda record: alert_fact(record.value, moment(record.timestamp), record.offset),
    RECEIPTS: lambda record: receipt_fact(record.value),
    ACTIVATION_EVENTS: lambda record: activation_fact(record.value),
}


class AnalyticsBehaviour:
    """Turns derived records into facts; remembers nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def on_records(self, records: Sequence[Record]) -> None:
        """Emit one fact a record, under its project, else under what the record is keyed by.

        Of receipts only what is final is a fact, and of whoever does a step what became of it.
        """
        for record in records:
            if record.topic == RECEIPTS and record.value["status"] not in FINAL:
                continue  # analysts hear of the outcome, not of each try
            if record.topic == ACTIVATION_EVENTS and record.value["state"] in TRIES:
                continue
            fact = _FACTS[record.topic](record)
            self._context.emit(ANALYTICS, fact.get("project_id") or record.key, fact)

    def on_timer(self, key: str) -> None:
        """No timer is set."""

    def before_commit(self) -> None:
        """Nothing waits for the commit."""


def analytics_step() -> Step:
    """Declare the step that delivers facts to analysts."""
    return Step(
        name="analytics",
        key="as the topics read",
        reads=tuple(_FACTS),
        writes=(ANALYTICS,),
        begin=AnalyticsBehaviour,
    )
