"""One partition's posting over a store that outlives it, with the clock in the test's hand, and who makes its calls."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from state import MemoryStore, State
from streams.delivery.calls import Work
from streams.delivery.lane import Calls, Priority
from streams.delivery.limits import Limits
from streams.domain.posting import Posting, intent_of
from streams.domain.routes import Routes
from streams.engine.posting import Target, Targets, posting_step
from streams.sinks.contract import Sink
from streams.step import Output, Record, Task

NOON = 1_750_000_000_000
POLL_MS = 500
LIMITS = Limits(postings_max=10, age_ms_max=2_000)


class AtOnce:
    """Calls that are made at once, when they begin."""

    def room(self, _owner: object, /) -> int:
        return 1_000

    def begin(self, _owner: object, work: Work, _priority: Priority, done: Callable[[Work], None], /) -> None:
        while work.run().more:
            pass
        done(work)

    def leave(self, _owner: object, /) -> None:
        pass


class Later:
    """Calls that are made when somebody says so."""

    def __init__(self) -> None:
        self._waits: list[tuple[Work, Callable[[Work], None]]] = []
        self.left = 0

    def room(self, _owner: object, /) -> int:
        return 1_000

    def begin(self, _owner: object, work: Work, _priority: Priority, done: Callable[[Work], None], /) -> None:
        self._waits.append((work, done))

    def leave(self, _owner: object, /) -> None:
        self.left += 1

    def run(self, only: type[Work] | None = None) -> None:
        """Make the calls that wait, or those of one kind."""
        waits, self._waits = self._waits, []
        for work, done in waits:
            if only is None or isinstance(work, only):
                AtOnce().begin(self, work, Priority.BILLING, done)
            else:
                self._waits.append((work, done))

    def come_back(self) -> None:
        """Give back what waits without a call."""
        waits, self._waits = self._waits, []
        for work, done in waits:
            done(work)


class Bench:
    """One partition's posting task over a store that outlives it."""

    def __init__(
        self,
        connect: Callable[[str], Sink[Posting]],
        calls: Calls | None = None,
        lease_s: float = 60.0,
        **routes: Any,
    ) -> None:
        self._calls = calls or AtOnce()
        self._lease_s = lease_s
        self._connect = connect
        self._routes = Routes.model_validate({"version": 1, **routes})
        self._store = MemoryStore()
        self._offset = 0
        self.now = NOON
        self.start()

    def start(self) -> None:
        targets = Targets(self._open, self._routes, POLL_MS, lambda: self.now, self._lease_s)
        self._task = Task(posting_step(targets), 0, 1, State(self._store))

    def _open(self, system: str) -> Target:
        return Target(self._connect(system), self._calls, LIMITS)

    def take(self, intent: dict[str, Any], now: int) -> list[Output]:
        self.now = now
        self._task.receive([Record("erp.postings", "C1", intent, now, 0, self._offset)], now)
        self._offset += 1
        return self._commit(now)

    def tick(self, now: int) -> list[Output]:
        """What comes out until nothing is under way any more; without what is only on its way."""
        self.now = now
        return self._commit(now)

    def run(self, intent: dict[str, Any], now: int) -> list[Output]:
        """Take an intent in, and wait until its batch is old."""
        return self.take(intent, now) + self.tick(now + 3_000)

    def fire_without_commit(self, now: int) -> None:
        """Do all of a round but its commit, which `commit` does, or nobody."""
        self.now = now
        self._task.fire(now)
        self._task.before_commit(now)

    def commit(self) -> None:
        """Commit, and let begin what was promised."""
        self._task.commit()

    def release(self) -> None:
        """Give the partition up."""
        self._task.release()

    def counts(self) -> dict[str, int]:
        """What it has counted since it was started."""
        return dict(self._task.context.counts)

    def _commit(self, now: int) -> list[Output]:
        outputs: list[Output] = []
        while self._task.has_work(now):
            self._task.fire(now)
            if self._task.touched:
                self._task.before_commit(now)
            outputs += self._task.take_outputs()
            self._task.commit()
        return outputs


def told(outputs: list[Output]) -> list[tuple[str, str]]:
    """Of exceptions their kind of entity and state, of receipts the trigger and the status."""
    return [
        (o.value["entity_kind"], o.value["state"])
        if o.topic == "exceptions"
        else (o.value["trigger_id"], o.value["status"])
        for o in outputs
    ]


def intent(
    number: int, system: str = "legacy", amount: str = "100.00", reverses: str | None = None, **more: Any
) -> dict[str, Any]:
    trigger = {
        "trigger_id": f"t{number}", "kind": "time", "revision": 0, "reverses": reverses, "contract_number": "C1",
        "project_id": "P1", "client_id": "A1", "legal_entity": "LE1", "erp_customer_id": "CU1",
        "source_kind": "time_entry", "source_id": "e1", "service_date": date(2025, 6, 2),
        "service_period": "2025-06", "posting_period": "2025-06", "quantity": Decimal("1"), "rate": Decimal("100"),
        "amount": Decimal(amount), "currency": "EUR", "tax_code": "TX", "billing_code": "B1", "po_number": None,
    }  # fmt: skip
    return {**intent_of(trigger, system, NOON), "systems": [system], "because": "", **more}
