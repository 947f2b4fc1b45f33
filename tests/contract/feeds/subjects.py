"""The systems that the suite runs feeds against: how each is configured, changed and disturbed, and its rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.contract.feeds.program import Json, Program
from tests.contract.feeds.station import Row, put, rfc3339, to_seconds

LOGIN = {
    "auth": "client_credentials",
    "auth.client.id": "id",
    "auth.client.secret": "secret",
    "timeout.ms": "400",
    "poll.interval.ms": "60000",
    "heartbeat.interval.ms": "90000",
    "backoff.first.ms": "1000",
    "backoff.max.ms": "8000",
}


class Subject(Protocol):
    """A system with rows that are numbered; each version of one is told apart by its number, too."""

    def configuration(self) -> dict[str, str]: ...

    def put(self, number: int, version: int, now: int) -> None: ...

    def remove(self, number: int, now: int) -> None: ...

    def rows(self) -> dict[str, Row]: ...

    def begin_anew(self) -> None: ...


class HttpSubject:
    """What all systems over HTTP have."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._rows: dict[str, Row] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        self.program.order("reset")
        self._rows.clear()

    def configuration(self) -> dict[str, str]:
        raise NotImplementedError

    def rows(self) -> dict[str, Row]:
        return dict(self._rows)

    def login(self, token_path: str) -> dict[str, str]:
        return {**LOGIN, "url": self.program.url, "auth.token.url": f"{self.program.url}{token_path}"}

    def put(self, number: int, version: int, now: int) -> None:
        self.order("put", number, self.record(number, version, now))
        self._rows[self.identity(number)] = self.row(number, version, now)

    def remove(self, number: int, now: int) -> None:
        self.program.order("remove", id=str(number))
        self._rows.pop(self.identity(number), None)

    def order(self, do: str, number: int, record: Json) -> None:
        self.program.order(do, id=str(number), record=record)

    def identity(self, number: int) -> str:
        raise NotImplementedError

    def record(self, number: int, version: int, now: int) -> Json:
        raise NotImplementedError

    def row(self, number: int, version: int, now: int) -> Row:
        raise NotImplementedError


class WorkdayRest(HttpSubject):
    """Workers by the REST API, two a page."""

    def configuration(self) -> dict[str, str]:
        return {
            "connector.class": "throughline.workday",
            **self.login("/ccx/oauth2/firm/token"),
            "tenant": "firm",
            "page.size": "2",
            "fields": "EmployeeId=workerId, Name=descriptor, Status=status.descriptor, Region=primaryJob.location.id, "
            "CostCenter=costCenter.id, WeeklyCapacityHours=scheduledWeeklyHours, LastModified=lastModified",
            "CostRates.path": "compensation.rates",
            "CostRates.fields": "Rate=amount, Currency=currency.id, EffectiveFrom=effectiveDate",
        }

    def identity(self, number: int) -> str:
        return f"E{number}"

    def record(self, number: int, version: int, now: int) -> Json:
        return {
            "id": f"{number:032x}",
            "workerId": f"E{number}",
            "descriptor": f"Worker {version}",
            "status": {"descriptor": "Active"},
            "primaryJob": {"location": {"id": "EU"}},
            "scheduledWeeklyHours": 37.5,
            "lastModified": rfc3339(now),
            "compensation": {
                "rates": [{"amount": 61.1 + version, "currency": {"id": "EUR"}, "effectiveDate": "2026-01-01"}]
            },
        }

    def row(self, number: int, version: int, now: int) -> Row:
        return {
            "EmployeeId": f"E{number}",
            "Name": f"Worker {version}",
            "Status": "Active",
            "Region": "EU",
            "WeeklyCapacityHours": "37.5",
            "LastModified": rfc3339(now),
            "CostRates": [{"Rate": str(61.1 + version), "Currency": "EUR", "EffectiveFrom": "2026-01-01"}],
        }


