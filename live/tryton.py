"""A small consultancy at work in its Tryton, through Tryton's own API: for tests, and for trying things out."""

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from stack.tryton_client import TrytonAway, TrytonClient

_PARTY, _EMPLOYEE, _WORK = "party.party", "company.employee", "project.work"
_TIMESHEET_WORK, _LINE = "timesheet.work", "timesheet.line"
_INVOICE, _CHART = "account.invoice", "account.create_chart"
_ONE = [["create", [{}]]]
"""One row of another model, by its defaults, made with the row that has it."""

_AWAY_SECONDS_MAX = 60.0
_AGAIN_SECONDS = 0.1

Told = TypeVar("Told")


class Project(NamedTuple):
    """A project: its id, and what time is recorded against, by the name of the task or of the project itself."""

    id: int
    name: str
    works: dict[str, int]


class Line(NamedTuple):
    """Time that was recorded, or is to be: of an employee, against a work, on a day."""

    work: int
    employee: int
    day: date
    duration: timedelta


class TrytonAtWork:
    """What people do in a Tryton. One that is away is waited for, and nothing is done twice."""

    def __init__(self, client: TrytonClient) -> None:
        self._client = client
        self.company: int = client.context["company"]
        self._hour = _hour_that_is_sold(client, self.company)

    def customer(self, name: str) -> int:
        """Make a customer; return the id of its party."""
        return self._client.create(_PARTY, {"name": name, "addresses": _ONE})[0]

    def hire(self, name: str) -> int:
        """Make an employee; return its id."""
        (party,) = self._client.create(_PARTY, {"name": name})
        return self._client.create(_EMPLOYEE, {"party": party, "company": self.company})[0]

    def open_project(self, name: str, customer: int, tasks: Sequence[str]) -> Project:
        """Make a project with tasks, on all of which time can be recorded, and which can be invoiced."""
        works = {
            "company": self.company, "timesheet_available": True, "list_price": Decimal(100), "product": self._hour
        }  # fmt: skip
        about = {"name": name, "type": "project", "party": customer, "project_invoice_method": "timesheet"}
        (project,) = self._client.create(_WORK, {**works, **about})
        rows = [{**works, "name": task, "type": "task", "parent": project} for task in tasks]
        made = [project, *self._client.create(_WORK, *rows)]
        names = dict(zip(made, [name, *tasks], strict=True))
        origins = [f"{_WORK},{work}" for work in made]
        found = self._client.search(_TIMESHEET_WORK, [("origin", "in", origins)], "origin")
        return Project(project, name, {names[int(one["origin"].split(",")[1])]: one["id"] for one in found})

    def record(self, line: Line) -> int:
        """Record time; return the id of the line."""
        name = str(uuid.uuid4())  # Tryton lets no two lines have one: so an unknown outcome becomes known
        row = {
            "work": line.work, "employee": line.employee, "date": line.day, "duration": line.duration,
            "company": self.company, "uuid": name,
        }  # fmt: skip

        def once() -> int:
            found = self._client.search(_LINE, [("uuid", "=", name)], "id")
            return int(found[0]["id"]) if found else self._client.create(_LINE, row)[0]

        return _patiently(once)

    def correct(self, line: int, **fields: Any) -> None:
        """Change fields of a line."""
        _patiently(lambda: self._client.write(_LINE, [line], fields))

    def delete(self, line: int) -> None:
        """Delete a line."""

        def once() -> None:
            if self._client.search(_LINE, [("id", "=", line)], "id"):
                self._client.delete(_LINE, [line])

        _patiently(once)

    def invoice(self, project: Project) -> int:
        """Have Tryton itself invoice the time of a project; return the id of the invoice, a draft."""
        self._client.call("model.project.work.invoice", [project.id])
        (*_, drafted) = self._client.search(_INVOICE, [("state", "=", "draft")], "id")
        return int(drafted["id"])

    def withdraw(self, invoice: int) -> None:
        """Delete an invoice that is a draft: its time can be invoiced again."""
        self._client.delete(_INVOICE, [invoice])

    def durations(self) -> dict[int, timedelta]:
        """The duration of each line there is, by id."""
        return {row["id"]: row["duration"] for row in self._client.search(_LINE, [], "duration")}


def _hour_that_is_sold(client: TrytonClient, company: int) -> int:
    """Make accounts from the chart that is shipped, and the product that hours are invoiced as; return its id."""
    (chart,) = client.search("account.account.template", [("parent", "=", None)], "id")
    session, *_ = client.call(f"wizard.{_CHART}.create")
    asked = {"account": {"company": company, "account_template": chart["id"]}}
    client.call(f"wizard.{_CHART}.execute", session, asked, "create_account")
    leaf = ("childs", "=", None)
    receivable, *_ = client.search("account.account", [("type.receivable", "=", True), leaf], "id")
    revenue, *_ = client.search("account.account", [("type.revenue", "=", True), leaf], "id")
    asked = {"properties": {"company": company, "account_receivable": receivable["id"]}}
    client.call(f"wizard.{_CHART}.execute", session, asked, "create_properties")
    client.call(f"wizard.{_CHART}.delete", session)
    services = {"name": "Services", "accounting": True, "account_revenue": revenue["id"]}
    (category,) = client.create("product.category", services)
    (hour,) = client.search("product.uom", [("symbol", "=", "h")], "id")
    sold = {"name": "Hour", "type": "service", "default_uom": hour["id"], "list_price": Decimal(100)}
    (template,) = client.create("product.template", {**sold, "account_category": category, "products": _ONE})
    (product,) = client.search("product.product", [("template", "=", template)], "id")
    return int(product["id"])


def _patiently(once: Callable[[], Told]) -> Told:
    """Do something that can be done again, until it is answered. Raises `TrytonAway` after a minute."""
    until = time.monotonic() + _AWAY_SECONDS_MAX
    while True:
        try:
            return once()
        except TrytonAway:
            if time.monotonic() > until:
                raise
        time.sleep(_AGAIN_SECONDS)  # nobody tells when it is back
