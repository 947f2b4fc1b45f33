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

    def customer(self, name: str) -> int:
        """Make a customer; return the id of its party."""
        return self._client.create(_PARTY, {"name": name, "addresses": [["create", [{}]]]})[0]

    def hire(self, name: str) -> int:
        """Make an employee; return its id."""
        (party,) = self._client.create(_PARTY, {"name": name})
        return self._client.create(_EMPLOYEE, {"party": party, "company": self.company})[0]

    def open_project(self, name: str, customer: int, tasks: Sequence[str]) -> Project:
        """Make a project with tasks, on all of which time can be recorded."""
        works = {"company": self.company, "timesheet_available": True, "list_price": Decimal(100)}
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

    def durations(self) -> dict[int, timedelta]:
        """The duration of each line there is, by id."""
        return {row["id"]: row["duration"] for row in self._client.search(_LINE, [], "duration")}


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
