"""Versions of rows: whether a row that was read is new, changed or as it was, by what is remembered of it.

Of a row only a hash, its position and what it is known by are remembered. A version that was landed is not landed
again, whatever is read twice.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from threading import Event
from typing import Any, Final, NamedTuple

from connect.feeds.contract import Batch, Change, Memory, Reject, position
from connect.gone import too_many_gone
from connect.rows import Read, Row, RowFault, RowShape, instant

log = logging.getLogger("throughline.feed")

READS_MAX: Final = 4
"""How often a source is read in a row whose rows move while they are read."""

_HASH_DIGITS: Final = 32


class Known(NamedTuple):
    """What is remembered of a row: its hash, the position it was landed at, its record key, and what it is known by.

    A row that is gone has no hash.
    """

    digest: str
    position: int
    key: str
    by: Row

    def encoded(self) -> bytes:
        """Return it as memory."""
        return json.dumps(self).encode()

    @classmethod
    def decoded(cls, content: bytes) -> "Known":
        """Return what memory holds."""
        return cls(*json.loads(content))


class Item(NamedTuple):
    """A record as it came: the values of its row, what it was made of, and where it stood.

    `changed`: when it was last changed, as the source says it beside the row; None leaves that to the row. `deleted`
    marks a record that says of itself that it is gone.
    """

    values: Mapping[str, Any]
    original: Any
    place: str
    changed: Any = None
    deleted: bool = False


class Page(NamedTuple):
    """Some records, and how many there are in all, if the source says so."""

    items: tuple[Item, ...]
    total: int | None = None


class Versions:
    """The rows of one topic that a feed knows. `memory` is what was landed, and grows with each batch."""

    def __init__(self, shape: RowShape, prefix: str, memory: Memory) -> None:
        """Take what goes before the keys of these rows in the feed's memory."""
        self.shape = shape
        self._rows = f"{prefix}row/"
        self._rejects = f"{prefix}reject/"
        self._memory = memory

    def known(self, identity: str) -> Known | None:
        """Return what is remembered of a row."""
        content = self._memory.get(self._rows + identity)
        return None if content is None else Known.decoded(content)

    def living(self) -> set[str]:
        """Return the identities of the rows that are there as far as is known."""
        return {name for name in self._names() if (known := self.known(name)) is not None and known.digest}

    def _names(self) -> list[str]:
        return [key[len(self._rows) :] for key in self._memory if key.startswith(self._rows)]

    def take(self, items: Iterable[Item], seen_ms: int, first: bool, earlier: Collection[str] = ()) -> "Taken":
        """Return what of some records is to be landed; `first` marks what a first reading finds.

        Of a row that comes twice with other values, the record that came first stands. The other is a reject where both
        are among `items`. If the first was on an `earlier` page, the row may have moved meanwhile: that is only noted.
        """
        taken = Taken()
        for item in items:
            try:
                values = self.shape.known_by(item.values) if item.deleted else item.values
                read = self.shape.read(values)
                changed = read.changed_ms if item.changed is None else instant(item.changed)
                known = taken.newest.get(read.identity) or self.known(read.identity)
                if read.identity in taken.changed_ms:
                    self._take_again(taken, item, read, known)
                    continue
                taken.changed_ms[read.identity] = changed
                if read.identity in earlier:
                    taken.again[read.identity] = item
                elif item.deleted:
                    self._take_deleted(taken, read, known, seen_ms if changed is None else changed)
                else:
                    self._take(taken, read._replace(changed_ms=changed), known, seen_ms, first)
            except ValueError as error:  # RowFault is one
                self._reject(taken, item, error)
        return taken

    def _take(self, taken: "Taken", read: Read, known: Known | None, seen_ms: int, first: bool) -> None:
        digest = _digest(read.row)
        if known is not None and known.digest == digest and known.key == read.key:
            return
        happened = seen_ms if read.changed_ms is None else read.changed_ms
        place = max(position(happened), known.position + 1 if known is not None else 0)
        lives = known is not None and bool(known.digest)
        if known is not None and lives and known.key != read.key:
            taken.changes.append(Change(self.shape.topic, known.key, "d", known.by, None, happened, place))
            lives = False
        op = "u" if lives else "r" if first else "c"
        taken.changes.append(Change(self.shape.topic, read.key, op, None, read.row, happened, place, op == "r"))
        now = Known(digest, place, read.key, self.shape.known_by(read.row))
        taken.newest[read.identity] = now
        taken.memory[self._rows + read.identity] = now.encoded()

    def _take_deleted(self, taken: "Taken", read: Read, known: Known | None, happened: int) -> None:
        if known is not None and not known.digest:
            return
        place = max(position(happened), known.position + 1 if known is not None else 0)
        key, by = (read.key, read.row) if known is None else (known.key, known.by)
        taken.changes.append(Change(self.shape.topic, key, "d", by, None, happened, place))
        taken.newest[read.identity] = gone = Known("", place, key, by)
        taken.memory[self._rows + read.identity] = gone.encoded()

    def _take_again(self, taken: "Taken", item: Item, read: Read, known: Known | None) -> None:
        taken.repeated += 1
        if item.deleted or known is None or known.digest != _digest(read.row):
            self._reject(taken, item, _twice(read.identity))

    def listed_twice(self, items: Mapping[str, Item]) -> Batch:
        """Return the rejects of records, by identity, whose rows came earlier in every reading, too."""
        taken = Taken()
        for identity, item in items.items():
            known = self.known(identity)
            if known is None or known.digest != _digest(self.shape.read(item.values).row):
                self._reject(taken, item, _twice(identity))
        return taken.batch()

    def _reject(self, taken: "Taken", item: Item, error: ValueError) -> None:
        original = json.dumps(item.original, default=str).encode()
        name = self._rejects + sha256(original).hexdigest()[:_HASH_DIGITS]
        identity, key = _likely(self.shape, item.values)
        if identity is None:
            taken.nameless += 1
        else:
            taken.changed_ms.setdefault(identity, None)
        if name not in self._memory and name not in taken.memory:  # it is told once, however often it is read
            taken.rejects.append(Reject(self.shape.topic, key, original, item.place, str(error)))
            taken.memory[name] = b"1"

    def gone(self, identities: Iterable[str], seen_ms: int) -> Batch:
        """Return the deletes of rows that are known to be gone."""
        changes, memory = list[Change](), dict[str, bytes | None]()
        for identity in sorted(identities):
            known = self.known(identity)
            if known is None or not known.digest:
                continue
            place = max(position(seen_ms), known.position + 1)
            changes.append(Change(self.shape.topic, known.key, "d", known.by, None, seen_ms, place))
            memory[self._rows + identity] = known._replace(digest="", position=place).encoded()
        return Batch(tuple(changes), memory=memory)

    def forgotten(self, before_ms: int) -> dict[str, bytes | None]:
        """Return memory that forgets the rows whose last version is older.

        None, where the record key may change: a row that moves to another key is deleted under the one remembered.
        """
        if not self.shape.is_keyed_by_identity:
            return {}
        limit = position(max(before_ms, 0))
        known = ((name, self.known(name)) for name in self._names())
        return {self._rows + name: None for name, row in known if row is not None and row.position < limit}


