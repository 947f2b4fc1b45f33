"""The worker with a file of targets, on the embedded broker: `python -m tests.broker.targets_worker BROKERS FOLDER`.

The file of targets is FOLDER/targets.yaml.
"""

import sys
from pathlib import Path

from streams.config import load
from streams.engine.embedded import PARTITIONS
from streams.engine.worker import run


def main(brokers: str, folder: Path) -> int:
    """Run the worker."""
    settings = load(
        None,
        brokers=brokers,
        partitions=PARTITIONS,
        state_folder=folder / "state",
        guarantee="at_least_once",
        static_membership=False,
        sinks={"targets_file": folder / "targets.yaml", "batch_seconds_max": 0.2, "poll_seconds": 0.1},
    )
    return run(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
