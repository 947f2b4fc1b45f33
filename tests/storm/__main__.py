"""`python -m tests.storm`, which is `make storm`: POSTINGS into an ERP in a storm, by SEED.

The last line is `postings N, documents N, doubled N, unresolved N`; exit 0 only if each posting is one document.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from stack.kafka import Kafka
from tests.storm.run import CALM, PROGRAMS, STORM, Asked, Verdict, run


def main(words: Sequence[str]) -> int:
    """Run the storm; return 0 if every posting is one document and nothing is in doubt."""
    parser = argparse.ArgumentParser(prog="tests.storm", description=__doc__)
    parser.add_argument("--postings", type=int, default=100_000)
    parser.add_argument("--contracts", type=int, default=0, help="absent: one for each 20 postings")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--latency-ms", type=float, default=10.0, help="of one call")
    parser.add_argument("--at-once", type=int, default=15, help="calls that the ERP takes at one moment")
    parser.add_argument("--timeout-s", type=float, default=0.5, help="how long a call waits")
    parser.add_argument("--kill-every-s", type=float, default=10.0, help="0: never")
    parser.add_argument("--workers", type=int, default=1, help="of one group; each is killed in its turn")
    parser.add_argument("--stall-every-s", type=float, default=0.0, help="0: never; needs two workers")
    parser.add_argument("--target", choices=sorted(PROGRAMS), default="plain", help="the simulated ERP")
    parser.add_argument("--calm", action="store_true", help="nothing fails: how fast it is")
    given = parser.parse_args(words)
    asked = Asked(
        postings=given.postings,
        contracts=given.contracts or max(1, given.postings // 20),
        seed=given.seed,
        latency_ms=given.latency_ms,
        at_once=given.at_once,
        timeout_s=given.timeout_s,
        kill_every_s=0.0 if given.calm else given.kill_every_s,
        faults=CALM if given.calm else STORM,
        target=given.target,
        workers=given.workers,
        stall_every_s=0.0 if given.calm else given.stall_every_s,
    )
    out = Path(tempfile.mkdtemp(prefix="throughline-storm-"))
    print(f"{asked.postings:,} postings of {asked.contracts:,} contracts; SEED={asked.seed} repeats it; logs in {out}")
    print(f"of all calls fail: {json.dumps(asked.faults._asdict())}; a kill -9 every {asked.kill_every_s:g} s")
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    with Kafka(out / "kafka", say=say) as kafka:
        verdict = run(asked, kafka.bootstrap, out, say)
    tell(asked, verdict)
    return 0 if verdict.is_well(asked) else 1


def tell(asked: Asked, verdict: Verdict) -> None:
    """Print what it came to."""
    for example in verdict.examples:
        print(f"  {example}")
    print(f"the ERP was asked: {json.dumps(verdict.figures, sort_keys=True)}")
    calls = verdict.figures["postings"] + verdict.figures.get("questions", 0)
    took_ms = verdict.figures["microseconds"] / calls / 1000
    calls_per_s = verdict.per_second * calls / asked.postings
    share = calls_per_s * took_ms / asked.at_once / 1000
    stalls = f", stalled {verdict.stalls} times" if asked.stall_every_s else ""
    print(f"worker killed {verdict.kills} times{stalls}; {verdict.per_second:,.1f} documents a second")
    print(f"{calls_per_s:,.1f} calls a second: {share:.1%} of what {asked.at_once} at once, of {took_ms:.1f} ms, allow")
    print(
        f"postings {asked.postings}, documents {verdict.documents}, doubled {verdict.doubled}, "
        f"unresolved {verdict.unresolved}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
