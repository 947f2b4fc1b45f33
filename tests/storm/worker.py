"""The worker of the storm: `python -m tests.storm.worker FOLDER BROKERS URL SETTINGS`: posting and nothing else."""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from schemas.registry import Manifest
from streams.config import Settings
from streams.delivery.flow import Pace
from streams.delivery.lane import Lane
from streams.delivery.limits import Limits
from streams.domain.posting import Posting
from streams.domain.routes import Routes
from streams.engine.clock import system_clock
from streams.engine.posting import Target, Targets, posting_step
from streams.engine.targets import load_targets
from streams.engine.unknown_ids import of_own_topics
from streams.engine.wire import ContractWire
from streams.engine.worker import run_steps
from streams.sinks.contract import Sink
from streams.sources import recorded_reader
from streams.topology import load_rulebook
from tests.storm.oracle import targets_file
from tests.storm.sink import PlainErp

GROUP = "storm"
SYSTEM = "erp"
PARTITIONS = 8
SESSION_S = 6.0
"""After so long without a word a worker's partitions go to another."""


def settings_of(brokers: str, folder: Path) -> Settings:
    """The settings of the worker, and of whoever makes its topics."""
    return Settings(
        brokers=brokers,
        group=GROUP,
        partitions=PARTITIONS,
        state_folder=folder / "state",
        session_timeout_s=SESSION_S,
    )


def _opener(folder: Path, url: str, asked: Mapping[str, Any]) -> Callable[[], Sink[Posting]]:
    """What opens the ERP for a partition."""
    if asked["target"] == "oracle":
        return partial(load_targets(targets_file(folder, url, asked["at_once"], asked["timeout_s"])).open, SYSTEM)
    return partial(PlainErp, SYSTEM, url, asked["at_once"], asked["timeout_s"], system_clock)


def main() -> int:
    """Run until it is killed."""
    folder, brokers, url, asked = Path(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    settings = settings_of(brokers, folder)
    opened = _opener(folder, url, asked)
    pace = Pace(asked["at_once"], failures_max=10, rest_ms_first=200, rest_ms_max=2_000)
    lane = Lane(SYSTEM, pace, PARTITIONS)
    limits = Limits(postings_max=500, age_ms_max=0, backoff_ms_first=100, backoff_ms_max=2_000)
    targets = Targets(lambda _: Target(opened(), lane, limits), Routes(version=1), 1_000, system_clock)
    wire = ContractWire(Manifest(), recorded_reader(load_rulebook(), None), of_own_topics(settings.contracts))
    return run_steps(settings, (posting_step(targets),), wire)


if __name__ == "__main__":
    sys.exit(main())
