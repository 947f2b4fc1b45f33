"""Targets behind an API, each with its simulator as a program of its own, over a real socket."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from outside.http import Answer, Http, Uncounted
from outside.http_settings import HttpSettings, opened
from streams.domain.posting import Posting
from streams.sinks.contract import Sink
from streams.sinks.dynamics import Dynamics, DynamicsMapping
from streams.sinks.netsuite import NetSuite, NetSuiteMapping
from streams.sinks.oracle import OracleFusion, OracleMapping
from streams.sinks.rest import Rest
from streams.sinks.sap import Sap, SapMapping
from streams.sinks.target_mapping import target_names
from tests.contract.feeds.program import Program
from tests.contract.simulators.faults import Faults
from tests.contract.station import Item, money_posting

FAULT_OF = {"before": "reset_before", "half": "cut", "after": "reset_after"}


def now() -> int:
    """The time by which tokens are signed: the simulator has no other."""
    return time.time_ns() // 1_000_000


class FarFaults(Faults):
    """The faults of a worker, and of the program that it calls."""

    def __init__(self, far: Program) -> None:
        super().__init__()
        self._far = far

    def clear(self) -> None:
        super().clear()
        self._far.order("clear")


class SteppedHttp:
    """HTTP at whose every call the worker may die, before it is made or once it is answered."""

    def __init__(self, http: Http, faults: Faults) -> None:
        self._http = http
        self._faults = faults

    def answer(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return self._faults.step(
            lambda: self._http.answer(method, url, params=params, content=content, headers=headers)
        )

    def close(self) -> None:
        self._http.close()


class ApiTarget:
    """What the targets share. A subclass says how its sink is opened, and what its mapping leaves out."""

    system = "api-erp"
    posting_type = Posting
    books_money = True
    closed = "closed"

    def __init__(self, far: Program, folder: Path, **settings: Any) -> None:
        self.far = far
        self.folder = folder
        self.faults: Faults = FarFaults(far)
        self.timeout_ms = 20_000
        self.login_is_good = True
        self._sinks: list[Sink[Any]] = []
        self._sent: dict[str, str] = {}
        far.order("reset", **settings)

    def settings(self) -> dict[str, Any]:
        """The settings of the connection."""
        raise NotImplementedError

    def sink(self, rest: Rest) -> Sink[Any]:
        raise NotImplementedError

    def open(self) -> Sink[Any]:
        self.close()
        settings = HttpSettings(**{"url": self.far.url, "timeout.ms": self.timeout_ms, **self.settings()})
        http = opened(settings, Uncounted(), now, lambda _seconds: None)
        self._sinks.append(self.sink(Rest(self.system, self.far.url, SteppedHttp(http, self.faults), now)))
        return self._sinks[-1]

    def close(self) -> None:
        """Close what the last worker has left open."""
        while self._sinks:
            self._sinks.pop().close()

    def deliverable(self, item: Item) -> Posting:
        posting = money_posting(item, self.system)
        self._sent[posting.posting_id] = posting.trigger_id
        return posting

    def answer(self, now: int) -> None:
        """It has answered already."""

    def arrived(self) -> list[str]:
        return [self._sent[each["reference"]] for each in self.far.order("documents")]

    def booked(self) -> list[tuple[str, Decimal, str]]:
        return [(each["reference"], Decimal(each["amount"]), each["currency"]) for each in self.far.order("documents")]

    def refuse(self, item: Item, reason: str) -> None:
        self.far.order("refuse", reference=self.deliverable(item).posting_id, reason=reason)

    def lose_answer(self) -> None:
        self.trouble("lost")

    def be_busy(self) -> None:
        self.trouble("busy")

    def disturb(self, step: int, when: str) -> None:
        self.trouble(FAULT_OF[when], after=step)

    def impatient(self) -> None:
        self.timeout_ms = 400

    def trouble(self, kind: str, after: int = 0, **more: Any) -> None:
        self.far.order("fault", kind=kind, after=after, **more)

    def expire_login(self, after: int) -> None:
        self.far.order("expire", after=after)

    def spoil_login(self) -> None:
        self.login_is_good = False

    def lock(self, item: Item) -> None:
        self.far.order("lock", reference=self.deliverable(item).posting_id)

    def unlock(self) -> None:
        self.far.order("unlock")

    def close_period(self, period: str) -> None:
        self.far.order("close", period=period)

    def lag(self, ms: int) -> None:
        self.far.order("stale", ms=ms)

    def pass_time(self, ms: int) -> None:
        self.far.order("pass", ms=ms)

    def unmapped(self, item: Item) -> tuple[Any, str]:
        posting = replace(self.deliverable(item), billing_code="GOLD")
        return posting, r"item 'GOLD' is not mapped: add it under 'item' in .*mapping\.yaml"

    def unknown_there(self, item: Item) -> tuple[Any, str]:
        return replace(self.deliverable(item), legal_entity="LE9"), ".+"

    def mapping(self, text: str) -> Path:
        file = self.folder / "mapping.yaml"
        file.write_text(text, encoding="utf-8")
        return file


def made(of: Callable[[], ApiTarget]) -> Iterator[Callable[[], ApiTarget]]:
    """What makes targets, and closes them in the end: the body of a fixture."""
    targets: list[ApiTarget] = []

    def one() -> ApiTarget:
        targets.append(of())
        return targets[-1]

    yield one
    for target in targets:
        target.close()


def program(name: str) -> Iterator[Program]:
    """A simulator that runs: the body of a fixture."""
    running = Program(f"tests.contract.simulators.{name}")
    yield running
    running.stop()


NETSUITE = """
version: 1
company: {LE1: "1", LE9: "999"}
customer: {CU1: "220"}
item: {"CONS, senior": "144"}
tax: {DE-19: "7"}
currency: {EUR: "1", JPY: "2", KWD: "3"}
project_field: job
"""
_KEY = ECKey.generate_key("P-256")
_OTHER_KEY = ECKey.generate_key("P-256")


class NetSuiteTarget(ApiTarget):
    system = "netsuite"

    def __init__(self, far: Program, folder: Path) -> None:
        public = _KEY.as_pem(private=False).decode()
        super().__init__(far, folder, public_key=public, algorithm="ES256", certificate="CERT1", client="client-1")
        self.names = target_names(self.mapping(NETSUITE), NetSuiteMapping)

    def settings(self) -> dict[str, Any]:
        file = self.folder / "key.pem"
        file.write_bytes((_KEY if self.login_is_good else _OTHER_KEY).as_pem(private=True))
        return {
            "auth": "client_assertion",
            "auth.token.url": f"{self.far.url}/services/rest/auth/oauth2/v1/token",
            "auth.client.id": "client-1",
            "auth.key.file": file,
            "auth.key.algorithm": "ES256",
            "auth.key.id": "CERT1",
            "auth.scope": "rest_webservices",
        }

    def sink(self, rest: Rest) -> Sink[Any]:
        return NetSuite(rest, self.names)

    def arrived(self) -> list[str]:
        documents = self.far.order("documents")
        return [self._sent[each["reference"]] for each in documents for _ in each["lines"]]


ORACLE = """
version: 1
company: {LE1: Vision Operations, LE9: Nowhere Operations}
item: {"CONS, senior": Consulting}
contract_type: "Sell : Project lines"
"""


class OracleTarget(ApiTarget):
    system = "oracle"

    def __init__(self, far: Program, folder: Path) -> None:
        super().__init__(far, folder)
        self.names = target_names(self.mapping(ORACLE), OracleMapping)
        self.login: dict[str, str] = {
            "auth": "client_credentials",
            "auth.token.url": f"{self.far.url}/oauth2/v1/token",
            "auth.client.id": "client-1",
            "auth.client.secret": "s3cret",
            "auth.scope": "urn:opc:resource:fusion",
        }

    def settings(self) -> dict[str, Any]:
        return self.login if self.login_is_good else {**self.login, "auth.client.secret": "wrong"}

    def sink(self, rest: Rest) -> Sink[Any]:
        return OracleFusion(rest, self.names)


DYNAMICS = """
version: 1
company: {LE1: usmf, LE9: nowhere}
item: {"CONS, senior": Consult}
tax: {DE-19: DE19}
entity_set: ProjectMilestoneBillings
document: VoucherNumber
properties:
  amount: Amount
  currency: CurrencyId
  date: InvoiceDate
  text: Description
  contract: ContractLineRef
  customer: CustomerAccount
  item: CategoryId
  project: ProjectID
  quantity: Quantity
  rate: SalesPrice
  tax: SalesTaxGroup
