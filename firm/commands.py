"""`throughline generate`: the reference firm as a replay file or straight into topics."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from firm.history import History
from firm.jsonl import line_of, opened
from firm.moments import DAY_MS
from firm.progress import Progress
from firm.size import FirmSize


def generate(
    time_entries: Annotated[int, typer.Option(help="Number of distinct time entries; all else scales with it.")],
    seed: Annotated[int, typer.Option(help="The same seed and size give the same records.")] = 1,
    start: Annotated[str, typer.Option(help="First day of the history, YYYY-MM-DD.")] = "2025-01-01",
    months: Annotated[int, typer.Option(help="Length of the history in months.")] = 12,
    days: Annotated[int | None, typer.Option(help="Length in days instead of months.")] = None,
    dirty: Annotated[float, typer.Option(help="Share of time entries that arrive broken once, 0 to 1.")] = 0.001,
    out: Annotated[str, typer.Option(help="File to write; .gz packs it, - is standard output.")] = "-",
) -> None:
    """Generate a professional-services firm with its history: a replay file, or records straight into topics."""
    try:
        size = FirmSize(time_entries, seed, date.fromisoformat(start), months, days, dirty)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    history = History(size)
    progress = Progress()
    span_ms = (size.end_day - size.first_day) * DAY_MS
    now_ms = size.first_day * DAY_MS
    with opened(out) as sink:
        write = sink.write
        for record in history.records():
            write(line_of(record))
            now_ms = record.timestamp
            progress.count(lambda: (now_ms - size.first_day * DAY_MS) / span_ms)
    progress.end(f"to {out}")
