"""`python -m tests.crash`: KILLS, RECORDS, SEED, and STOCK_KILLS, STOCK_RECORDS for the other, from the environment."""

import os
import sys
import tempfile
import time
from pathlib import Path

from stack.kafka import Kafka
from tests.crash.job import Run
from tests.crash.ours import Outcome, outcome
from tests.crash.stock import stock_verdict
from tests.crash.verdict import Verdict


def number(name: str, otherwise: int) -> int:
    """Return a whole number of the environment."""
    return int(os.environ.get(name) or otherwise)


def main() -> int:
    """Run the matrix; return 0 if nothing was lost or doubled."""
    kills, records = number("KILLS", 30), number("RECORDS", 1_000_000)
    stock_kills, stock_records = number("STOCK_KILLS", 3), number("STOCK_RECORDS", 20_000)
    seed = number("SEED", time.time_ns() % 1_000_000)
    out = Path(tempfile.mkdtemp(prefix="throughline-crash-"))
    print(f"{kills} kills over two workers, {records:,} records; SEED={seed} repeats the plan; logs in {out}")
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    with Kafka(out / "kafka", say=say) as kafka:
        found = outcome(Run("crash", kafka.bootstrap, out, seed, records), kills, say)
        stock: Verdict | str = "  not run: STOCK_KILLS is 0"
        if stock_kills:
            say(f"the same job on stock Faust: {stock_kills} kills, {stock_records:,} records")
            try:
                run = Run("stock", kafka.bootstrap, out / "stock", seed, stock_records)
                stock = stock_verdict(run, stock_kills, say)
            except Exception as error:  # whatever it is, it is not ours
                stock = f"  did not come to an end: {error}"
    tell(found)
    print(table([("Throughline", kills, records, found.verdict), ("stock Faust", stock_kills, stock_records, stock)]))
    print(f"kills {kills}, lost {found.verdict.lost}, doubled {found.verdict.doubled}")
    return 0 if found.well else 1


def tell(found: Outcome) -> None:
    """Print what our run has come to."""
    for example in found.verdict.examples:
        print(f"  {example}")
    print(f"woken after the group had given them up: {found.zombies}; fates not met in time: {found.unmet}")
    equal = found.partitions - len(found.unequal)
    print(f"databases: {equal} of {found.partitions} partitions equal the changelog {found.unequal or ''}")


def table(rows: list[tuple[str, int, int, Verdict | str]]) -> str:
    """Return ours and the other beside each other."""
    lines = [f"{'':<12}{'kills':>8}{'records':>12}{'lost':>10}{'doubled':>10}"]
    for name, kills, records, verdict in rows:
        told = verdict if isinstance(verdict, str) else f"{verdict.lost:>10,}{verdict.doubled:>10,}"
        lines.append(f"{name:<12}{kills:>8}{records:>12,}{told}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
