"""Facts move the ledger: each kind of fact changes the book and marks what must be settled."""

from collections.abc import Callable

from streams.domain.calendar import date_of, iso_date
from streams.domain.canonical import Assignment, Expense, Milestone, TimeEntry
from streams.domain.fact import NO_CAUSE, Cause, Fact, Person, PersonQuery, ProjectView
from streams.domain.ledger import EXPENSE, MILESTONE, TIME_ENTRY, Item, Work
from streams.domain.terms import Terms
from streams.ledger.activations import Activations
from streams.ledger.book import Book, ItemKey
from streams.ledger.invoices import Invoices
from streams.ledger.reference import SEP, Reference
from streams.ledger.workdays import WorkDays
from streams.rules.revaluation import costs_change_on, gates_of, party_of, touched_by
from streams.step import Context
from streams.topics import PERSON_FACTS


class Application:
    """Applies facts to the book of one partition."""

    def __init__(self, context: Context, book: Book, reference: Reference, activations: Activations) -> None:
        self._context = context
        self._activations = activations
        self._book = book
        self._reference = reference
        self._days = WorkDays(book)
        self._invoices = Invoices(book)
        self.of_kind: dict[str, Callable[[str, Fact], None]] = {  # what applies a fact to the ledger of a key
            TIME_ENTRY: self._work,
            EXPENSE: self._work,
            MILESTONE: self._work,
            "contract": self._contract,
            "amendment": self._amendment,
            "project": self._project,
            "assignment": self._assignment,
            "invoice": self._invoices.put,
            "schedule": self._schedule,
            "fx_rate": self._fx_rate,
            "customer": self._customer,
            "legal_entity": self._legal_entity,
            "period": lambda _, fact: reference.put_period(fact.row, fact.id),
            "client": self._client,
            "account": self._account,
            "opportunity": self._opportunity,
        }

    # -- work: time entries, expenses, milestones

    def _work(self, key: str, fact: Fact) -> None:
        book = self._book
        item_key: ItemKey = (key, fact.kind, fact.id)
        item = book.item(item_key)
        before = item.work
        work, rivals = self._in_force(item, fact)
        if (work, rivals) == (before, item.rivals):
            return
        book.put_item(item_key, item._replace(work=work, rivals=rivals))
        if work == before:
            return
        self._index(item_key, before, work, fact.cause)
        book.mark(item_key, fact.cause)
        if work is not None and work.resource_id:
            self._ask_for(key, work.resource_id)

    def _in_force(self, item: Item, fact: Fact) -> tuple[Work | None, tuple[Work, ...]]:
        """Return the newest row of an item, and its rivals."""
        before, said = item.work, None if fact.row is None else _as_work(fact)
        if not item.rivals and (before is None or before.project_id == fact.scope):
            return said, ()
        rows = [w for w in (before, *item.rivals) if w is not None and w.project_id != fact.scope]
        if said is not None:
            rows.append(said)
        # A row that moves between projects of one contract may arrive before it is taken back under its old project:
        # the newest version is the one in force.
        rows.sort(key=lambda w: w.version, reverse=True)
        return (rows[0] if rows else None), tuple(rows[1:])

    def _index(self, item_key: ItemKey, before: Work | None, after: Work | None, cause: Cause) -> None:
        key, kind, item_id = item_key
        if kind == MILESTONE:
            return
        book = self._book
        if before is not None and (after is None or before.day != after.day):
            book.by_day.delete(SEP.join((key, iso_date(before.day), kind, item_id)))
        if after is not None and (
            before is None
            or (before.day, before.role, before.resource_id) != (after.day, after.role, after.resource_id)
        ):
            book.by_day.put(SEP.join((key, iso_date(after.day), kind, item_id)), (after.role, after.resource_id))
        if kind == TIME_ENTRY:
            self._days.count(item_key, before, after, cause)

    # -- people

    def _ask_for(self, key: str, resource_id: str) -> None:
        place = f"{key}{SEP}{resource_id}"
        if self._book.persons.get(place) is None:
            # Version -1: asked, not answered. What names the resource waits for the answer, which comes at once even
            # where the resource is unknown, so that a trigger can say whose work it bills.
            self._book.persons.put(place, Person(resource_id, None, None, -1, NO_CAUSE))
            self._context.emit(PERSON_FACTS, resource_id, PersonQuery(resource_id, key))

    def person(self, key: str, person: Person) -> None:
        """Learn who a resource is and what an hour costs."""
        book = self._book
        place = f"{key}{SEP}{person.resource_id}"
        before = book.persons.get(place)
        if before is not None and before.version > person.version:
            return
        book.persons.put(place, person)
        if before is None or before.version < 0:
            self._release(key, person)
        elif before.cost_rates != person.cost_rates:
            self._recost(key, person, before)
        else:
            return
        self._forget_outlooks(key, person)

    def _release(self, key: str, person: Person) -> None:
        """Settle what has waited for the first answer."""
        for item_key in self._book.take_waiting(key, person.resource_id):
            work = self._book.item(item_key).work
            if work is not None:
                self._book.mark(item_key, work.cause)

    def _recost(self, key: str, person: Person, before: Person) -> None:
        book = self._book
        since = costs_change_on(before.cost_rates, person.cost_rates)
        if since is not None:
            for item_key, _, resource in book.worked_since(key, since):
                mine = resource == person.resource_id and item_key[1] == TIME_ENTRY
                if mine and item_key not in book.dirty_items:
                    book.mark(item_key, person.cause)

    def _forget_outlooks(self, key: str, person: Person) -> None:
        book = self._book
        for place, assignment in book.assignments.scan(key + SEP):
            if assignment.resource_id == person.resource_id:
                self._forget_outlook(key, place.split(SEP)[1], person.cause)

    # -- contract and amendments

    def _contract(self, key: str, fact: Fact) -> None:
        state = self._book.contract(key)
        self._change_terms(
            key, fact, lambda: self._book.put_contract(key, state._replace(contract=fact.row, cause=fact.cause))
        )
        if state.contract is None or state.contract.account_id != fact.row.account_id:
            self._book.mark_claims(key, fact.cause)
        self._reference.depend("account", fact.row.account_id, key)
        if fact.row.legal_entity:
            self._reference.depend("legal_entity", fact.row.legal_entity, key)

    def _amendment(self, key: str, fact: Fact) -> None:
        state = self._book.contract(key)
        others = tuple(a for a in state.amendments if a.id != fact.id)
        amendments = others if fact.row is None else (*others, fact.row)
        self._change_terms(key, fact, lambda: self._book.put_contract(key, state._replace(amendments=amendments)))

    def _change_terms(self, key: str, fact: Fact, change: Callable[[], None]) -> None:
        book = self._book
        before = book.terms(key)
        book.forget_terms(key)
        change()
        after = book.terms(key)
        book.mark_contract(key, fact.cause)
        if after is not None:
            self._mark_touched(key, fact, before, after)

    def _mark_touched(self, key: str, fact: Fact, before: Terms | None, after: Terms) -> None:
        book, cause = self._book, fact.cause
        touched = touched_by(before, after)
        if touched.since is not None:
            for item_key, _, _ in book.worked_since(key, touched.since):
                book.mark(item_key, cause)
        if touched.milestones:
            for item_key, _ in book.items_of_kind(key, MILESTONE):
                book.mark(item_key, cause)
        if touched.fees:
            for item_key, _ in book.items_of_kind(key, "retainer_period"):
                book.mark(item_key, cause)
        if touched.months:
            book.forget_months(key)
        if touched.gates or (touched.cap and after.cap is None):
            book.mark_held(key, cause)
        for project_id, project in book.projects_of(key):
            book.put_project(key, project_id, project._replace(outlook=None))
            book.mark_project(key, project_id, cause)

    # -- projects and plans

    def _project(self, key: str, fact: Fact) -> None:
        book = self._book
        project = book.project(key, fact.id)
        before: ProjectView | None = project.view
        view: ProjectView | None = fact.row
        book.put_project(key, fact.id, project._replace(view=view, outlook=None))
        book.forget_projects(key)
        book.mark_contract(key, fact.cause)
        book.mark_all_projects(key, fact.cause)
        book.mark_project(key, fact.id, fact.cause)
        if view is None or before is None:
            book.mark_reconciled(key, fact.id, fact.cause)
        if view is None:
            return
        if view.erp is not None:
            self._reference.depend("legal_entity", view.erp.legal_entity, key)
        self._reference.depend("client", view.project.client_id, key)
        if before is None or before.project.currency != view.project.currency:
            for item_key, _, _ in book.worked_since(key, None):
                work = book.item(item_key).work
                if work is not None and work.project_id == fact.id:
                    book.mark(item_key, fact.cause)
            for item_key, item in book.items_of_kind(key, MILESTONE):
                if item.work is not None and item.work.project_id == fact.id:
                    book.mark(item_key, fact.cause)
        elif gates_of(before) != gates_of(view):
            book.mark_held(key, fact.cause)
        if before is not None and party_of(before) != party_of(view):
            book.mark_claims(key, fact.cause)

    def _assignment(self, key: str, fact: Fact) -> None:
        book = self._book
        place = SEP.join((key, fact.scope, fact.id))
        row: Assignment | None = fact.row
        if row is None:
            book.assignments.delete(place)
        else:
            book.assignments.put(place, row)
            self._ask_for(key, row.resource_id)
        self._forget_outlook(key, fact.scope, fact.cause)

    def _forget_outlook(self, key: str, project_id: str, cause: Cause) -> None:
        project = self._book.project(key, project_id)
        if project.view is not None:
            self._book.put_project(key, project_id, project._replace(outlook=None))
            self._book.mark_all_projects(key, cause)

    # -- money booked elsewhere

    def _schedule(self, key: str, fact: Fact) -> None:
        state = self._book.contract(key)
        others = tuple(s for s in state.schedules if s.id != fact.id)
        self._book.put_contract(key, state._replace(schedules=others if fact.row is None else (*others, fact.row)))
        self._book.mark_contract(key, fact.cause)

    # -- reference rows

    def _fx_rate(self, _: str, fact: Fact) -> None:
        source, target, day = self._reference.put_fx(fact.row, fact.id)
        for used_on, user in self._reference.users_of_fx(source, target, day):
            key, kind, item_id = user.split(SEP, 2)
            if kind == "outlook":
                self._forget_outlook(key, item_id, fact.cause)
            elif (used_on - day).days <= 7:
                self._book.mark((key, kind, item_id), fact.cause)

    def _customer(self, _: str, fact: Fact) -> None:
        for account in sorted(self._reference.put_customer(fact.row, fact.id)):
            for key in self._reference.dependants("account", account):
                self._book.mark_held(key, fact.cause)

    def _legal_entity(self, _: str, fact: Fact) -> None:
        self._reference.put_legal_entity(fact.row, fact.id)
        for key in self._reference.dependants("legal_entity", fact.id):
            self._book.mark_held(key, fact.cause)

    def _client(self, _: str, fact: Fact) -> None:
        self._reference.put_client(fact.row, fact.id)
        for key in self._reference.dependants("client", fact.id):
            self._book.mark_all_projects(key, fact.cause)
            if self._book.terms(key) is None:
                self._book.mark_contract(key, fact.cause)
                self._book.mark_claims(key, fact.cause)

    def _account(self, _: str, fact: Fact) -> None:
        self._reference.put_account(fact.row, fact.id)
        for key in self._reference.dependants("deal", fact.id):
            self._book.mark_contract(key, fact.cause)

    def _opportunity(self, key: str, fact: Fact) -> None:
        self._activations.put(key, fact.id, fact.row, fact.cause)
        if fact.row is not None:
            self._reference.depend("deal", fact.row.account_id, key)
        self._book.mark_contract(key, fact.cause)


