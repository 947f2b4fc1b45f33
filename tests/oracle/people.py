"""What a random firm stands on: legal entities, customers, people, exchange rates, periods."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from tests.oracle.histories import PSA, Histories, at, stamp
from tests.oracle.shapes import Row

# currency -> how many of its units are about one euro
UNITS = {"EUR": 1.0, "USD": 1.1, "JPY": 160.0, "KWD": 0.33}
ENTITIES = {"EUR": "LE-DE", "USD": "LE-US", "JPY": "LE-JP", "KWD": "LE-KW"}
PAIRS = [("EUR", "USD"), ("EUR", "JPY"), ("KWD", "EUR"), ("USD", "JPY"), ("USD", "KWD")]
ROLES = ["Engineer", "Architect", "Analyst"]
DAYS = 180


@dataclass
class Draft:
    """A firm being written: the dice, the histories, and rows that others name."""

    rnd: Random
    log: Histories = field(default_factory=Histories)
    accounts: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    contracts: list[Row] = field(default_factory=list)
    projects: list[Row] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        return self.rnd.random() < probability

    def amount(self, euros_min: float, euros_max: float, currency: str) -> str:
        """A price in a currency, worth some euros, with at most the digits that the currency has."""
        places = {"JPY": 0, "KWD": 3}.get(currency, 2)
        return f"{self.rnd.uniform(euros_min, euros_max) * UNITS[currency]:.{places}f}"

    def date(self, first: float = 0, last: float = DAYS) -> str:
        return at(self.rnd.uniform(first, last)).date().isoformat()

    def later(self, days: float, within: float = 20) -> float:
        """A moment after another one."""
        return days + 0.01 + self.rnd.random() * within


def found_firm(draft: Draft, clients: int) -> None:
    """Legal entities, accounts, clients and customers, some of them late."""
    rnd, log = draft.rnd, draft.log
    for currency, name in ENTITIES.items():
        entity = {"Id": name, "Name": name, "Currency": currency, "Country": name[-2:], "TaxCode": f"VAT-{name[-2:]}"}
        log.put("erp.LegalEntity", {**entity, "ErpSystem": "netsuite"}, rnd.choice([0, 1, 60]))
    for number in range(clients):
        account = f"A{number}"
        draft.accounts.append(account)
        changed = stamp(at(1))
        log.put(
            "crm.Account",
            {"Id": account, "Name": f"Client {number}", "Status": "Active", "LastModifiedDate": changed},
            1,
        )
        client = {"id": f"CL{number}", "name": f"Client {number}", "crm_account_id": account, "status": "Active"}
        log.put(PSA + "clients", {**client, "updated_at": changed}, rnd.choice([1, 2, 50]))
        for entity_name in ENTITIES.values():
            _customer(draft, account, entity_name)


def _customer(draft: Draft, account: str, entity: str) -> None:
    if draft.chance(0.06):
        return
    row = {"Id": f"CU-{account}-{entity}", "CrmAccountId": account, "LegalEntity": entity, "Status": "Active"}
    since = draft.rnd.choice([1, 2, 90])
    if draft.chance(0.2):
        draft.log.put("erp.Customer", {**row, "Status": "Inactive"}, since)
        since += 30
    if draft.chance(0.95):
        draft.log.put("erp.Customer", row, since)
    if draft.chance(0.1):
        draft.log.put("erp.Customer", {**row, "Id": f"CU-{account}-{entity}-2"}, since + 5)


def hire(draft: Draft, workers: int) -> None:
    """Workers with cost rates in several currencies, corrected or late, and the resources that stand for them."""
    rnd, log = draft.rnd, draft.log
    for number in range(workers):
        currency = rnd.choice(["EUR", "EUR", "USD", "JPY", "KWD"])
        since = rnd.choice(["2025-06-01", "2026-01-01", "2026-02-15"])
        rates = [{"Rate": draft.amount(30, 90, currency), "Currency": currency, "EffectiveFrom": since}]
        row: Row = {"EmployeeId": f"E{number}", "Name": f"Worker {number}", "Status": "Active", "Region": "EMEA"}
        row |= {"CostCenter": "CC1", "WeeklyCapacityHours": rnd.choice(["40", "32"]), "CostRates": rates}
        days = rnd.choice([0.5, 1, 70])
        log.put("hr.Worker", {**row, "LastModified": stamp(at(days))}, days)
        if draft.chance(0.5):
            raised = {"Rate": draft.amount(40, 99, currency), "Currency": currency, "EffectiveFrom": "2026-04-01"}
            row["CostRates"] = [*rates, raised]
        if draft.chance(0.5):
            days = draft.later(days, 80)
            corrected = [{**rate, "Rate": draft.amount(30, 90, currency)} for rate in row["CostRates"]]
            log.put("hr.Worker", {**row, "CostRates": corrected, "LastModified": stamp(at(days))}, days)
        resource = {"id": f"R{number}", "employee_id": f"E{number}", "name": f"Worker {number}"}
        draft.resources.append(resource["id"])
        if draft.chance(0.93):
            days = rnd.choice([1, 2, 80])
            log.put(PSA + "resources", {**resource, "updated_at": stamp(at(days))}, days)


def quote(draft: Draft) -> None:
    """Exchange rates with gaps over seven days, some late, some corrected, one now and then withdrawn."""
    rnd, log = draft.rnd, draft.log
    for source, target in PAIRS:
        day = -5.0
        while day < DAYS:
            about = UNITS[target] / UNITS[source]
            row = {"FromCurrency": source, "ToCurrency": target, "Date": at(day).date().isoformat()}
            row["Rate"] = f"{about * rnd.uniform(0.9, 1.1):.6f}"
            known = max(0.0, day) + rnd.choice([0, 0, 0, 40])
            log.put("erp.FxRate", row, known)
            if draft.chance(0.15):
                known += 10
                log.put("erp.FxRate", {**row, "Rate": f"{about * rnd.uniform(0.8, 1.2):.6f}"}, known)
            if draft.chance(0.04):
                log.delete("erp.FxRate", row, known + 10)
            day += rnd.choice([4, 6, 7, 7, 12])


def close_periods(draft: Draft) -> None:
    """Months of legal entities, without a row, open, or closed some day."""
    for entity in ENTITIES.values():
        for month in range(1, 7):
            if draft.chance(0.7):
                row = {"LegalEntity": entity, "Period": f"2026-{month:02d}", "Status": "open"}
                draft.log.put("erp.Period", row, 0)
                if draft.chance(0.4):
                    closed = at(0) + timedelta(days=31 * month + draft.rnd.randint(0, 20))
                    draft.log.put("erp.Period", {**row, "Status": "closed"}, (closed - at(0)).days)
