"""A small Tryton in memory: random histories of its tables as Debezium tells them, and the join of their last rows.

The join is plain Python over dictionaries, and shares nothing with the steps that assemble rows.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random
from shutil import copyfile
from typing import Any

from schemas.mapping import load_mappings
from streams.topology import Rulebook
from tests.support.streams import rulebook

Json = dict[str, Any]
Rows = dict[str, dict[str, Json]]

SHIPPED = Path(__file__).parents[2] / "connect" / "tryton" / "tryton.yaml"
SOURCE = "tryton.public."
UNTOLD = "__debezium_unavailable_value"

ACCOUNTS = {"1": "AT1", "2": "AT2"}
EMPLOYEES = {"1": "ET1", "2": "ET2"}
CONTRACTS = {"1": "CT1", "2": "CT2", "3": None}
TASK_ROLES = {"Analysis": "Analyst", "Build": "Engineer"}
EMPLOYEE_ROLES = {"1": "Analyst", "2": "Engineer"}
CROSSWALK: dict[str, dict[str, Any]] = {
    "accounts": ACCOUNTS,
    "employees": EMPLOYEES,
    "contracts": CONTRACTS,
    "regions": {"1": "EMEA", "2": "AMER"},
    "legal_entities": {"1": "LE1", "2": "LE1"},
    "task_roles": TASK_ROLES,
    "employee_roles": EMPLOYEE_ROLES,
}
"""Who and what is called how elsewhere. Employee 3, party 3 and project 4 are not in it."""


def mapping_in(
    folder: Path, crosswalk: dict[str, dict[str, Any]] | None = None, edit: tuple[str, str] = ("", "")
) -> Path:
    """Copy the mapping shipped to a folder, with a crosswalk and one text replaced; return its path."""
    folder.mkdir(exist_ok=True)
    mapping = Path(copyfile(SHIPPED, folder / SHIPPED.name))
    text = mapping.read_text("utf-8")
    assert edit[0] in text
    mapping.write_text(text.replace(*edit, 1) if edit[0] else text, "utf-8")
    lines = ["system: tryton", "owner: data_steward", "version: 1", "tables:"]
    for table, entries in (CROSSWALK if crosswalk is None else crosswalk).items():
        lines.append(f"  {table}:" if entries else f"  {table}: {{}}")
        lines += [f'    "{key}": {"null" if value is None else value}' for key, value in entries.items()]
    (folder / "crosswalk.yaml").write_text("\n".join(lines) + "\n", "utf-8")
    return mapping


def with_tryton(mapping: Path) -> Rulebook:
    """Return the shipped rulebook with the mapping of a Tryton beside."""
    shipped = rulebook()
    return Rulebook(load_mappings(further=[mapping]), shipped.ownership, shipped.policy)


class Tryton:
    """Its tables, written a change at a time. `told` are the changes by row, in order; `rows` those in force.

    `records` are all changes in the order in which they happened.
    """

    def __init__(self) -> None:
        self.records: list[Json] = []
        self.rows: Rows = {}
        self.told: dict[tuple[str, str], list[Json]] = {}
        self._lsn = 1000
        self._clock = 1_769_990_400_000  # 2026-02-02

    def put(self, table: str, identity: int, told: Json | None = None, **columns: Any) -> Json:
        """Create a row or change some of its columns; `told` replaces what the change says of some of them."""
        rows, key = self.rows.setdefault(table, {}), str(identity)
        before = rows.get(key)
        stamp = "write_date" if before else "create_date"
        blank = {"id": identity, "create_date": None, "write_date": None}
        row = rows[key] = {**(before or blank), **columns, stamp: self._now()}
        return self.tell(table, key, "u" if before else "c", {**row, **(told or {})})

    def spoil(self, table: str, identity: int, **columns: Any) -> None:
        """Tell a version of a row that is there and that cannot be read: the last good one stays in force."""
        self._now()
        self.tell(table, str(identity), "u", {**self.rows[table][str(identity)], **columns})

    def delete(self, table: str, identity: int) -> None:
        """Delete a row that is there; what it was like is not told, as replica identity DEFAULT does not."""
        row = self.rows[table].pop(str(identity))
        self.tell(table, str(identity), "d", {**dict.fromkeys(row), "id": identity})

    def rewrite(self, table: str, identity: int) -> None:
        """Delete a row and create it again at one position, as a changed key is told."""
        row = self.rows[table][str(identity)]
        self.delete(table, identity)
        self._lsn -= 10
        self.rows[table][str(identity)] = row
        self.tell(table, str(identity), "c", row)

    def reread(self, table: str, identity: int, later: int = 0) -> Json:
        """Tell a row as a connector that was asked to read it anew, when the log had been read so much further on."""
        record = self.tell(table, str(identity), "r", self.rows[table][str(identity)])
        sequence = f'["{self._lsn + later}","7"]'
        record["value"]["source"] |= {"snapshot": "incremental", "lsn": None, "sequence": sequence}
        return record

    def tell(self, table: str, key: str, op: str, row: Json) -> Json:
        """Write a change as it is given."""
        self._lsn += 10
        side = {"before": row, "after": None} if op == "d" else {"before": None, "after": row}
        source = {"connector": "postgresql", "name": "tryton", "ts_ms": self._clock, "snapshot": False}
        record = {
            "topic": SOURCE + table,
            "key": key,
            "value": {**side, "op": op, "ts_ms": self._clock, "source": {**source, "lsn": self._lsn}},
            "timestamp": self._clock,
        }
        self.told.setdefault((table, key), []).append(record)
        self.records.append(record)
        return record

    def _now(self) -> str:
        self._clock += 60_000
        minutes = (self._clock - 1_769_990_400_000) // 60_000
        return f"2026-02-{2 + minutes // 1440:02d}T{minutes // 60 % 24:02d}:{minutes % 60:02d}:00+00:00"

    def masters(self) -> "Tryton":
        """Two companies, currencies and clients, and two employees with their parties."""
        for number, code in ((1, "EUR"), (2, "USD")):
            self.put("currency_currency", number, code=code)
            self.put("company_company", number, currency=number)
            self.put("party_party", number, name=f"Client {number}")
            self.put("party_party", 10 + number, name=f"Person {number}")
            self.put("company_employee", number, party=10 + number)
        return self

    def project(self, identity: int, **columns: Any) -> None:
        """A project, by default of client 1."""
        given = {"name": f"Project {identity}", "parent": None, "type": "project", "path": f"{identity}/", "status": 1}
        self.put("project_work", identity, **{**given, "party": 1, "company": 1, **columns})

    def task(self, identity: int, project: int, **columns: Any) -> None:
        """A task of a project, and the work of the same id that time is recorded against."""
        given = {"name": "Build", "parent": project, "type": "task", "path": f"{project}/{identity}/", "status": 1}
        self.put("project_work", identity, **{**given, "party": None, "company": 1, **columns})
        self.put("timesheet_work", identity, origin=f"project.work,{identity}")

    def line(self, identity: int, work: int, **columns: Any) -> None:
        """A line of 7.5 hours of employee 1."""
        given = {"work": work, "employee": 1, "date": "2026-02-03", "duration": "PT27000S", "invoice_line": None}
        self.put("timesheet_line", identity, **{**given, **columns})


def small_firm() -> Tryton:
    """A project with a task and a line."""
    tryton = Tryton().masters()
    tryton.project(1)
    tryton.task(5, 1)
    tryton.line(1, 5)
    return tryton


def random_tryton(seed: int, events: int, spoilt: bool) -> Tryton:
    """A random history. `spoilt`: with what cannot be read, what the crosswalk does not know, and masters deleted."""
    random = Random(seed)
    tryton = Tryton().masters()
    for number in (1, 2, 3):
        tryton.project(number, party=random.choice([1, 2]), company=random.choice([1, 2]))
    for number in range(5, 9):
        tryton.task(number, random.choice([1, 2, 3]), name=random.choice([*TASK_ROLES]))
    if spoilt:
        tryton.put("party_party", 3, name="Not a client")
        tryton.put("company_employee", 3, party=3)
        tryton.project(4)
        tryton.task(9, 4, name="Other")
    for _ in range(events):
        _event(tryton, random, spoilt)
    return tryton


def _event(tryton: Tryton, random: Random, spoilt: bool) -> None:
    lines, tasks = tryton.rows.get("timesheet_line", {}), range(5, 10 if spoilt else 9)
    line, task = random.randint(1, 8), random.choice(tasks)
    kind = random.randint(0, 20)
    if kind < 8 or str(line) not in lines:
        _write_line(tryton, random, line, tasks, spoilt)
    elif kind < 10:
        tryton.delete("timesheet_line", line)
    elif kind == 10:
        tryton.rewrite("timesheet_line", line)
    elif kind < 13:
        _write_task(tryton, random, task, spoilt)
    elif kind == 13:
        origin = random.choice([f"project.work,{random.choice(tasks)}", "project.work,1", "sale.line,5", None])
        tryton.put("timesheet_work", task, origin=origin)
    elif kind == 14:
        _delete_or_restore(tryton, random, task)
    elif kind == 15:
        party = random.choice([1, 2, 11, 12])
        told = {"name": UNTOLD} if random.random() < 0.5 and str(party) in tryton.rows["party_party"] else {}
        tryton.put("party_party", party, told, **({} if told else {"name": f"Party {random.randint(0, 9)}"}))
    elif kind == 16:
        project = random.choice([1, 2, 3])
        changes: list[Json] = [{"status": 2}, {"status": 1}, {"name": "Renamed"}]
        tryton.put("project_work", project, **random.choice(changes))
    elif kind == 17:
        tryton.put("company_employee", random.choice([1, 2]), party=random.choice([11, 12]))
    elif kind == 18:
        table = random.choice([*tryton.rows])
        if tryton.rows[table]:
            tryton.reread(table, int(random.choice([*tryton.rows[table]])), later=random.choice([0, 500]))
    elif spoilt:
        _spoil(tryton, random, line)


def _write_line(tryton: Tryton, random: Random, line: int, tasks: range, spoilt: bool) -> None:
    columns = random.choice(
        [
            {"work": random.choice([*tasks, *([99] if spoilt else [])])},
            {"employee": random.choice([1, 2, *([3] if spoilt else [])])},
            {"date": f"2026-02-{random.randint(2, 27):02d}"},
            {"duration": random.choice(["PT27000S", "PT1200S", "PT1800.5S", "PT0S"])},
            {"invoice_line": random.choice([None, 7])},
            {"description": "corrected"},
        ]
    )
    if str(line) in tryton.rows.get("timesheet_line", {}):
        tryton.put("timesheet_line", line, **columns)
    else:
        tryton.line(line, **{"work": random.choice(tasks), **columns})


def _write_task(tryton: Tryton, random: Random, task: int, spoilt: bool) -> None:
    if str(task) not in tryton.rows["project_work"]:
        return
    project = random.choice([1, 2, 3])
    columns: list[Json] = [
        {"name": random.choice([*TASK_ROLES, *(["Other"] if spoilt else [])])},
        {"parent": project, "path": f"{project}/{task}/"},
        {"path": None},
        {"progress": 1},
    ]
    tryton.put("project_work", task, **random.choice(columns))


def _delete_or_restore(tryton: Tryton, random: Random, task: int) -> None:
    table = random.choice(["project_work", "timesheet_work"])
    if str(task) in tryton.rows[table]:
        tryton.delete(table, task)
    elif table == "project_work":
        tryton.task(task, random.choice([1, 2, 3]))
    else:
        tryton.put(table, task, origin=f"project.work,{task}")


def _spoil(tryton: Tryton, random: Random, line: int) -> None:
    kind = random.randint(0, 3)
    if kind == 0:
        tryton.spoil("timesheet_line", line, duration=[1])
    elif kind == 1:
        tryton.spoil("project_work", 1, name={"de": "Projekt"})
    elif kind == 2:
        party = random.choice([11, 12])
        if str(party) in tryton.rows["party_party"]:
            tryton.delete("party_party", party)
        else:
            tryton.put("party_party", party, name="Back again")
    elif "2" in tryton.rows["company_company"]:
        tryton.delete("company_company", 2)
    else:
        tryton.put("company_company", 2, currency=1)


def interleaved(told: Iterable[list[Json]], random: Random, again: float = 0.2) -> list[Json]:
    """Return histories of rows as topics may bring them: each in its order, in between some that have come before."""
    waiting = [list(reversed(history)) for history in told if history]
    seen: list[Json] = []
    order: list[Json] = []
    while waiting:
        if seen and random.random() < again:
            order.append(random.choice(seen))
            continue
        history = random.choice(waiting)
        record = history.pop()
        order.append(record)
        seen.append(record)
        waiting = [history for history in waiting if history]
    return order


def joined(rows: Rows) -> tuple[dict[tuple[str, str], Json], set[tuple[str, str]]]:
    """Return the rows that a Tryton's last rows make, by topic and id, and which of them the crosswalk refuses."""
    made: dict[tuple[str, str], Json] = {}
    refused: set[tuple[str, str]] = set()
    for topic, identity, row in (*_clients(rows), *_resources(rows), *_projects(rows), *_entries(rows)):
        if row is None:
            refused.add((topic, identity))
        else:
            made[topic, identity] = row
    return made, refused


