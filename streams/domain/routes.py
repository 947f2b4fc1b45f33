"""Routes: which ERP books what, as data. Without any, the ERP that a legal entity's row names books all of it."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

NAME_MAX: Final = 100


class Decision(NamedTuple):
    """Where what an item bills goes: to which systems; none of them where it is billed without Throughline.

    `legal_entity` invoiced it. `because` says which rule decided, in words: see `streams.rules.routing`.
    """

    legal_entity: str
    systems: tuple[str, ...]
    because: str = ""


def _named(name: str) -> str:
    if name != name.strip() or not name.isprintable() or not name:
        raise ValueError(f"{name!r}: a name or id has no space around it, and no sign that cannot be seen")
    return name


def _written_as_date(given: Any) -> Any:
    """Keep numbers out, which would be read as seconds since 1970, also where they are text."""
    if isinstance(given, int | float | datetime) or (isinstance(given, str) and given.strip().isdecimal()):
        raise ValueError(f"{given} is no date: write it as 2026-01-31")
    return given


def _written_as_instant(given: Any) -> Any:
    if isinstance(given, int | float) or (isinstance(given, str) and _is_number(given)):
        raise ValueError(f"{given} is no instant: write it as 2026-01-31T18:00:00Z")
    return given


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdecimal()


def _written_as_number(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError("it is a number: write it as 1")
    return given


_Id = Annotated[str, Field(max_length=NAME_MAX), AfterValidator(_named)]
_Ids = Annotated[frozenset[_Id], Field(min_length=1)]
_Day = Annotated[date, BeforeValidator(_written_as_date)]
_Instant = Annotated[AwareDatetime, BeforeValidator(_written_as_instant)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wave(_Strict):
    """Moves what it fits to another ERP: all conditions given must hold, and one that is left out always does.

    Dates are days of service, the last one included. With `dual_run` the ERP that it leaves books it, too, until
    the new one is trusted.
    """

    name: _Id
    system: _Id
    legal_entities: _Ids | None = None
    clients: _Ids | None = None
    service_from: _Day | None = None
    service_to: _Day | None = None
    dual_run: bool = False

    @model_validator(mode="after")
    def _is_some_time(self) -> Self:
        if self.service_from is not None and self.service_to is not None and self.service_to < self.service_from:
            raise ValueError(f"{self.name}: service_to {self.service_to} is before service_from {self.service_from}")
        return self

    def fits(self, legal_entity: str, client_id: str, service_date: date) -> bool:
        """Tell whether something that is billed belongs to the wave."""
        return (
            (self.legal_entities is None or legal_entity in self.legal_entities)
            and (self.clients is None or client_id in self.clients)
            and (self.service_from is None or service_date >= self.service_from)
            and (self.service_to is None or service_date <= self.service_to)
        )


class Freeze(_Strict):
    """Holds what would be sent from one instant to another, such as while a month is closed; then it goes, in order."""

    name: _Id
    begins: _Instant
    ends: _Instant
    systems: _Ids | None = None
    legal_entities: _Ids | None = None

    @model_validator(mode="after")
    def _is_some_time(self) -> Self:
        if self.ends <= self.begins:
            raise ValueError(f"{self.name}: it ends at {self.ends}, before it begins")
        return self

    def holds(self, system: str, legal_entity: str, now: datetime) -> bool:
        """Tell whether what a legal entity posts to a system is held now."""
        return (
            self.begins <= now < self.ends
            and (self.systems is None or system in self.systems)
            and (self.legal_entities is None or legal_entity in self.legal_entities)
        )


class EntityRoutes(_Strict):
    """What one legal entity has otherwise than the others."""

    go_live: _Day


class Routes(_Strict):
    """All routes of a firm. The first wave that fits goes before the legal entity's own ERP.

    `go_live` is the first day of service that is posted: what came before was billed without Throughline. Absent:
    everything is posted.
    """

    version: Annotated[Literal[1], BeforeValidator(_written_as_number)]
    go_live: _Day | None = None
    legal_entities: dict[_Id, EntityRoutes] = {}
    waves: tuple[Wave, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    @model_validator(mode="after")
    def _names_are_one_each(self) -> Self:
        for what, names in (("waves", self.waves), ("freezes", self.freezes)):
            given = [each.name for each in names]
            if twice := sorted({name for name in given if given.count(name) > 1}):
                raise ValueError(f"there are two {what} of the name {', '.join(twice)}")
        return self

    def first_day(self, legal_entity: str) -> date | None:
        """Return the first day of service that is posted for a legal entity, or None where every day is."""
        own = self.legal_entities.get(legal_entity)
        return self.go_live if own is None else own.go_live

    def freeze(self, system: str, legal_entity: str, now: datetime) -> Freeze | None:
        """Return what holds a legal entity's postings to a system now, if anything does."""
        return next((each for each in self.freezes if each.holds(system, legal_entity, now)), None)
