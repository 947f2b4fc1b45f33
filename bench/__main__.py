"""`make bench`, `python -m bench`: what the engine costs beside its peers, and what a replay costs.

A whole run writes `bench/results/latest.json`, plots beside it, and the figures in docs/performance.md; a run of some
parts, or a short one, writes `bench/results/partial.json`.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import capture, codec, figures as book, loading, plots
from bench.broker import Broker, broker
from bench.firm import Firm
from bench.latency import Latency, histogram, percentiles
from bench.much_state import ITEMS_AT_END, MuchState
from bench.peers.environments import PeerError
from bench.progress import Left, say, told
from bench.reference.feed import RECORDS
from bench.replaying import replays
from bench.running import Failed
from bench.side_by_side import Input, SideBySide, chosen, medians
from bench.workers import Workers
from live.errors import PipelineError
from stack.errors import StackError
from streams import compiled

PARTS = ("side-by-side", "firm", "state", "workers", "latency", "replay", "codec", "capture", "load")
WHOLE = set(PARTS) - {"replay", "codec", "capture", "load"}
"""What `latest.json` is made of; the others have files of their own, and their own broker or none."""

QUICK_SHARE = 20
"""A short run has so many times fewer records, items and time entries."""

FIRM_TIME_ENTRIES = 50_000
WORKER_ROUNDS_MAX = 3


class Bench:
    """One run on one broker; every part adds its figures."""

    def __init__(self, options: argparse.Namespace, at: Broker, folder: Path) -> None:
        self._options = options
        self._at = at
        self._folder = folder
        self._input = Input(at.bootstrap, options.records)
        self.figures: dict[str, Any] = {
            "broker": at.name,
            "is_real": at.is_real,
            "machine": f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}",
            "steps": "compiled" if compiled.in_use() else "pure Python",
            "rounds": options.rounds,
            "records": self._input.records,
            "variants": {},
        }

    def side_by_side(self) -> None:
        """Measure the reference job on all variants."""
        say(f"the reference job over {self._input.records:,} records on {self._at.name}")
        runs = SideBySide(self._at, self._folder, self._input, say).run(
            list(chosen(self._options.variants)), self._options.rounds
        )
        self.figures["variants"] |= {name: medians(found) for name, found in runs.items()}
        self.figures["ratios"] = book.ratios(self.figures["variants"])

    def firm(self) -> None:
        """Measure the whole topology."""
        firm, runs, left = Firm(self._folder, self._options.time_entries, say), [], Left(self._options.rounds)
        for number in range(1, self._options.rounds + 1):
            runs.append(firm.run(number))
            say(f"firm of {firm.records:,} records, round {number}: {told(runs[-1])}; {left.after_one()}")
        self.figures["variants"]["firm"] = {**medians(runs), "records": firm.records}

    def state(self) -> None:
        """Measure what much state costs."""
        self.figures |= MuchState(self._at, self._folder, say, self._options.items).run()

    def workers(self) -> None:
        """Measure one worker against two."""
        workers, rates = Workers(self._at, self._folder, self._input, say), {}
        for count in (1, 2):
            runs = [workers.run(count, n) for n in range(1, min(self._options.rounds, WORKER_ROUNDS_MAX) + 1)]
            rates[str(count)] = round(statistics.median(run.events_per_s for run in runs))
            say(f"workers: {count}: {rates[str(count)]:,} records/s")
        self.figures["workers"] = rates

    def latency(self) -> None:
        """Measure latency at half the rate that can be had."""
        latency = Latency(self._at, self._folder, say)
        rate = latency.capacity() // 2
        found = latency.at(rate)
        self.figures["latency_ms"] = percentiles(found)
        self.figures["latency_records_per_s"] = rate
        self.figures["latency_histogram"] = histogram(found)
        say(f"latency: {self.figures['latency_ms']}")


def main() -> int:
    """Measure, and write what came of it."""
    options = _options()
    parts = options.only or PARTS
    bench: Bench | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="throughline-bench-") as name:
            if WHOLE & set(parts):
                with broker(Path(name), options.broker, say) as at:
                    bench = Bench(options, at, Path(name))
                    ways: dict[str, Callable[[], None]] = {
                        "side-by-side": bench.side_by_side, "firm": bench.firm, "state": bench.state,
                        "workers": bench.workers, "latency": bench.latency,
                    }  # fmt: skip
                    for part in parts:
                        if part in ways and (at.is_real or part == "side-by-side"):
                            ways[part]()
            if "replay" in parts:
                replays(Path(name), options.replayed, options.replay_rounds, say)
            if "codec" in parts:
                codec.report(say)
            if "capture" in parts:
                capture.report(Path(name) / "capture", say, options.capture_seconds)
            if "load" in parts:
                loading.report(Path(name) / "load", say, options.loaded)
    except (Failed, PeerError, PipelineError, StackError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if bench is not None:
        _write(bench.figures, whole=set(parts) >= WHOLE and not (options.variants or options.quick))
    return 0


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    number = os.environ.get
    arguments.add_argument("--only", nargs="+", choices=PARTS, help="these parts; else all")
    arguments.add_argument("--variants", nargs="+", default=[], help="these variants of the reference job; else all")
    arguments.add_argument("--broker", choices=("auto", "kafka", "embedded"), default="auto")
    arguments.add_argument("--rounds", type=int, default=int(number("BENCH_ROUNDS", "5")), help="the median counts")
    arguments.add_argument("--records", type=int, default=int(number("BENCH_RECORDS", str(RECORDS))))
    arguments.add_argument("--items", type=int, default=ITEMS_AT_END, help="of state")
    arguments.add_argument("--time-entries", type=int, default=FIRM_TIME_ENTRIES, help="of the firm in Kafka")
    arguments.add_argument("--replayed", type=int, default=200_000, help="time entries of the replayed firm")
    arguments.add_argument("--replay-rounds", type=int, default=3)
    arguments.add_argument("--capture-seconds", type=int, default=capture.SECONDS, help="of row changes")
    arguments.add_argument("--loaded", type=int, default=loading.ROWS, help="rows of history")
    arguments.add_argument("--quick", action="store_true", help=f"one round of a {QUICK_SHARE}th of everything")
    options = arguments.parse_args()
    if options.quick:
        options.rounds = options.replay_rounds = 1
        for name in ("records", "items", "time_entries", "replayed", "loaded"):
            setattr(options, name, getattr(options, name) // QUICK_SHARE)
        options.capture_seconds //= QUICK_SHARE
    return options


def _write(figures: dict[str, Any], whole: bool) -> None:
    print(book.table(figures))
    book.write(figures, book.LATEST if whole else book.PARTIAL)
    if whole:
        _plot(figures)
        book.put_into_document(figures)
    say(f"written: {book.LATEST if whole else book.PARTIAL}")


def _plot(figures: dict[str, Any]) -> None:
    variants = figures["variants"]
    rows = [
        (label, variants[name]["events_per_s"], name.startswith(("throughline", "firm")))
        for name, label in book.BARS.items()
        if name in variants
    ]
    chart = plots.bars(f"records a second, {figures['broker']}", rows)
    (book.RESULTS / "throughput.svg").write_text(chart, encoding="utf-8")
    if "latency_histogram" in figures:
        marks = [(name, value) for name, value in figures["latency_ms"].items() if name in ("p50", "p99")]
        title = f"latency at {figures['latency_records_per_s']:,} records a second, up to the 99.9th percentile"
        chart = plots.histogram(title, figures["latency_histogram"], marks)
        (book.RESULTS / "latency.svg").write_text(chart, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
