"""Activations: how far the deals of a contract have come, told as commands and events."""

from typing import Any, Final

from streams.domain.canonical import Opportunity
from streams.domain.fact import NO_CAUSE, Cause
from streams.domain.kept import Activation
from streams.domain.policy import Policy
from streams.domain.undertaking import StepOutcome
from streams.ledger.book import Book
from streams.ledger.publish import Publisher
from streams.ledger.reference import SEP, Reference
from streams.rules.activation import STEPS, Observed, command_record, event_record, faults, is_won, steps_done
from streams.rules.exceptions import Entity
from streams.step import Context
from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS

TIMER: Final = "activation"
_LATE: Final = "timed_out"
_REFUSED: Final = "refused"
_NEVER: Final = 1 << 62
"""When a step is late that is not asked for again."""


TABLES: Final[dict[str, Any]] = {"ledger.activation": Activation}


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
        self._attempts_max = policy.activation_attempts_max
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

    def outcome(self, key: str, outcome: StepOutcome) -> None:
        """Take in what whoever does a step says of it: that they will not, or that they have done it."""
        place = f"{key}{SEP}{outcome.opportunity_id}"
        activation: Activation | None = self._activations.get(place)
        if activation is None or not is_won(activation.opportunity) or not 0 <= activation.done < len(STEPS):
            return
        due = STEPS.index(outcome.step)
        cause = NO_CAUSE._replace(occurred_at=outcome.occurred_at)
        if outcome.reasons and due <= activation.done:
            said = tuple(f"{_REFUSED}:{outcome.step}: {reason}" for reason in outcome.reasons)
            activation = activation._replace(refused=said)
        elif not outcome.reasons and due == activation.done and activation.refused:
            # What is done is waited for anew, until the feed shows it.
            due_at = self._context.now + self._delay_ms
            activation = self._fail(key, activation._replace(refused=()), (), cause)._replace(due_at=due_at)
            self._context.timers.set(_timer(key, outcome.opportunity_id), due_at)
        else:
            return
        self._activations.put(place, activation)
        self._book.mark_contract(key, cause)

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
            if activation.due_at:
                self._context.timers.cancel(_timer(key, opportunity.id))
            return self._fail(key, activation, (), cause)._replace(due_at=0, refused=())
        seen = self._seen(key, opportunity)
        if activation.done < 0:
            self._event(key, seen, (STEPS[0], "started", 1), (), cause)
            now = self._context.now
            activation = self._command(key, seen, activation._replace(done=0, started_at=now, step_at=now))
        done = steps_done(seen)
        while activation.done < done:
            step = (STEPS[activation.done], "succeeded", activation.attempt)
            self._event(key, seen, step, (), cause, activation.step_at)
            activation = self._fail(key, activation, (), cause)._replace(
                done=activation.done + 1, attempt=1, refused=(), step_at=self._context.now
            )
            if activation.done < len(STEPS):
                activation = self._command(key, seen, activation)
        if activation.done == len(STEPS):
            self._event(key, seen, (STEPS[-1], "completed", 1), (), cause, activation.started_at)
            self._context.timers.cancel(_timer(key, opportunity.id))
            return self._fail(key, activation, (), cause)._replace(due_at=0)
        found = faults(seen) or activation.refused
        return self._fail(key, activation, found, cause) if found else self._await(key, seen, activation, cause)

    def _await(self, key: str, seen: Observed, activation: Activation, cause: Cause) -> Activation:
        """Wait for a step that nothing stands against; one that is late is asked for again, a few times."""
        late = (f"{_LATE}:{STEPS[activation.done]}",)
        if not activation.due_at or (activation.failed and activation.failed != late):
            # Won again, or what stood against the step is put right: that is no fault of whom it is asked.
            return self._fail(key, self._command(key, seen, activation), (), cause)
        if activation.due_at > self._context.now:
            return activation if activation.failed == late else self._fail(key, activation, (), cause)
        activation = self._fail(key, activation, late, cause)
        if activation.attempt > self._attempts_max:
            return activation._replace(due_at=_NEVER)
        return self._command(key, seen, activation)

    def _seen(self, key: str, opportunity: Opportunity) -> Observed:
        views = tuple(project.view for _, project in self._book.projects_of(key) if project.view is not None)
        account = self._reference.account(opportunity.account_id)
        return Observed(opportunity, account, self._book.contract(key).contract, views)

    def _command(self, key: str, seen: Observed, activation: Activation) -> Activation:
        now = self._context.now
        due_at = now + self._delay_ms
        command = command_record(seen, STEPS[activation.done], activation.attempt, now, due_at)
        self._context.emit(ACTIVATION_COMMANDS, seen.opportunity.id, command)
        self._context.timers.set(_timer(key, seen.opportunity.id), due_at)
        return activation._replace(due_at=due_at)

    def _event(
        self, key: str, seen: Observed, step: tuple[str, str, int], reasons: tuple[str, ...], cause: Cause,
        since: int = 0,
    ) -> None:  # fmt: skip
        opportunity_id = seen.opportunity.id
        event = event_record(seen, *step, reasons, self._context.now, since)
        self._context.emit(ACTIVATION_EVENTS, opportunity_id, event)
        self._publish.activation(key, opportunity_id, step, cause)

    def _fail(self, key: str, activation: Activation, reasons: tuple[str, ...], cause: Cause) -> Activation:
        """Tell what keeps a deal from being set up, or with no reasons that nothing does; a failure is an attempt."""
        late = bool(reasons) and reasons[0].startswith(_LATE)
        if reasons == activation.failed and not late:
            return activation
        opportunity, attempt = activation.opportunity, activation.attempt
        since = activation.failed_since or self._context.now
        entity = Entity("opportunity", opportunity.id, None, opportunity.contract_number, opportunity.account_id, key)
        shown = reasons or activation.failed
        message = f"opportunity {opportunity.id} is won but not set up: {', '.join(shown)}"
        if activation.refused and shown == activation.refused:
            message += f"; put it right, then `throughline activation retry {opportunity.id}`, or do the step by hand"
        seen = (since, bool(reasons))
        self._publish.exception(key, "activation_failed", entity, shown, message, seen, {}, cause, attempt)
        if not reasons:
            return activation._replace(failed=(), failed_since=0)
        step = (STEPS[max(activation.done, 0)], _LATE if late else "failed", attempt)
        self._event(key, self._seen(key, opportunity), step, reasons, cause)
        return activation._replace(failed=reasons, failed_since=since, attempt=attempt + 1)


def _timer(key: str, identity: str) -> str:
    return SEP.join((TIMER, key, identity))
