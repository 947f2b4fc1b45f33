"""Margins of the projects that something happened to, told once per commit, and only where they changed."""

from collections.abc import Container
from datetime import date
from decimal import Decimal

from streams.domain.calendar import date_of, last_day, months_between, period_of
from streams.domain.fact import Cause, MarginPart
from streams.domain.ledger import NO_CONTRACT_PREFIX, ProjectState
from streams.domain.money import ZERO, round_money
from streams.domain.terms import FIXED_FEE, RETAINER, Terms
from streams.ledger.book import Book
from streams.ledger.publish import Publisher
from streams.ledger.reference import SEP, Reference
from streams.rules.exceptions import Entity
from streams.rules.margin import Pool, Sibling, earned, figures_of, pool_of, shares
from streams.rules.outlook import outlook_of
from streams.step import Context
from streams.topics import MARGIN_PARTS


class Margins:
    """Computes and tells the margins of one partition's projects."""

    def __init__(self, context: Context, book: Book, reference: Reference, publisher: Publisher) -> None:
        self._context = context
        self._book = book
        self._reference = reference
        self._publish = publisher
        self._earned: dict[str, Decimal] = {}  # of contracts with a schedule, as this commit has found

    def run(self) -> None:
        """Tell the margins of all marked projects."""
        self._earned.clear()
        marked, self._book.dirty_projects = self._book.dirty_projects, {}
        by_ledger: dict[str, dict[str, Cause]] = {}
        for (key, project_id), cause in marked.items():
            by_ledger.setdefault(key, {})[project_id] = cause
        for key, projects in by_ledger.items():
            self._ledger(key, projects)

    def _ledger(self, key: str, projects: dict[str, Cause]) -> None:
        terms = self._book.terms(key)
        together = shares(terms)
        siblings = self.siblings(key, None if together else projects)
        pool = self.pool(key, terms, siblings)
        known = {sibling.project_id: sibling for sibling in siblings}
        cause = next(iter(projects.values()))
        told = {**dict.fromkeys(known, cause), **projects} if together else projects
        for project_id, project_cause in told.items():
            sibling = known.get(project_id)
            if sibling is None:
                self._leave(key, project_id, project_cause)
            else:
                self._tell(key, sibling, terms, pool, project_cause)
        if terms is not None and self._book.contract(key).schedules:
            self._book.dirty_earned[key] = cause
            if together:
                self._earned[key] = self._earned_home(terms, siblings, pool)

    def siblings(self, key: str, only: Container[str] | None = None) -> list[Sibling]:
        """Return the projects of a ledger, or some of them, with outlooks computed anew where they were forgotten."""
        found = []
        for project_id, state in self._book.projects_of(key):
            if only is None or project_id in only:
                seen = state if state.outlook is not None else self._looked_ahead(key, project_id, state)
                assert seen.outlook is not None  # that is what looking ahead finds
                found.append(Sibling(project_id, seen, seen.outlook))
        return found

    def pool(self, key: str, terms: Terms | None, siblings: list[Sibling]) -> Pool:
        """Return what the projects of a contract share."""
        fees_due, fees_all = ZERO, ZERO
        if terms is not None and terms.contract.billing_type == RETAINER:
            fees_due = self._book.contract(key).fees_due
            last = terms.end_on or last_day(period_of(date_of(self._context.now)))
            months = months_between(terms.contract.start_on, last)
            fees_all = round_money(terms.contract.periodic_fee or ZERO, terms.contract.currency) * months
        return pool_of(siblings, terms, fees_due, fees_all)

    def _looked_ahead(self, key: str, project_id: str, state: ProjectState) -> ProjectState:
        assert state.view is not None  # siblings have one
        project = state.view.project
        prefix = f"{key}{SEP}{project_id}{SEP}"
        assignments = [assignment for _, assignment in self._book.assignments.scan(prefix)]
        rates = {}
        for resource in {a.resource_id for a in assignments}:
            person = self._book.persons.get(f"{key}{SEP}{resource}")
            rates[resource] = person.cost_rates if person is not None else None
        user = SEP.join((key, "outlook", project_id))

        def note(source: str, target: str, day: date) -> None:
            self._reference.note_fx_use(source, target, day, user)

        outlook = outlook_of(
            project, state.last_worked_on, assignments, rates, self._book.terms(key),
            self._reference.convert_any_age, note,
        )  # fmt: skip
        seen = state._replace(outlook=outlook)
        self._book.put_project(key, project_id, seen)
        return seen

    def _leave(self, key: str, project_id: str, cause: Cause) -> None:
        state = self._book.project(key, project_id)
        if state.mismatch_since:
            self._say_currency(key, project_id, "its own currency", "another", False, cause)
            state = self._book.project(key, project_id)
        if state.figures is not None:
            self._book.put_project(key, project_id, state._replace(figures=None))
            self._context.emit(MARGIN_PARTS, project_id, MarginPart(project_id, state.generation, None, cause))

    def _tell(self, key: str, sibling: Sibling, terms: Terms | None, pool: Pool, cause: Cause) -> None:
        state = sibling.state
        assert state.view is not None  # siblings have one
        project = state.view.project
        client = terms.contract.account_id if terms is not None else self._reference.account_of(project.client_id)
        contract = None if key.startswith(NO_CONTRACT_PREFIX) else key
        mismatch = self._currency_differs(key, state, terms, cause)
        figures = figures_of(sibling, None if mismatch else terms, pool, client, contract)
        generation = state.view.generation
        if (figures, generation) == (state.figures, state.generation):
            return
        latest = self._book.project(key, sibling.project_id) if mismatch != bool(state.mismatch_since) else state
        self._book.put_project(key, sibling.project_id, latest._replace(figures=figures, generation=generation))
        part = MarginPart(sibling.project_id, generation, figures, cause)
        self._context.emit(MARGIN_PARTS, sibling.project_id, part)

    def _currency_differs(self, key: str, state: ProjectState, terms: Terms | None, cause: Cause) -> bool:
        """Tell whether fees or value cannot be split because the project counts in another currency; say so once."""
        assert state.view is not None  # siblings have one
        project = state.view.project
        differs = (
            terms is not None
            and terms.contract.billing_type in (FIXED_FEE, RETAINER)
            and terms.contract.currency != project.currency
        )
        if differs != bool(state.mismatch_since):
            home = terms.contract.currency if terms is not None else "another"
            self._say_currency(key, project.id, project.currency, home, differs, cause)
        return differs

    def _say_currency(self, key: str, project_id: str, counts_in: str, home: str, differs: bool, cause: Cause) -> None:
        state, now = self._book.project(key, project_id), self._context.now
        message = (
            f"project {project_id} counts in {counts_in}, its contract {key} in {home}: "
            "a fixed fee or retainer cannot be split over them; give both the same currency"
        )
        entity = Entity("project", project_id, project_id, key, place=key)
        seen = (state.mismatch_since or now, differs)
        self._publish.exception(key, "validation_failed", entity, ("currency_differs",), message, seen, {}, cause)
        self._book.put_project(key, project_id, state._replace(mismatch_since=now if differs else 0))

    def earned_home(self, key: str, terms: Terms) -> Decimal:
        """Return the revenue its projects have earned, in contract currency."""
        earned_now = self._earned.get(key)
        if earned_now is None:
            siblings = self.siblings(key)
            earned_now = self._earned_home(terms, siblings, self.pool(key, terms, siblings))
        return earned_now

    def _earned_home(self, terms: Terms, siblings: list[Sibling], pool: Pool) -> Decimal:
        home = terms.contract.currency
        if terms.contract.billing_type in (FIXED_FEE, RETAINER):
            return sum((earned(s, terms, pool, home) for s in siblings), ZERO)
        worked = sum((s.state.totals.drawn_home for s in siblings), ZERO)
        return (worked if terms.cap is None else min(worked, terms.cap)) + sum(
            (s.state.totals.delivered_home for s in siblings), ZERO
        )
