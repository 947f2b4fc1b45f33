"""People: who a resource is, what an hour costs, and who is planned beyond capacity.

Resources and workers are too many to reach every partition. A ledger that first meets a resource asks here under the
resource's id, is answered at once, and is told of every later change. What concerns a worker is kept under the
employee's id, on the partition that HR's rows of that worker reach.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from streams.domain.calendar import date_of, monday_of, start_of
from streams.domain.canonical import Resource
from streams.domain.fact import (
    NO_CAUSE,
    Allocation,
    Cause,
    Claim,
    Employment,
    Fact,
    Person,
    PersonQuery,
    by_the_clock,
)
from streams.domain.kept import KnownResource, KnownWorker
from streams.domain.money import ZERO, divide
from streams.domain.policy import Policy
from streams.rules.claims import FOR, NONE, Party, claim, nothing
from streams.rules.overallocation import allocated_hours, entity_of, weeks_worked
from streams.step import REVISED, Context, Record, Step
from streams.topics import CONTRACT_FACTS, DRIFT_CLAIMS, PERSON_FACTS

SEP: Final = "\x1f"
_KIND: Final = "overallocation"


TABLES: Final[dict[str, Any]] = {
    "people.resource": KnownResource,
    "people.worker": KnownWorker,
    "people.asking": bool,
    "people.employing": int,
    "people.plan": Allocation,
    "people.allocation": Allocation,
    "people.over": Decimal,
    "people.seen": date,
}


class PeopleBehaviour:
    """The people of one partition at work."""

    def __init__(self, context: Context, policy: Policy) -> None:
        self._context = context
        self._policy = policy
        self._resources = context.table("people.resource")
        self._workers = context.table("people.worker")
        self._asking = context.table("people.asking")
        self._employing = context.table("people.employing")
        self._plans = context.table("people.plan")
        self._allocations = context.table("people.allocation")
        self._over = context.table("people.over")
        self._seen = context.table("people.seen")
        self._dirty: dict[str, Cause] = {}
        self._revised = False
        context.goes_by(policy.fingerprint)

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in rows of people, plans, and questions about them."""
        for record in records:
            key, value = record.key or "", record.value
            if isinstance(value, Fact):
                self._row(key, value)
            elif isinstance(value, PersonQuery):
                self._query(key, value)
            elif isinstance(value, Employment):
                self._employment(key, value)
            else:
                self._plan(key, value)

    def on_timer(self, key: str) -> None:
        """A week has begun: another one comes into view, and the one before is over. Or the policy was revised."""
        cause = by_the_clock(self._context.now)
        self._revised = key == REVISED or self._revised
        for employee in [place for place, _ in self._workers.scan("")] if key == REVISED else (key,):
            self._dirty.setdefault(employee, cause)

    def before_commit(self) -> None:
        """Look at the weeks of every worker that something happened to."""
        dirty, self._dirty = self._dirty, {}
        for employee, cause in dirty.items():
            self._weigh(employee, cause)
        self._revised = False

    # -- under a resource's id

    def _row(self, key: str, fact: Fact) -> None:
        if fact.kind == "worker":
            self._worker(key, fact)
            return
        row: Resource | None = fact.row
        before = self._resources.get(key) or KnownResource(None, 0, NO_CAUSE)
        employee = row.employee_id if row is not None else None
        after = KnownResource(employee, before.version + (employee != before.employee_id), fact.cause)
        self._resources.put(key, after)
        if employee == before.employee_id:
            return
        for place, _ in self._asking.scan(key + SEP):
            ledger = place.split(SEP, 1)[1]
            if before.employee_id is not None:
                self._tell_employment(key, before.employee_id, ledger, before.version, wanted=False)
            self._answer(key, after, ledger)
        for _, plan in self._plans.scan(key + SEP):
            if before.employee_id is not None:
                self._context.emit(PERSON_FACTS, before.employee_id, _taken_back(plan, fact.cause))
            if employee is not None:
                self._context.emit(PERSON_FACTS, employee, plan)

    def _query(self, key: str, query: PersonQuery) -> None:
        self._asking.put(f"{key}{SEP}{query.ledger_key}", True)
        self._answer(key, self._resources.get(key) or KnownResource(None, 0, NO_CAUSE), query.ledger_key)

    def _answer(self, key: str, known: KnownResource, ledger: str) -> None:
        if known.employee_id is None:
            self._context.emit(CONTRACT_FACTS, ledger, Person(key, None, None, known.version, known.cause))
        else:
            self._tell_employment(key, known.employee_id, ledger, known.version, wanted=True)

    def _tell_employment(self, key: str, employee: str, ledger: str, version: int, wanted: bool) -> None:
        self._context.emit(PERSON_FACTS, employee, Employment(key, employee, ledger, version, wanted))

    def _plan(self, key: str, plan: Allocation) -> None:
        if plan.turned:
            self._allocate(key, plan)
        else:
            self._keep_plan(key, plan)

    def _keep_plan(self, key: str, plan: Allocation) -> None:
        place = SEP.join((key, plan.project_id, plan.assignment_id))
        if plan.hours_per_week is None:
            self._plans.delete(place)
        else:
            self._plans.put(place, plan._replace(turned=True))
        known = self._resources.get(key)
        if known is not None and known.employee_id is not None:
            self._context.emit(PERSON_FACTS, known.employee_id, plan._replace(turned=True))

    # -- under an employee's id

    def _worker(self, key: str, fact: Fact) -> None:
        self._workers.put(key, KnownWorker(fact.row, fact.cause))
        self._dirty[key] = fact.cause
        for place, version in self._employing.scan(key + SEP):
            _, ledger, resource = place.split(SEP)
            self._tell_person(key, resource, ledger, version)

    def _employment(self, key: str, employment: Employment) -> None:
        place = SEP.join((key, employment.ledger_key, employment.resource_id))
        if employment.wanted:
            self._employing.put(place, employment.version)
            self._tell_person(key, employment.resource_id, employment.ledger_key, employment.version)
        elif (self._employing.get(place) or 0) <= employment.version:
            self._employing.delete(place)

    def _tell_person(self, employee: str, resource: str, ledger: str, version: int) -> None:
        known = self._workers.get(employee)
        rates = known.worker.cost_rates if known is not None else None
        cause = known.cause if known is not None else NO_CAUSE
        self._context.emit(CONTRACT_FACTS, ledger, Person(resource, employee, rates, version, cause))

    def _allocate(self, key: str, plan: Allocation) -> None:
        place = SEP.join((key, plan.resource_id, plan.project_id, plan.assignment_id))
        if plan.hours_per_week is None:
            self._allocations.delete(place)
        else:
            self._allocations.put(place, plan)
        self._dirty[key] = plan.cause

    def _weigh(self, employee: str, cause: Cause) -> None:
        known = self._workers.get(employee)
        allocations = self._in_force(employee)
        today = date_of(self._context.now)
        alert = self._policy.alert(_KIND)
        region = known.worker.region if known is not None else None
        capacity = known.worker.weekly_capacity_hours if known is not None else ZERO
        limit = alert.limit("fraction", None, region)
        ahead = int(alert.limit("weeks_ahead", None, region))
        weeks = {entity_of(employee, monday): monday for monday in weeks_worked(allocations, today, ahead)}
        # Where only the clock moved, nothing is new of the weeks that were in view before.
        seen = self._seen.get(employee) if cause.topic is None and not self._revised else None
        last = monday_of(today) + timedelta(weeks=ahead)
        if self._seen.get(employee) != last:
            self._seen.put(employee, last)
        said = {place.split(SEP, 1)[1] for place, _ in self._over.scan(employee + SEP)}
        party = Party(employee, None, None, None, region)
        for entity in sorted(said - weeks.keys()):
            self._tell(employee, nothing(_KIND, entity, party, cause))
        for entity, monday in weeks.items():
            if seen is not None and monday <= seen:
                continue
            hours = allocated_hours(allocations, monday) if known is not None else ZERO
            if hours and hours > capacity * limit:
                measure = divide(hours, capacity) if capacity else hours
                evidence = (("hours", f"{hours.normalize():f}"), ("capacity", f"{capacity.normalize():f}"))
                told = claim(_KIND, entity, FOR, party, 0, (measure, limit), cause, alert.severity, evidence)
                self._tell(employee, told)
            elif entity in said:
                self._tell(employee, nothing(_KIND, entity, party, cause))
        self._wake(employee, allocations)

    def _in_force(self, employee: str) -> list[Allocation]:
        """Return one allocation an assignment: the newest, where it has moved between projects or resources."""
        newest: dict[str, Allocation] = {}
        for _, plan in self._allocations.scan(employee + SEP):
            other = newest.get(plan.assignment_id)
            if other is None or _version(other) < _version(plan):
                newest[plan.assignment_id] = plan
        return list(newest.values())

    def _wake(self, employee: str, allocations: list[Allocation]) -> None:
        today = date_of(self._context.now)
        if any(plan.end_on >= today for plan in allocations) or self._over.scan(employee + SEP):
            self._context.timers.set(employee, start_of(monday_of(today) + timedelta(weeks=1)))
        else:
            self._context.timers.cancel(employee)

    def _tell(self, employee: str, told: Claim) -> None:
        place = f"{employee}{SEP}{told.entity_id}"
        said = self._over.get(place)
        if told.stance == NONE:
            if said is None:
                return
            self._over.delete(place)
        elif said == told.measure and not self._revised:
            return
        else:
            self._over.put(place, told.measure)
        self._context.emit(DRIFT_CLAIMS, f"{told.alert_kind}:{told.entity_id}", told)


def _taken_back(plan: Allocation, cause: Cause) -> Allocation:
    return plan._replace(hours_per_week=None, cause=cause, turned=True)


def _version(plan: Allocation) -> tuple[int, int]:
    return plan.cause.epoch, plan.cause.position or 0


def people_step(policy: Policy) -> Step:
    """Declare the step that knows people."""
    return Step(
        name="people",
        key="resource id or employee id",
        reads=(PERSON_FACTS,),
        writes=(PERSON_FACTS, CONTRACT_FACTS, DRIFT_CLAIMS),
        begin=lambda context: PeopleBehaviour(context, policy),
        remembers=TABLES,
    )
