"""Mapping and ownership files: how a system's rows are read, what its words mean, and who owns which field.

`mappings/*.yaml` has one file a system, owned and versioned. It is the one place that says how a source row is
validated: which fields it has, of which kind, which may be missing, and which vocabulary translates its status values.
Loading checks everything and names file, line and value of each fault.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from schemas.assembly import Assembly, assembly_of, load_crosswalk, shared_faults
from schemas.kinds import Kind
from schemas.lined_yaml import LinedFile, UnusableFile, load
from schemas.mapping_file import FieldEntry, MappingFile, OwnershipFile, TopicEntry, mapping_faults

MAPPINGS_FOLDER = Path(__file__).parent / "mappings"
OWNERSHIP_FILE = Path(__file__).parent / "ownership.yaml"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A system's words for the canonical values of one vocabulary; `values` maps its words to ours."""

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a source row, or of a record listed in it.

    `name` is the source's, `canonical` ours. `digits` and `scale` count the decimal digits in all and after the point,
    both 0 where the kind is no decimal. A number below zero is allowed only where `signed`. `fields` are those of a
    listed record. Of a table that has changed, `formerly` are the names that the column had before; with `text` its
    values are written as text; with `dropped` it is gone for good.
    """

    name: str
    canonical: str
    kind: Kind
    required: bool
    signed: bool
    vocabulary: Vocabulary | None
    digits: int
    scale: int
    fields: tuple["FieldSpec", ...]
    doc: str
    formerly: tuple[str, ...] = ()
    text: bool = False
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class TopicMapping:
    """How the rows of one source topic are read.

    `row` names the canonical row. `identity` are the fields that tell rows apart, `key` those of the record key;
    several are joined by a colon. `shape` is the topic whose contract the rows follow: itself unless declared `like`
    another. `where` is the file and line that describe it.
    """

    topic: str
    shape: str
    system: str
    row: str
    identity: tuple[str, ...]
    key: tuple[str, ...]
    fields: tuple[FieldSpec, ...]
    doc: str
    where: str = ""

    def identity_of(self, row: Mapping[str, Any]) -> str:
        """Return the identity of a row; raises KeyError naming the field that is missing."""
        return _joined(row, self.identity)

    def key_of(self, row: Mapping[str, Any]) -> str:
        """Return the record key of a row; raises KeyError naming the field that is missing."""
        return _joined(row, self.key)


def _joined(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    if len(names) == 1:  # as most are, and every row is asked twice
        return str(row[names[0]])
    return ":".join(str(row[name]) for name in names)


@dataclass(frozen=True, slots=True)
class BillingCode:
    """The billing code of one kind of trigger: a default, and overrides by role."""

    default: str
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Mappings:
    """All mapping files.

    `owners` gives the queue that looks after a system's mapping; `fingerprint` changes whenever a file does.
    `assemblies` say how topics come about whose systems have tables of their own design.
    """

    topics: Mapping[str, TopicMapping]
    billing_codes: Mapping[str, BillingCode]
    owners: Mapping[str, str]
    versions: Mapping[str, int]
    fingerprint: str
    assemblies: tuple[Assembly, ...] = ()

    @property
    def assembled(self) -> frozenset[str]:
        """The topics whose rows are assembled; no feed writes them."""
        return frozenset(row.topic for assembly in self.assemblies for row in assembly.rows)

    @property
    def native_topics(self) -> tuple[str, ...]:
        """The source topics of tables that rows are assembled from."""
        return tuple(topic for assembly in self.assemblies for topic in assembly.tables)

    def billing_code(self, kind: str, role: str | None) -> str:
        """Return the billing code for a kind of trigger and, if it has one, the role worked."""
        code = self.billing_codes[kind]
        return code.default if role is None else code.roles.get(role, code.default)


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """Where a canonical field stands in a system's rows."""

    system: str
    topic: str
    field: str


