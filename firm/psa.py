"""What the PSA tells of its masters: clients, resources, projects, milestones and assignments."""

from __future__ import annotations

from firm.agenda import Agenda
from firm.books import Books, Item
from firm.chance import Chance
from firm.contracts import Client, Contract
from firm.crm import activation_ms, closing_ms
from firm.delivery import Assignment, Milestone, Project
from firm.invoicing import Invoicing
from firm.masters import Master
from firm.moments import DAY_MS, HOUR_MS, MINUTE_MS, moment_text
from firm.people import Person
from firm.size import FirmSize
from firm.wire import Wire


class Psa:
    """Puts everything the PSA will tell of its masters on the agenda."""

    def __init__(self, size: FirmSize, wire: Wire, agenda: Agenda, books: Books, invoicing: Invoicing) -> None:
        self._size = size
        self._wire = wire
        self._agenda = agenda
        self._books = books
        self._invoicing = invoicing
        self._chance = Chance(size.seed, "psa")

    def plan_client(self, client: Client) -> None:
        """A client: all are there when the feed starts."""
        at_ms = self._size.first_day * DAY_MS + 9 * HOUR_MS + client.number * 200
        master = Master(self._wire, "psa.public.clients", client.client_id, "updated_at")
        row = {
            "id": client.client_id,
            "name": client.name,
            "crm_account_id": client.account_id,
            "status": "Active",
        }
        self._agenda.put(at_ms, master.open, row, True)

    def plan_resource(self, person: Person) -> None:
        """A resource: there when the feed starts, or entered on the day before the person joins."""
        there = person.joins <= self._size.first_day
        day = self._size.first_day if there else person.joins - 1
        at_ms = day * DAY_MS + 10 * HOUR_MS + person.number % 3000 * 1000
        master = Master(self._wire, "psa.public.resources", person.resource_id, "updated_at")
        self._agenda.put(at_ms, self._open_resource, master, person, there)

    def plan_project(self, project: Project, sold: int) -> None:
        """A project with its milestones and assignments, from proposal to the end."""
        contract = project.contract
        at_ms = sold * DAY_MS + 15 * HOUR_MS + self._chance.below(60) * MINUTE_MS
        active = activation_ms(contract) + self._chance.between(5, 40) * MINUTE_MS
        self._agenda.put(at_ms, self._open, project)
        for number, milestone in enumerate(project.milestones):
            self._plan_milestone(milestone, at_ms + (number + 1) * MINUTE_MS, active)
        for number, assignment in enumerate(project.assignments):
            self._plan_assignment(assignment, at_ms + (20 + number) * MINUTE_MS, active)
        self._agenda.put(active, self._change, project, {"stage": "In Delivery"})
        self._plan_stories(project, active)
        if contract.ends is not None and "project done early" not in contract.stories:
            self._agenda.put(closing_ms(contract) + 10 * MINUTE_MS, self._change, project, {"stage": "Completed"})

    def plan_move(self, project: Project, home: Contract) -> None:
        """The project changes to another contract, half-way."""
        last = min(project.ends, self._size.end_day - 1)
        at_ms = (project.starts + (last - project.starts) * 6 // 10) * DAY_MS + 13 * HOUR_MS
        self._agenda.put(at_ms, self._move, project, home)

    def plan_overallocation(self, assignments: list[Assignment]) -> None:
        """Assignments that ask more of people than their week has: each third is seen and cut back in time."""
        for number, assignment in enumerate(assignments):
            at_ms = (assignment.first - 3) * DAY_MS + 11 * HOUR_MS + number * MINUTE_MS
            self._agenda.put(at_ms, self._open_assignment, assignment, "Confirmed")
            if number % 3 == 2:
                self._agenda.put(at_ms + 6 * DAY_MS, self._set_assignment, assignment, "Cancelled")

    def _open_resource(self, at_ms: int, master: Master, person: Person, there: bool) -> None:
        master.open(at_ms, person.resource_row(at_ms), there)

    def _open(self, at_ms: int, project: Project) -> None:
        stories = project.contract.stories
        project.names_contract = not stories & {"contract unnamed", "contract named late"}
        row = project.row()
        if "cost center differs" in stories:
            row["cost_center"] = "CC-900"
        elif "legal entity differs" in stories:
            row["legal_entity"] = "LE-UK" if project.company.code != "LE-UK" else "LE-DE"
        elif self._chance.percent(25):  # not every project lead copies what the ERP owns
            row["legal_entity"] = row["cost_center"] = None
        project.psa = Master(self._wire, "psa.public.projects", project.id, "updated_at")
        project.psa.open(at_ms, row)

    def _change(self, at_ms: int, project: Project, fields: dict[str, object]) -> None:
        if project.psa is not None:
            project.psa.change(at_ms, **fields)

    def _plan_stories(self, project: Project, active: int) -> None:
        stories = project.contract.stories
        end_ms = self._size.end_day * DAY_MS
        if "contract named late" in stories:
            self._agenda.put(active + 25 * DAY_MS, self._name_contract, project)
        if "hold lifted" in stories:
            self._agenda.put(active + 10 * DAY_MS, self._hold, project, True)
            self._agenda.put(active + 30 * DAY_MS, self._hold, project, False)
        if "billing on hold" in stories:
            self._agenda.put(max(active + DAY_MS, end_ms - 40 * DAY_MS), self._hold, project, True)
        if "project done early" in stories:
            done = max(active + DAY_MS, end_ms - 10 * DAY_MS)
            self._agenda.put(done, self._change, project, {"stage": "Completed"})
        if not stories and self._chance.percent(3):  # a wrong click, put right at once
            slip = active + self._chance.between(9, 40) * DAY_MS
            self._agenda.put(slip, self._change, project, {"stage": "Paused"})
            self._agenda.put(slip + 40 * MINUTE_MS, self._change, project, {"stage": "In Delivery"})

    def _name_contract(self, at_ms: int, project: Project) -> None:
        project.names_contract = True
        self._change(at_ms, project, {"contract_number": project.contract.number})
        self._books.again(project)

    def _hold(self, at_ms: int, project: Project, held: bool) -> None:
        project.held = held
        self._change(at_ms, project, {"billing_hold": held})
        self._books.again(project)

    def _move(self, at_ms: int, project: Project, home: Contract) -> None:
        if home.status is None:
            return
        project.contract.projects = [one for one in project.contract.projects if one is not project]
        home.projects.append(project)
        project.contract = home
        self._change(at_ms, project, {"contract_number": home.number})

    def _plan_assignment(self, assignment: Assignment, at_ms: int, active: int) -> None:
        if self._chance.percent(40):
            self._agenda.put(at_ms, self._open_assignment, assignment, "Tentative")
            self._agenda.put(active - HOUR_MS, self._set_assignment, assignment, "Confirmed")
        else:
            self._agenda.put(at_ms, self._open_assignment, assignment, "Confirmed")
        if self._chance.percent(4):  # asked for and never staffed
            asked = Assignment(
                f"{assignment.id}T",
                assignment.project,
                assignment.person,
                assignment.role,
                assignment.first + 14,
                assignment.last,
                8,
            )
            self._agenda.put(at_ms + HOUR_MS, self._open_assignment, asked, "Tentative")
            if self._chance.percent(50):
                self._agenda.put(active + 5 * DAY_MS, self._set_assignment, asked, "Cancelled")
            else:
                self._agenda.put(active + 6 * DAY_MS, self._drop_assignment, asked)

    def _open_assignment(self, at_ms: int, assignment: Assignment, status: str) -> None:
        assignment.master = Master(self._wire, "psa.public.assignments", assignment.project.id, "updated_at")
        assignment.master.open(at_ms, assignment.row(status))

    def _set_assignment(self, at_ms: int, assignment: Assignment, status: str) -> None:
        if assignment.master is not None:
            assignment.master.change(at_ms, status=status)

    def _drop_assignment(self, at_ms: int, assignment: Assignment) -> None:
        if assignment.master is not None:
            assignment.master.remove(at_ms)

    def _plan_milestone(self, milestone: Milestone, at_ms: int, active: int) -> None:
        self._agenda.put(at_ms, self._open_milestone, milestone)
        started = max(active + DAY_MS, milestone.done_ms - 15 * DAY_MS)
        self._agenda.put(started, self._set_milestone, milestone, {"status": "Started"})
        if milestone.dropped:
            self._agenda.put(started + 5 * DAY_MS, self._set_milestone, milestone, {"status": "Dropped"})
            return
        done = max(started + HOUR_MS, milestone.done_ms)
        self._agenda.put(done, self._done, milestone)
        if milestone.signed_ms is not None:
            self._agenda.put(max(done + HOUR_MS, milestone.signed_ms), self._signed, milestone)

    def _open_milestone(self, at_ms: int, milestone: Milestone) -> None:
        milestone.master = Master(self._wire, "psa.public.milestones", milestone.project.id, "updated_at")
        milestone.master.open(at_ms, milestone.row())

    def _set_milestone(self, at_ms: int, milestone: Milestone, fields: dict[str, object]) -> None:
        if milestone.master is not None:
            milestone.master.change(at_ms, **fields)

    def _done(self, at_ms: int, milestone: Milestone) -> None:
        self._set_milestone(at_ms, milestone, {"status": "Done", "completed_at": moment_text(at_ms)})
        milestone.done_ms = at_ms
        if not milestone.project.contract.requires_acceptance:
            self._billable(at_ms, milestone)

    def _signed(self, at_ms: int, milestone: Milestone) -> None:
        self._set_milestone(at_ms, milestone, {"status": "Signed Off", "accepted_at": moment_text(at_ms)})
        if milestone.project.contract.requires_acceptance:
            self._billable(at_ms, milestone)

    def _billable(self, at_ms: int, milestone: Milestone) -> None:
        done_on = milestone.done_ms // DAY_MS
        item = Item(milestone.project, "milestone", milestone.id, done_on, at_ms, milestone=milestone)
        self._books.bill(item)
        if milestone.invoice_after_ms is not None:
            self._agenda.put(at_ms + milestone.invoice_after_ms, self._invoicing.milestone, item)