Made = Iterator[tuple[str, str, Json | None]]


def _clients(rows: Rows) -> Made:
    for key, party in rows["party_party"].items():
        if key in ACCOUNTS:
            row = {"id": f"tryton:{key}", "name": party["name"], "crm_account_id": ACCOUNTS[key], "status": "Active"}
            yield "tryton.clients", f"tryton:{key}", {**row, "updated_at": _changed(party)}


def _resources(rows: Rows) -> Made:
    for key, employee in rows["company_employee"].items():
        party = rows["party_party"].get(str(employee["party"]))
        if party is None:
            continue
        row = {"id": f"tryton:{key}", "employee_id": EMPLOYEES.get(key), "name": party["name"]}
        row["updated_at"] = _changed(employee)
        yield "tryton.resources", f"tryton:{key}", row if key in EMPLOYEES else None


def _projects(rows: Rows) -> Made:
    for key, work in rows["project_work"].items():
        company = rows["company_company"].get(str(work["company"]))
        if work["type"] != "project" or company is None:
            continue
        row = {
            "id": f"tryton:{key}", "name": work["name"], "client_id": f"tryton:{work['party']}",
            "contract_number": CONTRACTS.get(key), "stage": str(work["status"]), "billing_hold": False,
            "region": {1: "EMEA", 2: "AMER"}[work["company"]], "legal_entity": "LE1", "cost_center": None,
            "currency": rows["currency_currency"][str(company["currency"])]["code"],
            "start_date": work["create_date"][:10], "end_date": None, "budget_hours": None, "budget_cost": None,
            "baseline_margin_pct": None, "updated_at": _changed(work),
        }  # fmt: skip
        yield "tryton.projects", f"tryton:{key}", row if key in CONTRACTS else None


def _entries(rows: Rows) -> Made:
    for key, line in rows.get("timesheet_line", {}).items():
        work = rows["timesheet_work"].get(str(line["work"]))
        if work is None or not (work["origin"] or "").startswith("project.work,"):
            continue
        task = rows["project_work"].get(work["origin"].split(",")[1])
        if task is None or task["path"] is None:
            continue
        role = TASK_ROLES.get(task["name"]) or EMPLOYEE_ROLES.get(str(line["employee"]))
        row = {
            "id": f"tryton:{key}", "project_id": f"tryton:{task['path'].split('/')[0]}",
            "resource_id": f"tryton:{line['employee']}", "role": role, "work_date": line["date"],
            "hours": str(hours(line["duration"])), "billable": line["invoice_line"] is None, "status": "recorded",
            "approved_at": line["create_date"], "updated_at": _changed(line),
        }  # fmt: skip
        yield "tryton.time_entries", f"tryton:{key}", row if role else None


def hours(duration: str) -> Decimal:
    """Return the hours of a duration such as PT27000S, to four places."""
    return (Decimal(duration[2:-1]) / 3600).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def _changed(row: Json) -> Any:
    return row["write_date"] or row["create_date"]