@dataclass(frozen=True, slots=True)
class OwnedField:
    """A canonical field, such as `project.legal_entity`: where its owner says it, and which copies are checked.

    `where` is the file and line that say so.
    """

    entity: str
    name: str
    owner: FieldPlace
    copies: tuple[FieldPlace, ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Ownership:
    """All owned fields by canonical name; `fingerprint` changes when the file does."""

    fields: Mapping[str, OwnedField]
    version: int
    fingerprint: str


def load_mappings(folder: Path | None = None, further: Iterable[Path] = ()) -> Mappings:
    """Read and check all mapping files of a folder (default: those shipped), and further ones beside them.

    Raises UnusableFile naming file, line and value of every fault found.
    """
    folder = folder or MAPPINGS_FOLDER
    files = [load(path, MappingFile) for path in sorted(folder.glob("*.yaml"))]
    if not files:
        raise UnusableFile([f"{folder}: no mapping file (*.yaml) in this folder"])
    files += [load(path, MappingFile) for path in further]
    if faults := mapping_faults(files):
        raise UnusableFile(faults)
    contents = [file.content for file in files]
    shapes = {topic: entry for content in contents for topic, entry in content.topics.items() if not entry.like}
    topics = {
        topic: _topic_mapping(topic, entry, shapes, file)
        for file in files
        for topic, entry in file.content.topics.items()
    }
    assemblies = tuple(_assembly(file, topics) for file in files if file.content.assembly is not None)
    if faults := shared_faults(assemblies):
        raise UnusableFile(faults)
    return Mappings(
        topics=topics,
        billing_codes={
            kind: BillingCode(entry.default, entry.roles)
            for content in contents
            for kind, entry in (content.billing_codes or {}).items()
        },
        owners={content.system: content.owner for content in contents},
        versions={content.system: content.version for content in contents},
        fingerprint=_fingerprint(files),
        assemblies=assemblies,
    )


def _assembly(file: LinedFile[MappingFile], topics: Mapping[str, TopicMapping]) -> Assembly:
    crosswalk = load_crosswalk(file)
    fingerprint = _fingerprint([file] if crosswalk is None else [file, crosswalk])
    return assembly_of(file, crosswalk, topics, fingerprint)


def _topic_mapping(
    topic: str, entry: TopicEntry, shapes: Mapping[str, TopicEntry], file: LinedFile[MappingFile]
) -> TopicMapping:
    shape, content = entry.like or topic, file.content
    described = shapes[shape]
    return TopicMapping(
        topic=topic,
        shape=shape,
        system=content.system,
        row=str(described.row),
        identity=tuple(described.identity),
        key=tuple(described.key),
        fields=_field_specs(described.fields, content.vocabularies),
        doc=str(described.doc),
        where=file.where(("topics", topic)),
    )


def _field_specs(
    fields: Mapping[str, FieldEntry], vocabularies: Mapping[str, Mapping[str, str]]
) -> tuple[FieldSpec, ...]:
    return tuple(
        FieldSpec(
            name=name,
            canonical=entry.canonical or name,
            kind=entry.kind,
            required=not entry.optional,
            signed=entry.signed,
            vocabulary=Vocabulary(entry.vocabulary, vocabularies[entry.vocabulary]) if entry.vocabulary else None,
            digits=entry.digits[0],
            scale=entry.digits[1],
            fields=_field_specs(entry.fields, vocabularies),
            doc=entry.doc,
            formerly=tuple(entry.formerly),
            text=entry.text,
            dropped=entry.dropped,
        )
        for name, entry in fields.items()
    )


def load_ownership(path: Path | None = None, mappings: Mappings | None = None) -> Ownership:
    """Read and check the ownership file against the mappings (default: those shipped).

    Raises UnusableFile naming file, line and value of every fault found.
    """
    file = load(path or OWNERSHIP_FILE, OwnershipFile)
    if faults := _ownership_faults(file, mappings or load_mappings()):
        raise UnusableFile(faults)
    owned = {}
    for name, entry in file.content.fields.items():
        entity, _, field = name.partition(".")
        copies = tuple(FieldPlace(copy.system, copy.topic, copy.field) for copy in entry.copies)
        owner = FieldPlace(entry.system, entry.topic, entry.field)
        owned[name] = OwnedField(entity, field, owner, copies, file.where(("fields", name)))
    return Ownership(owned, file.content.version, _fingerprint([file]))


def _ownership_faults(file: LinedFile[OwnershipFile], mappings: Mappings) -> list[str]:
    faults = []
    for name, entry in file.content.fields.items():
        place: tuple[str | int, ...] = ("fields", name)
        entity, dot, field = name.partition(".")
        if not (entity and dot and field):
            faults.append(file.fault(place, f"{name!r} is no canonical field: write entity.field"))
        for index, copy in enumerate(entry.copies):
            if copy.system == entry.system:
                faults.append(file.fault((*place, "copies", index), f"{name}: owner {entry.system!r} is also a copy"))
        places = [(place, entry), *(((*place, "copies", index), copy) for index, copy in enumerate(entry.copies))]
        for where, stated in places:
            topic = mappings.topics.get(stated.topic)
            if topic is None:
                faults.append(file.fault((*where, "topic"), f"{name}: no mapping declares topic {stated.topic!r}"))
            elif topic.system != stated.system:
                faults.append(
                    file.fault(
                        (*where, "system"),
                        f"{name}: topic {stated.topic} is of system {topic.system!r}, not {stated.system!r}",
                    )
                )
            else:
                known = {spec.name: spec.canonical for spec in topic.fields}
                if stated.field not in known:
                    problem = f"{name}: {stated.topic} has no field {stated.field!r}"
                    faults.append(file.fault((*where, "field"), problem))
                elif known[stated.field] != field:
                    problem = f"{name}: field {stated.field!r} of {stated.topic} is known as {known[stated.field]!r}"
                    faults.append(file.fault((*where, "field"), problem))
    return faults


def _fingerprint(files: list[LinedFile[Any]]) -> str:
    return sha256(b"\0".join(file.path.name.encode() + b"\0" + file.text for file in files)).hexdigest()[:16]
