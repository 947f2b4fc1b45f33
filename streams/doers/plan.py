"""`activation.yaml`: which doer sets up what of a deal that was won, and how each doer is reached. All of it is data.

Owns the models and the choice of a doer. Does not own how one is opened (`opening`). Texts may hold references to
secrets (`outside.references`), and no secret itself.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.doers.dimension_service import Entity
from streams.doers.templates import fault_of
from streams.doers.webhook import TEXT, InDoubt, Shape
from streams.domain.calendar import HOUR_MS, date_of
from streams.domain.undertaking import ANNOUNCEMENT, DIMENSION, SHELL, Order

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=100)]
_Ids = Annotated[frozenset[str], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Called(_Strict):
    calls_at_once: int = Field(default=2, ge=1, le=100, description="Calls under way at one moment, at most.")


class _Http(_Called):
    http: dict[str, str | int | float] = Field(description="Settings as API feeds have them: `url`, `auth`, ...")


class PsaDatabasePlan(_Called):
    """Project shells in a PSA database of the reference schema."""

    kind: Literal["psa_database"]
    dsn: str = Field(min_length=1, description="How PostgreSQL is reached.")


class PsaApiPlan(_Http):
    """Project shells by the API of a PSA."""

    kind: Literal["psa_api"]


class TrytonPlan(_Http):
    """Project shells in a Tryton."""

    kind: Literal["tryton"]
    database: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    user: str = Field(min_length=1)
    password: str = Field(min_length=1)
    companies: dict[str, int] = Field(min_length=1, description="Companies of Tryton by legal entity.")
    parties: dict[str, int] = Field(default={}, description="Parties of Tryton by account of the CRM.")
    begun_status: int = 1
    closed_status: int = 2
    namespace: str = "tryton"


class DimensionServicePlan(_Http):
    """ERP dimensions by HTTP."""

    kind: Literal["dimension_service"]
    entities: tuple[Entity, ...] = Field(min_length=1)
    companies: dict[str, str] = Field(default={}, description="What the ERP calls legal entities.")
    csrf: bool = Field(default=False, description="Whether a token must be fetched before each write, as SAP has it.")


class DimensionFilePlan(_Called):
    """ERP dimensions by files."""

    kind: Literal["dimension_file"]
    folder: Path
    fields: dict[str, str] = Field(min_length=1)
    answers: bool = False
    companies: dict[str, str] = {}

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        if (fault := fault_of(self.fields)) is not None:
            raise ValueError(fault)
        return self


class WebhookPlan(_Called):
    """Announcements to a collaboration webhook."""

    kind: Literal["webhook"]
    url: str = Field(min_length=1, description="The URL, which is a password.")
    shape: Shape
    text: str = TEXT
    in_doubt: InDoubt = "repeat"
    ask: str = ""
    timeout_ms: int = Field(default=10_000, ge=10, le=600_000)

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        for template in (self.text, self.ask):
            if (fault := fault_of(template)) is not None:
                raise ValueError(fault)
        return self


DoerPlan = Annotated[
    PsaDatabasePlan | PsaApiPlan | TrytonPlan | DimensionServicePlan | DimensionFilePlan | WebhookPlan,
    Field(discriminator="kind"),
]
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    SHELL: ("psa_database", "psa_api", "tryton"),
    DIMENSION: ("dimension_service", "dimension_file"),
    ANNOUNCEMENT: ("webhook",),
}
"""Which kinds of doers may do which step."""

_NEEDS_REGION: Final = ("psa_database", "psa_api")


class Rule(_Strict):
    """Says that a doer sets up what it fits: all conditions given must hold, and one that is left out always does."""

    doer: _Name
    legal_entities: _Ids | None = None
    countries: _Ids | None = None
    clients: _Ids | None = None
    region: str = ""

    def fits(self, order: Order) -> bool:
        """Tell whether a deal belongs to the rule."""
        given = (
            (self.legal_entities, order.legal_entity),
            (self.countries, order.argument("country")),
            (self.clients, order.client_id),
        )
        return all(wanted is None or value in wanted for wanted, value in given)


class Plan(_Strict):
    """All of the file. The first rule of a step that fits counts; where none does, the step is people's, as ever."""

    version: Literal[1]
    doers: dict[_Name, DoerPlan]
    shells: tuple[Rule, ...] = ()
    dimensions: tuple[Rule, ...] = ()
    announcements: tuple[Rule, ...] = ()
    give_up_after_hours: float = Field(default=20.0, gt=0, le=10_000)
    closed_within_days: int = Field(default=30, ge=0, le=100_000)

    def rules(self, step: str) -> tuple[Rule, ...]:
        """Return the rules of a step."""
        return {SHELL: self.shells, DIMENSION: self.dimensions, ANNOUNCEMENT: self.announcements}.get(step, ())

    def choose(self, order: Order, now: int) -> Rule | None:
        """Return the rule by which an order is done, or None: people do it, or its deal was closed too long ago."""
        closed = order.argument("closes_on")
        first_day = date_of(now) - timedelta(days=self.closed_within_days)
        if closed and date.fromisoformat(closed) < first_day:
            return None
        return next((rule for rule in self.rules(order.step) if rule.fits(order)), None)

    @property
    def give_up_ms(self) -> int:
        """How long a step is tried, in milliseconds."""
        return round(self.give_up_after_hours * HOUR_MS)

    def faults(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return what is wrong between rules and doers: where, and what."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        for section, step in (("shells", SHELL), ("dimensions", DIMENSION), ("announcements", ANNOUNCEMENT)):
            for number, rule in enumerate(self.rules(step)):
                found += [((section, number, key), what) for key, what in self._faults_of(rule, step)]
        return found

    def _faults_of(self, rule: Rule, step: str) -> list[tuple[str, str]]:
        doer: Any = self.doers.get(rule.doer)
        if doer is None:
            return [("doer", f"there is no doer {rule.doer}; name it under doers")]
        if doer.kind not in KINDS[step]:
            return [("doer", f"{rule.doer} is of kind {doer.kind}; this takes {', '.join(KINDS[step])}")]
        if doer.kind in _NEEDS_REGION and not rule.region:
            return [("doer", f"{rule.doer} needs the region of the projects that it makes: give the rule a region")]
        return []
