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
from schemas.mapping import FieldSpec, Mappings
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


_ANY_FORM: Final = frozenset((TEXT, "bool", "number", "decimal", "date", "moment", "duration"))
"""The forms of column that rows can be assembled from."""


class Needed(NamedTuple):
    """A column that a mapping reads: its names, newest first, and the forms in which it can be read as a `kind`.

    One that is not `always` there is left out where a table never had it. Where it may be `null`, a row without it is
    taken for good.
    """

    names: tuple[str, ...]
    kind: str
    forms: frozenset[str]
    always: bool
    dropped: bool
    null: bool


class Table(NamedTuple):
    """What a mapping reads of the rows of one topic. `where` is the file and line that say so."""

    topic: str
    where: str
    identity: tuple[str, ...]
    needed: tuple[Needed, ...]


class Broken(NamedTuple):
    """A column that its mapping cannot read any more, and why: it is gone, or it has another type."""

    column: Needed
    why: str
    gone: bool


class BrokenSchema(Exception):
    """Records of `schema_id` in `topic` are not to be read as they are. The text says why, and what to do.

    `columns` are not what the mapping reads; there are none where nobody knows the schema. The topic is to be held
    there.
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
        self._tables = {table.topic: table for table in _tables(mappings)}
        self._passed = frozenset(passed)
        self._contracts = load_contracts() if contracts is None else contracts

    def __call__(self, topic: str, schema_id: int, writer: Schema) -> Reading:
        """Return how rows of a schema are read. Raises BrokenSchema naming table and columns, and what to do."""
        table = self._tables.get(topic)
        if table is None:
            return Reading(writer, {})
        try:
            columns = columns_of(row_of(writer))
        except ValueError:  # no envelope: whoever reads it says so
            return Reading(writer, {})
        contract = self._contracts.get(f"{DEBEZIUM}{topic}")
        usual = {} if contract is None else columns_of(row_of(contract.schema))
        broken = list(_broken(table, columns, usual))
        if broken and schema_id not in self._passed:
            added = _added(table, columns, usual) if any(each.gone for each in broken) else []
            raise _told(table, schema_id, writer, broken, added)
        return Reading(_renamed(writer, table), _refused(table, broken, schema_id))


def _tables(mappings: Mappings) -> Iterator[Table]:
    for topic, mapping in mappings.topics.items():
        needed = tuple(_needed(spec) for spec in mapping.fields if not spec.fields)
        yield Table(topic, mapping.where, mapping.identity, needed)
    for assembly in mappings.assemblies:
        for topic, native in assembly.tables.items():
            names = [(name, *native.formerly.get(name, ())) for name in native.columns]
            needed = tuple(Needed(each, "part of a row", _ANY_FORM, True, False, True) for each in names)
            yield Table(topic, assembly.where, (native.identity,), needed)


def _needed(spec: FieldSpec) -> Needed:
    forms = _READABLE[spec.kind] | ({TEXT} if spec.text else set())
    return Needed((spec.name, *spec.formerly), spec.kind, forms, spec.required, spec.dropped, not spec.required)


def _broken(table: Table, columns: Mapping[str, Column], usual: Mapping[str, Column]) -> Iterator[Broken]:
    for each in table.needed:
        name = each.names[0]
        column = next((columns[name] for name in each.names if name in columns), None)
        was = next((usual[name] for name in each.names if name in usual), None)
        before = "" if was is None else f"; it was {was.said}"
        if column is None:
            # A column that the table never had, and that may be missing, is left out on purpose.
            if not each.dropped and (each.always or was is not None):
                yield Broken(each, f"has no column {name}{before}", True)
        elif column.form not in each.forms:
            yield Broken(
                each, f"has column {name} as {column.said}, which cannot be read as {each.kind}{before}", False
            )


def _added(table: Table, columns: Mapping[str, Column], usual: Mapping[str, Column]) -> list[str]:
    """Return what is new in a table that we know: one of it may be the column that is looked for."""
    known = {name for each in table.needed for name in each.names} | usual.keys()
    return [f"{name} ({column.said})" for name, column in columns.items() if usual and name not in known]


def _told(table: Table, schema_id: int, writer: Schema, broken: Iterable[Broken], added: Iterable[str]) -> BrokenSchema:
    name = str(writer.get("namespace", table.topic)).partition(".")[2] or table.topic
    columns = tuple(each.column.names[0] for each in broken)
    new = f"; new in it: {', '.join(added)}" if added else ""
    message = (
        f"{table.topic}: table {name} {'; '.join(each.why for each in broken)}{new}. Say in the mapping "
        f"({table.where}) where the values are now, by `formerly`, `text`, `dropped`; or put the column back, pass "
        f"schema id {schema_id} by contracts.passed_schemas and read the table anew: {RUNBOOK}"
    )
    return BrokenSchema(table.topic, schema_id, columns, message)


def _renamed(writer: Schema, table: Table) -> Schema:
    """Return a schema whose columns have the names that the mapping has: what is read by it needs no other change."""
    present = {field["name"] for field in row_of(writer)["fields"]}
    names = {}
    for each in table.needed:
        found = next((name for name in each.names if name in present), each.names[0])
        if found != each.names[0]:
            names[found] = each.names[0]
    if not names:
        return writer
    renamed = deepcopy(writer)
    for field in row_of(renamed)["fields"]:
        field["name"] = names.get(field["name"], field["name"])
    return renamed


def _refused(table: Table, broken: Iterable[Broken], schema_id: int) -> dict[str, Any]:
    """Return what stands in the place of broken columns, but for an identity: by it deletes apply."""
    # No column holds a list, and it stays one where the row is kept for later.
    no_value = [f"not in schema id {schema_id}"]
    columns = [each.column for each in broken]
    return {each.names[0]: no_value if each.null else None for each in columns if each.names[0] not in table.identity}
