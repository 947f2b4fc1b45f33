"""`throughline generate`: the reference firm as a replay file, or straight into topics at a given rate."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from datetime import date
from typing import Annotated

import typer

from firm.history import History
from firm.jsonl import STANDARD_OUTPUT, leave_standard_output, write_file
from firm.moments import DAY_MS
from firm.progress import Progress
from firm.size import FirmSize
from firm.topics import OpenTopics, Target, paced
from firm.wire import Record

"""A history starts within these years: its contracts run on for years, and instants are counted from 1970."""


def generate_into(open_topics: OpenTopics | None) -> Callable[..., None]:
    """The command, writing to topics with `open_topics`; without it, to files only."""

    def generate(  # noqa: PLR0913, one argument an option
        time_entries: Annotated[int, typer.Option(help="Number of distinct time entries; all else scales with it.")],
        seed: Annotated[int, typer.Option(help="The same seed and size give the same records.")] = 1,
        start: Annotated[str, typer.Option(help="First day of the history, YYYY-MM-DD.")] = "2025-01-01",
        months: Annotated[int, typer.Option(help="Length of the history in months.")] = 12,
        days: Annotated[int | None, typer.Option(help="Length of the history in days, in place of months.")] = None,
        dirty: Annotated[float, typer.Option(help="Share of time entries that arrive broken once, 0 to 1.")] = 0.001,
        out: Annotated[
            str | None, typer.Option(help="File to write, packed if it ends in .gz; else standard output.")
        ] = None,
        brokers: Annotated[str | None, typer.Option(help="HOST:PORT of Kafka to write to, in place of a file.")] = None,
        rate: Annotated[int | None, typer.Option(help="Records a second at most; else as fast as it goes.")] = None,
        group: Annotated[str, typer.Option(help="Consumer group that the writer waits for.")] = "throughline",
        open_records_max: Annotated[
            int | None, typer.Option(help="Wait while the group has more records unread than this.")
        ] = None,
        quiet: Annotated[bool, typer.Option(help="No progress on standard error.")] = False,
    ) -> None:
        """Generate a firm with its history: a replay file, or records straight into topics."""
        if out is not None and brokers is not None:
            raise typer.BadParameter("give either --out FILE or --brokers HOST:PORT, not both")
        size = _size(time_entries, seed, start, months, days, dirty)
        target = None if brokers is None else Target(brokers, group, open_records_max)
        if target is not None and open_topics is None:
            raise typer.BadParameter("--brokers: this command writes files only; use `throughline generate`")
        if rate is not None and rate < 1:
            raise typer.BadParameter(f"--rate: {rate} records a second is less than 1")
        progress = Progress(quiet)
        records: Iterable[Record] = History(size).records()
        if rate is not None:
            records = paced(records, rate, time.monotonic, time.sleep)
        # What the plan holds by now lives to the end: looking through it at every collection would cost a quarter.
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        try:
            if target is not None and open_topics is not None:
                open_topics(target).write(progress.watched(records, _share_done(size)), lambda _number, _record: None)
                progress.end(f"to {brokers}")
            else:
                write_file(out or STANDARD_OUTPUT, progress.watched(records, _share_done(size)))
                progress.end(f"to {out or 'standard output'}")
        except BrokenPipeError:
            leave_standard_output()
            raise typer.Exit(1) from None
        except OSError as error:
            typer.echo(f"generate: {out or brokers}: cannot be written: {error.strerror or error}", err=True)
            raise typer.Exit(2) from None

    return generate


generate = generate_into(None)


def _size(time_entries: int, seed: int, start: str, months: int, days: int | None, dirty: float) -> FirmSize:
    try:
        first = date.fromisoformat(start)
    except ValueError:
        raise typer.BadParameter(f"--start: {start!r} is no date: write it as 2025-01-31") from None
    try:
        return FirmSize(time_entries, seed, first, months, days, dirty)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _share_done(size: FirmSize) -> Callable[[Record], float]:
    first_ms = size.first_day * DAY_MS
    span_ms = (size.end_day - size.first_day) * DAY_MS
    return lambda record: (record.timestamp - first_ms) / span_ms
