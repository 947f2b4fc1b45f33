"""ERP objects: invoices, postings, projects, customers, exchange rates and periods of an ERP, by OData or REST.

What has a time of change is asked for by it, from a while before the newest change known: what was booked late comes
again with what is known, and only what is new of it is landed. What has none is read whole and compared.
"""

import logging
from collections.abc import Collection, Iterator
from threading import Event
from typing import Any, Final

from connect.catalogue import Kind, Outside
from connect.erp_pages import ErpPages, Records
from connect.erp_settings import ErpSettings, ObjectSettings
from connect.feeds.contract import Batch, Memory
from connect.rows import RowFault, at, instant
from connect.versions import READS_MAX, Item, Page, Seen, Taken, Versions, compared
from outside.errors import Fatal, NotThere
from outside.http_settings import opened

log = logging.getLogger("throughline.feed")

_SECOND_MS: Final = 1000


class Erp:
    """The objects of one ERP, one after the other."""

    def __init__(self, settings: ErpSettings, outside: Outside) -> None:
        self._clock = outside.clock
        self._http = opened(settings, outside.requests, outside.clock, outside.stop.wait)
        self._objects = [
            _Object(settings, table, ErpPages(settings, name, table, self._http), outside)
            for name, table in settings.tables.items()
        ]

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what has changed since `memory`. Raises `Retriable` or `Fatal`."""
        for each in self._objects:
            yield from each.batches(memory, stop)
            if stop.is_set():
                return
        yield Batch(alive=True)

    def close(self) -> None:
        """Close connections."""
        self._http.close()


class _Object:
    """One kind of records."""

    def __init__(self, settings: ErpSettings, table: ObjectSettings, pages: ErpPages, outside: Outside) -> None:
        self._settings = settings
        self._table = table
        self._pages = pages
        self._clock = outside.clock
        self._map = table.field_map(pages.name)
        self._prefix = f"{pages.name}/"
        self._mark, _, self._marked = table.deleted.partition("=")
        self._since, self._whole, self._first = (f"{pages.name}/{key}" for key in ("since", "whole", "first"))

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what has changed of it since `memory`."""
        now, table, percent = self._clock(), self._table, self._settings.gone_percent_max
        versions = Versions(self._map.shape, self._prefix, memory)
        is_first = self._first not in memory
        if table.modified:
            yield from self._changed(versions, memory, is_first, stop)
        due = int(memory.get(self._whole, b"0")) + table.compare_ms <= now
        if not table.modified or (table.compare_ms and due and not is_first):
            yield from compared(versions, self._all, self._clock, is_first and not table.modified, percent, stop)
            if table.compare_ms and not stop.is_set():
                yield Batch(memory={self._whole: str(now).encode()})
        if is_first and not stop.is_set():
            yield Batch(memory={self._first: b"1"})

    def _changed(self, versions: Versions, memory: Memory, is_first: bool, stop: Event) -> Iterator[Batch]:
        """Yield what was changed since the newest change known, a while before that included."""
        newest = int(memory[self._since]) if self._since in memory else None
        begin = None if newest is None else _floor(newest - self._settings.overlap_ms)
        reading = _Reading(versions, memory, is_first, self._clock(), begin, newest)
        # A record that is asked for in detail may have been changed since it was listed, and so be out of order.
        in_order = self._settings.is_ordered and not self._table.detail
        yield from self._in_order(reading, stop) if in_order else self._as_it_comes(reading, stop)
        if reading.is_whole and reading.newest is not None:
            told = self._noted(memory, reading.newest)
            if not self._table.compare_ms:  # what cannot come again is forgotten
                told |= versions.forgotten(_floor(reading.newest - self._settings.overlap_ms))
            if told:
                yield Batch(memory=told)

    def _in_order(self, reading: "_Reading", stop: Event) -> Iterator[Batch]:
        """Read changes in the order of their times, each page from the newest time of the last one.

        A record that changes meanwhile moves to the end, and so moves no other out of sight.
        """
        cursor, top, more = reading.begin, self._settings.page_size, True
        while more:
            more = has_moved = False
            for records in self._pages.read(cursor, top):
                items = self._items(records)
                taken, times = reading.take(items)
                if times != sorted(times):
                    raise Fatal(
                        f"{self._pages.name} of {self._settings.url}: the answer is not in the order of "
                        f"{self._table.modified}: correct order.parameter and order.text, or leave them out"
                    )
                more, newest = records.more, reading.newest
                has_moved = newest is not None and (cursor is None or _floor(newest) > cursor)
                if newest is not None:
                    taken.memory |= self._noted(reading.memory, newest)
                if not taken.is_empty:
                    yield taken.batch()
                if stop.is_set():
                    return
                if more and has_moved:
                    break
            if has_moved and reading.newest is not None:
                cursor, top = _floor(reading.newest), self._settings.page_size
            else:  # more records bear one time than a page holds
                top *= 2
        reading.is_whole = True

    def _as_it_comes(self, reading: "_Reading", stop: Event) -> Iterator[Batch]:
        """Read changes as pages give them, again while they move, and from the same time at the next look otherwise.

        What goes from one page moves a record of the next one into it, unseen: several pages are whole when they have
        nothing that the reading before had missed.
        """
        before, seen = None, Seen()
        for _ in range(READS_MAX):
            seen, known = Seen(), reading.newest
            for records in self._pages.read(reading.begin, None):
                items = self._items(records)
                taken, _times = reading.take(items, seen.changed_ms)
                seen.add(Page(items, records.total), taken)
                if not taken.is_empty:
                    yield taken.batch()
                if stop.is_set():
                    return
            if seen.nameless or (seen.is_consistent and (seen.pages == 1 or seen.adds_only_news(before, known))):
                reading.is_whole = True
                return
            before = seen if seen.is_consistent else None
        if seen.again:
            yield reading.versions.listed_twice(seen.again)
        log.info("%s: records move while they are read; they are read again by the next look", self._pages.name)

    def _noted(self, memory: Memory, newest: int) -> dict[str, bytes | None]:
        """Return memory of up to when changes are known, if that is news."""
        value = str(newest).encode()
        return {} if memory.get(self._since) == value else {self._since: value}

    def _all(self) -> Iterator[Page]:
        for records in self._pages.read(None, None):
            yield Page(self._items(records), records.total)

    def _items(self, records: Records) -> tuple[Item, ...]:
        """Return the records of an answer, without those that went before they could be asked for in detail."""
        found, gone = list[Item](), None
        for record in records.records:
            try:
                found.append(self._item(record))
            except NotThere as error:
                log.info("%s: %s: it has gone since it was listed", self._pages.name, error)
                gone = error
        if gone is not None and not found and len(records.records) > 1:  # none is there: the path is wrong
            raise gone
        return tuple(found)

    def _item(self, record: Any) -> Item:
        is_deleted = bool(self._mark) and str(at(record, self._mark)).lower() == self._marked.lower()
        whole = record if is_deleted else self._pages.detailed(record)
        values = self._map.values(whole)
        place = f"{self._pages.name} of {self._settings.url}"
        changed = at(whole, self._table.modified) if self._table.modified else None
        return Item(values, whole, place, changed, is_deleted)


class _Reading:
    """One reading of what has changed: from when, and the newest time that it has seen."""

    def __init__(
        self, versions: Versions, memory: Memory, is_first: bool, now: int, begin: int | None, newest: int | None
    ) -> None:
        self.memory = memory
        self.begin = begin
        self.newest = newest
        self.is_whole = False
        self.versions = versions
        self._is_first = is_first
        self._now = now

    def take(self, items: tuple[Item, ...], earlier: Collection[str] = ()) -> tuple[Taken, list[int]]:
        """Return what of some records is to be landed, and their times; `earlier` are the rows of earlier pages."""
        times = [time for time in map(_time, items) if time is not None]
        # A clock that is ahead must not make everything before its time look old.
        newest = [min(time, self._now) for time in times]
        self.newest = max(newest if self.newest is None else [self.newest, *newest], default=None)
        return self.versions.take(items, self._now, self._is_first, earlier), times


def _time(item: Item) -> int | None:
    try:
        return None if item.changed is None else instant(item.changed)
    except RowFault:
        return None  # the record is a reject, and told as such


def _floor(ms: int) -> int:
    return ms - ms % _SECOND_MS


KIND: Final = Kind("erp", ErpSettings, Erp)