constants: {LineStatus: Ready}
"""


class DynamicsTarget(ApiTarget):
    system = "dynamics"

    def __init__(self, far: Program, folder: Path, postings_per_call: int = 1, **settings: Any) -> None:
        super().__init__(far, folder, **settings)
        self.names = target_names(self.mapping(DYNAMICS), DynamicsMapping)
        self.postings_per_call = postings_per_call

    def settings(self) -> dict[str, Any]:
        return {
            "auth": "client_credentials_form",
            "auth.token.url": f"{self.far.url}/tenant-1/oauth2/v2.0/token",
            "auth.client.id": "client-1",
            "auth.client.secret": "s3cret" if self.login_is_good else "wrong",
            "auth.scope": "https://firm.example/.default",
        }

    def sink(self, rest: Rest) -> Sink[Any]:
        return Dynamics(rest, self.names, postings_per_call=self.postings_per_call)


SAP = """
version: 1
company: {LE1: "1010", LE9: "9999"}
item: {"CONS, senior": CONSULT}
reference: YY1_Reference_PBR
properties:
  amount: Amount
  currency: TransactionCurrency
  date: BillingDate
  text: RequestText
  company: CompanyCode
  item: Product
wbs: {P-C1: "00000001"}
contract_wbs: {C2: "00000077"}
"""


class SapTarget(ApiTarget):
    system = "sap"

    def __init__(self, far: Program, folder: Path, **settings: Any) -> None:
        super().__init__(far, folder, **settings)
        self.names = target_names(self.mapping(SAP), SapMapping)

    def settings(self) -> dict[str, Any]:
        return {"auth": "basic", "auth.user": "ann", "auth.password": "s3cret" if self.login_is_good else "wrong"}

    def sink(self, rest: Rest) -> Sink[Any]:
        return Sap(rest, self.names)
