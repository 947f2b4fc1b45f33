"""Growth: what one more time entry costs on a contract with 1, 10 and 100 times the history."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from streams.intake.reading import Reader
from streams.simulator import Simulator
from streams.sources import recorded_reader
from streams.step import Record
from streams.topology import load_rulebook, topology

# The billing types whose items depend on one another: through nothing, a cap that is spent, and a month's hours.
KINDS = {
    "time and materials": {"BillingType": "T&M"},
    "capped, the cap spent": {"BillingType": "T&M NTE", "Cap": "10000"},
    "retainer, beyond its hours": {"BillingType": "Retainer", "IncludedHours": "100", "OverageRate": "100"},
}
HISTORY = 1_000
FACTORS = (1, 10, 100)
MEASURED = 2_000
FLAT_WITHIN = 0.20
_START_MS = 1_767_600_000_000


class Growth(NamedTuple):
    """Microseconds of CPU a record, on a contract of a kind with so many entries before."""

    kind: str
    entries: int
    us_per_record: float


class History:
    """One contract and its time entries: draft, submitted, approved, one after the other over the working days."""

    def __init__(self, kind: str) -> None:
        self._terms = KINDS[kind]
        self._position = 0

    def master_records(self) -> Iterator[Record]:
        """Yield what a time entry needs to be billed."""
        yield self._record("erp.LegalEntity", "LE", {"Id": "LE", "Name": "LE", "Currency": "EUR", "Country": "DE",
                           "TaxCode": "VAT", "ErpSystem": "files"})  # fmt: skip
        yield self._record("erp.Customer", "CU", {"Id": "CU", "CrmAccountId": "A", "LegalEntity": "LE",
                           "Status": "Active"})  # fmt: skip
        yield self._record("psa.public.resources", "R", {"id": "R", "employee_id": "E", "name": "R",
                           "updated_at": "2026-01-01T00:00:00Z"})  # fmt: skip
        yield self._record("hr.Worker", "E", {"EmployeeId": "E", "Name": "E", "Status": "Active", "Region": "EMEA",
                           "CostCenter": "CC", "WeeklyCapacityHours": "40", "LastModified": "2026-01-01T00:00:00Z",
                           "CostRates": [{"Rate": "60", "Currency": "EUR", "EffectiveFrom": "2020-01-01"}],
                           })  # fmt: skip
        yield self._record("crm.Contract", "C", {"ContractNumber": "C", "AccountId": "A", "Status": "Activated",
                           **self._terms, "CurrencyIsoCode": "EUR", "ExpensePolicy": "PassThrough",
                           "RequiresAcceptance": False, "PoRequired": False, "LegalEntity": "LE",
                           "StartDate": "2020-01-01", "LastModifiedDate": "2026-01-01T00:00:00Z",
                           "Rates": [{"Role": "*", "Rate": "100", "EffectiveFrom": "2020-01-01"}]})  # fmt: skip
        yield self._record("psa.public.projects", "P", {"id": "P", "name": "P", "client_id": "CL",
                           "contract_number": "C", "stage": "In Delivery", "billing_hold": False, "region": "EMEA",
                           "currency": "EUR", "start_date": "2020-01-01", "budget_hours": "90000",
                           "updated_at": "2026-01-01T00:00:00Z"})  # fmt: skip

    def entries(self, first: int, count: int) -> Iterator[Record]:
        """Yield three versions each of so many entries."""
        for number in range(first, first + count):
            worked_on = date(2022, 1, 3) + timedelta(days=number // 80)
            row = {"id": f"T{number:07d}", "project_id": "P", "resource_id": "R", "role": "Engineer",
                   "work_date": worked_on.isoformat(), "hours": "7.5", "billable": True, "approved_at": None,
                   "updated_at": "2026-01-05T09:00:00Z"}  # fmt: skip
            for status in ("Draft", "Submitted", "Approved"):
                approved = "2026-01-05T09:00:00Z" if status == "Approved" else None
                yield self._record("psa.public.time_entries", "P", {**row, "status": status, "approved_at": approved})

    def _record(self, topic: str, key: str, row: dict[str, Any]) -> Record:
        self._position += 1
        now = _START_MS + self._position * 1_000
        source = {"connector": "bench", "name": "bench", "ts_ms": now, "snapshot": False, "position": self._position}
        return Record(topic, key, {"before": None, "after": row, "op": "c", "ts_ms": now, "source": source}, now)


def measure(kind: str, entries_before: int) -> Growth:
    """Return the CPU time of one more record on a contract with so many entries."""
    rulebook = load_rulebook()
    reader = recorded_reader(rulebook)
    simulator = Simulator(topology(rulebook, reader), lambda _: None)
    history = History(kind)
    for count, record in enumerate((*history.master_records(), *history.entries(0, entries_before))):
        _take(simulator, reader, record)
        if not count & 0xFF:
            simulator.flush(4_000)
    more = list(history.entries(entries_before, MEASURED))
    gc.collect()
    gc.disable()  # a collection of all that is kept would fall into one run and not into another
    began = time.process_time()
    for record in more:
        _take(simulator, reader, record)
    took = time.process_time() - began
    gc.enable()
    return Growth(kind, entries_before, took / len(more) * 1e6)


def _take(simulator: Simulator, reader: Reader, record: Record) -> None:
    read = reader.read(record)
    simulator.advance(record.timestamp)
    simulator.feed_to("intake", record._replace(value=read))
    simulator.settle()


def run(rounds: int, say: Callable[[str], None]) -> list[Growth]:
    """Return medians for each kind and size, measured in turn so that a drifting machine hits all alike."""
    samples: dict[tuple[str, int], list[float]] = {(kind, HISTORY * factor): [] for kind in KINDS for factor in FACTORS}
    for number in range(1, rounds + 1):
        say(f"growth of cost with history: round {number} of {rounds}")
        for place, measured in samples.items():
            measured.append(measure(*place).us_per_record)
    return [Growth(*place, statistics.median(values)) for place, values in samples.items()]
