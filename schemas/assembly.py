"""Assembly as mapping files describe it: which columns of which tables become which fields of which assembled rows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.assembly_file import AssemblyEntry, ConditionEntry, CrosswalkFile, FieldRuleEntry, ReferenceEntry, RowEntry
from schemas.kinds import DIGITS, Kind
from schemas.lined_yaml import LinedFile, UnusableFile, load

if TYPE_CHECKING:
    from schemas.mapping import TopicMapping
    from schemas.mapping_file import MappingFile

KINDS = frozenset({Kind.STRING, Kind.BOOL, Kind.INT, Kind.DATE, Kind.TIMESTAMP, Kind.CURRENCY, Kind.PERIOD, *DIGITS})
"""Kinds of fields that can be assembled: all but lists of records."""

Translations = Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: of the table that a row is made from, or of the row that a lookup found."""

    lookup: str
    name: str

    def __str__(self) -> str:
        return f"{self.lookup}.{self.name}" if self.lookup else self.name


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names a row: by its id, by `model,id`, or by the first id of a path. The others are empty."""

    column: Column
    model: str = ""
    first_of: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row that an assembled row needs, and the columns it needs of it."""

    name: str
    table: str
    by: Reference
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a native row must be to be made into another: `absent`, `equals` a value, or `known` to a crosswalk."""

    kind: str
    column: Column
    value: str = ""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How a field comes about; see `schemas.assembly_file.FieldRuleEntry`.

    `columns` are looked at in order; `tables` are the crosswalks of a translation, one for each of them. `unit` is what
    a plain number of hours counts; empty where only a duration is one.
    """

    name: str
    kind: Kind
    required: bool
    way: str
    columns: tuple[Column, ...]
    tables: tuple[str, ...] = ()
    reference: Reference | None = None
    constant: str = ""
    known: tuple[tuple[str, Column], ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class RowSpec:
    """How the rows of one assembled topic come about."""

    topic: str
    table: str
    where: tuple[Condition, ...]
    wanted: tuple[Wanted, ...]
    rules: tuple[FieldRule, ...]


@dataclass(frozen=True, slots=True)
class NativeTable:
    """A table of a system's own design: the column that identifies its rows, and all columns that anything needs.

    `formerly` has, for a column that was renamed, its names before.
    """

    topic: str
    identity: str
    columns: tuple[str, ...]
    formerly: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Assembly:
    """How one system's rows are assembled. `fingerprint` changes with its files; `where` is the place that says so."""

    system: str
    namespace: str
    tables: Mapping[str, NativeTable]
    rows: tuple[RowSpec, ...]
    translations: Translations
    fingerprint: str
    where: str = ""


def load_crosswalk(file: "LinedFile[MappingFile]") -> LinedFile[CrosswalkFile] | None:
    """Read the crosswalk that a mapping file names, if it names one. Raises UnusableFile."""
    entry = file.content.assembly
    if entry is None or entry.crosswalk is None:
        return None
    found = load(file.path.parent / entry.crosswalk, CrosswalkFile)
    if found.content.system != file.content.system:
        problem = f"system {found.content.system!r} is not {file.content.system!r}, whose mapping names this file"
        raise UnusableFile([found.fault(("system",), problem)])
    return found


def assembly_of(
    file: "LinedFile[MappingFile]",
    crosswalk: LinedFile[CrosswalkFile] | None,
    topics: "Mapping[str, TopicMapping]",
    fingerprint: str,
) -> Assembly:
    """Return the assembly that a mapping file describes. Raises UnusableFile naming file, line and value of faults."""
    entry = file.content.assembly
    assert entry is not None  # the caller has looked
    translations: Translations = {} if crosswalk is None else crosswalk.content.tables
    if faults := [file.fault(place, problem) for place, problem in _faults(file, entry, translations, topics)]:
        raise UnusableFile(faults)
    rows = tuple(_row_spec(topic, row, topics[topic]) for topic, row in entry.rows.items())
    tables, where = _tables(rows, entry), file.where(("assembly",))
    if faults := [file.fault(place, problem) for place, problem in _former_faults(entry, tables)]:
        raise UnusableFile(faults)
    return Assembly(file.content.system, entry.namespace, tables, rows, translations, fingerprint, where)


def shared_faults(assemblies: Iterable[Assembly]) -> list[str]:
    """Return which tables and namespaces several systems claim, each with file and line."""
    faults: list[str] = []
    spaces: dict[str, str] = {}
    tables: dict[str, str] = {}
    for each in assemblies:
        if each.namespace in spaces:
            faults.append(f"{each.where}: namespace {each.namespace!r} is that of {spaces[each.namespace]}, too")
        faults += [
            f"{each.where}: {topic} is a table of {tables[topic]}, too" for topic in each.tables if topic in tables
        ]
        spaces.setdefault(each.namespace, each.system)
        tables = {**dict.fromkeys(each.tables, each.system), **tables}
    return faults


def column_of(path: str) -> Column:
    """Return the column that a path names."""
    lookup, dot, name = path.rpartition(".")
    return Column(lookup if dot else "", name)


def _reference(entry: ReferenceEntry) -> Reference:
    return Reference(column_of(entry.column), entry.model or "", entry.first_of or "")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _row_spec(topic: str, entry: RowEntry, mapping: "TopicMapping") -> RowSpec:
    rules = tuple(
        _rule(spec.name, spec.kind, spec.required, entry.fields[spec.name])
        for spec in mapping.fields
        if spec.name in entry.fields
    )
    needed = {name: dict[str, None]() for name in entry.lookups}
    for column in _columns_of(entry):
        if column.lookup:
            needed[column.lookup][column.name] = None
    wanted = tuple(
        Wanted(name, lookup.table, _reference(lookup.by), tuple(needed[name])) for name, lookup in entry.lookups.items()
    )
    return RowSpec(topic, entry.table, tuple(_condition(each) for each in entry.where), wanted, rules)


def _condition(entry: ConditionEntry) -> Condition:
    if entry.absent is not None:
        return Condition("absent", column_of(entry.absent))
    if entry.equals is not None:
        path, value = next(iter(entry.equals.items()))
        return Condition("equals", column_of(path), _text(value))
    table, path = next(iter((entry.known or {}).items()))
    return Condition("known", column_of(path), table)


def _rule(name: str, kind: Kind, required: bool, entry: FieldRuleEntry) -> FieldRule:
    known = tuple((table, column_of(path)) for table, path in (entry.known or {}).items())
    paths = {
        "column": [entry.column],
        "first": entry.first,
        "absent": [entry.absent],
        "crosswalk": (entry.crosswalk or {}).values(),
    }.get(entry.way) or ()
    return FieldRule(
        name,
        kind,
        required,
        entry.way,
        columns=tuple(column_of(str(path)) for path in paths),
        tables=tuple(entry.crosswalk or ()),
        reference=None if entry.id is None else _reference(entry.id),
        constant="" if entry.constant is None else _text(entry.constant),
        known=known,
        unit=entry.unit or "",
    )


def _columns_of(entry: RowEntry) -> Iterator[Column]:
    """Yield every column that an assembled row needs."""
    return (column_of(path) for _, path in _paths(entry))


def _tables(rows: Iterable[RowSpec], entry: AssemblyEntry) -> dict[str, NativeTable]:
    columns: dict[str, dict[str, None]] = {}
    for row in rows:
        described = entry.rows[row.topic]
        columns.setdefault(row.table, {})
        for wanted in row.wanted:
            columns.setdefault(wanted.table, {}).update(dict.fromkeys(wanted.columns))
        own = (column.name for column in _columns_of(described) if not column.lookup)
        columns[row.table].update(dict.fromkeys(own))
    return {
        topic: NativeTable(topic, entry.identity, tuple(sorted({entry.identity, *names})), _former(entry, topic))
        for topic, names in columns.items()
    }


def _former(entry: AssemblyEntry, topic: str) -> dict[str, tuple[str, ...]]:
    return {column: tuple(names) for column, names in entry.formerly.get(topic, {}).items()}


Place = tuple[str | int, ...]
Fault = tuple[Place, str]


def _paths(entry: RowEntry) -> Iterator[tuple[Place, str]]:
    """Yield every path to a column within a row's description, and where it stands there."""
    for index, condition in enumerate(entry.where):
        yield from ((("where", index), path) for path in _condition_paths(condition))
    for name, lookup in entry.lookups.items():
        yield ("lookups", name, "by"), lookup.by.column
    for name, field in entry.fields.items():
        place: Place = ("fields", name)
        single = (field.column, field.absent, field.id.column if field.id else None)
        yield from ((place, path) for path in single if path is not None)
        several = (*(field.first or ()), *(field.crosswalk or {}).values(), *(field.known or {}).values())
        yield from ((place, path) for path in several)


def _condition_paths(entry: ConditionEntry) -> Iterable[str]:
    if entry.absent is not None:
        return [entry.absent]
    return (entry.equals or {}).keys() or (entry.known or {}).values()


def _faults(
    file: "LinedFile[MappingFile]", entry: AssemblyEntry, translations: Translations, topics: "Mapping[str, Any]"
) -> Iterator[Fault]:
    for topic, row in entry.rows.items():
        place: Place = ("assembly", "rows", topic)
        declared = file.content.topics.get(topic)
        if declared is None or declared.like is None:
            yield place, f"{topic}: is not among `topics` as `like` a topic that is described"
            continue
        for table in {row.table, *[lookup.table for lookup in row.lookups.values()]} & topics.keys():
            yield place, f"{topic}: {table} is a mapped topic: rows are assembled from tables that no mapping reads"
        yield from (((*place, *where), f"{topic}: {fault}") for where, fault in _path_faults(row))
        yield from (((*place, *where), f"{topic}: {fault}") for where, fault in _field_faults(row, topics[topic]))
        yield from (((*place, *where), f"{topic}: {fault}") for where, fault in _table_faults(row, translations))


def _former_faults(entry: AssemblyEntry, tables: Mapping[str, NativeTable]) -> Iterator[Fault]:
    for topic, renamed in entry.formerly.items():
        place: Place = ("assembly", "formerly", topic)
        asked = tables[topic].columns if topic in tables else ()
        for column, names in renamed.items():
            if column not in asked:
                yield (*place, column), f"{topic}: no row is assembled from column {column!r}"
            for name in names:
                if name in asked:
                    yield (*place, column), f"{topic}: {name!r} is a column of its own"


def _path_faults(row: RowEntry) -> Iterator[Fault]:
    names = list(row.lookups)
    for where, path in _paths(row):
        lookup = column_of(path).lookup
        if not lookup:
            continue
        if where[0] == "where":
            yield where, f"{path!r}: a condition is on a column of {row.table} itself"
        elif where[0] == "lookups" and lookup not in names[: names.index(str(where[1]))]:
            yield where, f"{path!r}: no lookup {lookup!r} stands before {where[1]!r}"
        elif lookup not in names:
            yield where, f"{path!r}: there is no lookup {lookup!r}"


def _field_faults(row: RowEntry, mapping: "TopicMapping") -> Iterator[Fault]:
    specs = {spec.name: spec for spec in mapping.fields}
    for name in row.fields.keys() - specs.keys():
        yield ("fields", name), f"rows like {mapping.shape} have no field {name!r}"
    for name, spec in specs.items():
        rule = row.fields.get(name)
        if rule is None:
            if spec.required:
                yield ("fields",), f"{name!r} is missing, which rows like {mapping.shape} need"
        elif spec.kind not in KINDS:
            yield ("fields", name), f"{name} is {spec.kind}: it cannot be assembled"
        elif rule.way == "absent" and spec.kind is not Kind.BOOL:
            yield ("fields", name), f"{name} is {spec.kind}: `absent` says true or false"
        elif rule.unit is not None and spec.kind is not Kind.HOURS:
            yield ("fields", name), f"{name} is {spec.kind}: only hours have a unit"
        elif rule.way == "id" and spec.kind is not Kind.STRING:
            yield ("fields", name), f"{name} is {spec.kind}: an id is a string"
        elif rule.way != "id" and name in (*mapping.identity, *mapping.key):
            yield ("fields", name), f"{name} tells rows apart: it must be an `id`, or meets ids of other systems"


def _table_faults(row: RowEntry, translations: Translations) -> Iterator[Fault]:
    named: list[tuple[Place, dict[str, str]]] = [
        (("where", index), condition.known or {}) for index, condition in enumerate(row.where)
    ]
    for name, field in row.fields.items():
        named.append((("fields", name), {**(field.crosswalk or {}), **(field.known or {})}))
    for where, tables in named:
        for table in tables.keys() - translations.keys():
            yield where, f"the crosswalk has no table {table!r}"
