"""Pages of ERP objects: what is asked for, and what of an answer is a record, in each of the styles that APIs have."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from connect.erp_settings import ErpSettings, ObjectSettings
from connect.rows import at
from outside.errors import Fatal
from outside.http import Http, shown

_NEXT: Final = "@odata.nextLink"
_ITEMS: Final = {"odata": "value", "offset": "items", "list": ""}
_TOTALS: Final = ("totalResults", "@odata.count")


class Records(NamedTuple):
    """Records of one answer, how many there are in all if it says so, and whether there are more."""

    records: list[Any]
    total: int | None
    more: bool


class ErpPages:
    """Asks one ERP for the records of one object."""

    def __init__(self, settings: ErpSettings, name: str, table: ObjectSettings, http: Http) -> None:
        self._settings = settings
        self._table = table
        self._http = http
        self._url = settings.url + table.path
        self._modified = table.modified_name or table.modified
        self.name = name

    def read(self, since_ms: int | None, top: int | None) -> Iterator[Records]:
        """Yield the records changed since a time, all of them for None; `top` of them at most, where that can be said.

        Without `top`, how many there are is asked for, too. Raises `Retriable` or `Fatal`.
        """
        params = self._params(since_ms)
        if self._settings.style == "odata":
            params["$count" if top is None else "$top"] = "true" if top is None else str(top)
            yield from self._linked(params, top)
        else:
            yield from self._offset(params)

    def _linked(self, params: Mapping[str, str], top: int | None) -> Iterator[Records]:
        url, asked, read = self._url, dict(params), 0
        host = urlsplit(self._url)[:2]
        while url:
            answer = self._http.get(url, asked or None)
            link = at_plain(answer, _NEXT)
            if isinstance(link, str) and urljoin(self._url, link) == url:
                raise Fatal(f"{shown(url)}: the next page is the page itself: the API cannot be paged so")
            url, asked = (urljoin(self._url, link), {}) if isinstance(link, str) else ("", {})
            if url and urlsplit(url)[:2] != host:  # our token goes to no other host
                raise Fatal(f"{shown(self._url)}: the next page is at another host, {shown(url)}; correct the URL")
            records = self._list(answer)
            read += len(records)
            yield Records(records, _total(answer), bool(url) or (top is not None and read >= top))

    def _offset(self, params: Mapping[str, str]) -> Iterator[Records]:
        settings, offset, before = self._settings, 0, list[Any]()
        while True:
            page = {settings.limit_name: str(settings.page_size), settings.offset_name: str(offset)}
            answer = self._http.get(self._url, {**params, **page})
            records = self._list(answer)
            if records and records == before:
                raise Fatal(f"{shown(self._url)}: each page is the first one; correct offset.parameter")
            offset, before = offset + len(records), records
            has_more = at_plain(answer, "hasMore")
            more = has_more if isinstance(has_more, bool) else len(records) >= settings.page_size
            more = more and bool(records)
            yield Records(records, _total(answer), more)
            if not more:
                return

    def detailed(self, record: Any) -> Any:
        """Return a record with what the list did not hold of it. Raises `NotThere` if it is gone meanwhile."""
        table, settings = self._table, self._settings
        if table.detail:
            record = self._http.get(settings.url + filled(table.detail, record))
        for field, path in table.lists().items():
            answer = self._http.get(settings.url + filled(path, record))
            record = {**record, table.columns.get(f"{field}.path", field): self._list(answer)}
        return record

    def _params(self, since_ms: int | None) -> dict[str, str]:
        settings, table = self._settings, self._table
        params = dict(parse_qsl(table.params, keep_blank_values=True))
        conditions = [table.filter] if table.filter else []
        if settings.style == "odata":
            if since_ms is not None:
                conditions.insert(0, f"{self._modified} ge {self._time(since_ms)}")
            if self._modified:
                params["$orderby"] = f"{self._modified} asc"
            name, between = "$filter", " and "
        else:
            if since_ms is not None:
                conditions.insert(0, settings.filter_text.format(name=self._modified, since=self._time(since_ms)))
            if self._modified and settings.order_name:
                params[settings.order_name] = settings.order_text.format(name=self._modified)
            name, between = settings.filter_name, settings.filter_and
        if conditions:
            params[name] = between.join(conditions)
        return params

    def _time(self, ms: int) -> str:
        return datetime.fromtimestamp(ms // 1000, UTC).strftime(self._settings.time_format)

    def _list(self, answer: Any) -> list[Any]:
        path = self._settings.items or _ITEMS[self._settings.style]
        listed = at(answer, path) if path else answer
        if not isinstance(listed, list):
            raise Fatal(
                f"{shown(self._url)}: the answer has no list {path or 'as a whole'}; correct items.path or style"
            )
        return listed


def at_plain(answer: Any, name: str) -> Any:
    """Return a member of an answer by its name, which may hold dots."""
    return answer.get(name) if isinstance(answer, Mapping) else None


def filled(path: str, record: Any) -> str:
    """Return a path with what is in braces taken from a record. Raises `Fatal` if the record has no such thing."""
    text, rest = "", path
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        value = at(record, name)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise Fatal(f"{path}: a record has no {name}; correct the path")
        text += before + quote(str(value), safe="")
    return text + rest


def _total(answer: Any) -> int | None:
    for name in _TOTALS:
        total = at_plain(answer, name)
        if isinstance(total, int) and not isinstance(total, bool):
            return total
    return None
