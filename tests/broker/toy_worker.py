"""A worker of the toy topology, as a program: `python -m tests.broker.toy_worker BROKERS STATE_FOLDER [HOW]`.

HOW may be `faulty`, or a point of `streams.engine.probe` at which it kills itself.
"""

import sys
from pathlib import Path

from streams.config import load
from streams.engine.probe import unwatched
from streams.engine.worker import run_steps
from tests.broker import toys
from tests.crash.worker import Fate

if __name__ == "__main__":
    brokers, folder, *how = sys.argv[1:]
    settings = load(
        None,
        brokers=brokers,
        state_folder=Path(folder),
        checkpoint_interval_ms=20,
        guarantee="at_least_once",
        static_membership=False,
    )
    journal = toys.FAULTY if how == ["faulty"] else toys.JOURNAL
    probe = Fate(how[0], 1) if how and how != ["faulty"] else unwatched
    sys.exit(run_steps(settings, (toys.ACCOUNT, journal), toys.JsonWire(), probe=probe))
