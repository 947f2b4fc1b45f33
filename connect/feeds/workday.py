"""Workday: the workers of a tenant, by its REST API or by a report as a service, read as a whole and compared.

Neither says what has changed since, nor who is gone, so each reading is compared with what was landed. A report may
take a window of time; between two whole readings, only what changed in it is asked for then.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from threading import Event
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from connect.catalogue import Kind, Outside
from connect.feeds.contract import Batch, Memory
from connect.field_map import FieldMap
from connect.rows import at, moment_of, shapes
from connect.settings import ComparedSettings, FeedSettings, with_columns
from connect.versions import Item, Page, Versions, compared
from outside.errors import Fatal
from outside.http_settings import HttpSettings, opened

TOPIC: Final = "hr.Worker"
_PAGE_MAX: Final = 100
_WHOLE, _THROUGH = "whole", "through"


class WorkdaySettings(FeedSettings, ComparedSettings, HttpSettings):
    """Settings of a Workday tenant."""

    tenant: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="Tenant.")
    api: Literal["rest", "raas"] = Field(
        default="rest", description="`rest`: the API of workers. `raas`: a report as a service."
    )
    path: str = Field(
        default="/ccx/api/staffing/v6/{tenant}/workers", description="Path of the API of workers, for `rest`."
    )
    owner: str = Field(default="", alias="report.owner", description="Owner of the report, for `raas`.")
    report: str = Field(default="", alias="report.name", description="Name of the report, for `raas`.")
    page_size: int = Field(default=_PAGE_MAX, ge=1, le=_PAGE_MAX, alias="page.size", description="Workers of a page.")
    window_from: str = Field(
        default="", alias="window.from.parameter", description="Prompt of the report for the begin of a window of time."
    )
    window_through: str = Field(
        default="", alias="window.through.parameter", description="Prompt of the report for the end of that window."
    )
    whole_ms: int = Field(
        default=86_400_000,
        ge=1_000,
        alias="whole.interval.ms",
        description="Milliseconds between two whole readings, where the report takes a window. They find who is gone.",
    )
    overlap_ms: int = Field(
        default=300_000,
        ge=0,
        alias="overlap.ms",
        description="Milliseconds that a window begins before the last one's end: what is booked late is not missed.",
    )
    fields: str = Field(description="`Field=path` for each field of hr.Worker, with commas between.")
    columns: Mapping[str, str] = Field(
        default_factory=dict,
        description="`CostRates.path`, `CostRates.fields`: where a worker's cost rates are, and what they hold. "
        "`Status.words`: `theirs=ours`.",
    )

    _gather = model_validator(mode="before")(with_columns)

    @model_validator(mode="after")
    def _fits(self) -> "WorkdaySettings":
        if self.api == "raas" and not (self.owner and self.report):
            raise ValueError("api = raas needs report.owner and report.name")
        if bool(self.window_from) != bool(self.window_through):
            raise ValueError("window.from.parameter and window.through.parameter go together: Workday wants both")
        if self.window_from and self.api != "raas":
            raise ValueError("window.from.parameter: only a report takes a window; set api = raas")
        self.field_map()
        return self

    def field_map(self) -> FieldMap:
        """Return how workers become rows."""
        return FieldMap(shapes()[TOPIC], self.fields, self.columns)


class Workday:
    """The workers of one tenant."""

    def __init__(self, settings: WorkdaySettings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        self._map = settings.field_map()
        self._http = opened(settings, outside.requests, outside.clock, outside.stop.wait)

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what has changed since `memory`. Raises `Retriable` or `Fatal`."""
        now, versions = self._outside.clock(), Versions(self._map.shape, "", memory)
        is_first = _WHOLE not in memory
        is_window = bool(self._settings.window_from) and not is_first and self._whole_until(memory) > now
        if is_window:
            begin = int(memory[_THROUGH]) - self._settings.overlap_ms
            for page in self._pages(stop, self._window(begin, now)):
                taken = versions.take(page.items, now, first=False)
                if not taken.is_empty:
                    yield taken.batch()
            yield Batch(memory={_THROUGH: str(now).encode()}, alive=True)
            return
        percent = self._settings.gone_percent_max
        yield from compared(versions, lambda: self._pages(stop, {}), self._outside.clock, is_first, percent, stop)
        if not stop.is_set():
            whole = {_WHOLE: str(now).encode(), _THROUGH: str(now).encode()}
            wanted = whole if is_first or self._settings.window_from else {}
            yield Batch(memory=wanted, alive=True)

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def _whole_until(self, memory: Memory) -> int:
        return int(memory[_WHOLE]) + self._settings.whole_ms

    def _window(self, begin: int, end: int) -> dict[str, str]:
        return {self._settings.window_from: moment_of(begin), self._settings.window_through: moment_of(end)}

    def _pages(self, stop: Event, window: Mapping[str, str]) -> Iterator[Page]:
        return self._report(window) if self._settings.api == "raas" else self._workers(stop)

    def _report(self, window: Mapping[str, str]) -> Iterator[Page]:
        settings = self._settings
        url = f"{settings.url}/ccx/service/customreport2/{settings.tenant}/{settings.owner}/{settings.report}"
        entries = self._listed(self._http.get(url, {"format": "json", **window}), "Report_Entry", url)
        yield Page(self._items(entries, 0))

    def _workers(self, stop: Event) -> Iterator[Page]:
        url = self._settings.url + self._settings.path.format(tenant=self._settings.tenant)
        offset = 0
        while True:
            answer = self._http.get(url, {"limit": str(self._settings.page_size), "offset": str(offset)})
            workers = self._listed(answer, "data", url)
            total = answer.get("total")
            if not isinstance(total, int):
                raise Fatal(f"{url}: the answer has no total; is it the API of workers?")
            yield Page(self._items(workers, offset), total)
            offset += len(workers)
            if not workers or offset >= total or stop.is_set():
                return

    def _listed(self, answer: Any, name: str, url: str) -> list[Any]:
        listed = at(answer, name)
        if not isinstance(listed, list):
            raise Fatal(f"{url}: the answer has no list {name}; is it the right API or report?")
        return listed

    def _items(self, workers: list[Any], offset: int) -> tuple[Item, ...]:
        read_at = datetime.fromtimestamp(self._outside.clock() // 1000, UTC).isoformat()
        return tuple(
            Item(self._map.values(worker), worker, f"worker {offset + number} of {read_at}")
            for number, worker in enumerate(workers, 1)
        )


KIND: Final = Kind("workday", WorkdaySettings, Workday)