def _as_work(fact: Fact) -> Work:
    row = fact.row
    if fact.kind == TIME_ENTRY:
        entry: TimeEntry = row
        rank = entry.changed_at if entry.approved_at is None else entry.approved_at
        return Work(
            fact.scope, fact.cause, fact.version, entry.worked_on, entry.hours, entry.role, entry.resource_id,
            billable=entry.billable, rank=rank,
        )  # fmt: skip
    if fact.kind == EXPENSE:
        expense: Expense = row
        rank = expense.changed_at if expense.approved_at is None else expense.approved_at
        return Work(
            fact.scope, fact.cause, fact.version, expense.spent_on, expense.amount, expense.category,
            expense.resource_id, expense.currency, billable=expense.billable, rank=rank, ready_at=row.approved_at or 0,
        )  # fmt: skip
    return _milestone_work(fact, row)


def _milestone_work(fact: Fact, row: Milestone) -> Work:
    ready_at = row.completed_at or row.accepted_at or row.changed_at
    return Work(
        fact.scope, fact.cause, fact.version, date_of(ready_at), row.amount, percent=row.percent,
        ready=row.status in ("completed", "accepted"), accepted=row.status == "accepted",
        counts=row.status != "cancelled", rank=ready_at, ready_at=ready_at, accepted_at=row.accepted_at or ready_at,
    )  # fmt: skip
