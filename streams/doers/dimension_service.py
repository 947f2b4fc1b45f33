"""ERP dimensions by HTTP: one doer for all, with mapping data that says how an ERP wants to be asked and told.

An entity is asked for by a key that follows from the order before it is made. docs/activation.md has the mapping data
for NetSuite, Oracle, Dynamics and SAP.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from outside.errors import Fatal, Retriable, Skippable
from streams.doers.contract import Made, Undone
from streams.doers.templates import fault_of, filled, filled_url, values_of
from streams.doers.web import Web
from streams.domain.undertaking import Order

_TOKEN: Final = "x-csrf-token"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Write(_Strict):
    """A request that changes something: where, and with which fields."""

    method: Literal["POST", "PUT", "PATCH"] = "POST"
    path: str = Field(pattern="^/", description="Template of the path, below the URL.")
    fields: dict[str, Any] = Field(description="Templates of the fields of the body.")
    headers: dict[str, str] = Field(default={}, description="Further headers.")


class Entity(_Strict):
    """One thing that must be there: how it is asked for, how it is made, and how it is taken back."""

    what: str = Field(min_length=1, description="What it is, for messages.")
    ask: str = Field(pattern="^/", description="Template of the path by which it is asked for.")
    found: str = Field(
        default="",
        description="Where the answer lists what it has found, with dots between; absent: an answer is the entity, and "
        "404 is none.",
    )
    own: dict[str, str] = Field(
        default={}, description="Templates of fields by which one that is found is told to be ours."
    )
    number: str = Field(default="", description="Where an entity has its number, with dots between.")
    make: Write = Field(description="How it is made.")
    retire: Write | None = Field(default=None, description="How it is taken back; absent: it is left.")

    @model_validator(mode="after")
    def _can_be_filled(self) -> "Entity":
        templates = [self.ask, self.own]
        for write in (self.make, *([self.retire] if self.retire else [])):
            templates += [write.path, write.fields, write.headers]
        for template in templates:
            if (fault := fault_of(template)) is not None:
                raise ValueError(f"{self.what}: {template!r}: {fault}")
        if self.retire is not None and not self.own:
            raise ValueError(f"{self.what}: retire needs own: nothing is taken back that may be somebody else's")
        return self


class DimensionService:
    """Makes the entities of an order one after the other, and takes back what it made if one of them is refused."""

    def __init__(
        self,
        name: str,
        url: str,
        web: Web,
        entities: Sequence[Entity],
        companies: Mapping[str, str] | None = None,
        csrf: bool = False,
    ) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._web = web
        self._entities = tuple(entities)
        self._companies = dict(companies or {})
        self._csrf = csrf

    def make(self, order: Order, in_doubt: bool) -> Made:  # noqa: ARG002, each is asked for first
        """Make what is not there. Raises as the contract says."""
        values = values_of(order, self._companies)
        number = ""
        for place, entity in enumerate(self._entities):
            try:
                found = self._found(entity, values)
                if found is None:
                    answer = self._write(entity.make, values)
                    found = self._found(entity, values)
                    if found is None:
                        # It may have been taken and not be readable yet, or have been ignored: in doubt, ask again.
                        raise Retriable(f"{self.name}: {entity.what} was answered {answer}, and is not there")
                self._check(entity, found, values)
            except Skippable as refused:
                left = self._take_back(self._entities[:place], values)
                raise Skippable(f"{self.name}: {entity.what}: {refused}{left}") from refused
            number = str(_at(found, entity.number) or "") if entity.number else number
        results = (("erp_project_number", number),) if number else ()
        return Made(number or values["number"], results=results)

    def undo(self, order: Order) -> Undone:
        """Take back what is ours and can be. Raises as the contract says."""
        values, there = values_of(order, self._companies), False
        left = False
        for entity in reversed(self._entities):
            found = self._found(entity, values)
            if found is None:
                continue
            there = True
            if entity.retire is None or not self._is_own(entity, found, values):
                left = True
            else:
                self._write(entity.retire, values)
        return Undone.IN_USE if left else Undone.CLOSED if there else Undone.NOT_THERE

    def close(self) -> None:
        """Close all connections."""
        self._web.close()

    def _found(self, entity: Entity, values: Mapping[str, str]) -> dict[str, Any] | None:
        told = self._web.found(self._url + filled_url(entity.ask, values))
        if told is None:
            return None
        if entity.found:
            told = _at(told, entity.found)
            if not isinstance(told, list):
                raise Fatal(
                    f"{self.name}: {entity.what}: the answer has no list at {entity.found}; correct the mapping"
                )
            if not told:
                return None
            told = told[0]
        if not isinstance(told, dict):
            raise Fatal(f"{self.name}: {entity.what}: the answer is no entity; correct the mapping")
        return told

    def _write(self, write: Write, values: Mapping[str, str]) -> int:
        url = self._url + filled_url(write.path, values)
        headers = {**filled(write.headers, values), **(self._token(url) if self._csrf else {})}
        body = {name: value for name, value in filled(write.fields, values).items() if value != ""}
        # Where the answer says that there is one already, what is found next decides.
        return self._web.send(write.method, url, body, headers).status

    def _token(self, url: str) -> Mapping[str, str]:
        """Return a token against forged requests, as SAP wants it; its cookies are kept by the client."""
        token = self._web.header(url, {_TOKEN: "Fetch"}, _TOKEN)
        return {_TOKEN: token} if token else {}

    def _is_own(self, entity: Entity, found: Mapping[str, Any], values: Mapping[str, str]) -> bool:
        return all(str(_at(found, field)) == text for field, text in filled(entity.own, values).items())

    def _check(self, entity: Entity, found: Mapping[str, Any], values: Mapping[str, str]) -> None:
        if entity.own and not self._is_own(entity, found, values):
            wanted = ", ".join(f"{field} {text}" for field, text in filled(entity.own, values).items())
            raise Skippable(f"what stands under its key is not ours, whose {wanted} it would be")

    def _take_back(self, entities: Sequence[Entity], values: Mapping[str, str]) -> str:
        """Take back what was made before one was refused; return what is to be said of it."""
        said = []
        for entity in reversed(entities):
            found = self._found(entity, values)
            if found is None:
                continue
            if entity.retire is None or not self._is_own(entity, found, values):
                said.append(f"{entity.what} is left")
            else:
                self._write(entity.retire, values)
                said.append(f"{entity.what} is taken back")
        return "".join(f"; {each}" for each in said)


def _at(value: Any, path: str) -> Any:
    """Return what stands at a path of names with dots between, None where nothing does."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
