"""The doer of Tryton's projects held against the contract suite, on a real Tryton."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from live.tryton import Line, TrytonAtWork
from stack.postgresql import PostgreSQL
from stack.tryton import DATABASE, USER, Tryton
from stack.tryton_client import TrytonClient
from streams.doers.contract import Undone
from tests.contract.doers.bench import Subject, close_all, opened, order_for
from tests.contract.doers.suite import DoerContract, ShellContract
from tests.stack.conftest import say

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

STEP = "create_project"


class Books:
    """A real Tryton with one customer, and a doer over it."""

    def __init__(self, tryton: Tryton) -> None:
        self.client: TrytonClient = tryton.client()
        self.work = TrytonAtWork(self.client)
        self.customer = self.work.customer("Acme")
        self.plan: dict[str, Any] = {
            "kind": "tryton", "http": {"url": tryton.url}, "database": DATABASE, "user": USER,
            "password": tryton.password, "companies": {"DE01": self.work.company}, "parties": {"A1": self.customer},
        }  # fmt: skip

    def projects(self) -> list[dict[str, Any]]:
        """What is there of ours: their ids, statuses and comments."""
        return self.client.search("project.work", [("comment", "like", "throughline:%")], "comment", "status", "name")

    def empty(self) -> None:
        """Have nothing of ours there: what there was is called otherwise."""
        for project in self.projects():
            self.client.call("model.project.work.write", [project["id"]], {"comment": ""})


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    folder = tmp_path_factory.mktemp("books")
    with (
        PostgreSQL(folder / "databases", say=say) as databases,
        Tryton(folder / "tryton", databases, say=say) as server,
    ):
        yield Books(server)


@pytest.fixture
def subject(books: Books) -> Iterator[Subject]:
    books.empty()

    def there() -> list[str]:
        return [one["comment"].rpartition("C-")[2] for one in books.projects() if one["status"] == 1]

    def touch() -> None:
        [project] = books.projects()
        origin = f"project.work,{project['id']}"
        [work] = books.client.search("timesheet.work", [("origin", "=", origin)], "id")
        employee = books.work.hire("Ada")
        books.work.record(Line(work["id"], employee, date(2026, 3, 2), timedelta(hours=1)))

    yield Subject("tryton", STEP, lambda: opened(books.plan), there, touch)
    close_all()


class TestTryton(DoerContract, ShellContract):
    pass


def test_a_project_is_one_that_people_can_work_in(books: Books, subject: Subject) -> None:
    doer = subject.open()
    made = doer.make(order_for(STEP), False)
    assert made.results == (("project_id", f"tryton:{made.reference}"), ("crosswalk", f"{made.reference}: C-O1"))
    [project] = books.projects()
    assert project["name"] == "Rollout & more <x>"
    assert subject.touch is not None
    subject.touch()
    assert doer.undo(order_for(STEP)) is Undone.IN_USE
