"""The form of what a mapping file says of tables of a system's own design: how rows are assembled from them.

A path names a column: `date` of the table that a row is made from, `task.name` of the row that the lookup `task` found.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

Text = Annotated[StrictStr, Field(min_length=1)]
Version = Annotated[StrictInt, Field(ge=1)]
WAYS = ("column", "id", "constant", "first", "absent", "crosswalk")
"""How a field may come about; each field goes one of these ways."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReferenceEntry(_Strict):
    """A column that names a row: `12` as it is, `project.work,12` with a model, `11/12/` by what comes first.

    A reference to another model names no row, and neither does null.
    """

    column: Text
    model: Text | None = None
    first_of: Text | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "ReferenceEntry":
        if self.model is not None and self.first_of is not None:
            raise ValueError("a reference has a model or is the first of a path, not both")
        return self


def _as_reference(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


Reference = Annotated[ReferenceEntry, BeforeValidator(_as_reference)]


class LookupEntry(_Strict):
    """A row of another table that is needed, and the column that names it."""

    table: Text
    by: Reference


class ConditionEntry(_Strict):
    """A condition on a row that others are made from: a column is null, has a value, or a crosswalk knows it."""

    absent: Text | None = None
    equals: dict[Text, StrictStr | StrictBool | StrictInt] | None = None
    known: dict[Text, Text] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "ConditionEntry":
        said = [part for part in (self.absent, self.equals, self.known) if part is not None]
        if len(said) != 1 or (isinstance(said[0], dict) and len(said[0]) != 1):
            raise ValueError("a condition says one of absent, equals, known, of one column")
        return self


class FieldRuleEntry(_Strict):
    """How one field comes about.

    `column` takes a value as it is, `id` makes an id in the system's namespace of a reference, `first` takes the first
    column that is not null, `absent` says whether a column is null, `crosswalk` translates: by table, the column to
    look up, in order. `known` refuses the row while a crosswalk does not know the column named. `unit` says what a
    column counts that becomes hours and is a plain number; a duration needs none.
    """

    column: Text | None = None
    id: Reference | None = None
    constant: StrictStr | StrictBool | StrictInt | None = None
    first: list[Text] | None = None
    absent: Text | None = None
    crosswalk: dict[Text, Text] | None = None
    known: dict[Text, Text] | None = None
    unit: Literal["seconds", "minutes", "hours"] | None = None

    @property
    def way(self) -> str:
        """The way by which the field comes about."""
        return next(way for way in WAYS if getattr(self, way) is not None)

    @model_validator(mode="after")
    def _one_way(self) -> "FieldRuleEntry":
        ways = [way for way in WAYS if getattr(self, way) is not None]
        if len(ways) != 1:
            raise ValueError(f"a field comes about in one way of {', '.join(WAYS)}, not in {len(ways)}")
        if self.unit is not None and self.column is None:
            raise ValueError("only a column has a unit")
        return self


class RowEntry(_Strict):
    """How the rows of one assembled topic come about: from which table, on which conditions, with which others."""

    table: Text
    where: list[ConditionEntry] = []
    lookups: dict[Text, LookupEntry] = {}
    fields: dict[Text, FieldRuleEntry]


class AssemblyEntry(_Strict):
    """How rows of the reference shape are assembled from tables of a system's own design.

    `namespace` goes before every id, `identity` is the column that tells rows of every table apart, and `crosswalk`
    the file, beside this one, that says what the system's ids are called elsewhere. `formerly` lists, by table and
    column, the names that the column had before.
    """

    namespace: Text
    identity: Text = "id"
    crosswalk: Text | None = None
    formerly: dict[Text, dict[Text, list[Text]]] = {}
    rows: dict[Text, RowEntry]


class CrosswalkFile(_Strict):
    """What ids of a system are called in others: knowledge of the firm, by table. Null: known to be nothing there."""

    system: Text
    owner: Text
    version: Version
    tables: dict[Text, dict[StrictStr, StrictStr | None]]
