"""A history through the whole of it: `throughline load` into Kafka, with one worker beside it, on one machine.

Measured from the start of the command until the worker has nothing left to do: rows a second, and what a row costs the
loader and the worker. Half of the rows are entries that bill by the hour, about as many as in the generated firm, and
each of these is worth a trigger, so the triggers are counted; the others are work on a fixed fee, and move margins.
"""

import csv
import json
import random
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.broker import Say
from bench.firm import GROUP, throughline
from bench.running import Child, Failed
from bench.topics import Committed, read_all
from bench.variants.firm import settings_of
from stack.kafka import Kafka
from streams.engine.worker import steps_of
from streams.topics import TRIGGERS

RESULT: Final = Path(__file__).parent / "results" / "load.json"
ROWS: Final = 1_000_000
TARGET_ROWS_PER_S: Final = 10_000
RUN_SECONDS_MAX: Final = 900.0

_ENTRIES: Final = "psa.public.time_entries"
_PROJECTS, _RESOURCES, _PROJECTS_A_CONTRACT = 400, 100, 2
_FROM, _DAYS = date(2023, 1, 2), 1_000
_AT: Final = "2022-12-01T08:00:00.000Z"
_AT_MS: Final = 1_669_881_600_000
_LOOK_SECONDS = 0.2
_MARKS_A_PARTITION = 1
"""The mark that ends a transaction takes an offset, and is committed a second later where no record follows."""


class Found(NamedTuple):
    """What a load came to."""

    rows: int
    seconds: float
    load_cpu_us: float
    worker_cpu_us: float
    worker_rss_mb: float
    triggers: int

    @property
    def rows_per_s(self) -> float:
        """Rows a second through the topology."""
        return self.rows / self.seconds


def loading(folder: Path, say: Say, rows: int = ROWS) -> Found:
    """Measure. Raises `Failed` if a trigger is missing, or there twice."""
    folder.mkdir(parents=True, exist_ok=True)
    masters, entries = folder / "masters.jsonl", folder / f"{_ENTRIES}.csv"
    masters.write_text("".join(f"{json.dumps(line)}\n" for line in _masters()), encoding="utf-8")
    say(f"writing {rows:,} rows of {_ENTRIES}")
    wanted = _write_entries(entries, rows)
    with Kafka(folder / "kafka", say=say) as kafka:
        throughline(kafka.bootstrap, "topics", "apply")
        throughline(kafka.bootstrap, "load", str(masters), "--quiet")
        steps, _ = steps_of(settings_of(kafka.bootstrap, GROUP, folder))
        committed = Committed(kafka.bootstrap, GROUP, sorted({topic for step in steps for topic in step.reads}))
        with Child(folder / "worker.log", "bench.variants.firm", kafka.bootstrap, GROUP, str(folder)) as worker:
            _until_quiet(worker, committed)
            say("the load begins")
            found = _timed(folder, kafka.bootstrap, worker, committed, rows)
            worker.stop()
        committed.close()
        triggers = sum(1 for _ in read_all(kafka.bootstrap, TRIGGERS))
    if triggers != wanted:
        raise Failed(f"load: {triggers:,} triggers, and there should be {wanted:,}; see {folder}")
    return found._replace(triggers=triggers)


def _timed(folder: Path, brokers: str, worker: Child, committed: Committed, rows: int) -> Found:
    environment = {"THROUGHLINE_BROKERS": brokers, "THROUGHLINE_GROUP": GROUP}
    began, cpu_s, load_cpu_s = time.monotonic(), worker.cpu_s(), 0.0
    words = ("load", str(folder / f"{_ENTRIES}.csv"))
    with Child(folder / "load.log", "bench.loading", *words, environment=environment) as load:
        while not load.has_ended():
            worker.alive()
            load_cpu_s = max(load_cpu_s, load.cpu_s())
            time.sleep(_LOOK_SECONDS)  # what it used is lost with it: it is looked at while it runs
    _until_quiet(worker, committed)
    took = time.monotonic() - began
    spent = worker.cpu_s() - cpu_s
    return Found(rows, took, load_cpu_s / rows * 1e6, spent / rows * 1e6, worker.rss_mb(), 0)


def _until_quiet(worker: Child, committed: Committed) -> None:
    """Wait until a worker has taken in all there is, and nothing is under way in it. Raises `Failed`."""
    deadline = time.monotonic() + RUN_SECONDS_MAX
    while True:
        left = committed.open(committed.offsets())
        if all(records <= _MARKS_A_PARTITION for records in left.values()):
            return
        worker.alive()
        if time.monotonic() > deadline:
            raise Failed(f"load: {sum(left.values()):,} records are open after {RUN_SECONDS_MAX:.0f} s")
        time.sleep(_LOOK_SECONDS)  # brokers tell nobody that a group has caught up


