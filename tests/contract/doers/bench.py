"""The simulated systems as a test has them, and a doer over each."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from streams.doers.contract import Doer
from streams.doers.opening import Openings
from streams.doers.plan import Plan
from streams.domain.undertaking import Order
from streams.rules.activation import STEPS

ROOT = Path(__file__).parents[3]
NOON = 1_772_366_400_000
_OPENED: list[Doer] = []


class Systems:
    """What is around a deal, as a program of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def order(self, **what: Any) -> None:
        """Have the simulator do something: `reset`, `faults`, `refuse`, and what becomes of what is there."""
        request = urllib.request.Request(f"{self.url}/world", json.dumps(what).encode(), method="POST")
        urllib.request.urlopen(request).close()

    def look(self) -> dict[str, Any]:
        """What is there."""
        with urllib.request.urlopen(f"{self.url}/world") as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@contextmanager
def simulated() -> Iterator[Systems]:
    """Run the simulator."""
    command = [sys.executable, "-m", "tests.contract.doers.world"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            yield Systems(f"http://127.0.0.1:{int(program.stdout.readline())}")
        finally:
            program.stdin.close()
            program.stdout.close()
            program.wait(10)


def order_for(step: str, opportunity: str = "O1", **changes: Any) -> Order:
    """An order for a step of a deal."""
    arguments = {
        "name": "Rollout & more <x>", "client_name": "Acme", "country": "DE", "currency": "EUR",
        "start_on": "2026-03-01", "closes_on": "2026-02-27", "region": "EMEA",
    }  # fmt: skip
    order = Order(
        f"command-{opportunity}-{STEPS.index(step)}", opportunity, step, "A1", f"C-{opportunity}",
        "" if step == "create_project" else f"P-{opportunity}", "DE01", tuple(sorted(arguments.items())),
    )  # fmt: skip
    return order._replace(**changes)


def opened(plan: Mapping[str, Any]) -> Doer:
    """A doer by its part of the file."""
    whole = Plan.model_validate({"version": 1, "doers": {"it": plan}})
    doer = Openings(whole, lambda: NOON, lambda _: None, {}).open("it")
    _OPENED.append(doer)
    return doer


def close_all() -> None:
    """Close all doers that were opened."""
    while _OPENED:
        _OPENED.pop().close()


class Subject(NamedTuple):
    """One doer under the suite. `there` gives the deals of what is in force, each as often as it is there."""

    name: str
    step: str
    open: Callable[[], Doer]
    there: Callable[[], list[str]]
    touch: Callable[[], None] | None = None
    webs: bool = True
    undoes: bool = True
    in_doubt: bool = False


DYNAMICS = {
    "what": "project",
    "ask": "/data/ProjectsV2(dataAreaId='{company}',ProjectID='{number}')",
    "own": {"ExternalId": "{project_id}"},
    "number": "ProjectID",
    "make": {
        "path": "/data/ProjectsV2",
        "fields": {
            "dataAreaId": "{company}", "ProjectID": "{number}", "ProjectName": "{name:.60}",
            "ExternalId": "{project_id}",
        },
    },
    "retire": {
        "method": "PATCH",
        "path": "/data/ProjectsV2(dataAreaId='{company}',ProjectID='{number}')",
        "fields": {"ProjectStage": "Finished"},
        "headers": {"if-match": "*"},
    },
}  # fmt: skip
NETSUITE = {
    "what": "project",
    "ask": "/netsuite/services/rest/record/v1/job/eid:{number}",
    "own": {"custentity_project": "{project_id}"},
    "number": "id",
    "make": {
        "method": "PUT",
        "path": "/netsuite/services/rest/record/v1/job/eid:{number}",
        "fields": {"companyName": "{name}", "custentity_project": "{project_id}", "subsidiary": {"id": "{company}"}},
    },
    "retire": {
        "method": "PUT",
        "path": "/netsuite/services/rest/record/v1/job/eid:{number}",
        "fields": {"isInactive": True},
    },
}
ORACLE = {
    "what": "project",
    "ask": "/oracle/fscmRestApi/resources/11.13.18.05/projects?q=ProjectNumber={number}",
    "found": "items",
    "own": {"SourceProjectReference": "{project_id}"},
    "number": "ProjectNumber",
    "make": {
        "path": "/oracle/fscmRestApi/resources/11.13.18.05/projects",
        "fields": {
            "ProjectNumber": "{number}", "ProjectName": "{name:.240}", "SourceProjectReference": "{project_id}",
            "ProjectCurrencyCode": "{currency}",
        },
    },
    "retire": {
        "method": "PATCH",
        "path": "/oracle/fscmRestApi/resources/11.13.18.05/projects/{number}",
        "fields": {"ProjectStatus": "Closed"},
    },
}  # fmt: skip
SAP = {
    "what": "project",
    "ask": "/sap/opu/odata/sap/API_ENTERPRISE_PROJECT_SRV/A_EnterpriseProject?$filter=Project eq '{number}'",
    "found": "d.results",
    "own": {"ProjectDescription": "{project_id:.40}"},
    "number": "Project",
    "make": {
        "path": "/sap/opu/odata/sap/API_ENTERPRISE_PROJECT_SRV/A_EnterpriseProject",
        "fields": {
            "Project": "{number:.24}", "ProjectDescription": "{project_id:.40}", "CompanyCode": "{company}",
            "ProjectCurrency": "{currency}", "ProjectStartDate": "{start_on}",
        },
    },
    "retire": {
        "method": "PATCH",
        "path": "/sap/opu/odata/sap/API_ENTERPRISE_PROJECT_SRV/A_EnterpriseProject('{number}')",
        "fields": {"ProcessingStatus": "Closed"},
    },
}  # fmt: skip
_RETIRED = ("Finished", "Closed", True)


def subjects(systems: Systems, folder: Path) -> list[Subject]:
    """All doers that need no database."""
    http = {"url": systems.url, "timeout.ms": 3_000}

    def service(name: str, entity: Mapping[str, Any], **more: Any) -> Subject:
        plan = {"kind": "dimension_service", "http": http, "entities": [entity], "companies": {"DE01": "de1"}, **more}

        def there() -> list[str]:
            rows = systems.look()["entities"].get(name, [])
            ours = (each for each in rows if not any(value in _RETIRED for value in each.values() if value))
            keys = ("ExternalId", "custentity_project", "SourceProjectReference", "ProjectDescription")
            return [next(row[key] for key in keys if key in row).removeprefix("P-") for row in ours]

        return Subject(name, "provision_erp", lambda: opened(plan), there)

    def projects() -> list[str]:
        rows = systems.look()["projects"].values()
        return [row["contract_number"].removeprefix("C-") for row in rows if row["stage"] != "Cancelled"]

    def works() -> list[str]:
        return [each["comment"].rpartition("C-")[2] for each in systems.look()["works"] if each["status"] == 1]

    def touch() -> None:
        systems.order(projects={key: {"in_use": True} for key in systems.look()["projects"]})

    def said() -> list[str]:
        return [json.dumps(each).partition("command-")[2].partition("-")[0] for each in systems.look()["said"]]

    def files() -> list[str]:
        rows = [path.read_text("utf-8").splitlines()[1] for path in sorted((folder / "outbound").glob("dim*.csv"))]
        gone = [path.read_text("utf-8").splitlines()[1] for path in sorted((folder / "outbound").glob("ret*.csv"))]
        return [row.partition(",")[0].removeprefix("P-") for row in rows if row not in gone]

    def hook(shape: str) -> Subject:
        plan = {
            "kind": "webhook", "url": f"{systems.url}/hook/secret", "shape": shape, "timeout_ms": 3_000,
            "ask": systems.url + "/heard/{command_id}",
        }  # fmt: skip
        return Subject(shape, "announce", lambda: opened(plan), said, undoes=False, in_doubt=True)

    psa = {"kind": "psa_api", "http": {**http, "url": f"{systems.url}/psa"}}
    tryton = {
        "kind": "tryton", "http": http, "database": "tryton", "user": "admin", "password": "x",
        "companies": {"DE01": 1}, "parties": {"A1": 5},
    }  # fmt: skip
    drop = {"kind": "dimension_file", "folder": str(folder), "fields": {"project": "{project_id}", "name": "{name}"}}
    return [
        Subject("psa_api", "create_project", lambda: opened(psa), projects, touch),
        Subject(
            "tryton", "create_project", lambda: opened(tryton), works,
            lambda: systems.order(works={"timesheet_duration": {"__class__": "timedelta", "seconds": 3600}}),
        ),
        service("dynamics", DYNAMICS),
        service("netsuite", NETSUITE),
        service("oracle", ORACLE),
        service("sap", SAP, csrf=True),
        Subject("file", "provision_erp", lambda: opened(drop), files, webs=False),
        hook("slack"),
        hook("teams"),
    ]  # fmt: skip


SUBJECTS = ("psa_api", "tryton", "dynamics", "netsuite", "oracle", "sap", "file", "slack", "teams")
