"""`python -m tests.crash`: KILLS, RECORDS, SEED from the environment."""

import os
import sys
import tempfile
import time
from pathlib import Path

from stack.kafka import Kafka
from tests.crash.entries import batch_result
from tests.crash.fates import fates
from tests.crash.matrix import Matrix
from tests.crash.verdict import changelog_state, folder_differs, verdict
from tests.crash.worker import GROUP


def main() -> int:
    """Run the matrix; return 0 if nothing was lost or doubled."""
    kills, records = int(os.environ.get("KILLS", "30")), int(os.environ.get("RECORDS", "1000000"))
    seed = int(os.environ.get("SEED", str(time.time_ns() % 1_000_000)))
    out = Path(tempfile.mkdtemp(prefix="throughline-crash-"))
    print(
        f"{kills} kills over two workers, {records:,} records; SEED={seed} repeats the plan; logs in {out}", flush=True
    )
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    with Kafka(out / "kafka", say=say) as kafka:
        matrix = Matrix(kafka.bootstrap, out, seed, records, say)
        matrix.run(kills, fates(seed))
        say("comparing outputs, changelog and databases with the batch")
        result = verdict(kafka.bootstrap, GROUP, batch_result(seed, records))
        state = changelog_state(kafka.bootstrap, GROUP)
        stale = [folder_differs(slot.folder, state) for slot in matrix.slots]
    for example in result.examples:
        print(f"  {example}")
    print(f"woken after the group had given them up: {matrix.zombies}")
    unequal = sorted(set.intersection(*stale))
    print(f"databases: {len(state) - len(unequal)} of {len(state)} partitions equal the changelog {unequal or ''}")
    print(f"kills {kills}, lost {result.lost}, doubled {result.doubled}")
    return 1 if result.lost or result.doubled or unequal else 0


if __name__ == "__main__":
    sys.exit(main())
