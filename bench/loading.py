"""A history through the whole of it: `throughline load` into Kafka, with two workers beside it, on one machine.

The history is a generated firm's over three years, as its systems hold it in the end: one version of each row, written
out table by table. Measured from the start of the command until the workers have nothing left to do: rows a second, and
what a row costs the loader and the workers. Then every entry that can bill must have one trigger, or be held. It is
loaded as docs/loading.md advises, with a first day that is posted after all of it; and once more without one, so that
every trigger is written to the file exchange of an ERP, too.
"""

import csv
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.broker import Say
from bench.firm import GROUP, throughline
from bench.members import share_out
from bench.running import Child, Failed
from bench.topics import Committed, read_all
from bench.variants.firm import settings_of
from firm.database import PREFIX
from firm.final import final_records
from firm.history import History
from firm.size import FirmSize
from firm.wire import Record
from schemas.codec import Codec
from schemas.registry import Manifest
from stack.kafka import Kafka
from streams.engine.worker import steps_of
from streams.topics import EXCEPTIONS, TRIGGERS

RESULT: Final = Path(__file__).parent / "results" / "load.json"
ROWS: Final = 1_000_000
TARGET_ROWS_PER_S: Final = 10_000
RUN_SECONDS_MAX: Final = 900.0

_ENTRIES: Final = f"{PREFIX}time_entries"
_ENTRIES_OF_ROWS: Final = 0.84
"""Of all rows, nearly as many are entries as in the firm: so many are asked of it."""
_FROM, _MONTHS = date(2022, 1, 3), 36
_WORKERS: Final = 2
_SETTINGS: Final = {"THROUGHLINE_STATE_MEMORY_MB": "512"}
"""As docs/loading.md advises: the state of a history does not fit into what a worker of live changes needs."""

_ROUTES: Final = f"version: 1\ngo_live: {_FROM.replace(year=_FROM.year + _MONTHS // 12)}\n"

_LOOK_SECONDS = 0.2
_MARKS_A_PARTITION = 1
"""The mark that ends a transaction takes an offset, and is committed a second later where no record follows."""


class Found(NamedTuple):
    """What a load came to."""

    rows: int
    seconds: float
    load_cpu_us: float
    workers_cpu_us: float
    worker_rss_mb: tuple[float, ...]
    triggers: int

    @property
    def rows_per_s(self) -> float:
        """Rows a second through the topology."""
        return self.rows / self.seconds


class _Tables(NamedTuple):
    """A firm's history as files, one a table; how many rows they hold, and which entries bill or are held."""

    paths: tuple[Path, ...]
    rows: int
    billable: frozenset[str]


def tables_of(folder: Path, say: Say, rows: int = ROWS) -> _Tables:
    """Write a firm's history out."""
    folder.mkdir(parents=True, exist_ok=True)
    say(f"writing the tables of a firm, about {rows:,} rows")
    return _write_out(folder / "tables", FirmSize(round(rows * _ENTRIES_OF_ROWS), start=_FROM, months=_MONTHS))


def loading(folder: Path, tables: _Tables, say: Say, routes: str | None = _ROUTES) -> Found:
    """Measure. Raises `Failed` if an entry has no trigger and no hold, or a trigger is there twice."""
    folder.mkdir(parents=True)
    environment = dict(_SETTINGS)
    if routes is not None:
        (folder / "routing.yaml").write_text(routes, encoding="utf-8")
        environment["THROUGHLINE_ROUTING_FILE"] = str(folder / "routing.yaml")
    with Kafka(folder / "kafka", say=say) as kafka, ExitStack() as stack:
        throughline(kafka.bootstrap, "topics", "apply")
        steps, _ = steps_of(settings_of(kafka.bootstrap, GROUP, folder))
        committed = stack.enter_context(
            closing(Committed(kafka.bootstrap, GROUP, sorted({topic for step in steps for topic in step.reads})))
        )
        workers = [
            stack.enter_context(_worker(folder / f"worker-{n}", kafka.bootstrap, environment)) for n in range(_WORKERS)
        ]
        share_out(kafka.bootstrap, GROUP, workers)
        say(f"the load of {tables.rows:,} rows begins")
        found = _timed(folder, kafka, workers, committed, tables)
        for worker in workers:
            worker.stop()
        return found._replace(triggers=_checked(kafka.bootstrap, tables.billable))


def _worker(folder: Path, brokers: str, environment: Mapping[str, str]) -> Child:
    words = (brokers, GROUP, str(folder))
    return Child(folder.with_suffix(".log"), "bench.variants.firm", *words, environment=environment)


