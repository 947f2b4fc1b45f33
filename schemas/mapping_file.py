"""The form of the hand-written files of this package, and the checks of mappings that go beyond form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, StrictBool, StrictInt, StrictStr

from schemas.assembly_file import AssemblyEntry
from schemas.kinds import BILLING_KINDS, CANONICAL_VALUES, DIGITS, OUTPUT_KINDS, Kind
from schemas.lined_yaml import LinedFile, Place

Text = Annotated[StrictStr, Field(min_length=1)]
WRITTEN_AS_TEXT = frozenset({*DIGITS, Kind.DATE, Kind.TIMESTAMP})
"""Kinds whose values a column of text may hold."""
Version = Annotated[StrictInt, Field(ge=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class FieldEntry(_Strict):
    """One field: its kind, what it means, the name rules know it by (`as`), and whether it may be null or missing.

    `signed`, `vocabulary` and `as` are for source rows; `rounded`, `one_of` and `default` for derived records. Columns
    of a table that has changed may have further words: `formerly` lists the names that the column had before; with
    `text` a decimal, date or time is written as text; with `dropped` the table has no such column any more.
    """

    kind: Kind
    doc: Text
    optional: StrictBool = False
    canonical: Text | None = Field(default=None, alias="as")
    vocabulary: Text | None = None
    signed: StrictBool = False
    formerly: list[Text] = []
    text: StrictBool = False
    dropped: StrictBool = False
    rounded: StrictBool = False
    one_of: list[Text] = []
    default: Any = None
    record: Text | None = None
    fields: "dict[Text, FieldEntry]" = {}

    @property
    def digits(self) -> tuple[int, int]:
        """Digits in all and after the point; (0, 0) if the kind is no decimal."""
        return DIGITS.get(self.kind, (0, 0))


class TopicEntry(_Strict):
    """A source topic: described in full, or `like` a topic described elsewhere, with the words of this system."""

    like: Text | None = None
    doc: Text | None = None
    row: Text | None = None
    identity: list[Text] = []
    key: list[Text] = []
    fields: dict[Text, FieldEntry] = {}


class BillingCodeEntry(_Strict):
    """The billing code of a kind of trigger, and overrides by role."""

    default: Text
    roles: dict[Text, Text]


class MappingFile(_Strict):
    """One system's mapping. `assembly` says how rows come about where the system's tables are of its own design."""

    system: Text
    owner: Text
    version: Version
    vocabularies: dict[Text, dict[StrictStr, StrictStr]]
    billing_codes: dict[Text, BillingCodeEntry] | None = None
    topics: dict[Text, TopicEntry]
    assembly: AssemblyEntry | None = None


class DerivedEntry(_Strict):
    """A derived topic: the record it carries and what it is keyed by."""

    record: Text
    key: Text
    doc: Text
    fields: dict[Text, FieldEntry]


class DerivedFile(RootModel[dict[Text, DerivedEntry]]):
    """All derived topics."""


class PlaceEntry(_Strict):
    """Where a canonical field stands in a system's rows."""

    system: Text
    topic: Text
    field: Text


class OwnedEntry(PlaceEntry):
    """The owner's place of a canonical field, and the copies checked against it."""

    copies: list[PlaceEntry] = []


class OwnershipFile(_Strict):
    """Who owns which canonical field."""

    owner: Text
    version: Version
    fields: dict[Text, OwnedEntry]


Files = Sequence[LinedFile[MappingFile]]


def mapping_faults(files: Files) -> list[str]:
    """Return what is wrong in or between mapping files, each with file and line."""
    described = {topic for file in files for topic, entry in file.content.topics.items() if not entry.like}
    faults: list[str] = []
    for file in files:
        faults.extend(_vocabulary_faults(file))
        for topic, entry in file.content.topics.items():
            faults.extend(file.fault(*fault) for fault in _topic_faults(topic, entry, described))
            vocabularies = file.content.vocabularies
            faults.extend(file.fault(*fault) for fault in _word_faults(topic, entry, vocabularies, files))
    return faults + _repeated_faults(files) + _billing_code_faults(files)


def _vocabulary_faults(file: LinedFile[MappingFile]) -> Iterator[str]:
    for name, words in file.content.vocabularies.items():
        allowed = CANONICAL_VALUES.get(name)
        if allowed is None:
            known = ", ".join(CANONICAL_VALUES)
            yield file.fault(("vocabularies", name), f"{name!r} is no vocabulary: use one of {known}")
            continue
        for word, value in words.items():
            if value not in allowed:
                problem = f"{name} {word!r} maps to {value!r}, not one of {', '.join(allowed)}"
                yield file.fault(("vocabularies", name, word), problem)


Fault = tuple[Place, str]


