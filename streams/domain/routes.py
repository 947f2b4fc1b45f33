"""Routes: which ERP books what, as data. Without any, the ERP that a legal entity's row names books all of it."""

import re
from datetime import date
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

_SYSTEM: Final = re.compile(r"[a-z0-9][a-z0-9-]*")

SYSTEM_FAULT: Final = "use small letters, digits and hyphens: it names files and metrics"


def is_system(name: str) -> bool:
    """Tell whether an ERP may be called so."""
    return _SYSTEM.fullmatch(name) is not None


def _checked(name: str) -> str:
    if not is_system(name):
        raise ValueError(f"{name!r} is no name of a system: {SYSTEM_FAULT}")
    return name


SystemName = Annotated[str, AfterValidator(_checked)]
_Id = Annotated[str, StringConstraints(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wave(_Strict):
    """Moves what it fits to another ERP: all conditions given must hold, and one that is left out always does.

    Dates are days of service, the last one included.
    """

    name: str = Field(min_length=1)
    system: SystemName
    legal_entities: frozenset[_Id] = frozenset()
    clients: frozenset[_Id] = frozenset()
    service_from: date | None = None
    service_to: date | None = None

    @model_validator(mode="after")
    def _is_some_time(self) -> Self:
        if self.service_from is not None and self.service_to is not None and self.service_to < self.service_from:
            raise ValueError(f"{self.name}: service_to {self.service_to} is before service_from {self.service_from}")
        return self

    def fits(self, legal_entity: str, client_id: str, service_date: date) -> bool:
        """Tell whether something that is billed belongs to the wave."""
        return (
            (not self.legal_entities or legal_entity in self.legal_entities)
            and (not self.clients or client_id in self.clients)
            and (self.service_from is None or service_date >= self.service_from)
            and (self.service_to is None or service_date <= self.service_to)
        )


class EntityRoutes(_Strict):
    """What one legal entity has otherwise than the others."""

    go_live: date


class Routes(_Strict):
    """All routes of a firm. The first wave that fits goes before the legal entity's own ERP.

    `go_live` is the first day of service that is posted: what came before was billed without Throughline. Absent:
    everything is posted.
    """

    version: int
    go_live: date | None = None
    legal_entities: dict[_Id, EntityRoutes] = {}
    waves: tuple[Wave, ...] = ()

    @model_validator(mode="after")
    def _names_are_one_each(self) -> Self:
        names = [wave.name for wave in self.waves]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"there are two waves of the name {', '.join(twice)}")
        return self

    def first_day(self, legal_entity: str) -> date | None:
        """Return the first day of service that is posted for a legal entity, or None where every day is."""
        own = self.legal_entities.get(legal_entity)
        return self.go_live if own is None else own.go_live