def _timed(folder: Path, kafka: Kafka, workers: Sequence[Child], committed: Committed, tables: _Tables) -> Found:
    environment = {"THROUGHLINE_BROKERS": kafka.bootstrap, "THROUGHLINE_GROUP": GROUP}
    began, cpu_s, load_cpu_s = time.monotonic(), [worker.cpu_s() for worker in workers], 0.0
    words = ("load", *map(str, tables.paths))
    with Child(folder / "load.log", "bench.loading", *words, environment=environment) as load:
        while not load.has_ended():
            for worker in workers:
                worker.alive()
            load_cpu_s = max(load_cpu_s, load.cpu_s())
            time.sleep(_LOOK_SECONDS)  # what it used is lost with it: it is looked at while it runs
    _until_quiet(workers, committed)
    rows, took = tables.rows, time.monotonic() - began
    spent = sum(worker.cpu_s() - before for worker, before in zip(workers, cpu_s, strict=True))
    rss_mb = tuple(worker.rss_mb() for worker in workers)
    return Found(rows, took, load_cpu_s / rows * 1e6, spent / rows * 1e6, rss_mb, 0)


def _until_quiet(workers: Sequence[Child], committed: Committed) -> None:
    """Wait until workers have taken in all there is, and nothing is under way in them. Raises `Failed`."""
    deadline = time.monotonic() + RUN_SECONDS_MAX
    while True:
        left = committed.open(committed.offsets())
        if all(records <= _MARKS_A_PARTITION for records in left.values()):
            return
        for worker in workers:
            worker.alive()
        if time.monotonic() > deadline:
            raise Failed(f"load: {sum(left.values()):,} records are open after {RUN_SECONDS_MAX:.0f} s")
        time.sleep(_LOOK_SECONDS)  # brokers tell nobody that a group has caught up


def _checked(brokers: str, billable: frozenset[str]) -> int:
    """Return how many triggers there are. Raises `Failed` where money is missing or doubled."""
    codec = Codec(Manifest())
    triggers = [codec.decode(TRIGGERS, message.value() or b"") for message in read_all(brokers, TRIGGERS)]
    held = (codec.decode(EXCEPTIONS, message.value() or b"") for message in read_all(brokers, EXCEPTIONS))
    told = {trigger["source_id"] for trigger in triggers} | {
        exception["entity_id"] for exception in held if exception["kind"] == "billing_hold"
    }
    doubled = sum(times - 1 for times in Counter(trigger["trigger_id"] for trigger in triggers).values())
    missing = billable - told
    if doubled or missing:
        raise Failed(f"load: {doubled} triggers are doubled, {len(missing):,} entries have neither trigger nor hold")
    return len(triggers)


def _write_out(folder: Path, size: FirmSize) -> _Tables:
    folder.mkdir()
    last, tables = final_records(History(size).records()), dict[str, list[Record]]()
    for record in last.values():
        tables.setdefault(record.topic, []).append(record)
    paths = []
    for topic, records in sorted(tables.items()):
        if topic == _ENTRIES:
            paths.append(_as_csv(folder / f"{topic}.csv", [record.value["after"] for record in records]))
        else:
            paths.append(_as_lines(folder / f"{topic}.jsonl", records))
    return _Tables(tuple(paths), len(last), frozenset(_billable(last)))


def _as_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _as_lines(path: Path, records: Iterable[Record]) -> Path:
    source = {"connector": "bench", "name": "bench", "ts_ms": 0, "snapshot": True, "position": 1}
    with path.open("w", encoding="utf-8") as file:
        for topic, key, told, _ in records:
            value = {"op": "r", "before": None, "after": told["after"], "ts_ms": 0, "source": source}
            file.write(f"{json.dumps({'topic': topic, 'key': key, 'value': value})}\n")
    return path


def _billable(last: Mapping[tuple[str, str], Record]) -> Iterator[str]:
    """Yield the entries that bill by the hour or are held."""
    rows = [(topic, name, record.value["after"]) for (topic, name), record in last.items()]
    hourly = {name for topic, name, row in rows if topic == "crm.Contract" and row["BillingType"] in ("T&M", "T&M NTE")}
    projects = {name for topic, name, row in rows if topic == f"{PREFIX}projects" and row["contract_number"] in hourly}
    for topic, name, row in rows:
        approved = topic == _ENTRIES and row["status"] == "Approved" and row["billable"]
        if approved and row["project_id"] in projects:
            yield name


def report(folder: Path, say: Say, rows: int = ROWS) -> dict[str, Any]:
    """Measure, and write what came of it."""
    tables = tables_of(folder, say, rows)
    found = loading(folder / "not-posted", tables, say)
    say(f"{found.rows_per_s:,.0f} rows a second; once more, and everything is posted")
    posted = loading(folder / "posted", tables, say, None)
    figures = {
        "rows": found.rows,
        "rows_per_s": round(found.rows_per_s),
        "target_rows_per_s": TARGET_ROWS_PER_S,
        "posted_rows_per_s": round(posted.rows_per_s),
        "posted_workers_cpu_us_per_row": round(posted.workers_cpu_us, 1),
        "seconds": round(found.seconds, 1),
        "workers": _WORKERS,
        "load_cpu_us_per_row": round(found.load_cpu_us, 1),
        "workers_cpu_us_per_row": round(found.workers_cpu_us, 1),
        "worker_rss_mb": [round(rss_mb) for rss_mb in found.worker_rss_mb],
        "triggers": found.triggers,
    }
    say(f"load: {figures}")
    if rows == ROWS:
        RESULT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    from streams.cli import main

    main()
