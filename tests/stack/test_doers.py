"""The doer of a PSA database held against the contract suite, on a real PostgreSQL, as the role made for it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outside.errors import Fatal, Retriable, Skippable
from stack.ports import free_ports
from stack.postgresql import PostgreSQL
from streams.doers.contract import Undone
from streams.doers.psa_database import PsaDatabase
from tests.contract.doers.bench import Subject, order_for
from tests.contract.doers.suite import DoerContract, ShellContract
from tests.stack.conftest import say

pytestmark = pytest.mark.stack

SQL = Path(__file__).parents[2] / "connect" / "psa"
ROLE, PASSWORD = "throughline_activation", "open sesame"
STEP = "create_project"

Run = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    with PostgreSQL(tmp_path_factory.mktemp("psa") / "databases", say=say) as server:
        server.create_database("psa")
        for name in ("1-schema.sql", "3-activation.sql", "3-activation.sql"):  # the second time changes nothing
            server.psql(f"--file={SQL / name}", database="psa")
        server.set_password(ROLE, PASSWORD)
        yield server


@pytest.fixture
def run(databases: PostgreSQL) -> Run:
    """Run SQL as the superuser over a PSA with two clients and no project."""

    def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(databases.dsn("psa")) as session:
            found = session.execute(statement, values)
            return found.fetchall() if found.description else []

    for table in ("clients", "projects", "time_entries", "milestones", "assignments", "expenses"):
        run(f"delete from public.{table}")
    run("insert into public.clients values ('CL1', 'Acme', 'A1', 'Active', now()), ('CL2', 'B', 'A2', 'Active', now())")
    return run


@pytest.fixture
def dsn(databases: PostgreSQL) -> str:
    return databases.dsn("psa", ROLE, PASSWORD.replace(" ", "%20"))


@pytest.fixture
def subject(run: Run, dsn: str) -> Subject:
    def there() -> list[str]:
        rows = run("select contract_number from public.projects where stage <> 'Cancelled' order by contract_number")
        return [number.removeprefix("C-") for (number,) in rows]

    def touch() -> None:
        run(
            "insert into public.time_entries select 'T1', id, 'R1', 'Dev', '2026-03-02', 1, true, 'Draft', null, now()"
            " from public.projects"
        )

    return Subject("psa_database", STEP, lambda: PsaDatabase("psa", dsn), there, touch)


class TestPsaDatabase(DoerContract, ShellContract):
    pass


def test_a_project_is_made_as_people_would_make_it(run: Run, dsn: str) -> None:
    PsaDatabase("psa", dsn).make(order_for(STEP), False)
    assert run(
        "select id, name, client_id, contract_number, stage, billing_hold, region, legal_entity, currency, "
        "start_date::text, end_date from public.projects"
    ) == [
        (
            order_for(STEP).shell_id, "Rollout & more <x>", "CL1", "C-O1", "Proposed", False, "EMEA", "DE01", "EUR",
            "2026-03-01", None,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change", ["name = 'Another'", "stage = 'In Delivery'", "budget_hours = 10", "billing_hold = true"]
)
def test_a_project_that_somebody_has_changed_is_left(run: Run, dsn: str, change: str) -> None:
    doer = PsaDatabase("psa", dsn)
    doer.make(order_for(STEP), False)
    run(f"update public.projects set {change}")
    assert doer.undo(order_for(STEP)) is Undone.IN_USE


def test_a_project_of_somebody_else_that_names_the_contract_is_taken_as_it_is(run: Run, dsn: str) -> None:
    doer = PsaDatabase("psa", dsn)
    doer.make(order_for(STEP, "O2"), False)
    run("update public.projects set id = 'P7', contract_number = 'C-O1'")
    made = doer.make(order_for(STEP), False)
    assert (made.reference, made.own) == ("P7", False)
    assert run("select id from public.projects") == [("P7",)]


def test_many_at_once_make_one(run: Run, dsn: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: PsaDatabase("psa", dsn).make(order_for(STEP), True), range(8)))
    assert len(set(made)) == 1
    assert run("select count(*) from public.projects") == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "delete from public.projects",
        "update public.projects set name = 'x'",
        "select name from public.clients",
        "select hours from public.time_entries",
        "insert into public.clients values ('x', 'x', 'x', 'x', now())",
    ],
)
def test_the_role_may_do_no_more_than_it_needs(run: Run, dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute(statement)


def test_what_the_database_says_tells_whose_business_it_is(run: Run, databases: PostgreSQL, dsn: str) -> None:
    with pytest.raises(Fatal, match="authentication failed"):
        PsaDatabase("psa", databases.dsn("psa", ROLE, "wrong")).make(order_for(STEP), False)
    databases.psql("-c", "create role nobody login", database="psa")
    databases.set_password("nobody", "x")
    stranger = PsaDatabase("psa", databases.dsn("psa", "nobody", "x"))
    with pytest.raises(Fatal, match="permission denied"):
        stranger.make(order_for(STEP), False)
    with pytest.raises(Retriable) as caught:
        PsaDatabase("psa", f"postgresql://x:hidden@127.0.0.1:{free_ports(1)[0]}/psa").make(order_for(STEP), False)
    assert "hidden" not in str(caught.value)
    with pytest.raises(Skippable, match="does not say currency, region"):
        PsaDatabase("psa", dsn).make(order_for(STEP, arguments=(("start_on", "2026-03-01"),)), False)
    wrong = (("currency", "EUR"), ("region", "EMEA"), ("start_on", "tomorrow week"))
    with pytest.raises(Skippable, match="invalid input syntax for type date"):
        PsaDatabase("psa", dsn).make(order_for(STEP, arguments=wrong), False)
