"""What is read of Salesforce: which fields of which objects become which fields of which rows.

Fields are those of the contract of the topic; how each is read follows from its type there. Where the field has
another name in Salesforce, the configuration says it: `contract.fields` is `BillingType=BillingType__c,Cap=Cap__c`. A
dotted path goes through a lookup (`Contract__r.ContractNumber`), a `%` at the end says that it is a percentage there,
and what stands in quotes (`CurrencyIsoCode='EUR'`) is the value itself, for what Salesforce does not have.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from schemas.contracts import Contract, load_contracts
from schemas.mapping import TopicMapping, load_mappings

PREFIX: Final = "crm."


class Kind(StrEnum):
    """How a value is read."""

    TEXT = "text"
    BOOL = "true or false"
    NUMBER = "number"
    DATE = "date"
    MOMENT = "date and time"


class Field(NamedTuple):
    """A field of a row, where it is in records of Salesforce, and how it is read. `scale`: digits after the point.

    `constant` is its value in every row, where it is not read at all.
    """

    name: str
    path: str
    kind: Kind
    scale: int = 0
    percent: bool = False
    constant: str | bool | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is a field of the record itself, other than its Id: neither constant nor beyond a lookup."""
        return self.constant is None and self.path != "Id" and "." not in self.path

    @property
    def lookup(self) -> str | None:
        """The field of the record that a dotted path goes through."""
        relation, dot, _ = self.path.partition(".")
        if not dot:
            return None
        return f"{relation.removesuffix('__r')}__c" if relation.endswith("__r") else f"{relation}Id"


class Children(NamedTuple):
    """Records of another object that are a list in the row: the lookup `parent` of each names the record it is of."""

    field: str
    relation: str
    object: str
    parent: str
    fields: tuple[Field, ...]


class Object(NamedTuple):
    """An object of Salesforce that is read: `name` in our words and in the configuration, `object` in Salesforce.

    `key` is the row's field that is the record key. `identity` is the field that names the row, None if it is the Id
    of the record.
    """

    name: str
    object: str
    topic: str
    key: str
    identity: str | None
    fields: tuple[Field, ...]
    children: Children | None

    @property
    def way(self) -> str:
        """A short text that is another one wherever records would be read in another way."""
        return sha256(repr(self).encode()).hexdigest()[:16]

    @property
    def lookups(self) -> tuple[str, ...]:
        """The lookups that dotted paths go through, each once."""
        return tuple(sorted({field.lookup for field in self.fields if field.lookup is not None}))


class Naming(NamedTuple):
    """What the configuration says of one object: names in Salesforce, where they differ from ours."""

    object: str
    paths: Mapping[str, str]
    relation: str | None = None
    children_object: str | None = None
    children_parent: str | None = None
    children_paths: Mapping[str, str] = {}


class UnfitNaming(ValueError):
    """A name of the configuration fits nothing; `setting` is its key without the object."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(reason)
        self.setting = setting


def object_of(name: str, naming: Naming) -> Object:
    """Return what is read for the topic `crm.NAME`.

    Raises:
        UnfitNaming: There is no such topic or field, or the children's names are missing.
    """
    topic = PREFIX + name
    contracts, topics = _described()
    if topic not in contracts:
        known = sorted(each.removeprefix(PREFIX) for each in contracts if each.startswith(PREFIX))
        raise UnfitNaming("objects", f"there is no topic {topic}; {', '.join(known)} can be read")
    mapping = topics[topic]
    fields, children = [], None
    unknown = set(naming.paths)
    for column in _columns(contracts[topic].schema):
        unknown.discard(column["name"])
        kind = _bare(column["type"])
        if isinstance(kind, dict) and kind["type"] == "array":
            children = _children(column["name"], kind["items"]["fields"], naming)
        else:
            fields.append(_field(column["name"], kind, naming.paths))
    if unknown:
        raise UnfitNaming("fields", f"{topic} has no field {', '.join(sorted(unknown))}")
    if "Id" in naming.paths and mapping.identity == ("Id",):
        raise UnfitNaming("fields", f"Id of {topic} is the Id of the record, and cannot be another field")
    (key,) = mapping.key
    identity = None if mapping.identity == ("Id",) else mapping.identity[0]
    return Object(name, naming.object, topic, key, identity, tuple(fields), children)


@cache
def _described() -> tuple[Mapping[str, Contract], Mapping[str, TopicMapping]]:
    """The contracts and mappings of all topics; reading the files takes a second."""
    return load_contracts(), load_mappings().topics


def _columns(envelope: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of a row in its envelope."""
    before = next(field for field in envelope["fields"] if field["name"] == "before")
    columns: list[dict[str, Any]] = _bare(before["type"])["fields"]
    return columns


def _bare(avro: Any) -> Any:
    """The type of an optional field without its null."""
    return next(branch for branch in avro if branch != "null") if isinstance(avro, list) else avro


def _children(name: str, columns: list[dict[str, Any]], naming: Naming) -> Children:
    if naming.relation is None or naming.children_object is None or naming.children_parent is None:
        settings = f"{name.lower()}, {name.lower()}.object and {name.lower()}.parent"
        raise UnfitNaming(name.lower(), f"{name} is a list: {settings} must name the child records it is read from")
    unknown = set(naming.children_paths) - {column["name"] for column in columns}
    if unknown:
        raise UnfitNaming(f"{name.lower()}.fields", f"{name} has no field {', '.join(sorted(unknown))}")
    fields = tuple(_field(column["name"], _bare(column["type"]), naming.children_paths) for column in columns)
    return Children(name, naming.relation, naming.children_object, naming.children_parent, fields)


_KINDS: Final = {"string": Kind.TEXT, "boolean": Kind.BOOL}
_LOGICAL: Final = {"decimal": Kind.NUMBER, "date": Kind.DATE, "timestamp-millis": Kind.MOMENT}


def _constant(name: str, avro: Any, text: str) -> Field:
    kind = _KINDS[avro] if isinstance(avro, str) else _LOGICAL[avro["logicalType"]]
    if kind is not Kind.BOOL:
        return Field(name, "", kind, constant=text)
    if text not in {"true", "false"}:
        raise UnfitNaming("fields", f"{name} is 'true' or 'false', not {text!r}")
    return Field(name, "", kind, constant=text == "true")


def _field(name: str, avro: Any, paths: Mapping[str, str]) -> Field:
    path = paths.get(name, name)
    if path.startswith("'"):
        return _constant(name, avro, path.strip("'"))
    percent = path.endswith("%")
    if isinstance(avro, str):
        return Field(name, path, _KINDS[avro])
    return Field(name, path.removesuffix("%"), _LOGICAL[avro["logicalType"]], avro.get("scale", 0), percent)
