"""The whole topology as a worker: `python -m bench.variants.firm BROKERS GROUP FOLDER`."""

import sys
from pathlib import Path

from streams.config import Settings, load
from streams.engine.worker import run


def settings_of(brokers: str, group: str, folder: Path) -> Settings:
    """Return the settings of the worker: those that are shipped, but for where it is."""
    return load(
        None, brokers=brokers, group=group, state_folder=folder / "state", sinks={"folder": folder / "exchange"}
    )


if __name__ == "__main__":
    sys.exit(run(settings_of(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