class Taken:
    """What of some records is to be landed, and which rows they are.

    `changed_ms`: when each row was changed, by identity, as far as it says so. `again`: the records, by identity, of
    rows that an earlier page held. `repeated`: how many were of rows that came before in the same records.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.rejects: list[Reject] = []
        self.memory: dict[str, bytes | None] = {}
        self.newest: dict[str, Known] = {}
        self.changed_ms: dict[str, int | None] = {}
        self.again: dict[str, Item] = {}
        self.repeated = 0
        self.nameless = 0

    def batch(self) -> Batch:
        """Return it as a batch."""
        return Batch(tuple(self.changes), tuple(self.rejects), self.memory)

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to land."""
        return not (self.changes or self.rejects or self.memory)


def compared(
    versions: Versions,
    pages: Callable[[], Iterator[Page]],
    clock: Callable[[], int],
    first: bool,
    gone_percent_max: int,
    stop: Event,
) -> Iterator[Batch]:
    """Yield what a complete reading of a source finds: new, changed, and gone.

    Rows move between pages while these are read, so a row that was not seen may be there. It is gone if it is missing
    in two readings in a row, each of them consistent: as many rows as the source says, and none of them twice. Nothing
    is gone while a row is there that does not say which it is, nor if more of them were gone at once than
    `gone_percent_max` of those known: that is told as a gap, as a right that was withdrawn looks just so.
    """
    topic = versions.shape.topic
    missing: set[str] | None = None
    seen = Seen()
    for _ in range(READS_MAX):
        seen_ms, seen = clock(), Seen()
        for page in pages():
            taken = versions.take(page.items, seen_ms, first, seen.changed_ms)
            seen.add(page, taken)
            if not taken.is_empty:
                yield taken.batch()
        if stop.is_set():
            return
        if seen.nameless:
            log.warning("%s: %d rows do not say which they are: what is gone cannot be told", topic, seen.nameless)
            return
        living = versions.living()
        absent = living - seen.changed_ms.keys()
        if not seen.is_consistent:
            missing = None
            continue
        lost = (missing or set()) & absent
        if refused := too_many_gone(topic, len(lost), len(living), gone_percent_max):
            yield Batch(gaps=(refused,))
            return
        if lost:
            yield versions.gone(lost, seen_ms)
        if absent == lost:
            return
        missing = absent - lost
    if seen.again:
        yield versions.listed_twice(seen.again)
    log.info("%s: rows move while they are read; what is gone is told by a later reading", topic)