def _write_entries(path: Path, rows: int) -> int:
    """Write approved entries, in the order of their days, as a table is written out; return how many bill."""
    chance, billing = random.Random(1), 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("id", "project_id", "resource_id", "role", "work_date", "hours", "billable", "status", "approved_at",
             "updated_at")
        )  # fmt: skip
        for number in range(rows):
            day = _FROM + timedelta(days=number * _DAYS // rows)
            at = f"{day + timedelta(days=1)}T{chance.randrange(24):02}:{chance.randrange(60):02}:00.000Z"
            project, resource = chance.randrange(_PROJECTS), chance.randrange(_RESOURCES)
            billing += _is_hourly(project // _PROJECTS_A_CONTRACT)
            hours = f"{chance.randrange(1, 33) * 25 // 100}.{chance.randrange(1, 4) * 25}"
            writer.writerow(
                (
                    f"T{number:07}",
                    f"P{project:03}",
                    f"R{resource:03}",
                    "Engineer",
                    day,
                    hours,
                    "true",
                    "Approved",
                    at,
                    at,
                )
            )
    return billing


def _is_hourly(contract: int) -> bool:
    return contract % 2 == 0


def _masters() -> Iterator[dict[str, Any]]:
    """The firm around the entries: nothing of it holds a trigger back."""
    yield _line(
        "erp.LegalEntity", "LE1", Id="LE1", Name="One", Currency="EUR", Country="DE", TaxCode="VAT19", ErpSystem="files"
    )
    yield _line("crm.Account", "A1", Id="A1", Name="Acme", Status="Active", LastModifiedDate=_AT)
    yield _line("erp.Customer", "CU1", Id="CU1", CrmAccountId="A1", LegalEntity="LE1", Status="Active")
    yield _line(
        "psa.public.clients", "CL1", id="CL1", name="Acme", crm_account_id="A1", status="Active", updated_at=_AT
    )
    for number in range(_RESOURCES):
        yield _line(
            "hr.Worker", f"E{number:03}", EmployeeId=f"E{number:03}", Name="x", Status="Active", Region="EMEA",
            CostCenter="D", WeeklyCapacityHours="40", LastModified=_AT,
            CostRates=[{"Rate": "55", "Currency": "EUR", "EffectiveFrom": "2020-01-01"}],
        )  # fmt: skip
        resource = f"R{number:03}"
        yield _line(
            "psa.public.resources", resource, id=resource, employee_id=f"E{number:03}", name="x", updated_at=_AT
        )
    for number in range(_PROJECTS // _PROJECTS_A_CONTRACT):
        yield _line(
            "crm.Contract", f"C{number:03}", ContractNumber=f"C{number:03}", AccountId="A1", Status="Activated",
            CurrencyIsoCode="EUR", Value="900000",
            BillingType="T&M" if _is_hourly(number) else "Fixed Fee", ExpensePolicy="PassThrough",
            RequiresAcceptance=False,
            PoRequired=False, LegalEntity="LE1", StartDate="2020-01-01", LastModifiedDate=_AT,
            Rates=[{"Role": "*", "Rate": "120", "EffectiveFrom": "2020-01-01"}],
        )  # fmt: skip
    for number in range(_PROJECTS):
        project = f"P{number:03}"
        yield _line(
            "psa.public.projects", project, id=project, name="x", client_id="CL1",
            contract_number=f"C{number // _PROJECTS_A_CONTRACT:03}", stage="In Delivery", billing_hold=False,
            region="EMEA", legal_entity=None, cost_center=None, currency="EUR", start_date="2020-01-01", end_date=None,
            budget_hours="40000", budget_cost=None, baseline_margin_pct=None, updated_at=_AT,
        )  # fmt: skip


def _line(topic: str, key: str, **row: Any) -> dict[str, Any]:
    source = {"connector": "bench", "name": "bench", "ts_ms": _AT_MS, "snapshot": True, "position": 1}
    return {
        "topic": topic,
        "key": key,
        "value": {"op": "r", "before": None, "after": row, "ts_ms": _AT_MS, "source": source},
    }


def report(folder: Path, say: Say, rows: int = ROWS) -> dict[str, Any]:
    """Measure, and write what came of it."""
    found = loading(folder, say, rows)
    figures = {
        "rows": found.rows,
        "rows_per_s": round(found.rows_per_s),
        "target_rows_per_s": TARGET_ROWS_PER_S,
        "seconds": round(found.seconds, 1),
        "load_cpu_us_per_row": round(found.load_cpu_us, 1),
        "worker_cpu_us_per_row": round(found.worker_cpu_us, 1),
        "worker_rss_mb": round(found.worker_rss_mb),
        "triggers": found.triggers,
    }
    say(f"load: {figures}")
    if rows == ROWS:
        RESULT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    from streams.cli import main

    main()
