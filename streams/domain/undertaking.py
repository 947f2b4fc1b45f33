"""Undertakings: a step of an activation that somebody does, and what became of it. Instants are milliseconds UTC."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from streams.domain.identity import identity_of

SHELL: Final = "create_project"
DIMENSION: Final = "provision_erp"
ANNOUNCEMENT: Final = "announce"
DONE_BY_OTHERS: Final = (SHELL, DIMENSION, ANNOUNCEMENT)
"""The steps that something outside must do; to validate is a look at what is known."""


class Order(NamedTuple):
    """What is to be done, as the command says it; `arguments` are what else the step needs, by name."""

    command_id: str
    opportunity_id: str
    step: str
    client_id: str
    contract_number: str
    project_id: str
    legal_entity: str
    arguments: tuple[tuple[str, str], ...] = ()

    def argument(self, name: str) -> str:
        """Return an argument, or nothing where it was not given."""
        return next((value for known, value in self.arguments if known == name), "")

    def with_argument(self, name: str, value: str) -> "Order":
        """Return the order with an argument in place of that of the same name, if it had one."""
        others = tuple(pair for pair in self.arguments if pair[0] != name)
        return self._replace(arguments=(*others, (name, value)))

    @property
    def shell_id(self) -> str:
        """The id of the project that is made for the deal: always the same, so that it is made once."""
        return identity_of(f"throughline:activation:shell:{self.opportunity_id}")


class State(StrEnum):
    """Where an undertaking stands. `under_way` may be done or not: what it was asked of is asked before it is done."""

    WAITING = "waiting"
    UNDER_WAY = "under_way"
    DONE = "done"
    REFUSED = "refused"
    GIVEN_UP = "given_up"
    TO_UNDO = "to_undo"
    UNDOING = "undoing"
    UNDONE = "undone"


OPEN: Final = (State.WAITING, State.UNDER_WAY, State.TO_UNDO, State.UNDOING)
"""States that go on by themselves."""


class Undertaking(NamedTuple):
    """One step of one deal. `doer` does it, and undoes what it did, whatever the file says meanwhile.

    `attempts` counts calls in all, `failures` those in a row that set the wait until `due_at`. `since` is when it was
    asked for. `in_doubt`: a call may have had its effect, and nobody knows. `reference` names what was made, `own`
    that we made it. `error` is what stands against it, `told` what the ledger was told of that. `shown`: the feeds show
    it as done, whoever did it.
    """

    order: Order
    doer: str
    state: State
    since: int
    due_at: int
    attempts: int = 0
    failures: int = 0
    in_doubt: bool = False
    reference: str = ""
    own: bool = False
    error: str = ""
    told: str = ""
    shown: bool = False

    @property
    def may_be_own(self) -> bool:
        """Whether we have made what there is, as far as we know. Who undoes it looks whether it is ours."""
        return self.own or self.in_doubt

    def resumed(self) -> "Undertaking":
        """Return it as a start finds it: a call that was under way may have had its effect."""
        if self.state is State.UNDER_WAY:
            return self._replace(state=State.WAITING, in_doubt=True, due_at=0)
        return self._replace(state=State.TO_UNDO) if self.state is State.UNDOING else self

    def anew(self, now: int) -> "Undertaking":
        """Return it as asked for anew."""
        return self._replace(
            state=State.WAITING, since=now, due_at=now, failures=0, error="", told="", shown=False
        )  # fmt: skip

    def seen_done(self) -> "Undertaking":
        """Return it once the feeds show it as done: nothing is left to do, and nothing is taken back any more."""
        is_called = self.state in (State.UNDER_WAY, State.UNDOING)
        state = self.state if is_called or self.state is State.UNDONE else State.DONE
        return self._replace(state=state, shown=True, error="", told="")


class StepOutcome(NamedTuple):
    """What became of a step that the ledger has asked for; with `reasons` it was not done, and is not for now."""

    opportunity_id: str
    step: str
    reasons: tuple[str, ...]
    occurred_at: int


def order_of(command: Mapping[str, Any]) -> Order:
    """Return the order in an `activation.commands` record."""
    return Order(
        command["command_id"],
        command["opportunity_id"],
        command["step"],
        command["client_id"] or "",
        command["contract_number"] or "",
        command["project_id"] or "",
        command["legal_entity"] or "",
        tuple(sorted(command["arguments"].items())),
    )
