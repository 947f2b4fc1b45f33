"""The demo: a generated firm through the real worker on the embedded broker, and what came of it.

Three processes: the broker, the worker (`throughline worker`, with its state and its targets), and this one, which
feeds, reads along, plays the ERPs at the other end of the file exchange, and counts that nothing was lost.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from confluent_kafka import KafkaException

from firm.erps import Erps
from firm.history import History
from firm.size import FirmSize
from streams.config import Guarantee, Settings, load
from streams.engine.clock import system_clock
from streams.engine.collect import Collector
from streams.engine.demo_folder import DemoError, demo_folder
from streams.engine.embedded import PARTITIONS, BrokerError, EmbeddedBroker
from streams.engine.feeding import Change, Feed, FeedError, FlowControl, SourceBytes
from streams.engine.tally import LostRecordsError, Tally, answered_in, compare_amounts, expected_nets
from streams.engine.wire import registry_of
from streams.engine.worker import steps_of
from streams.routes import SHIPPED as ROUTING
from streams.step import Step
from streams.topics import PUBLIC, TRIGGERS

HISTORY_MONTHS = 8
OPEN_RECORDS_MAX = 800  # the fewer are open, the less does one topic run ahead of another
WAIT_SECONDS_MAX = 300.0
_PAUSE_SECONDS = 0.2
_TOLD_SECONDS = 2.0

Report = Callable[[Sequence[dict[str, Any]], Path, int], object]
"""Called with the derived records, the output folder and the time; shows what the business asks."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: stop as after Ctrl-C."""


def run(out: Path, time_entries: int, seed: int, report: Report, keep: bool = False) -> int:
    """Run the demo into a folder; return 0 if nothing was lost.

    Ctrl-C and SIGTERM stop it cleanly, with 130 and 143 before it has answered. `report` gets all derived records once
    everything is processed; `keep` then keeps all running until one of the two. Raises `DemoError`, and
    `LostRecordsError` if counts or amounts do not agree.
    """
    size = _firm_size(time_entries, seed)
    try:
        with _terminable(), demo_folder(out), EmbeddedBroker() as broker:
            _run(broker.bootstrap, out, size, report, keep)
    except KeyboardInterrupt as error:
        say("stopped before the end")
        return 143 if isinstance(error, Terminated) else 130
    except KafkaException as error:
        raise DemoError(f"the embedded broker does not answer any more: {error}") from error
    except (BrokerError, FeedError) as error:
        raise DemoError(str(error)) from error
    say(f"done: see {out / 'page.html'} and {out / 'exchange'}")
    return 0


def _run(brokers: str, out: Path, size: FirmSize, report: Report, keep: bool) -> None:
    settings = load(
        None,
        brokers=brokers,
        partitions=PARTITIONS,
        state_folder=out / "state",
        guarantee=Guarantee.AT_LEAST_ONCE,  # the embedded broker isolates no transactions
        static_membership=False,  # nor does it know members that come back
        sinks={"folder": out / "exchange", "batch_seconds_max": 2.0, "poll_seconds": 0.25},
    )
    demo = Demo(settings, out)
    try:
        demo.flow_in(size)
        demo.count(report)
        if keep:
            demo.keep_on()
    finally:
        demo.stop()


