"""Whether a table still has what its mapping reads, told of the schema in which a connector writes its rows.

A column that is gone must not be read as empty, nor one that means something else be read at all: what was billed would
be reversed. So rows of such a schema are not read before somebody has said in the mapping what became of the column.
What is added to a table, and what nobody reads, is nobody's concern.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final, NamedTuple

from schemas.columns import TEXT, Column, columns_of
from schemas.contracts import DEBEZIUM, Contract, Schema, load_contracts
from schemas.kinds import DIGITS, Kind
from schemas.mapping import FieldSpec, Mappings, TopicMapping
from schemas.whole_rows import row_of

RUNBOOK: Final = "docs/operating.md#a-feed-is-held"

_READABLE: Final[Mapping[Kind, frozenset[str]]] = {
    **dict.fromkeys((Kind.STRING, Kind.CURRENCY, Kind.PERIOD), frozenset((TEXT,))),
    **dict.fromkeys(DIGITS, frozenset(("decimal", "number"))),
    Kind.BOOL: frozenset(("bool",)),
    Kind.INT: frozenset(("number",)),
    Kind.DATE: frozenset(("date",)),
    Kind.TIMESTAMP: frozenset(("moment",)),
}
"""Kind of field -> the forms of column that it can be read from. Money is never read from floating point."""


class Broken(NamedTuple):
    """A column that its mapping cannot read any more, and why."""

    spec: FieldSpec
    why: str


class BrokenSchema(Exception):
    """`columns` of `topic` are not what its mapping reads, in records of `schema_id`. The text says what to do.

    The topic is to be held there.
    """

    def __init__(self, topic: str, schema_id: int, columns: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.topic = topic
        self.schema_id = schema_id
        self.columns = columns


class Reading(NamedTuple):
    """How the rows of a schema are read: by `schema`, in which columns have the names that the mapping has.

    `refused` are columns with what stands in their place, so that no row is taken for good: None where a value is
    required, else one that no field takes.
    """

    schema: Schema
    refused: Mapping[str, Any]


Judge = Callable[[str, int, Schema], Reading]
"""(topic, id and schema of a connector's records) to how they are read; raises BrokenSchema."""


class SchemaJudge:
    """Judges the schemas of a connector's records by what the mappings read. Asked once a topic and schema."""

    def __init__(
        self, mappings: Mappings, passed: Iterable[int] = (), contracts: Mapping[str, Contract] | None = None
    ) -> None:
        """`passed` are ids of schemas whose rows are let through, to be refused one by one. Their deletes apply."""
        self._mappings = mappings
        self._passed = frozenset(passed)
        self._contracts = load_contracts() if contracts is None else contracts

    def __call__(self, topic: str, schema_id: int, writer: Schema) -> Reading:
        """Return how rows of a schema are read. Raises BrokenSchema naming table and columns, and what to do."""
        mapping = self._mappings.topics.get(topic)
        if mapping is None:
            return Reading(writer, {})
        try:
            columns = columns_of(row_of(writer))
        except ValueError:  # no envelope: whoever reads it says so
            return Reading(writer, {})
        contract = self._contracts.get(f"{DEBEZIUM}{topic}")
        usual = {} if contract is None else columns_of(row_of(contract.schema))
        broken = list(_broken(mapping.fields, columns, usual))
        if broken and schema_id not in self._passed:
            raise _told(mapping, schema_id, writer, broken, _added(mapping, columns, usual))
        return Reading(_renamed(writer, mapping), dict(_refused(mapping, broken, schema_id)))


def _broken(
    fields: Iterable[FieldSpec], columns: Mapping[str, Column], usual: Mapping[str, Column]
) -> Iterator[Broken]:
    for spec in fields:
        names = (spec.name, *spec.formerly)
        column = next((columns[name] for name in names if name in columns), None)
        was = next((usual[name] for name in names if name in usual), None)
        before = "" if was is None else f"; it was {was.said}"
        if column is None:
            # An optional column that the table never had is left out on purpose.
            if not spec.dropped and (spec.required or was is not None):
                yield Broken(spec, f"has no column {spec.name}{before}")
        elif column.form not in _READABLE[spec.kind] and not (spec.text and column.form == TEXT):
            yield Broken(spec, f"has column {spec.name} as {column.said}, which cannot be read as {spec.kind}{before}")


def _added(mapping: TopicMapping, columns: Mapping[str, Column], usual: Mapping[str, Column]) -> list[str]:
    """Return what is new in a table that we know: one of it may be the column that is looked for."""
    known = {name for spec in mapping.fields for name in (spec.name, *spec.formerly)} | usual.keys()
    return [f"{name} ({column.said})" for name, column in columns.items() if usual and name not in known]


def _told(
    mapping: TopicMapping, schema_id: int, writer: Schema, broken: Iterable[Broken], added: Iterable[str]
) -> BrokenSchema:
    table = str(writer.get("namespace", mapping.topic)).partition(".")[2] or mapping.topic
    columns = tuple(each.spec.name for each in broken)
    new = f"; new in it: {', '.join(added)}" if added else ""
    words = "`formerly`, `text`, `dropped`"
    message = (
        f"{mapping.topic}: table {table} {'; '.join(each.why for each in broken)}{new}. Say in the mapping "
        f"({mapping.where}) where the values are now, by {words}; or put the column back, pass schema id {schema_id} "
        f"by contracts.passed_schemas and read the table anew: {RUNBOOK}"
    )
    return BrokenSchema(mapping.topic, schema_id, columns, message)


def _renamed(writer: Schema, mapping: TopicMapping) -> Schema:
    """Return a schema whose columns have the names that the mapping has: what is read by it needs no other change."""
    present = {field["name"] for field in row_of(writer)["fields"]}
    names = {
        next(former for former in spec.formerly if former in present): spec.name
        for spec in mapping.fields
        if spec.name not in present and any(former in present for former in spec.formerly)
    }
    if not names:
        return writer
    renamed = deepcopy(writer)
    for field in row_of(renamed)["fields"]:
        field["name"] = names.get(field["name"], field["name"])
    return renamed


def _refused(mapping: TopicMapping, broken: Iterable[Broken], schema_id: int) -> Iterator[tuple[str, Any]]:
    for each in broken:
        if each.spec.name not in mapping.identity:  # by which its deletes apply
            # A list is no value of any column, and stays none where it is kept for later.
            yield each.spec.name, None if each.spec.required else [f"not in schema id {schema_id}"]
