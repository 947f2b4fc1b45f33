"""The demo on the whole real stack: a generated firm at work in its systems, and what analysts and ERPs have then.

Everything runs as in production: Debezium captures the PSA's database, feeds read the CRM, HR and the ERP (simulated,
as programs of their own), the registry names the schemas, workers derive, Connect lands the facts in a database. In the
end, SQL over the source database says whether all of it is right.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from connect.status import size
from firm.database import is_psa
from firm.history import History
from firm.size import FirmSize
from firm.wire import Record
from live.batch import Batch
from live.derived import derived
from live.firm import FirmAtWork
from live.gauges import Fresh, Gauges
from live.landed import Landed
from live.outside import Outside
from live.pipeline import ANALYTICS, PSA, Pipeline, PipelineError
from live.program import Program
from stack.ports import free_ports

HISTORY_MONTHS: Final = 8
SETTINGS: Final = {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "2", "THROUGHLINE_SINKS__POLL_SECONDS": "0.25"}
_PART_RECORDS = 500
_TOLD_SECONDS = 2.0

Say = Callable[[str], None]
Report = Callable[[Sequence[dict[str, Any]], Path, int], object]
"""Called with the derived records, the output folder and the time; shows what the business asks."""


class Outcome(NamedTuple):
    """What a demo came to: projects compared, triggers booked, what feeds have landed by topic, how fresh all are."""

    projects: int
    triggers: int
    landed: Mapping[str, Mapping[str, int]]
    fresh: Sequence[Fresh]


def run(out: Path, time_entries: int, seed: int, report: Report, say: Say, *, keep: bool = False) -> Outcome:
    """Run the demo into an empty folder.

    Raises:
        StackError: A part of the stack cannot be fetched or started.
        PipelineError: The parts do not work together, or what came out is not what the database says.
        ValueError: There is no firm of this size.
    """
    start = (datetime.now(UTC).date() - timedelta(days=HISTORY_MONTHS * 30)).replace(day=1)
    now = time.time_ns() // 1_000_000  # brokers refuse records of times to come, and so does the demo
    # No rows that are refused and corrected later: what was in force before, SQL over the final rows cannot know.
    history = History(FirmSize(time_entries, seed, start, HISTORY_MONTHS, dirty=0)).records()
    changes = [change for change in history if change.timestamp <= now]
    with (
        closing(Outside(out / "outside")) as outside,
        Pipeline(out / "stack", {**SETTINGS, **outside.settings}, say=say) as pipeline,
    ):
        (port,) = free_ports(1)
        worker = pipeline.worker("worker", metrics_port=port)
        worker.start()
        outside.begin(pipeline)
        with (
            Gauges(pipeline, outside, port, say) as gauges,
            closing(Landed(pipeline, outside.topics)) as landed,
        ):
            say("waiting until every feed is heard")
            gauges.wait(outside.names, outside.lives)
            _flow_in(pipeline, outside, worker, changes, say)
            say("all is written; waiting until the feeds have landed every row of CRM, HR and ERP as it is there")
            landed.wait((change for change in changes if outside.owns(change)), outside.lives)
            batch = Batch(pipeline, (change for change in changes if not is_psa(change)))
            try:
                _settle(batch, worker, say)
                report(list(derived(pipeline)), out, time.time_ns() // 1_000_000)
                fresh = gauges.fresh([PSA, *outside.names])
                _show(pipeline, gauges, outside, fresh)
                _judge(batch, say)
                outcome = Outcome(batch.projects_compared(), batch.count("billing"), landed.changes, fresh)
                if keep:
                    _keep_on(pipeline, batch, (worker.lives, outside.lives), say)
            finally:
                batch.close()
    return outcome


def _flow_in(pipeline: Pipeline, outside: Outside, worker: Program, changes: Sequence[Record], say: Say) -> None:
    rows = sum(map(is_psa, changes))
    say(f"a firm at work: {rows:,} row changes in PostgreSQL, {len(changes) - rows:,} changes in CRM, HR and ERP")
    firm = FirmAtWork(pipeline, outside)
    began = told = time.monotonic()
    for at in range(0, len(changes), _PART_RECORDS):
        done = at + firm.write(changes[at : at + _PART_RECORDS])
        worker.lives()
        outside.lives()
        now = time.monotonic()
        if now - told >= _TOLD_SECONDS:
            told, rate = now, done / (now - began)
            say(f"{done:,} changes, {rate:,.0f} a second, {(len(changes) - done) / rate:.0f} s left")
    firm.close()


def _settle(batch: Batch, worker: Program, say: Say) -> None:
    say("all has landed; waiting until what came out is what SQL says of the database, and the ERPs have booked it")
    told = 0.0

    def heard(projects: int, bookings: int) -> None:
        nonlocal told
        worker.lives()
        if time.monotonic() - told >= _TOLD_SECONDS:
            told = time.monotonic()
            say(f"{projects} projects differ still, {bookings:,} bookings are to come")

    batch.settle(heard)


def _judge(batch: Batch, say: Say) -> None:
    projects, bookings = batch.projects(), batch.bookings()
    complaints = [*batch.erps.doubled, *batch.erps.complaints]
    if projects or bookings or complaints:
        raise PipelineError(
            f"{len(projects)} projects and {len(bookings)} bookings are not what SQL over the database says, and the "
            f"ERPs complain of {len(complaints)} things, first: {(projects or bookings or complaints)[0]}"
        )
    say(
        f"hours, worth and cost of {batch.projects_compared()} projects are what SQL over the source database says; "
        f"{batch.count('billing'):,} triggers are booked by the ERPs, each once and to the cent"
    )


def _show(pipeline: Pipeline, gauges: Gauges, outside: Outside, fresh: Sequence[Fresh]) -> None:
    """Print what analysts find in their database, how fresh the feeds are, and how the parts are."""
    console = Console()
    title = "in the analysts' database, schema analytics"
    table = Table("view", "answers", "rows", title=title, box=None, title_justify="left")
    views = pipeline.postgresql.psql(
        "--command",
        "select c.relname, obj_description(c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = 'analytics' and c.relkind = 'v' order by c.oid",
        database=ANALYTICS,
    )
    for view in views.splitlines():
        name, _, answers = view.partition("|")
        rows = pipeline.postgresql.psql("--command", f"select count(*) from analytics.{name}", database=ANALYTICS)
        table.add_row(name, answers, rows)
    console.print(table)
    console.print(_freshness(fresh))
    console.out(pipeline.run("connect", "status", "--folder", str(outside.connectors)), highlight=False)
    parts = Table("part", "version", "address", "memory", title="the stack", box=None, title_justify="left")
    for line in (line for part in [*pipeline.parts, gauges.prometheus] for line in part.lines()):
        parts.add_row(line.name, line.version, line.address, f"{line.rss_mib} MiB")
    console.print(parts)


def _freshness(fresh: Sequence[Fresh]) -> Table:
    title = "how fresh the feeds are, as Prometheus has it"
    titles = ("feed", "newest", "taken in by workers", "changes", "gaps", "slot lag")
    table = Table(*titles, title=title, box=None, title_justify="left")
    for each in fresh:
        ages = ("-" if age is None else f"{age:.1f} s ago" for age in (each.newest_s, each.taken_in_s))
        counts = ("-" if count is None else f"{count:,.0f}" for count in (each.changes, each.gaps))
        table.add_row(each.feed, *ages, *counts, "-" if each.slot_lag_bytes is None else size(int(each.slot_lag_bytes)))
    return table


def _keep_on(pipeline: Pipeline, batch: Batch, lives: Sequence[Callable[[], None]], say: Say) -> None:
    say(f"running on; the PSA's database is {pipeline.psa_dsn}, that of facts {pipeline.analytics_dsn}; Ctrl-C stops")
    with suppress(KeyboardInterrupt):
        while True:
            batch.bookings()
            for all_of in lives:
                all_of()
            time.sleep(1)  # the ERPs answer once a second
