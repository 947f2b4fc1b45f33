"""The PSA database through Debezium as shipped: what arrives, under which keys, and what survives which failure."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from connect.configuration import CONNECTORS_FOLDER, read
from tests.stack.psa import HEARTBEATS, ROWS, Psa
from tests.stack.waiting import eventually

OWN_KEYS = ("clients", "resources", "projects")
MANY = 3_000


@pytest.fixture(scope="module")
def psa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Psa]:
    """The database with a row in each table, and the connector applied."""
    made = Psa(tmp_path_factory.mktemp("psa"))
    try:
        for table, values in ROWS.items():
            made.insert(table, *values)
        applied = made.run("apply", "psa")
        assert applied.code == 0, applied
        eventually(lambda: len(made.arrived("expenses")) == 1)
        yield made
    finally:
        made.stop()


class Writer:
    """Writes milestones, each inserted and then changed, in a thread, until it is stopped; it waits out a database."""

    def __init__(self, psa: Psa, stem: str) -> None:
        self.written = 0
        self._psa, self._stem = psa, stem
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def until(self, more: int) -> None:
        """Wait until so many more are written."""
        wanted = self.written + more
        eventually(lambda: self.written >= wanted)

    def _write(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._psa.session() as session:
                    while not self._stopping.wait(0.004):  # a rate, and not as fast as it goes
                        self._one(session)
            except psycopg.OperationalError:
                self._stopping.wait(0.1)

    def _one(self, session: psycopg.Connection[Any]) -> None:
        name = f"{self._stem}{self.written}"
        insert = (
            "insert into public.milestones values (%s, %s, 'm', 1, null, null, 'Started', null, null, now()) "
            "on conflict (id) do nothing"
        )
        session.execute(insert, [name, f"P{self.written % 7}"])
        session.execute("update public.milestones set name = 'n', updated_at = now() where id = %s", [name])
        self.written += 1


def test_rows_that_were_there_arrive_under_the_keys_of_the_contract_and_with_their_values(psa: Psa) -> None:
    for table in ROWS:
        (first,) = [record for record in psa.arrived(table) if record.change["source"]["snapshot"]][:1]
        assert first.change["op"] == "r"
        assert first.row == psa.rows(table)[ROWS[table][0]]
        assert first.key == (ROWS[table][0] if table in OWN_KEYS else "P1")
        source = first.change["source"]
        assert (source["connector"], source["name"], source["table"]) == ("postgresql", "psa", table)


def test_applying_it_again_changes_nothing_and_the_sql_can_be_run_again(psa: Psa) -> None:
    psa.run_sql_files()
    assert psa.run("apply", "psa") == (0, ["psa: as it should be", "psa: running"], "")
    assert psa.run("apply", "psa", "--dry-run") == (0, ["psa: as it should be"], "")


def test_a_wrong_password_is_found_by_validating_and_nothing_is_changed(psa: Psa, tmp_path: Any) -> None:
    config = dict(read(CONNECTORS_FOLDER / "psa.json").config) | {"database.password": "${env:REGISTRY_URL}"}
    (tmp_path / "psa.json").write_text(json.dumps({"name": "psa", "config": config}), "utf-8")
    ran = psa.run("apply", "--folder", str(tmp_path))
    assert ran.code == 1
    assert ran.out[0].startswith("psa: database.hostname: ")
    assert "password authentication failed" in ran.out[0]
    assert ran.out[1:] == ["nothing was changed: correct these settings, or what they name"]
    assert psa.run("apply", "psa", "--dry-run").code == 0


def test_status_tells_how_fresh_it_is(psa: Psa) -> None:
    eventually(lambda: bool(psa.messages(HEARTBEATS)))
    ran = psa.run("status", "psa", "--age-max", "60")
    assert (ran.code, ran.err) == (0, "")
    name, state, count, tasks, age, unit, ago, behind, *lag = ran.out[1].split()
    assert (name, state, count, tasks, unit, ago, behind) == ("psa", "RUNNING", "1", "RUNNING", "s", "ago", "-")
    assert int(age) < 60
    assert lag[-1] == "-"
    assert lag[1] in ("B", "KiB", "MiB")


def test_a_row_that_changes_its_project_goes_under_its_old_key_and_comes_under_its_new_one(psa: Psa) -> None:
    psa.insert("time_entries", "T-moves", "P1", "R1", "Engineer", "2026-02-03", "8", True, "Draft", None)
    with psa.session() as session:
        session.execute("update public.time_entries set project_id = 'P2' where id = 'T-moves'")
        session.execute("delete from public.time_entries where id = 'T-moves'")

    def told() -> list[tuple[str, str, Any, Any]]:
        found = [record for record in psa.arrived("time_entries") if record.row["id"] == "T-moves"]
        found.sort(key=lambda record: (record.change["source"]["position"], record.change["op"] != "d"))
        return [(key, change["op"], *_projects(change)) for key, change in found]

    wanted = [("P1", "c", None, "P1"), ("P1", "d", "P1", None), ("P2", "c", None, "P2"), ("P2", "d", "P2", None)]
    eventually(lambda: len(told()) >= len(wanted))
    assert told() == wanted


def _projects(change: dict[str, Any]) -> tuple[Any, Any]:
    before, after = change["before"], change["after"]
    return before and before["project_id"], after and after["project_id"]


def test_the_role_can_do_no_more_than_it_must(psa: Psa) -> None:
    with psa.session("debezium") as session:
        session.execute("select from public.time_entries")
        for refused in (
            "delete from public.time_entries",
            "update public.projects set name = 'x'",
            "update public.debezium_signal set data = ''",
            "delete from public.debezium_heartbeat",
            "create table public.other (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(refused.encode())


def test_tables_are_read_anew_while_changes_go_on(psa: Psa) -> None:
    with psa.session() as session:
        session.execute(
            "insert into public.milestones select 'A' || i, 'P' || i %% 5, 'm', 1, null, null, 'Started', null, null, "
            "now() from generate_series(1, %s) i",
            [MANY],
        )
    writer = Writer(psa, "W")
    try:
        writer.until(20)
        ran = psa.run("snapshot", "milestones", "public.clients")
        assert ran.code == 0, ran
        eventually(lambda: len(_reread(psa, "clients")) == 1)
        writer.until(20)
    finally:
        writer.stop()
    eventually(lambda: psa.in_force("milestones") == psa.rows("milestones"))
    # Every row that nobody touched meanwhile comes exactly once more; those that were written then come as changes.
    again = Counter(record.row["id"] for record in _reread(psa, "milestones"))
    untouched = {"M1", *(f"A{number}" for number in range(1, MANY + 1))}
    assert {name: again[name] for name in untouched} == dict.fromkeys(untouched, 1)
    assert max(again.values()) == 1
    assert {record.key for record in _reread(psa, "milestones")} == {f"P{number}" for number in range(7)}
    # The requests and marks of the signal table go nowhere, and of the marks nothing is left.
    with psa.session() as session:
        left = session.execute("select distinct type from public.debezium_signal").fetchall()
    assert left == [("execute-snapshot",)]


def test_a_change_from_a_transaction_that_was_open_while_its_row_was_read_comes_later_from_further_back(
    psa: Psa,
) -> None:
    """Whoever drops what is older than the last they saw of a row would lose it."""
    psa.insert("resources", "R-open", "E9", "Before")
    with psa.session() as session, session.transaction():
        session.execute("update public.resources set name = 'After' where id = 'R-open'")
        assert psa.run("snapshot", "resources").code == 0
        eventually(lambda: any(record.row["id"] == "R-open" for record in _reread(psa, "resources")))
    eventually(lambda: psa.in_force("resources") == psa.rows("resources"))
    told = [record.change for record in psa.arrived("resources") if record.row["id"] == "R-open"]
    assert [(change["op"], change["after"]["name"]) for change in told] == [
        ("c", "Before"),
        ("r", "Before"),
        ("u", "After"),
    ]
    made, read_anew, changed = (change["source"]["position"] for change in told)
    assert made < changed < read_anew


def _reread(psa: Psa, table: str) -> list[Any]:
    return [record for record in psa.arrived(table) if "reread" in record.change["source"]]


def test_a_restart_loses_nothing(psa: Psa) -> None:
    assert psa.run("restart", "psa") == (0, ["psa: running"], "")
    assert psa.run("restart", "psa", "--failed-only") == (0, ["psa: nothing of it has failed", "psa: running"], "")
    psa.insert("clients", "CL-after", "Acme", "A2", "Active")
    eventually(lambda: psa.in_force("clients") == psa.rows("clients"))


def test_connect_killed_while_rows_are_written_loses_nothing_and_doubles_nothing(psa: Psa) -> None:
    writer = Writer(psa, "K")
    try:
        for _ in range(2):
            writer.until(100)
            psa.connect.kill()
            writer.until(50)
            psa.connect.start()
        writer.until(100)
    finally:
        writer.stop()
    eventually(lambda: psa.in_force("milestones") == psa.rows("milestones"))
    counts = Counter((r.change["op"], r.row["id"]) for r in psa.arrived("milestones") if r.row["id"][0] == "K")
    assert counts == {(op, f"K{number}"): 1 for number in range(writer.written) for op in "cu"}


def test_the_database_killed_while_rows_are_written_loses_nothing_that_was_committed(psa: Psa) -> None:
    writer = Writer(psa, "D")
    try:
        writer.until(50)
        psa.databases.kill()
        psa.databases.start()
        writer.until(50)
    finally:
        writer.stop()
    eventually(lambda: psa.in_force("milestones") == psa.rows("milestones"))
    assert psa.run("status", "psa").code == 0


def test_a_truncated_table_is_told_and_not_passed_over(psa: Psa) -> None:
    with psa.session() as session:
        session.execute("truncate public.assignments")
    eventually(lambda: "t" in [_op(message) for message in psa.messages("psa.public.assignments")])


def _op(message: Any) -> str:
    return "t" if message.key() is None else ""


def test_a_slot_that_was_made_anew_is_noticed_and_a_first_snapshot_mends_it(psa: Psa) -> None:
    assert psa.run("stop", "psa").code == 0
    with psa.session() as session:
        session.execute("select pg_drop_replication_slot('psa_capture')")
        session.execute("insert into public.clients values ('CL-unseen', 'Acme', 'A3', 'Active', now())")
        session.execute("select pg_create_logical_replication_slot('psa_capture', 'pgoutput')")
    resumed = psa.run("resume", "psa")
    assert resumed.code == 1
    assert "the log that it has yet to read is gone" in resumed.out[0]
    assert psa.run("status", "psa").code == 1
    assert psa.run("stop", "psa").code == 0
    with psa.session() as session:
        session.execute("select pg_drop_replication_slot('psa_capture')")
    assert psa.run("offsets", "psa", "--reset", "--yes").code == 0
    assert psa.run("resume", "psa").code == 0
    eventually(lambda: psa.in_force("clients") == psa.rows("clients"))
    assert "CL-unseen" in psa.rows("clients")
