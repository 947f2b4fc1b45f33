"""What an ERP calls our companies, customers, items, taxes and projects: one YAML file a target, checked at start.

Owns reading and looking up. A value that is missing refuses the posting that needs it, and no other. Values are text:
an id such as 00001234 without quotes would be a number to YAML, and another one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.lined_yaml import load, shown

Name = Annotated[str, StringConstraints(min_length=1, max_length=240)]
Names = Mapping[Name, Name]
Property = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=80)]
"""A property's or a set's name, as `$metadata` has it."""

SAME: Final = frozenset({"customer", "project", "contract"})
"""Tables whose values stay as they are unless the file lists them."""


class Unmapped(Exception):
    """A value has no counterpart at the target; the message names it, the file, and what to add."""


class TargetMapping(BaseModel):
    """What all targets need."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    company: Names = Field(min_length=1, description="The target's company, by legal entity.")
    item: Names = Field(min_length=1, description="What is sold, by billing code.")
    project: Names = Field(default={}, description="The project, by project id; unless listed, the same.")


class CustomerMapping(TargetMapping):
    """What is needed besides where a document names its customer and tax, and no contract at the target does."""

    customer: Names = Field(default={}, description="The customer, by ERP customer id; unless listed, the same.")
    tax: Names = Field(default={}, description="The tax, by tax code; without the table, the target decides on taxes.")


class Properties(BaseModel):
    """What a target calls what a posting says; what has no name there is not sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Property
    currency: Property
    date: Property
    text: Property = Field(description="Says what is billed, and names the trigger first.")
    company: Property | None = None
    contract: Property | None = None
    customer: Property | None = None
    item: Property | None = None
    project: Property | None = None
    purchase_order: Property | None = None
    quantity: Property | None = None
    rate: Property | None = None
    tax: Property | None = None


MappingT = TypeVar("MappingT", bound=TargetMapping)


class TargetNames(Generic[MappingT]):
    """A mapping file: `content` as it stands there, and what things are called at the target."""

    def __init__(self, path: Path, content: MappingT) -> None:
        self.content = content
        self._file = shown(path)

    def of(self, table: str, value: str) -> str:
        """Return what a value is called at the target. Raises `Unmapped` if the file does not say."""
        names: Mapping[str, str] = getattr(self.content, table)
        found = names.get(value)
        if found is not None:
            return found
        if table in SAME:
            return value
        raise Unmapped(f"{table} {value!r} is not mapped: add it under {table!r} in {self._file}")


def target_names(path: Path, model: type[MappingT]) -> TargetNames[MappingT]:
    """Read a mapping file. Raises `schemas.lined_yaml.UnusableFile`, a ValueError that names file, line and key."""
    return TargetNames(path, load(path, model).content)


def without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields without those that are None: an ERP is not told to empty what we do not know."""
    return {name: value for name, value in fields.items() if value is not None}
