"""Reading by SOQL: what changed since, records by id, all ids. Deleted records are found while they are in the bin.

Pages follow each other by `SystemModstamp, Id`, each as a query of its own: a page that the server fetches later from
an open query may hold records that changed meanwhile, and the place to go on from would be wrong. What is within a page
(child records, records by id) follows `nextRecordsUrl`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from connect.feeds.contract import Fatal
from connect.feeds.salesforce import values
from connect.feeds.salesforce.draft import Record
from connect.feeds.salesforce.objects import Children, Field, Object
from connect.feeds.salesforce.values import WrongType

IDS_MAX: Final = 100  # 100 ids are 2 kB of a URL, far below what any proxy takes
_STAMPS: Final = ("Id", "IsDeleted", "SystemModstamp")

Json = Mapping[str, Any]


class Rest(Protocol):
    """What is asked of the REST API."""

    def query(self, soql: str, *, deleted: bool) -> Json:
        """Return the first page of a query; `deleted`: with what is in the bin."""

    def more(self, url: str) -> Json:
        """Return the page at `nextRecordsUrl`."""


class Page(NamedTuple):
    """Records in the order of their SystemModstamp, and whether they are the last there are."""

    records: Sequence[Json]
    last: bool

    @property
    def read_to_ms(self) -> int:
        """The SystemModstamp of the last record."""
        return values.instant(self.records[-1]["SystemModstamp"])


class Queries:
    """The queries of one feed."""

    def __init__(self, feed: str, rest: Rest) -> None:
        self._feed = feed
        self._rest = rest

    def changed(self, read: Object, since_ms: int | None) -> Iterator[Page]:
        """Yield all records with a SystemModstamp from `since_ms` on, page by page; None: all there are."""
        yield from self._pages(selection(read), read.object, since_ms)

    def changed_children(self, children: Children, since_ms: int | None) -> Iterator[Page]:
        """Yield all child records with a SystemModstamp from `since_ms` on, page by page."""
        yield from self._pages(_child_columns(children), children.object, since_ms)

    def by_ids(self, read: Object, ids: Iterable[str]) -> Iterator[Record]:
        """Yield the records of these ids, as far as there are any."""
        for record in self._by_ids(selection(read), read.object, ids):
            yield self.record(read, record)

    def parents(self, children: Children, ids: Iterable[str]) -> list[str]:
        """Return the ids of the records that these child records are of."""
        found = self._by_ids(f"Id, {children.parent}", children.object, ids)
        return [record[children.parent] for record in found if record[children.parent] is not None]

    def absent(self, read: Object, ids: Iterable[str]) -> list[str]:
        """Return those of these ids that no record has any more, deleted ones left aside."""
        there = {record["Id"] for record in self._whole(f"SELECT Id FROM {read.object}", deleted=False)}
        return sorted(set(ids) - there)

    def record(self, read: Object, record: Json) -> Record:
        """Return a record as a row.

        Raises:
            Fatal: A field is of another type than it was.
        """
        own_ms = values.instant(record["SystemModstamp"])
        lookups = {name: record[name] for name in read.lookups}
        deleted = record["IsDeleted"]
        at_ms, children = own_ms, dict[str, Json]()
        if read.children is not None:
            for child in self._nested(record[read.children.relation]):
                at_ms = max(at_ms, values.instant(child["SystemModstamp"]))
                if not child["IsDeleted"] and not deleted:
                    children[child["Id"]] = self.entry(read.children, child)
        row = None if deleted else self._row(read, record, children)
        return Record(record["Id"], row, own_ms, at_ms, lookups, children)

    def entry(self, children: Children, child: Json) -> dict[str, Any]:
        """Return what a child record is in its parent's row."""
        return {field.name: self._value(children.object, field, child) for field in children.fields}

    def _row(self, read: Object, record: Json, children: Mapping[str, Json]) -> dict[str, Any]:
        row = {field.name: self._value(read.object, field, record) for field in read.fields}
        if read.children is not None:
            row[read.children.field] = list(children.values())
        return row

    def _value(self, object_name: str, field: Field, record: Json) -> Any:
        if field.constant is not None:
            return field.constant
        value: Any = record
        for part in field.path.split("."):
            value = None if value is None else value[part]
        try:
            return values.of_rest(field, value)
        except WrongType as error:
            raise changed_type(self._feed, object_name, field, str(error)) from None

    def _pages(self, columns: str, object_name: str, since_ms: int | None) -> Iterator[Page]:
        condition = "" if since_ms is None else f" WHERE SystemModstamp >= {_literal(since_ms)}"
        while True:
            soql = f"SELECT {columns} FROM {object_name}{condition} ORDER BY SystemModstamp, Id"
            answer = self._rest.query(soql, deleted=True)
            page = Page(answer["records"], answer["done"])
            if page.records:
                yield page
            if page.last:
                return
            at, last_id = _literal(page.read_to_ms), page.records[-1]["Id"]
            condition = f" WHERE SystemModstamp >= {at} AND (SystemModstamp > {at} OR Id > '{last_id}')"

    def _by_ids(self, columns: str, object_name: str, ids: Iterable[str]) -> Iterator[Json]:
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), IDS_MAX):
            names = ", ".join(f"'{each}'" for each in wanted[start : start + IDS_MAX])
            yield from self._whole(f"SELECT {columns} FROM {object_name} WHERE Id IN ({names})", deleted=True)

    def _whole(self, soql: str, *, deleted: bool) -> Iterator[Json]:
        yield from self._nested(self._rest.query(soql, deleted=deleted))

    def _nested(self, answer: Json | None) -> Iterator[Json]:
        while answer is not None:  # no child records at all are a null
            yield from answer["records"]
            answer = None if answer["done"] else self._rest.more(answer["nextRecordsUrl"])


def selection(read: Object) -> str:
    """Return the columns of an object in SOQL, its child records as a subquery."""
    selected = _columns(*_STAMPS, *read.lookups, *_paths(read.fields))
    if read.children is None:
        return selected
    return f"{selected}, (SELECT {_child_columns(read.children)} FROM {read.children.relation} ORDER BY Id)"


def changed_type(feed: str, object_name: str, field: Field, said: str) -> Fatal:
    """Return the error of a field that is no longer of its type."""
    return Fatal(
        f"{feed}: {object_name}.{field.path} was changed in Salesforce: {said}. {field.name} needs a {field.kind}. "
        f"Change it back, or name another field for {field.name} in the configuration; the feed goes on from where it "
        "stopped"
    )


def _child_columns(children: Children) -> str:
    return _columns(*_STAMPS, children.parent, *_paths(children.fields))


def _paths(fields: Iterable[Field]) -> list[str]:
    return [field.path for field in fields if field.constant is None]


def _columns(*names: str) -> str:
    return ", ".join(dict.fromkeys(names))


def _literal(at_ms: int) -> str:
    return values.instant_text(at_ms)
