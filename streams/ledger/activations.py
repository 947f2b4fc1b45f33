"""Activations: how far the deals of a contract have come, told as commands and events."""

from typing import Any, NamedTuple

from streams.domain.canonical import Opportunity
from streams.domain.fact import NO_CAUSE, Cause
from streams.domain.policy import Policy
from streams.ledger.book import Book
from streams.ledger.publish import Publisher
from streams.ledger.reference import SEP, Reference
from streams.rules.activation import STEPS, Observed, command_record, event_record, faults, is_won, steps_done
from streams.rules.exceptions import Entity
from streams.step import Context
from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS

TIMER = "activation"


class Activation(NamedTuple):
    """A deal and how much of its activation was told (`done` -1: none). `failed` are the reasons of its exception."""

    opportunity: Opportunity
    done: int = -1
    failed: tuple[str, ...] = ()
    failed_since: int = 0
    due_at: int = 0


TABLES: dict[str, Any] = {"ledger.activation": Activation}


class Activations:
    """Follows the deals of one partition's contracts."""

    def __init__(
        self, context: Context, book: Book, reference: Reference, publisher: Publisher, policy: Policy
    ) -> None:
        self._context = context
        self._book = book
        self._reference = reference
        self._publish = publisher
        self._delay_ms = policy.activation_delay_ms()
        self._activations = context.table("ledger.activation")

    def put(self, key: str, identity: str, opportunity: Opportunity | None, cause: Cause) -> None:
        """Keep a deal; one that goes elsewhere or away takes its exception along."""
        place = f"{key}{SEP}{identity}"
        before: Activation | None = self._activations.get(place)
        if opportunity is not None:
            self._activations.put(place, (before or Activation(opportunity))._replace(opportunity=opportunity))
        elif before is not None:
            self._fail(key, before, (), cause)
            self._activations.delete(place)
            self._context.timers.cancel(_timer(key, identity))

    def run(self, key: str, cause: Cause) -> None:
        """Tell what has happened to the deals of a contract."""
        for place, activation in self._activations.scan(key + SEP):
            self._activations.put(place, self._follow(key, activation, cause))

    def wake(self, key: str) -> None:
        """A step took too long."""
        _, ledger, identity = key.split(SEP)
        activation: Activation | None = self._activations.get(f"{ledger}{SEP}{identity}")
        if activation is not None:
            cause = NO_CAUSE._replace(occurred_at=self._context.now)
            self._activations.put(f"{ledger}{SEP}{identity}", self._follow(ledger, activation, cause))

    def _follow(self, key: str, activation: Activation, cause: Cause) -> Activation:
        opportunity = activation.opportunity
        if not is_won(opportunity) or activation.done == len(STEPS):
            return self._fail(key, activation, (), cause)
        seen = self._seen(key, opportunity)
        done = steps_done(seen)
        if activation.done < 0:
            self._event(seen, STEPS[0], "started", ())
            activation = self._command(key, seen, activation._replace(done=0))
        while activation.done < done:
            step = STEPS[activation.done]
            self._event(seen, step, "succeeded", ())
            activation = activation._replace(done=activation.done + 1)
            if activation.done < len(STEPS):
                activation = self._command(key, seen, activation)
        if activation.done == len(STEPS):
            self._event(seen, STEPS[-1], "completed", ())
            self._context.timers.cancel(_timer(key, opportunity.id))
            return self._fail(key, activation, (), cause)
        reasons = faults(seen)
        if not reasons and activation.due_at <= self._context.now:
            reasons = (f"timed_out:{STEPS[activation.done]}",)
        return self._fail(key, activation, reasons, cause)

    def _seen(self, key: str, opportunity: Opportunity) -> Observed:
        views = tuple(project.view for _, project in self._book.projects_of(key) if project.view is not None)
        account = self._reference.account(opportunity.account_id)
        return Observed(opportunity, account, self._book.contract(key).contract, views)

    def _command(self, key: str, seen: Observed, activation: Activation) -> Activation:
        now = self._context.now
        due_at = now + self._delay_ms
        command = command_record(seen, STEPS[activation.done], now, due_at)
        self._context.emit(ACTIVATION_COMMANDS, seen.opportunity.id, command)
        self._context.timers.set(_timer(key, seen.opportunity.id), due_at)
        return activation._replace(due_at=due_at)

    def _event(self, seen: Observed, step: str, state: str, reasons: tuple[str, ...]) -> None:
        event = event_record(seen, step, state, reasons, self._context.now)
        self._context.emit(ACTIVATION_EVENTS, seen.opportunity.id, event)

    def _fail(self, key: str, activation: Activation, reasons: tuple[str, ...], cause: Cause) -> Activation:
        if reasons == activation.failed:
            return activation
        opportunity = activation.opportunity
        since = activation.failed_since or self._context.now
        entity = Entity("opportunity", opportunity.id, None, opportunity.contract_number, opportunity.account_id, key)
        shown = reasons or activation.failed
        message = f"opportunity {opportunity.id} is won but not set up: {', '.join(shown)}"
        seen = (since, bool(reasons))
        self._publish.exception(key, "activation_failed", entity, shown, message, seen, {}, cause)
        if reasons:
            observed = self._seen(key, opportunity)
            state = "timed_out" if reasons[0].startswith("timed_out") else "failed"
            self._event(observed, STEPS[max(activation.done, 0)], state, reasons)
        return activation._replace(failed=reasons, failed_since=since if reasons else 0)


def _timer(key: str, identity: str) -> str:
    return SEP.join((TIMER, key, identity))
