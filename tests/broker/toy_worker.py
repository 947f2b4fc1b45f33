"""A worker of the toy topology, as a program: `python -m tests.broker.toy_worker BROKERS STATE_FOLDER [faulty]`."""

import sys
from pathlib import Path

from streams.config import load
from streams.engine.worker import run_steps
from tests.broker import toys

if __name__ == "__main__":
    brokers, folder, *faulty = sys.argv[1:]
    settings = load(None, brokers=brokers, state_folder=Path(folder), checkpoint_interval_ms=20, guarantee="at_least_once", static_membership=False)
    sys.exit(run_steps(settings, (toys.ACCOUNT, toys.FAULTY if faulty else toys.JOURNAL), toys.JsonWire()))
