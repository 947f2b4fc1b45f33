"""Settings of ERP objects: how each is asked for, paged, and read.

A configuration has what holds for all objects (`page.size`) and, for each object it names, settings that begin with the
object's name (`Invoice.path`), and with that of a field in it (`Invoice.Lines.fields`).
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connect.field_map import FieldMap, MapFault
from connect.rows import shapes
from connect.settings import ComparedSettings, FeedSettings, with_columns
from outside.http_settings import HttpSettings

OBJECTS: Final = (
    "LegalEntity", "Customer", "Project", "Invoice", "CostPosting", "RevenueSchedule", "FxRate", "Period",
)  # fmt: skip


class ObjectSettings(BaseModel):
    """Settings of one object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(pattern=r"^/", description="Path of its list.")
    fields: str = Field(description="`Field=path` for each field of the topic, with commas between.")
    modified: str = Field(
        default="",
        description="Path of the time of a record's last change. Absent: the list is read whole, and compared.",
    )
    modified_name: str = Field(
        default="", alias="modified.name", description="Its name in filter and order; absent: as `modified`."
    )
    filter: str = Field(default="", description="A condition that always holds, in the words of the API.")
    deleted: str = Field(
        default="", description="`path=value` of what marks a record as deleted; absent: none is marked."
    )
    compare_ms: int = Field(
        default=0,
        ge=0,
        alias="compare.interval.ms",
        description="Milliseconds between two whole readings that find what is gone; 0: none, for what is only marked "
        "as deleted or never goes.",
    )
    params: str = Field(default="", description="Further parameters of the request, as `a=b&c=d`.")
    detail: str = Field(
        default="",
        description="Path of one record, with `{path}` of the list in braces, where the list does not hold all of it.",
    )
    columns: Mapping[str, str] = Field(
        default_factory=dict,
        description="Of a field: `Lines.path`, `Lines.fields` of a list; `Lines.url`, where it is asked for by itself; "
        "`Status.words`, `theirs=ours`.",
    )

    _gather = model_validator(mode="before")(with_columns)

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.deleted and "=" not in self.deleted:
            raise ValueError("deleted: write path=value")
        return self

    def field_map(self, name: str) -> FieldMap:
        """Return how records of an object become rows. Raises ValueError (`MapFault`)."""
        columns = {key: value for key, value in self.columns.items() if not key.endswith(".url")}
        return FieldMap(shapes()[f"erp.{name}"], self.fields, columns)

    def lists(self) -> dict[str, str]:
        """Return the paths of lists that are asked for by themselves, by their fields."""
        return {key.removesuffix(".url"): path for key, path in self.columns.items() if key.endswith(".url")}


class ErpSettings(FeedSettings, ComparedSettings, HttpSettings):
    """Settings of an ERP."""

    style: Literal["odata", "offset", "list"] = Field(
        description="`odata`: OData 4, pages by `@odata.nextLink`. `offset`: pages by limit and offset, `items` and "
        "`hasMore`, as NetSuite and Oracle have them. `list`: the answer is a list, and the last page a short one.",
    )
    objects: str = Field(description=f"What is read, with commas between: {', '.join(OBJECTS)}.")
    page_size: int = Field(default=500, ge=1, le=10_000, alias="page.size", description="Records of a page.")
    overlap_ms: int = Field(
        default=300_000,
        ge=0,
        alias="overlap.ms",
        description="Milliseconds before the newest change from which changes are asked for again: what is booked late "
        "is not missed.",
    )
    time_format: str = Field(
        default="%Y-%m-%dT%H:%M:%SZ",
        alias="time.format",
        description="How a time is written in a filter, as strftime has it, in UTC.",
    )
    items: str = Field(default="", alias="items.path", description="Path of the list in an answer, if not the usual.")
    limit_name: str = Field(default="limit", alias="limit.parameter", description="Parameter of the page's size.")
    offset_name: str = Field(default="offset", alias="offset.parameter", description="Parameter of its begin.")
    filter_name: str = Field(default="q", alias="filter.parameter", description="Parameter of the filter.")
    filter_text: str = Field(
        default='{name} >= "{since}"',
        alias="filter.text",
        description="The filter, with `{name}` and `{since}`, where the style is not `odata`.",
    )
    filter_and: str = Field(
        default=" and ", alias="filter.and", description="What stands between two conditions: ` and `, or `;`."
    )
    order_name: str = Field(
        default="", alias="order.parameter", description="Parameter of the order; absent: the API has none."
    )
    order_text: str = Field(default="{name}:asc", alias="order.text", description="The order, with `{name}`.")
    tables: Mapping[str, ObjectSettings] = Field(default_factory=dict, description="Settings of each object.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        tables: dict[str, dict[str, Any]] = {
            name.strip(): {} for name in str(values.get("objects", "")).split(",") if name.strip()
        }
        rest = {}
        for key, value in values.items():
            name, _, inner = key.partition(".")
            if name in tables and inner:
                tables[name][inner] = value
            else:
                rest[key] = value
        return {**rest, "tables": tables}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, table in self.tables.items():
            if name not in OBJECTS:
                raise ValueError(f"objects: there is no {name}; there are {', '.join(OBJECTS)}")
            try:
                table.field_map(name)
            except MapFault as fault:
                raise ValueError(f"{name}.{fault}") from fault
        for key, text in (("filter.text", self.filter_text), ("order.text", self.order_text)):
            try:
                text.format(name="", since="")
            except (LookupError, ValueError, AttributeError):
                raise ValueError(
                    f"{key}: {text!r} cannot be filled; in braces may stand name and since, a brace itself is doubled"
                ) from None
        if not self.tables:
            raise ValueError("objects: name what is to be read")
        return self

    @property
    def is_ordered(self) -> bool:
        """Return whether changes come in the order of their times."""
        return self.style == "odata" or bool(self.order_name)
