"""Activation: commands go out to whoever does their steps, and what became of them comes back as facts.

A step like posting, and like it in what it may not lose: that a call may be made is committed before it is made, and
what became of it is committed after. Whoever dies in between asks what there is before anything is made again. What
cannot be done is told to the ledger at once, and what was made for it before is taken back.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from outside.backoff import longest_wait_ms
from outside.errors import CannotGoOn
from streams.delivery.lane import Calls, Priority
from streams.delivery.lease import lease
from streams.delivery.limits import LEASE_MS
from streams.doers.contract import Undone
from streams.domain.calendar import instant
from streams.domain.fact import NO_CAUSE
from streams.domain.undertaking import (
    ANNOUNCEMENT,
    DIMENSION,
    DONE_BY_OTHERS,
    OPEN,
    SHELL,
    Order,
    State,
    StepOutcome,
    Undertaking,
    order_of,
)
from streams.engine.doing import Doers, Doing, Reached
from streams.rules.activation import announcement_entity, doer_entity, outcome_record
from streams.rules.audit import audit_record
from streams.step import Context, Record, Step
from streams.steps.exception_queue import ExceptionQueue
from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS, AUDIT, CONTRACT_FACTS, EXCEPTIONS

NAME: Final = "activation"
ASKED_BY: Final = "asked_by"
"""The argument by which a command of a person says whose it is."""

WAIT_MS_FIRST: Final = 1_000
WAIT_MS_MAX: Final = 300_000
FATAL_WAIT_MS: Final = 60_000
"""How long a doer is left alone that says that a person must act."""

NO_ROOM_MS: Final = 200
FAILURES_UNTOLD: Final = 4
"""How many failures in a row a person does not hear of."""

_WORK: Final = "work"
_KIND: Final = "activation_failed"
_SEP: Final = "\x1f"


class ActivationBehaviour:
    """The undertakings of one partition.

    Tables: `activation.undertakings` by deal and step; `activation.open` the exceptions opened, with when each was.
    """

    def __init__(self, context: Context, doers: Doers) -> None:
        self._context = context
        self._doers = doers
        self._undertakings = context.table("activation.undertakings")
        self._exceptions = ExceptionQueue(context, "activation.open")
        self._ended: deque[tuple[str, Doing]] = deque()
        self._open: dict[str, int] = {}
        self._called: dict[str, Calls] = {}
        self._left: set[str] = set()
        # By then a former life has begun all that it has promised.
        self._settled_at = doers.clock() + LEASE_MS
        for key, undertaking in list(self._undertakings.scan("")):
            if undertaking.state in OPEN:
                if undertaking.state in (State.UNDER_WAY, State.UNDOING):
                    self._left.add(key)
                self._put(key, undertaking.resumed())
        context.nudged = bool(self._open)
        context.when_released(self._leave)

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in commands."""
        for record in records:
            if record.value["step"] in DONE_BY_OTHERS:
                self._asked(record.value)

    def on_timer(self, key: str) -> None:
        """Something is due, and is seen to before the commit; `key` is that of the one timer there is."""
        assert key == _WORK

    def before_commit(self) -> None:
        """Take in what calls have brought back, and promise the next ones."""
        while self._ended:
            key, doing = self._ended.popleft()
            self._settle(key, doing)
        waits = [due_at for key in list(self._open) if (due_at := self._go_on(key)) is not None]
        if waits and self._context.timers.next_due() != min(waits):
            self._context.timers.set(_WORK, min(waits))

    # -- commands

    def _asked(self, command: Mapping[str, Any]) -> None:
        """Take up what is asked for, for the first time or again."""
        order, now = order_of(command), self._context.now
        key = f"{order.opportunity_id}{_SEP}{order.step}"
        known: Undertaking | None = self._undertakings.get(key)
        person = order.argument(ASKED_BY)
        if not person:
            self._see_done(order)
        if known is None:
            due_at = command["due_at"]
            is_stale = due_at is not None and instant(due_at) < now  # it was people's while nobody was there to do it
            rule = None if is_stale and not person else self._doers.plan.choose(order, now)
            if rule is not None:
                order = order.with_argument("region", order.argument("region") or rule.region)
                self._put(key, Undertaking(order, rule.doer, State.WAITING, now, now))
            return
        if person:
            said = {ASKED_BY: person, "because": order.argument("because")}
            self._audit(known, "activation_retried", {"step": order.step, **said})
            order = known.order._replace(project_id=order.project_id or known.order.project_id)
        else:
            order = order.with_argument("region", known.order.argument("region"))
        if known.state in OPEN:
            self._put(key, known._replace(order=order, due_at=now if person else known.due_at))
        elif not (order.step == ANNOUNCEMENT and known.state is State.DONE):
            # What is done is looked for again: somebody may have taken it away.
            self._put(key, known.anew(now)._replace(order=order))
            shell_key, shell = self._shell_of(order)
            if order.step == DIMENSION and shell is not None and shell.state not in (*OPEN, State.DONE):
                self._put(shell_key, shell.anew(now))

    def _see_done(self, order: Order) -> None:
        """Note that the steps before are shown as done, whoever did them: else this one would not be asked for."""
        for step in DONE_BY_OTHERS[: DONE_BY_OTHERS.index(order.step)]:
            key = f"{order.opportunity_id}{_SEP}{step}"
            before: Undertaking | None = self._undertakings.get(key)
            if before is not None:
                self._put(key, before.seen_done())

    # -- going on

    def _go_on(self, key: str) -> int | None:
        """Promise the next call of an undertaking if it is due; return when to look again, if it must be."""
        undertaking, now = self._known(key), self._context.now
        order = undertaking.order
        if undertaking.state in (State.UNDER_WAY, State.UNDOING):
            return None
        _, shell = self._shell_of(order)
        if order.step == DIMENSION and shell is not None and shell.state in OPEN:
            return None
        due_at = max(undertaking.due_at, self._settled_at if key in self._left else now)
        if due_at > now:
            return due_at
        try:
            reached = self._doers.open(undertaking.doer)
        except CannotGoOn as error:
            self._person_needed(key, undertaking, str(error))
            return now + FATAL_WAIT_MS
        self._left.discard(key)
        self._called[undertaking.doer] = reached.calls
        if reached.calls.room(self) < 1:
            return now + NO_ROOM_MS
        self._promise(key, undertaking, reached)
        return None

    def _promise(self, key: str, undertaking: Undertaking, reached: Reached) -> None:
        undo = undertaking.state is State.TO_UNDO
        doing = Doing(reached.doer, undertaking.order, undo, undertaking.in_doubt)
        state = State.UNDOING if undo else State.UNDER_WAY
        undertaking = undertaking._replace(state=state, attempts=undertaking.attempts + 1)
        self._put(key, undertaking)
        if not undertaking.failures and not undo:
            self._tell(undertaking, "asked")
        context, holds = self._context, lease(self._doers.lease_s)
        doing.may = lambda: not context.released and holds()
        context.once_committed(partial(self._begin, key, doing, reached))

    def _begin(self, key: str, doing: Doing, reached: Reached) -> None:
        context = self._context

        def done(_: object) -> None:
            self._ended.append((key, doing))
            context.nudged = True

        reached.calls.begin(self, doing, Priority.REFERENCE, done)

    def _leave(self) -> None:
        for calls in self._called.values():
            calls.leave(self)

    # -- how calls end

    def _settle(self, key: str, doing: Doing) -> None:
        undertaking = self._known(key)
        outcome = "fatal" if doing.fatal else "retriable" if doing.failure else "refused" if doing.refused else "ok"
        self._context.count(f"{undertaking.doer}/{outcome}")
        if undertaking.shown and not doing.undo and doing.made is None:
            # It is there, by this call or by somebody else: all is well.
            in_doubt = undertaking.in_doubt or (doing.failure is not None and not doing.failure.nothing_sent)
            self._put(key, undertaking._replace(state=State.DONE, in_doubt=in_doubt))
        elif doing.fatal is not None:
            self._person_needed(key, undertaking, str(doing.fatal))
        elif doing.failure is not None:
            self._failed(key, undertaking, doing)
        elif doing.undone is not None:
            self._undone(key, undertaking, doing.undone)
        elif doing.made is not None:
            undertaking = undertaking._replace(
                state=State.DONE, reference=doing.made.reference, own=doing.made.own, error="", failures=0,
                in_doubt=False,
            )  # fmt: skip
            self._tell(undertaking, "made", results={"reference": doing.made.reference, **dict(doing.made.results)})
            self._well(undertaking)
            self._tell_ledger(undertaking, ())
            self._put(key, undertaking._replace(told=""))
        elif doing.refused is not None:
            self._refused(key, undertaking, doing.refused)
        else:  # it did not begin
            state = State.TO_UNDO if doing.undo else State.WAITING
            self._put(key, undertaking._replace(state=state, attempts=undertaking.attempts - 1))

    def _failed(self, key: str, undertaking: Undertaking, doing: Doing) -> None:
        failure, now = doing.failure, self._context.now
        assert failure is not None
        longest = longest_wait_ms(WAIT_MS_FIRST, WAIT_MS_MAX, undertaking.failures)
        wait_ms = max(failure.retry_after_ms or 0, round(longest * (1 + self._doers.chance()) / 2))
        undertaking = undertaking._replace(
            state=State.TO_UNDO if doing.undo else State.WAITING,
            due_at=now + wait_ms,
            failures=undertaking.failures + 1,
            in_doubt=undertaking.in_doubt or not failure.nothing_sent,
            error=str(failure),
        )
        self._tell(undertaking, "retrying", (undertaking.error,))
        if undertaking.failures > FAILURES_UNTOLD:
            self._exceptions.tell(_KIND, doer_entity(undertaking), f"{undertaking.doer}: {failure}; tried again", True)
        if now - undertaking.since >= self._doers.plan.give_up_ms:
            self._give_up(key, undertaking)
        else:
            self._put(key, undertaking)

    def _give_up(self, key: str, undertaking: Undertaking) -> None:
        if undertaking.state is State.TO_UNDO:
            self._kept(key, undertaking, undertaking.error)
            return
        said = f"given up after {undertaking.attempts} attempts: {undertaking.error}"
        undertaking = undertaking._replace(state=State.GIVEN_UP, error=said)
        self._put(key, undertaking)
        self._tell(undertaking, "gave_up", (said,))
        self._cannot(key, undertaking)

    def _person_needed(self, key: str, undertaking: Undertaking, said: str) -> None:
        """Leave a doer alone that says that a person must act, and say so at once; then it is tried again."""
        undo, is_new = undertaking.state in (State.UNDOING, State.TO_UNDO), undertaking.error != said
        undertaking = undertaking._replace(
            state=State.TO_UNDO if undo else State.WAITING,
            due_at=self._context.now + FATAL_WAIT_MS,
            failures=undertaking.failures + 1,
            error=said,
        )
        self._exceptions.tell(_KIND, doer_entity(undertaking), f"{undertaking.doer}: {said}", True)
        if self._context.now - undertaking.since >= self._doers.plan.give_up_ms:
            self._give_up(key, undertaking)
            return
        if not undo:
            if is_new:
                self._tell(undertaking, "retrying", (said,))
            undertaking = self._tell_ledger(undertaking, (said,))
        self._put(key, undertaking)

    def _refused(self, key: str, undertaking: Undertaking, said: str) -> None:
        if undertaking.state is State.UNDOING:
            self._kept(key, undertaking, said)
            return
        undertaking = undertaking._replace(state=State.REFUSED, error=said)
        self._put(key, undertaking)
        self._tell(undertaking, "refused", (said,))
        self._audit(undertaking, "activation_refused", {"step": undertaking.order.step, "reason": said})
        self._well(undertaking)
        self._cannot(key, undertaking)
        shell_key, shell = self._shell_of(undertaking.order)
        if undertaking.order.step == DIMENSION and shell is not None and shell.state is State.DONE and shell.may_be_own:
            now = self._context.now
            self._put(shell_key, shell._replace(state=State.TO_UNDO, since=now, due_at=now, failures=0))

    def _cannot(self, key: str, undertaking: Undertaking) -> None:
        """Tell of a step that is not done, and will not be by itself."""
        order = undertaking.order
        if order.step == ANNOUNCEMENT:  # all else is done, and the ledger waits for nothing
            message = f"{undertaking.error}; put it right, then `throughline activation retry {order.opportunity_id}`"
            self._exceptions.tell(_KIND, announcement_entity(order), message, True)
            return
        self._put(key, self._tell_ledger(undertaking, (undertaking.error,)))
        if order.step == SHELL:
            dimension_key = f"{order.opportunity_id}{_SEP}{DIMENSION}"
            dimension = self._undertakings.get(dimension_key)
            if dimension is not None and dimension.state is State.WAITING:
                self._put(dimension_key, dimension._replace(state=State.GIVEN_UP, error=undertaking.error))

    def _undone(self, key: str, undertaking: Undertaking, undone: Undone) -> None:
        if undone is Undone.IN_USE:
            self._kept(key, undertaking, f"project {undertaking.reference} is left: somebody works with it")
            return
        if undone is Undone.NOT_THERE and not undertaking.own:
            self._put(key, undertaking._replace(state=State.DONE, in_doubt=False))  # it was somebody else's
            return
        reference = undertaking.reference or undertaking.order.shell_id
        undertaking = undertaking._replace(state=State.UNDONE, failures=0, error="", reference=reference)
        self._put(key, undertaking)
        self._tell(undertaking, "compensated", results={"reference": undertaking.reference, "undone": undone.value})
        self._audit(undertaking, "activation_compensated", {"reference": undertaking.reference})
        self._well(undertaking)
        self._tell_of_shell(undertaking.order, f"project {undertaking.reference}, made for it, is cancelled")
        dimension = self._undertakings.get(f"{undertaking.order.opportunity_id}{_SEP}{DIMENSION}")
        if dimension is not None and dimension.state is State.WAITING:  # somebody has asked for it again meanwhile
            self._put(key, undertaking.anew(self._context.now))

    def _kept(self, key: str, undertaking: Undertaking, said: str) -> None:
        undertaking = undertaking._replace(state=State.DONE, failures=0, error="")
        self._put(key, undertaking)
        self._tell(undertaking, "kept", (said,), {"reference": undertaking.reference})
        self._tell_of_shell(undertaking.order, said)

    def _tell_of_shell(self, order: Order, said: str) -> None:
        """Have the exception of the step that was refused say what became of the project as well."""
        key = f"{order.opportunity_id}{_SEP}{DIMENSION}"
        refused: Undertaking | None = self._undertakings.get(key)
        if refused is not None and refused.state is State.REFUSED:
            self._put(key, self._tell_ledger(refused, (refused.error, said)))

    # -- telling

    def _tell(
        self,
        undertaking: Undertaking,
        state: str,
        reasons: Sequence[str] = (),
        results: Mapping[str, str] | None = None,
    ) -> None:
        event = outcome_record(undertaking, state, reasons, results or {}, self._context.now)
        self._context.emit(ACTIVATION_EVENTS, undertaking.order.opportunity_id, event)
        if state == "made":
            self._audit(undertaking, "activation_made", {"step": undertaking.order.step, **(results or {})})

    def _tell_ledger(self, undertaking: Undertaking, reasons: tuple[str, ...]) -> Undertaking:
        """Tell the ledger why a step is not done, or that it is; the same reasons are told once."""
        order, said = undertaking.order, "\n".join(reasons)
        if order.step != ANNOUNCEMENT and (not reasons or said != undertaking.told):
            outcome = StepOutcome(order.opportunity_id, order.step, reasons, self._context.now)
            self._context.emit(CONTRACT_FACTS, order.contract_number, outcome)
        return undertaking._replace(told=said)

    def _well(self, undertaking: Undertaking) -> None:
        """Close what was open about a doer that has answered, and about an announcement that was made."""
        self._exceptions.tell(_KIND, doer_entity(undertaking), "", False)
        if undertaking.order.step == ANNOUNCEMENT and undertaking.state is State.DONE:
            self._exceptions.tell(_KIND, announcement_entity(undertaking.order), "", False)

    def _audit(self, undertaking: Undertaking, action: str, after: Mapping[str, str]) -> None:
        order, now = undertaking.order, self._context.now
        entity, cause = ("opportunity", order.opportunity_id), NO_CAUSE._replace(occurred_at=now)
        after = {"doer": undertaking.doer, **after}
        project_id = order.project_id or None
        record = audit_record(action, entity, order.contract_number, project_id, None, after, cause, now)
        self._context.emit(AUDIT, order.contract_number or order.opportunity_id, record)

    # -- keeping

    def _shell_of(self, order: Order) -> tuple[str, Undertaking | None]:
        key = f"{order.opportunity_id}{_SEP}{SHELL}"
        return key, self._undertakings.get(key)

    def _known(self, key: str) -> Undertaking:
        undertaking: Undertaking | None = self._undertakings.get(key)
        assert undertaking is not None  # none is ever forgotten
        return undertaking

    def _put(self, key: str, undertaking: Undertaking) -> None:
        self._undertakings.put(key, undertaking)
        if undertaking.state in OPEN:
            self._open[key] = undertaking.due_at
        else:
            self._open.pop(key, None)


def activation_step(doers: Doers) -> Step:
    """Declare the step that has the steps of activations done."""
    return Step(
        name=NAME,
        key="opportunity id",
        reads=(ACTIVATION_COMMANDS,),
        writes=(ACTIVATION_EVENTS, CONTRACT_FACTS, EXCEPTIONS, AUDIT),
        begin=lambda context: ActivationBehaviour(context, doers),
        remembers={"activation.undertakings": Undertaking, "activation.open": int},
    )