def _firm_size(time_entries: int, seed: int) -> FirmSize:
    start = (datetime.now(UTC).date() - timedelta(days=HISTORY_MONTHS * 30)).replace(day=1)
    try:
        return FirmSize(time_entries, seed, start, HISTORY_MONTHS)
    except ValueError as error:
        raise DemoError(str(error)) from error


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end what is inside as Ctrl-C does, so that no child is left behind."""

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    former = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


class Demo:
    """One run: worker and collector started by `flow_in`, ended by `stop`."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self._settings = settings
        self._out = out
        self._worker: subprocess.Popen[bytes] | None = None
        self._steps, wire = steps_of(settings)
        self._collector = Collector(settings.brokers, [topic.name for topic in PUBLIC], wire)
        self._erps = Erps(settings.sinks.folder)
        self._fed: list[Change] = []
        self._flow = FlowControl(
            settings.brokers, settings.group, topics_read(self._steps), OPEN_RECORDS_MAX, self._worker_lives
        )
        self._feed = Feed(settings.brokers, SourceBytes(registry_of(settings.contracts)), self._flow)

    # -- running

    def flow_in(self, size: FirmSize) -> None:
        """Start the worker, feed the firm's whole history, and wait until all of it is processed and answered."""
        self._collector.start()
        self._start_worker()
        say(f"a firm of {size.people} people, {size.time_entries:,} time entries since {size.start}, seed {size.seed}")
        firm = History(size)
        changes = self._remembered(firm)
        self._feed.write(changes, FeedProgress(size).told)
        say(f"fed: {len(self._fed):,} records; waiting until the worker has processed them")
        self._await_processing()
        self._settle()

    def _await_processing(self) -> None:
        told = time.monotonic()
        while (lag := self._flow.look()).open:
            self._worker_lives()
            if time.monotonic() - told >= _TOLD_SECONDS:
                told = time.monotonic()
                say(f"{lag.open:,} records still to be processed")
            time.sleep(_PAUSE_SECONDS)

    def _remembered(self, firm: History) -> Any:
        for change in firm.records():
            self._fed.append(change)
            yield change

    def _start_worker(self) -> None:
        environment = os.environ | {
            "THROUGHLINE_BROKERS": self._settings.brokers,
            "THROUGHLINE_PARTITIONS": str(self._settings.partitions),
            "THROUGHLINE_GUARANTEE": self._settings.guarantee.value,
            "THROUGHLINE_STATIC_MEMBERSHIP": str(self._settings.static_membership),
            "THROUGHLINE_STATE_FOLDER": str(self._settings.state_folder),
            "THROUGHLINE_ROUTING_FILE": str(ROUTING),  # whatever is set: it waits for an answer to every trigger
            "THROUGHLINE_SINKS__FOLDER": str(self._settings.sinks.folder),
            "THROUGHLINE_SINKS__BATCH_SECONDS_MAX": str(self._settings.sinks.batch_seconds_max),
            "THROUGHLINE_SINKS__POLL_SECONDS": str(self._settings.sinks.poll_seconds),
        }
        with (self._out / "worker.log").open("wb") as log:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "streams.engine.demo_worker"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which stops worker and broker in their order
            )
        say(f"broker on {self._settings.brokers}; worker started, its log is {self._out / 'worker.log'}")

    def _worker_lives(self) -> None:
        code = None if self._worker is None else self._worker.poll()
        if code is not None:
            log = self._out / "worker.log"
            words = (log.read_text(errors="replace").splitlines() or ["nothing"])[-1]
            raise DemoError(f"the worker ended with exit code {code}; the last words of {log} are: {words}")

    def _settle(self) -> None:
        """Let the ERPs answer until every trigger has its receipt and nothing is under way."""
        say("processed; the ERPs read their batches and answer")
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            self._erps.answer(system_clock())
            lag = self._flow.wait(0)
            open_ = self._collector.open()
            unanswered = self._unanswered()
            if not unanswered and not open_ and self._flow.look() == lag:
                return
            self._worker_lives()
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{unanswered} triggers have no receipt after {WAIT_SECONDS_MAX:.0f} s; "
                    f"look at {self._settings.sinks.folder} and {self._out / 'worker.log'}"
                )
            time.sleep(_PAUSE_SECONDS)

    def _unanswered(self) -> int:
        records = tuple(self._collector.records)
        triggers = {record["value"]["trigger_id"] for record in records if record["topic"] == TRIGGERS}
        return len(triggers - answered_in(records))

    # -- counting

    def count(self, report: Report) -> None:
        """Show the business answers, then check that nothing was lost and every contract's net is right."""
        tally = Tally(self._settings.brokers, self._settings.group, self._steps)
        tally.check_counts(self._feed.confirmed, len(self._fed), self._collector.counts)
        records = list(self._collector.records)
        report(records, self._out, system_clock())
        say(tally.told())
        say("computing the same firm without a broker, to compare")
        expected = expected_nets(self._settings, self._fed, system_clock())
        say(compare_amounts(records, expected))
        doubled, complaints = self._erps.doubled, self._erps.complaints
        if doubled or complaints:
            raise LostRecordsError(f"the ERPs complain: {len(doubled)} postings came twice; {'; '.join(complaints)}")

    def keep_on(self) -> None:
        """Go on answering until Ctrl-C."""
        with suppress(KeyboardInterrupt):
            say("running on; Ctrl-C stops")
            while True:
                self._erps.answer(system_clock())
                self._worker_lives()
                time.sleep(1)

    def stop(self) -> None:
        """Stop worker and connections."""
        worker, self._worker = self._worker, None
        if worker is not None and worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        if worker is not None and worker.stdin is not None:
            worker.stdin.close()
        self._flow.close()
        self._collector.stop()


class FeedProgress:
    """Tells how far the feed has come: records, rate, time left."""

    def __init__(self, size: FirmSize) -> None:
        self._first_ms = size.first_day * 86_400_000
        self._span_ms = (size.end_day - size.first_day) * 86_400_000
        self._began = time.monotonic()
        self._told = self._began

    def told(self, written: int, change: Change) -> None:
        """Say it, every few seconds."""
        now = time.monotonic()
        if now - self._told < 2.0:
            return
        self._told = now
        took = now - self._began
        done = min(max((change.timestamp - self._first_ms) / self._span_ms, 0.001), 1.0)
        say(f"fed {written:,} records, {written / took:,.0f} a second, {took / done - took:,.0f} s left")


def topics_read(steps: Sequence[Step]) -> list[str]:
    """Return every topic that some step reads."""
    return sorted({topic for step in steps for topic in step.reads})


def say(text: str) -> None:
    """Tell the person at the terminal what goes on, in lines that fit it."""
    for line in text.splitlines():
        print(
            textwrap.fill(line, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False), flush=True
        )
