"""`python -m bench`: replay of a generated firm, and growth of cost with history; table and JSON.

`python -m bench codec`: the codec alone, compiled and pure.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from bench import codec
from bench.growth import FLAT_WITHIN, run
from bench.replaying import Replayed, generate, replay

RESULTS = Path(__file__).parent / "results"


def say(text: str) -> None:
    """Print at once: a run takes a minute and more."""
    print(text, flush=True)


def measured(path: Path, records: int, out: Path) -> Replayed:
    """Run a replay and say how it went."""
    r = replay(path, records, out)
    say(f"  {r.records_per_s:>8,.0f} records/s  {r.wall_s:6.1f} s wall  {r.cpu_s:6.1f} s CPU  {r.rss_mb:5.0f} MB")
    return r


def write(name: str, figures: object) -> None:
    """Keep figures in the folder of results."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(figures, indent=2) + "\n")


def run_codec(rounds: int) -> None:
    """Time the codec on both paths and say how it went."""
    say(f"codec: µs a record, best of {rounds} rounds of {codec.RECORDS:,} records")
    say(f"  {'':<20} {'':<9} {'encode':>7} {'decode':>7} {'change':>7}")
    timed = codec.run(rounds)
    for t in timed:
        change = "" if t.decode_change_us is None else f"{t.decode_change_us:7.2f}"
        say(f"  {t.case:<20} {t.path:<9} {t.encode_us:7.2f} {t.decode_us:7.2f} {change}")
    write("codec.json", [t._asdict() for t in timed])


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("what", nargs="?", choices=["all", "codec"], default="all")
    arguments.add_argument("--time-entries", type=int, default=200_000, help="size of the replayed firm")
    arguments.add_argument(
        "--rounds", type=int, help="runs of each (3); the median counts. Of the codec (25), the best"
    )
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    if options.what == "codec":
        run_codec(options.rounds or 25)
        return
    options.rounds = options.rounds or 3
    with tempfile.TemporaryDirectory() as folder:
        path, records = generate(Path(folder), options.time_entries, options.seed)
        say(f"replay of {records:,} records ({options.time_entries:,} entries), {options.rounds} runs on one processor")
        runs = [measured(path, records, Path(folder, "derived.jsonl")) for _ in range(options.rounds)]
    rate = statistics.median(r.records_per_s for r in runs)
    memory = max(r.rss_mb for r in runs)
    say(f"  median {rate:,.0f} records/s, peak {memory:.0f} MB")
    growth = run(options.rounds, say)
    print("one more record on a contract with so many time entries")
    base = {g.kind: g.us_per_record for g in reversed(growth)}  # that of the smallest
    for g in growth:
        times = g.us_per_record / base[g.kind]
        print(f"  {g.kind:<28} {g.entries:>9,} entries: {g.us_per_record:6.1f} µs  {times:5.2f} x")
    flat = all(g.us_per_record / base[g.kind] - 1 <= FLAT_WITHIN for g in growth)
    print(f"  {'flat' if flat else 'not flat'} within {FLAT_WITHIN:.0%}")
    figures = {
        "replay": {
            "records": records,
            "time_entries": options.time_entries,
            "records_per_s": round(rate),
            "rss_mb": round(memory),
            "runs": [round(r.records_per_s) for r in runs],
        },
        "growth": {
            kind: {str(g.entries): round(g.us_per_record, 1) for g in growth if g.kind == kind} for kind in base
        },
    }
    write("replay.json", figures)


main()
