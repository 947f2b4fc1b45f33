"""The worker with a mapping beside: `python -m tests.broker.mapped_worker BROKERS FOLDER MAPPING SCHEMAS`.

SCHEMAS is a file of recorded schemas by id.
"""

import sys
from pathlib import Path

from streams.config import load
from streams.engine.embedded import PARTITIONS
from streams.engine.worker import run


def main(brokers: str, folder: Path, mapping: str, schemas: str) -> int:
    """Run the worker."""
    settings = load(
        None,
        brokers=brokers,
        partitions=PARTITIONS,
        state_folder=folder / "state",
        guarantee="at_least_once",
        static_membership=False,
        contracts={"further_mappings": [mapping], "schemas_file": schemas},
        sinks={"folder": folder / "exchange"},
    )
    return run(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