def _topic_faults(topic: str, entry: TopicEntry, described: set[str]) -> Iterator[Fault]:
    place = ("topics", topic)
    if entry.like:
        if entry.like not in described:
            yield (*place, "like"), f"{topic}: no mapping describes topic {entry.like!r}"
        if entry.fields or entry.identity or entry.key or entry.row:
            yield place, f"{topic}: what is like {entry.like!r} has no row, identity, key or fields of its own"
        return
    for name in ("doc", "row", "identity", "key", "fields"):
        if not getattr(entry, name):
            yield place, f"{topic}: {name!r} is missing"
    for part in ("identity", "key"):
        for index, name in enumerate(getattr(entry, part)):
            field = entry.fields.get(name)
            if field is None or field.optional:
                yield (*place, part, index), f"{topic}: {part} {name!r} is not a required field of the topic"
    yield from _field_faults(topic, entry.fields, (*place, "fields"))
    yield from _column_faults(topic, entry.fields, (*place, "fields"))


def _column_faults(topic: str, fields: Mapping[str, FieldEntry], place: tuple[str, ...]) -> Iterator[Fault]:
    known = set(fields)
    for name, entry in fields.items():
        where = (*place, name)
        for former in entry.formerly:
            if former in known:
                yield (*where, "formerly"), f"{topic}: {former!r} names two columns"
            known.add(former)
        if entry.text and entry.kind not in WRITTEN_AS_TEXT:
            yield (*where, "text"), f"{topic}: {name} is {entry.kind}: `text` is for decimals, dates and times"
        if entry.dropped and not entry.optional:
            yield (*where, "dropped"), f"{topic}: {name} is not optional: nothing can be made of rows without it"
        for inner, listed in entry.fields.items():
            if listed.formerly or listed.text or listed.dropped:
                yield (*where, "fields", inner), f"{topic}: {name}: formerly, text, dropped: only columns of a table"


def _field_faults(topic: str, fields: Mapping[str, FieldEntry], place: tuple[str, ...]) -> Iterator[Fault]:
    canonical: set[str] = set()
    for name, entry in fields.items():
        where = (*place, name)
        if (own := entry.canonical or name) in canonical:
            yield (*where, "as"), f"{topic}: two fields are known as {own!r}"
        canonical.add(own)
        if entry.vocabulary and entry.kind is not Kind.STRING:
            yield (*where, "vocabulary"), f"{topic}: {name} is {entry.kind}: only a string has a vocabulary"
        if entry.signed and not (entry.kind in DIGITS or entry.kind is Kind.INT):
            yield (*where, "signed"), f"{topic}: {name} is {entry.kind}: only a number is signed"
        if entry.kind in OUTPUT_KINDS or entry.rounded or entry.one_of or entry.default is not None:
            yield (*where, "kind"), f"{topic}: {name}: {entry.kind}, rounded, one_of, default: only derived records"
        if (entry.kind is Kind.RECORDS) != bool(entry.fields and entry.record):
            yield (*where, "kind"), f"{topic}: {name}: kind records, and only it, has a record and fields"
        yield from _field_faults(topic, entry.fields, (*where, "fields"))


def _word_faults(
    topic: str, entry: TopicEntry, vocabularies: Mapping[str, Mapping[str, str]], files: Files
) -> Iterator[Fault]:
    shapes = {name: shape for file in files for name, shape in file.content.topics.items()}
    fields = shapes[entry.like].fields if entry.like in shapes else entry.fields
    for name, field in fields.items():
        if field.vocabulary and field.vocabulary not in vocabularies:
            place = ("topics", topic, "like") if entry.like else ("topics", topic, "fields", name, "vocabulary")
            yield place, f"{topic}: {name} is mapped with {field.vocabulary!r}, which this file does not list"


def _repeated_faults(files: Files) -> list[str]:
    faults = []
    systems: dict[str, str] = {}
    topics: dict[str, str] = {}
    for file in files:
        system = file.content.system
        if system != file.path.stem:
            faults.append(file.fault(("system",), f"system {system!r} belongs in a file named {system}.yaml"))
        if system in systems:
            faults.append(file.fault(("system",), f"system {system!r} is mapped in {systems[system]} too"))
        systems[system] = file.path.name
        for topic in file.content.topics:
            if topic in topics:
                faults.append(file.fault(("topics", topic), f"topic {topic!r} is mapped in {topics[topic]} too"))
            topics[topic] = file.path.name
    return faults


def _billing_code_faults(files: Files) -> list[str]:
    with_codes = [file for file in files if file.content.billing_codes is not None]
    if not with_codes:
        return [files[0].fault((), f"no mapping file has billing_codes: one must, with {', '.join(BILLING_KINDS)}")]
    faults = [file.fault(("billing_codes",), "billing_codes are in another file too") for file in with_codes[1:]]
    codes = with_codes[0].content.billing_codes or {}
    for kind in BILLING_KINDS:
        if kind not in codes:
            faults.append(with_codes[0].fault(("billing_codes",), f"billing_codes: kind {kind!r} has no code"))
    for kind in codes:
        if kind not in BILLING_KINDS:
            problem = f"billing_codes: {kind!r} is no kind of trigger: use one of {', '.join(BILLING_KINDS)}"
            faults.append(with_codes[0].fault(("billing_codes", kind), problem))
    return faults