class WorkdayReport(HttpSubject):
    """Workers by a report, without a time of change."""

    def configuration(self) -> dict[str, str]:
        return {
            "connector.class": "throughline.workday",
            **self.login("/ccx/oauth2/firm/token"),
            "tenant": "firm",
            "api": "raas",
            "report.owner": "ISU",
            "report.name": "Workers",
            "fields": "EmployeeId=Employee_ID, Name=Worker, WeeklyCapacityHours=Hours, Status='Active'",
            "CostRates.path": "Rates",
            "CostRates.fields": "Rate=Rate, Currency=Currency, EffectiveFrom=From",
        }

    def identity(self, number: int) -> str:
        return f"E{number}"

    def record(self, number: int, version: int, now: int) -> Json:
        return {
            "Employee_ID": f"E{number}",
            "Worker": f"Worker {version}",
            "Hours": "40",
            "Last_Modified": rfc3339(now),
            "Rates": [{"Rate": f"{60 + version}.25", "Currency": "USD", "From": "2026-01-01"}],
        }

    def row(self, number: int, version: int, now: int) -> Row:
        return {
            "EmployeeId": f"E{number}",
            "Name": f"Worker {version}",
            "Status": "Active",
            "WeeklyCapacityHours": "40",
            "CostRates": [{"Rate": f"{60 + version}.25", "Currency": "USD", "EffectiveFrom": "2026-01-01"}],
        }


def invoice(number: int, version: int, now: int) -> Json:
    return {
        "dataAreaId": "usmf" if number % 2 else "demf",
        "InvoiceId": f"I{number}",
        "Project": f"P{number % 3}",
        "Contract": f"C{number % 3}",
        "State": "Open" if version % 2 else "Paid",
        "CurrencyCode": "EUR",
        "Modified": to_seconds(now),
        "IsDeleted": False,
        "Lines": [{"Line": f"{number}-1", "Amount": 100.1 + version, "Trigger": None}],
    }


def invoice_row(number: int, version: int) -> Row:
    return {
        "Id": f"I{number}",
        "ProjectId": f"P{number % 3}",
        "ContractNumber": f"C{number % 3}",
        "Status": "Posted" if version % 2 else "Paid",
        "Currency": "EUR",
        "Lines": [
            {"LineId": f"{number}-1", "TriggerId": None, "MilestoneId": None, "Amount": str(100.1 + version)},
        ],
    }


INVOICE = {
    "Invoice.fields": "Id=InvoiceId, ProjectId=Project, ContractNumber=Contract, Status=State, Currency=CurrencyCode",
    "Invoice.modified": "Modified",
    "Invoice.Status.words": "Open=Posted",
    "Invoice.Lines.fields": "LineId=Line, TriggerId=Trigger, MilestoneId=Milestone, Amount=Amount",
}


class Invoices(HttpSubject):
    """What invoices by either API have."""

    def identity(self, number: int) -> str:
        return f"I{number}"

    def record(self, number: int, version: int, now: int) -> Json:
        return invoice(number, version, now)

    def row(self, number: int, version: int, now: int) -> Row:
        return invoice_row(number, version)


class ErpOdata(Invoices):
    """Invoices of all companies by OData, with their lines; what is gone is found by whole readings."""

    def configuration(self) -> dict[str, str]:
        return {
            "connector.class": "throughline.erp",
            **self.login("/token"),
            "style": "odata",
            "objects": "Invoice",
            "page.size": "4",
            "Invoice.path": "/data/SalesInvoiceHeaders",
            "Invoice.params": "cross-company=true&$expand=Lines",
            "Invoice.compare.interval.ms": "1000",
            **INVOICE,
        }


