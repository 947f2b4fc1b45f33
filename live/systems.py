"""What the simulated systems of a firm have in common, and those that are changed record by record: HR and ERP.

Each is read by a feed of its own, by a configuration that is shipped but for address, login and pace. What happens
there is told in the system's own words: the inverse of what its feed reads.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from connect.configuration import CONNECTORS_FOLDER, Configuration, read
from firm.final import identity_of
from firm.wire import Record
from live.errors import PipelineError
from live.inverse import Inverse
from live.simulator import Simulator

PACE: Final = {"poll.interval.ms": "500", "heartbeat.interval.ms": "1000", "backoff.max.ms": "2000"}
"""In place of minutes: whoever looks on does not wait for these."""


class System(Protocol):
    """A system of the firm outside of ours: changed by us, read by its feed."""

    prefix: str
    """How the topics begin in which its changes land."""

    def connect(self) -> None:
        """Wait until it listens."""

    @property
    def configuration(self) -> Configuration:
        """What its feed goes by."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What the configuration refers to."""

    def write(self, changes: Sequence[Record]) -> None:
        """Have changes happen there, in their order. Raises `PipelineError`."""

    def close(self) -> None:
        """End it."""


class _ByRecord(ABC):
    """A system whose records are put one by one, many at once."""

    def __init__(self, name: str, folder: Path) -> None:
        self._simulator = Simulator(name, folder)
        self._url = ""

    def connect(self) -> None:
        self._url = f"http://127.0.0.1:{self._simulator.first_line()}"

    def write(self, changes: Sequence[Record]) -> None:
        self._order(do="many", orders=[self._change(change) for change in changes])

    def close(self) -> None:
        self._simulator.close()

    def _order(self, **order: Any) -> None:
        self._simulator.order(f"{self._url}/_control", order)

    @abstractmethod
    def _change(self, change: Record) -> dict[str, Any]:
        """Return the order that has a change happen there."""


class Workday(_ByRecord):
    """HR: workers, by a report as a service."""

    prefix = "hr."

    def __init__(self, folder: Path) -> None:
        super().__init__("workday", folder)
        own = {
            "auth.client.id": "${env:WORKDAY_CLIENT}",
            "auth.client.secret": "${env:WORKDAY_SECRET}",
            "auth.refresh.token": "${env:WORKDAY_REFRESH}",
            "report.owner": "ISU",
        }
        self.configuration = adapted("hr-workday", own)
        self._inverse = Inverse(self.configuration.config)

    @property
    def environment(self) -> Mapping[str, str]:
        """What the configuration refers to."""
        return {
            "WORKDAY_URL": self._url, "WORKDAY_CLIENT": "id", "WORKDAY_SECRET": "secret", "WORKDAY_REFRESH": "refresh"
        }  # fmt: skip

    def _change(self, change: Record) -> dict[str, Any]:
        row = change.value["after"]
        if row is None:
            return {"do": "remove", "id": change.key}
        return {"do": "put", "id": change.key, "record": self._inverse.record(row)}


ERP_OBJECTS: Final[Mapping[str, tuple[str, str]]] = {
    "LegalEntity": (
        "LegalEntities",
        "Id=LegalEntityId, Name=Name, Currency=AccountingCurrency, Country=AddressCountryRegionId, "
        "TaxCode=SalesTaxCode, ErpSystem=ErpSystem",
    ),
    "Customer": (
        "CustomersV3", "Id=CustomerAccount, CrmAccountId=CrmAccountId, LegalEntity=LegalEntityId, Status=CustomerStatus"
    ),
    "Project": (
        "ProjectsV2",
        "ProjectId=ProjectID, ErpProjectNumber=ProjectNumber, LegalEntity=LegalEntityId, CostCenter=CostCenter, "
        "Status=ProjectStage, ContractVersion=ContractVersion, UpdatedAt=UpdatedDateTime",
    ),
    "Invoice": (
        "ProjectInvoices",
        "Id=InvoiceId, ProjectId=ProjectID, ContractNumber=ContractId, Status=Status, Currency=CurrencyCode, "
        "PostedAt=PostedDateTime, ReleasedAt=ReleasedDateTime",
    ),
    "CostPosting": (
        "ProjectCostPostings",
        "Id=TransactionId, ProjectId=ProjectID, SourceKind=SourceType, SourceId=SourceReference, Amount=CostAmount, "
        "Currency=CurrencyCode, PostedAt=PostedDateTime",
    ),
    "RevenueSchedule": ("RevenueSchedules", "Id=ScheduleId, ContractNumber=ContractId"),
    "FxRate": ("ExchangeRates", "FromCurrency=FromCurrency, ToCurrency=ToCurrency, Date=StartDate, Rate=Rate"),
    "Period": ("FiscalPeriods", "LegalEntity=LegalEntityId, Period=PeriodName, Status=PeriodStatus"),
}  # fmt: skip
"""The objects of the ERP: the entity set that each is read from, and how."""

LINES: Final = {
    "Invoice.Lines.fields": "LineId=LineNumber, TriggerId=ExternalReference, MilestoneId=MilestoneReference, "
    "Amount=LineAmount",
    "RevenueSchedule.Lines.fields": "Period=PeriodName, Planned=PlannedAmount, Recognized=RecognizedAmount",
}
_STAMP: Final = "ModifiedDateTime"
_PAGE: Final = 1_000


class Dynamics(_ByRecord):
    """The ERP: all its objects by OData, told apart by entity sets."""

    prefix = "erp."

    def __init__(self, folder: Path) -> None:
        super().__init__("erp", folder)
        own = {
            "auth": "client_credentials",
            "auth.token.url": "${env:DYNAMICS_URL}/token",
            "objects": ", ".join(ERP_OBJECTS),
            **LINES,
        }
        for name, (entity_set, fields) in ERP_OBJECTS.items():
            own |= {f"{name}.path": f"/data/{entity_set}", f"{name}.fields": fields, f"{name}.modified": _STAMP}
            expanded = "&$expand=Lines" if f"{name}.Lines.fields" in LINES else ""
            own[f"{name}.params"] = f"cross-company=true{expanded}"
        self.configuration = adapted("erp-dynamics", own)
        self._inverses = {name: Inverse(self.configuration.config, f"{name}.") for name in ERP_OBJECTS}

    @property
    def environment(self) -> Mapping[str, str]:
        """What the configuration refers to."""
        return {"DYNAMICS_URL": self._url, "DYNAMICS_CLIENT": "id", "DYNAMICS_SECRET": "secret"}

    def connect(self) -> None:
        """Wait until it listens, and have it answer in pages of a usual size."""
        super().connect()
        self._order(do="page", records=_PAGE)

    def _change(self, change: Record) -> dict[str, Any]:
        name, row = change.topic.removeprefix(self.prefix), change.value["after"]
        if row is None:  # nothing is: it only knows marks, and the records of the firm have none
            raise PipelineError(f"{change.topic} {change.key}: the simulated ERP deletes nothing")
        at = datetime.fromtimestamp(change.value["source"]["ts_ms"] // 1000, UTC)
        record = {**self._inverses[name].record(row), _STAMP: f"{at:%Y-%m-%dT%H:%M:%SZ}", "dataAreaId": "usmf"}
        return {"do": "put", "id": f"{ERP_OBJECTS[name][0]}/{identity_of(change.topic, row)}", "record": record}


def adapted(name: str, own: Mapping[str, str]) -> Configuration:
    """Return a configuration that is shipped, with settings of ours and our pace in place of its own."""
    return Configuration(name=name, config={**read(CONNECTORS_FOLDER / f"{name}.json").config, **PACE, **own})
