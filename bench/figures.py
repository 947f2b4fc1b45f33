"""The figures of a whole bench: `bench/results/latest.json`, and the table that documents quote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LATEST = RESULTS / "latest.json"
PARTIAL = RESULTS / "partial.json"
DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures of make bench: begin -->", "<!-- figures of make bench: end -->"

NOT_REAL = (
    "**On the embedded broker, which is no Kafka: throughput only, everything at least once. It keeps nothing on disk "
    "and isolates no transactions; Quix Streams does not run on it.**"
)

Figures = Mapping[str, Any]

TARGETS = {
    "throughline / faust": 30.0,
    "throughline / quix": 4.0,
    "throughline / loop": 0.9,
    "throughline_compiled / faust": 60.0,
    "throughline_compiled / quix": 8.0,
}
"""What the ratios of one run must reach."""

ROWS = {
    "faust": "stock Faust 0.15.3, one event at a time, at least once",
    "faust_take": "stock Faust, events in batches, each contract written once a batch",
    "quix_at_least_once": "Quix Streams 3.28, at least once",
    "quix": "Quix Streams 3.28, exactly once",
    "throughline": "**this engine, exactly once, wheels alone**",
    "loop": "a bare loop without a framework, exactly once, wheels alone",
    "throughline_compiled": "**this engine, exactly once, compiled**",
    "loop_compiled": "a bare loop without a framework, exactly once, compiled codec",
    "firm": "**the whole topology over a generated firm, exactly once, one core**",
}
"""The rows of the table, in their order."""

BARS = {
    "faust": "Faust, one by one",
    "faust_take": "Faust, in batches",
    "quix_at_least_once": "Quix Streams, at least once",
    "quix": "Quix Streams, exactly once",
    "throughline": "Throughline, wheels alone",
    "loop": "bare loop, wheels alone",
    "throughline_compiled": "Throughline, compiled",
    "loop_compiled": "bare loop, compiled codec",
    "firm": "Throughline, whole topology",
}
"""The same in a plot."""


def ratios(variants: Figures) -> dict[str, float]:
    """Return how many times as fast as each other the variants of one run are."""
    found = {}
    for name in TARGETS:
        one, other = name.split(" / ")
        if one in variants and other in variants:
            found[name] = round(variants[one]["events_per_s"] / variants[other]["events_per_s"], 2)
    return found


def write(figures: Figures, path: Path) -> None:
    """Write figures as JSON."""
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def table(figures: Figures) -> str:
    """Return the figures as Markdown."""
    variants = figures.get("variants", {})
    lines = [
        f"Broker: {figures['broker']}; {figures['machine']}; {figures['rounds']} rounds, medians. "
        f"The whole topology ran {figures['steps']}.",
        "",
        "| | records/s | CPU µs a record | memory MB | runs |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(told, variants[name]) for name, told in ROWS.items() if name in variants]
    lines += ["", *_ratio_lines(figures.get("ratios", {})), *_rest(figures)]
    if not figures.get("is_real", True):
        lines.append(NOT_REAL)
    return "\n".join(lines).rstrip() + "\n"


def _row(told: str, variant: Figures) -> str:
    runs = ", ".join(f"{rate:,}" for rate in variant["runs"])
    cost = f"{variant['cpu_us_per_event']:.1f}"
    return f"| {told} | {variant['events_per_s']:,} | {cost} | {variant['rss_mb']} | {runs} |"


def _ratio_lines(found: Mapping[str, float]) -> list[str]:
    if not found:
        return []
    rows = [f"| {name} | {found[name]:.2f} | {least:g} |" for name, least in TARGETS.items() if name in found]
    return ["| ratio | is | wanted, at least |", "|---|---|---|", *rows, ""]


_MEMORY = {
    "rss_mb": "at the end",
    "rss_in_place_mb": "started in place and at work",
    "rss_filling_mb": "while they come as fast as they can",
    "rss_empty_mb": "after a restore",
    "rss_peak_mb": "at most",
}


def _rest(figures: Figures) -> list[str]:
    rows = []
    if "restore_records_per_s" in figures:
        runs = ", ".join(f"{rate:,}" for rate in figures["restore_runs"])
        rows.append(f"| restore of a changelog | {figures['restore_records_per_s']:,} records/s ({runs}) |")
        in_place, empty = figures["recovery_s"]["in_place"], figures["recovery_s"]["empty"]
        items = f"{figures['state']['items']:,}"
        rows.append(f"| first output after kill -9, {items} items of state, started in place | {in_place:.1f} s |")
        rows.append(f"| the same with the databases gone | {empty:.1f} s |")
        for when, told in _MEMORY.items():
            if when in figures["state"]:
                rows.append(f"| memory with {items} items, {told} | {figures['state'][when]} MB |")
        for count, cost in figures["growth_us_per_record"].items():
            rows.append(f"| CPU of one more record over {int(count):,} items | {cost:.1f} µs |")
    if "latency_ms" in figures:
        told = ", ".join(f"{name} {value:g} ms" for name, value in figures["latency_ms"].items())
        rows.append(f"| latency at {figures['latency_records_per_s']:,} records/s | {told} |")
    if "workers" in figures:
        one, two = figures["workers"]["1"], figures["workers"]["2"]
        rows.append(f"| one worker, two workers | {one:,} and {two:,} records/s ({two / one:.2f} times) |")
    return ["| | |", "|---|---|", *rows] if rows else []


def put_into_document(figures: Figures, document: Path = DOCUMENT) -> None:
    """Replace the figures in a document. Raises ValueError for one without the marks."""
    text = document.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{document}: there is no place for the figures; put {BEGIN} and {END} there")
    document.write_text(f"{before}{BEGIN}\n{table(figures)}{END}{after}", encoding="utf-8")


def quoted(document: Path = DOCUMENT) -> str:
    """Return the figures that a document quotes."""
    _, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    return rest.partition(END)[0].lstrip("\n")
