"""The demo on the whole real stack: a generated firm at work in PostgreSQL, and what analysts and ERPs have in the end.

Everything runs as in production: Debezium captures the PSA's database, the registry names the schemas, workers derive,
Connect lands the facts in a database. In the end, SQL over the source database says whether all of it is right.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from rich.console import Console
from rich.table import Table

from firm.database import is_psa
from firm.history import History
from firm.size import FirmSize
from firm.wire import Record
from live.batch import Batch
from live.firm import FirmAtWork
from live.pipeline import ANALYTICS, Pipeline, PipelineError
from live.program import Program
from schemas.codec import Codec
from schemas.registry import Confluent
from streams.topics import DEAD_LETTERS, PUBLIC

HISTORY_MONTHS: Final = 8
SETTINGS: Final = {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "2", "THROUGHLINE_SINKS__POLL_SECONDS": "0.25"}
_PART_RECORDS = 500
_TOLD_SECONDS = 2.0
_READ_SECONDS = 10.0

Say = Callable[[str], None]
Report = Callable[[Sequence[dict[str, Any]], Path, int], object]
"""Called with the derived records, the output folder and the time; shows what the business asks."""


def run(out: Path, time_entries: int, seed: int, report: Report, say: Say, *, keep: bool = False) -> None:
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
    with Pipeline(out / "stack", SETTINGS, say=say) as pipeline:
        worker = pipeline.worker("worker")
        worker.start()
        _flow_in(pipeline, worker, changes, say)
        batch = Batch(pipeline, (change for change in changes if not is_psa(change)))
        try:
            _settle(batch, worker, say)
            report(list(derived(pipeline)), out, time.time_ns() // 1_000_000)
            _show(pipeline)
            _judge(batch, say)
            if keep:
                _keep_on(pipeline, batch, worker, say)
        finally:
            batch.close()


def derived(pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    """Yield what public topics hold now, decoded, each key's records in order."""
    topics = [topic.name for topic in PUBLIC if topic.name != DEAD_LETTERS]
    consumer = Consumer(
        {"bootstrap.servers": pipeline.kafka.bootstrap, "group.id": "throughline-demo", "enable.partition.eof": True,
         "isolation.level": "read_committed", "enable.auto.commit": False, "log_level": 2}
    )  # fmt: skip
    with SchemaRegistryClient({"url": pipeline.registry.confluent_url}) as client:
        codec = Codec(Confluent(client))
        known = consumer.list_topics(timeout=_READ_SECONDS).topics
        places = [TopicPartition(name, number, 0) for name in topics for number in known[name].partitions]
        consumer.assign(places)
        left = len(places)
        while left:
            for message in consumer.consume(1_000, 0.1):
                if message.error() is not None:  # the end of a partition
                    left -= 1
                    continue
                topic, key, value = message.topic() or "", message.key(), message.value()
                yield {
                    "topic": topic,
                    "key": None if key is None else key.decode(),
                    "value": None if value is None else codec.decode(topic, value),
                    "timestamp": message.timestamp()[1],
                    "headers": (),
                }
    consumer.close()


def _flow_in(pipeline: Pipeline, worker: Program, changes: Sequence[Record], say: Say) -> None:
    rows = sum(map(is_psa, changes))
    say(f"a firm at work: {rows:,} row changes in PostgreSQL, {len(changes) - rows:,} changes of CRM, HR and ERPs")
    firm = FirmAtWork(pipeline)
    began = told = time.monotonic()
    for at in range(0, len(changes), _PART_RECORDS):
        done = at + firm.write(changes[at : at + _PART_RECORDS])
        worker.lives()
        now = time.monotonic()
        if now - told >= _TOLD_SECONDS:
            told, rate = now, done / (now - began)
            say(f"{done:,} changes, {rate:,.0f} a second, {(len(changes) - done) / rate:.0f} s left")
    firm.close()


def _settle(batch: Batch, worker: Program, say: Say) -> None:
    say("all is written; waiting until what came out is what SQL says of the database, and the ERPs have booked it")
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


def _show(pipeline: Pipeline) -> None:
    """Print what analysts find in their database, and how the parts are."""
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
    console.print(pipeline.run("connect", "status"))
    parts = Table("part", "version", "address", "memory", title="the stack", box=None, title_justify="left")
    for line in (line for part in pipeline.parts for line in part.lines()):
        parts.add_row(line.name, line.version, line.address, f"{line.rss_mib} MiB")
    console.print(parts)


def _keep_on(pipeline: Pipeline, batch: Batch, worker: Program, say: Say) -> None:
    say(f"running on; the PSA's database is {pipeline.psa_dsn}, that of facts {pipeline.analytics_dsn}; Ctrl-C stops")
    with suppress(KeyboardInterrupt):
        while True:
            batch.bookings()
            worker.lives()
            time.sleep(1)  # the ERPs answer once a second