class Seen:
    """What a reading of all pages has seen: when each row was changed, and the records of rows that came again."""

    def __init__(self) -> None:
        self.changed_ms: dict[str, int | None] = {}
        self.again: dict[str, Item] = {}
        self.nameless = 0
        self.pages = 0
        self._rows = 0
        self._repeated = 0
        self._totals: set[int] = set()

    def add(self, page: Page, taken: Taken) -> None:
        """Note a page, and what was taken of it."""
        self.changed_ms |= {name: ms for name, ms in taken.changed_ms.items() if name not in taken.again}
        self.again |= taken.again
        self._rows += len(page.items)
        self._repeated += taken.repeated
        self.nameless += taken.nameless
        self.pages += 1
        if page.total is not None:
            self._totals.add(page.total)

    @property
    def is_consistent(self) -> bool:
        """Return whether it can have seen all rows there are."""
        whole = not self._totals or self._totals == {self._rows}
        return whole and len(self.changed_ms) == self._rows - self._repeated

    def adds_only_news(self, before: "Seen | None", newest_ms: int | None) -> bool:
        """Return whether a reading before missed nothing: what it had not seen was changed after all that it had."""
        if before is None:
            return False
        times = [self.changed_ms[name] for name in self.changed_ms.keys() - before.changed_ms.keys()]
        return all(ms is not None and newest_ms is not None and ms > newest_ms for ms in times)


def _twice(identity: str) -> ValueError:
    return ValueError(
        f"{identity} is listed twice, with other values: the record that came first counts; correct what is asked for, "
        "so that each is listed once"
    )


def _digest(row: Row) -> str:
    return sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:_HASH_DIGITS]


def _likely(shape: RowShape, values: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return identity and key of a row that cannot be read, as far as it has them."""
    try:
        read = shape.read(shape.known_by(values))
    except RowFault:
        return None, None
    return read.identity, read.key
