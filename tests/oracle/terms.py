"""The firm as a batch sees it: final rows with their joins, and the terms of a contract as of a date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from tests.oracle.amounts import ONE, ZERO, minor, number
from tests.oracle.folding import Rows, moment_of
from tests.oracle.shapes import MEANINGS, Row

FX_DAYS_MAX = 7
Milestone = Row


def day(text: str) -> date:
    """A JSON date."""
    return date.fromisoformat(text)


def day_of(moment: str) -> date:
    """The UTC date of an RFC 3339 time."""
    return moment_of(moment).date()


@dataclass(frozen=True)
class Terms:
    """A contract with its approved amendments in order of (EffectiveDate, Id)."""

    row: Row
    amendments: tuple[Row, ...]

    @property
    def number(self) -> str:
        return str(self.row["ContractNumber"])

    @property
    def currency(self) -> str:
        return str(self.row["CurrencyIsoCode"])

    @property
    def billing(self) -> str:
        return MEANINGS["billing"][self.row["BillingType"]]

    @property
    def stage(self) -> str:
        return MEANINGS["stage_crm"][self.row["Status"]]

    @property
    def start(self) -> date:
        return day(self.row["StartDate"])

    @property
    def end(self) -> date | None:
        """The last amendment with a new end decides, whether it is later or earlier."""
        ends = [a["NewEndDate"] for a in self.amendments if a.get("NewEndDate")]
        last = ends[-1] if ends else self.row.get("EndDate")
        return day(last) if last else None

    def covers(self, when: date) -> bool:
        return self.start <= when and (self.end is None or when <= self.end)

    @property
    def value(self) -> Fraction:
        return number(self.row.get("Value")) + sum((number(a.get("ValueDelta")) for a in self.amendments), ZERO)

    def value_at(self, when: date) -> Fraction:
        counted = [a for a in self.amendments if day(a["EffectiveDate"]) <= when]
        return number(self.row.get("Value")) + sum((number(a.get("ValueDelta")) for a in counted), ZERO)

    @property
    def cap(self) -> Fraction | None:
        if self.billing != "capped_time_and_materials" or self.row.get("Cap") is None:
            return None
        cap = number(self.row["Cap"]) + sum((number(a.get("CapDelta")) for a in self.amendments), ZERO)
        unit = Fraction(10) ** minor(self.currency)
        return max(ZERO, (cap * unit).__floor__() / unit)  # what bills is whole minor units

    def bill_rate(self, role: str, when: date) -> Fraction | None:
        """The rate in force for a role; a rate of its own beats ``*``."""
        own = self._newest(role, when)
        return own if own is not None else self._newest("*", when)

    def _newest(self, role: str, when: date) -> Fraction | None:
        ranked = []
        for place, rate in enumerate(self.row["Rates"]):
            if rate["Role"] == role:
                ranked.append((day(rate["EffectiveFrom"]), 0, place, rate["Rate"]))
        for order, amendment in enumerate(self.amendments, start=1):
            for place, rate in enumerate(amendment["Rates"]):
                if rate["Role"] == role:
                    since = max(day(rate["EffectiveFrom"]), day(amendment["EffectiveDate"]))
                    ranked.append((since, order, place, rate["Rate"]))
        in_force = [entry for entry in ranked if entry[0] <= when]
        return number(max(in_force)[3]) if in_force else None


class Firm:
    """Final rows, joined. ``clock`` is the processing clock, aware, in UTC."""

    def __init__(self, rows: Rows, clock: datetime) -> None:
        self.rows = rows
        self.clock = clock
        self.projects = rows["psa.public.projects"]
        approved: dict[str, list[Row]] = defaultdict(list)
        for amendment in rows["crm.ContractAmendment"].values():
            if amendment["Status"] == "Approved":
                approved[amendment["ContractNumber"]].append(amendment)
        self.contracts = {
            name: Terms(row, tuple(sorted(approved[name], key=lambda a: (a["EffectiveDate"], a["Id"]))))
            for name, row in rows["crm.Contract"].items()
        }
        self.projects_of: dict[str, list[Row]] = defaultdict(list)
        for _, project in sorted(self.projects.items()):
            if project.get("contract_number"):
                self.projects_of[project["contract_number"]].append(project)
        self.entries = self._by_project("psa.public.time_entries")
        self.expenses = self._by_project("psa.public.expenses")
        self.milestones = self._by_project("psa.public.milestones")
        self.assignments = self._by_project("psa.public.assignments")
        self._fx: dict[tuple[str, str], list[tuple[date, Fraction]]] = defaultdict(list)
        for rate in rows["erp.FxRate"].values():
            self._fx[rate["FromCurrency"], rate["ToCurrency"]].append((day(rate["Date"]), number(rate["Rate"])))

    def _by_project(self, topic: str) -> dict[str, list[Row]]:
        """Rows by project; those of an unknown project are parked and do not count."""
        grouped: dict[str, list[Row]] = defaultdict(list)
        for _, row in sorted(self.rows[topic].items()):
            if row["project_id"] in self.projects:
                grouped[row["project_id"]].append(row)
        return grouped

    def terms_of(self, project: Row) -> Terms | None:
        """The contract of a project, None without one or when it is unknown."""
        return self.contracts.get(project.get("contract_number") or "")

    def client_of(self, project: Row) -> str | None:
        terms = self.terms_of(project)
        if terms is not None and terms.row["AccountId"]:
            return str(terms.row["AccountId"])
        client = self.rows["psa.public.clients"].get(project["client_id"])
        return str(client["crm_account_id"]) if client else None

    def legal_entity(self, project: Row | None, terms: Terms) -> str | None:
        """The name of the legal entity: the ERP project's, else the contract's. PSA's copy is never used."""
        erp = self.rows["erp.Project"].get(project["id"]) if project is not None else None
        return (erp.get("LegalEntity") if erp else None) or terms.row.get("LegalEntity") or None

    def customer(self, client: str | None, legal_entity: str) -> str | None:
        """The lowest id of the active ERP customers of a client at a legal entity."""
        found = [
            name
            for name, row in self.rows["erp.Customer"].items()
            if row["CrmAccountId"] == client and row["LegalEntity"] == legal_entity and row["Status"] == "Active"
        ]
        return min(found, default=None)

    def fx(self, source: str, target: str, when: date, days_max: int | None = FX_DAYS_MAX) -> Fraction | None:
        """One unit of source in target: newest direct rate on or before the day, else the inverse of the reverse."""
        if source == target:
            return ONE
        direct = self._newest_fx(source, target, when, days_max)
        if direct is not None:
            return direct
        reverse = self._newest_fx(target, source, when, days_max)
        return ONE / reverse if reverse else None

    def _newest_fx(self, source: str, target: str, when: date, days_max: int | None) -> Fraction | None:
        usable = [
            (since, rate)
            for since, rate in self._fx.get((source, target), ())
            if since <= when and (days_max is None or (when - since).days <= days_max)
        ]
        return max(usable)[1] if usable else None

    def worker_of(self, resource: str) -> Row | None:
        known = self.rows["psa.public.resources"].get(resource)
        return self.rows["hr.Worker"].get(known["employee_id"]) if known else None

    def cost_rate(self, resource: str, when: date) -> tuple[Fraction, str] | None:
        """Cost rate and its currency of the worker behind a resource on a day; the last listed wins a tie."""
        worker = self.worker_of(resource)
        ranked = [
            (day(rate["EffectiveFrom"]), place, rate)
            for place, rate in enumerate(worker["CostRates"] if worker else ())
            if day(rate["EffectiveFrom"]) <= when
        ]
        if not ranked:
            return None
        rate = max(ranked, key=lambda entry: entry[:2])[2]
        return number(rate["Rate"]), str(rate["Currency"])

    def posting_period(self, legal_entity: str, period: str) -> str:
        """The first period not closed at or after this one; a period without a row is open."""
        while (row := self.rows["erp.Period"].get(f"{legal_entity}:{period}")) and row["Status"] == "closed":
            year, month = map(int, period.split("-"))
            period = f"{year + month // 12}-{month % 12 + 1:02d}"
        return period


def approved(rows: Iterable[Row]) -> list[Row]:
    """The approved ones of time entries or expenses."""
    return [row for row in rows if row["Status" if "Status" in row else "status"] == "Approved"]
