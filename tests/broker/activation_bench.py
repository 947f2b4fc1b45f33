"""One partition's activation over a store that outlives it, with the clock in the test's hand, and doers in memory."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from outside.errors import CannotGoOn
from state import MemoryStore, State
from streams.delivery.calls import Work
from streams.delivery.lane import Priority
from streams.delivery.limits import LEASE_MS
from streams.doers.contract import Made, Undone
from streams.doers.plan import Plan
from streams.domain.calendar import moment
from streams.domain.undertaking import Order
from streams.engine.activating import activation_step
from streams.engine.doing import Doers, Reached
from streams.step import Output, Record, Task

NOON = 1_772_366_400_000  # 2026-03-01
SECOND, HOUR = 1_000, 3_600_000
PLAN = {
    "version": 1,
    "doers": {
        "psa": {"kind": "psa_database", "dsn": "unused"},
        "erp": {"kind": "dimension_file", "folder": "unused", "fields": {"id": "{project_id}"}},
        "hook": {"kind": "webhook", "url": "unused", "shape": "slack"},
    },
    "shells": [{"doer": "psa", "legal_entities": ["DE01"], "region": "EMEA"}],
    "dimensions": [{"doer": "erp"}],
    "announcements": [{"doer": "hook"}],
}
DOER_OF = {"create_project": "psa", "provision_erp": "erp", "announce": "hook"}


class Killed(BaseException):
    """The worker died here."""


class Place:
    """A system in memory, which outlives the worker: what was made in it, and how it answers next."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.made: dict[str, bool] = {}
        self.calls = 0
        self.in_use = False
        self.theirs = False
        self.answers: list[CannotGoOn | BaseException | None] = []
        """What the next calls raise, None for none; the effect of what dies is there."""
        self.orders: list[tuple[Order, bool]] = []
        self._told = told

    def make(self, order: Order, in_doubt: bool) -> Made:
        self.calls += 1
        self.orders.append((order, in_doubt))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, CannotGoOn):
            raise answer
        if not self.made.get(order.opportunity_id):
            self._told.append(f"{self.name} makes")
        self.made[order.opportunity_id] = True
        if answer is not None:
            raise answer
        return Made(f"{self.name}-1", own=not self.theirs, results=(("from", self.name),))

    def undo(self, order: Order) -> Undone:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        if self.in_use:
            return Undone.IN_USE
        if self.made.get(order.opportunity_id):
            self._told.append(f"{self.name} undoes")
        self.made[order.opportunity_id] = False
        return Undone.CLOSED

    def close(self) -> None:
        """Nothing is open."""


class Bench:
    """One partition's task over a store that outlives it. Calls are made at once when they begin, or by `run_calls`."""

    def __init__(self, lease_s: float = 60.0, later: bool = False, **plan: Any) -> None:
        self.told: list[str] = []
        self.places = {name: Place(name, self.told) for name in DOER_OF.values()}
        self.absent: dict[str, CannotGoOn] = {}
        self.plan = Plan.model_validate({**PLAN, **plan})
        self._lease_s = lease_s
        self._later = later
        self._waits: list[tuple[Work, Callable[[Work], None]]] = []
        self._store = MemoryStore()
        self._offset = 0
        self.now = NOON
        self.takes_over_after_ms = LEASE_MS
        self.start()

    def start(self) -> None:
        """Begin a new life with what was committed."""
        doers = Doers(self.plan, self._open, self._lease_s, lambda: 1.0, lambda: self.now - self.takes_over_after_ms)
        self.task = Task(activation_step(doers), 0, 1, State(self._store))

    def _open(self, name: str) -> Reached:
        if name in self.absent:
            raise self.absent[name]
        return Reached(self.places[name], self)

    def room(self, _owner: object, /) -> int:
        return 10

    def leave(self, _owner: object, /) -> None:
        """Nobody shares it."""

    def begin(self, _owner: object, work: Work, _priority: Priority, done: Callable[[Work], None], /) -> None:
        if self._later:
            self._waits.append((work, done))
        else:
            work.run()
            done(work)

    def run_calls(self) -> None:
        waits, self._waits = self._waits, []
        for work, done in waits:
            work.run()
            done(work)

    def ask(self, step: str, now: int | None = None, **changes: Any) -> list[Output]:
        """Take in a command; return what comes out until nothing is under way."""
        self.now = self.now if now is None else now
        record = Record("activation.commands", "O1", command(step, self.now, **changes), self.now, 0, self._offset)
        self.task.receive([record], self.now)
        self._offset += 1
        return self.tick(self.now)

    def tick(self, now: int) -> list[Output]:
        """Commit until nothing is left to do."""
        self.now = now
        outputs: list[Output] = []
        while self.task.has_work(now):
            self.settle(now)
            outputs += self.task.take_outputs()
            self.task.commit()
        return outputs

    def settle(self, now: int) -> None:
        """Do all of a round but its commit."""
        self.task.fire(now)
        if self.task.touched:
            self.task.before_commit(now)


def command(
    step: str, now: int, attempt: int = 1, arguments: Mapping[str, str] | None = None, due_at: datetime | None = None
) -> dict[str, Any]:
    given = {"name": "Rollout", "currency": "EUR", "start_on": "2026-03-01", "closes_on": "2026-02-27"}
    return {
        "command_id": f"id-{step}", "opportunity_id": "O1", "step": step, "attempt": attempt, "target": "x",
        "client_id": "A1", "contract_number": "C1", "project_id": None if step == "create_project" else "P1",
        "legal_entity": "DE01", "arguments": {**given, **(arguments or {})}, "issued_at": moment(now), "due_at": due_at,
    }  # fmt: skip


def events(outputs: list[Output]) -> list[tuple[str, str]]:
    """Of `activation.events` the steps and states."""
    return [(o.value["step"], o.value["state"]) for o in outputs if o.topic == "activation.events"]


def outcomes(outputs: list[Output]) -> list[tuple[str, tuple[str, ...]]]:
    """What the ledger was told, by step."""
    return [(o.value.step, o.value.reasons) for o in outputs if o.topic == "facts.contract"]


def matters(outputs: list[Output]) -> list[tuple[str, str]]:
    """Of `exceptions` what each is about, and its state."""
    return [(o.value["entity_kind"], o.value["state"]) for o in outputs if o.topic == "exceptions"]