class ErpOffset(Invoices):
    """Invoices by REST with offsets, their lines asked for one by one; what is gone is marked."""

    def configuration(self) -> dict[str, str]:
        return {
            "connector.class": "throughline.erp",
            **self.login("/token"),
            "style": "offset",
            "objects": "Invoice",
            "page.size": "3",
            "filter.text": '{name} >= "{since}"',
            "order.parameter": "orderBy",
            "Invoice.path": "/rest/invoices",
            "Invoice.deleted": "IsDeleted=true",
            "Invoice.Lines.url": "/rest/invoices/{InvoiceId}/lines",
            **INVOICE,
        }

    def remove(self, number: int, now: int) -> None:
        if self._rows.pop(self.identity(number), None) is not None:
            self.order("put", number, {**self.record(number, 0, now), "IsDeleted": True})


class ErpUnordered(ErpOffset):
    """The same from an API that knows no order."""

    def configuration(self) -> dict[str, str]:
        config = {**super().configuration(), "Invoice.path": "/rest/unordered"}
        return {key: value for key, value in config.items() if key != "order.parameter"}


class ErpThin(ErpOffset):
    """The same from a list that holds nothing but ids: each record is asked for by itself."""

    def configuration(self) -> dict[str, str]:
        config = {
            **super().configuration(),
            "Invoice.path": "/rest/thin",
            "Invoice.detail": "/rest/invoices/{InvoiceId}",
            "Invoice.compare.interval.ms": "1000",
        }
        return {key: value for key, value in config.items() if key not in ("Invoice.deleted", "Invoice.Lines.url")}

    def remove(self, number: int, now: int) -> None:
        HttpSubject.remove(self, number, now)


class ErpList(HttpSubject):
    """Customers by plain lists without any time, which are compared as a whole."""

    def configuration(self) -> dict[str, str]:
        return {
            "connector.class": "throughline.erp",
            **self.login("/token"),
            "style": "list",
            "objects": "Customer",
            "page.size": "3",
            "Customer.path": "/model/customers",
            "Customer.fields": "Id=id, CrmAccountId=party.code, LegalEntity='LE-1', Status=state",
        }

    def identity(self, number: int) -> str:
        return str(number)

    def record(self, number: int, version: int, now: int) -> Json:
        return {"id": number, "party": {"code": f"A{version}"}, "state": "Active"}

    def row(self, number: int, version: int, now: int) -> Row:
        return {"Id": str(number), "CrmAccountId": f"A{version}", "LegalEntity": "LE-1", "Status": "Active"}


class Files:
    """Corrections of exchange rates, a file for each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, Row] = {}
        self._dropped = 0

    def configuration(self) -> dict[str, str]:
        return {
            "connector.class": "throughline.files",
            "folder": str(self.folder),
            "mode": "correction",
            "batch.rows": "2",
            "poll.interval.ms": "60000",
            "heartbeat.interval.ms": "90000",
        }

    def put(self, number: int, version: int, now: int) -> None:
        row = {
            "FromCurrency": f"X{number:02d}",
            "ToCurrency": "EUR",
            "Date": "2026-02-03",
            "Rate": f"{version}.{number:04d}",
        }
        if self._rows.get(f"X{number:02d}:EUR:2026-02-03") == row:
            return
        self._drop({**row, "op": ""})
        self._rows[f"X{number:02d}:EUR:2026-02-03"] = row

    def remove(self, number: int, now: int) -> None:
        if f"X{number:02d}:EUR:2026-02-03" not in self._rows:
            return
        self._drop({"FromCurrency": f"X{number:02d}", "ToCurrency": "EUR", "Date": "2026-02-03", "op": "delete"})
        self._rows.pop(f"X{number:02d}:EUR:2026-02-03", None)

    def rows(self) -> dict[str, Row]:
        return dict(self._rows)

    def begin_anew(self) -> None:
        self._rows.clear()
        for path in self.folder.glob("*.csv"):
            path.unlink()

    def _drop(self, row: Mapping[str, Any]) -> None:
        self._dropped += 1
        # Empty lines make no two files alike: a content that comes again is not landed.
        content = f"# erp.FxRate\n{','.join(row)}\n{','.join(row.values())}\n" + "\n" * self._dropped
        put(self.folder / f"{self._dropped:06d}.csv", content)
