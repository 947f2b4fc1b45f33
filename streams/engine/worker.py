"""`throughline worker`: the steps of a topology under Faust's worker, until a signal stops it."""

import logging
import sys

from faust.worker import Worker

from state.rocks import StoreUnavailable
from streams.config import Settings
from streams.engine.app import TopicsError, app
from streams.engine.floor import AssignmentError, MissingStateError
from streams.engine.outbox import OutputsError
from streams.engine.seat import ForeignStateError
from streams.engine.wire import Wire
from streams.step import Step

EXPLAINED = (ForeignStateError, OutputsError, MissingStateError, StoreUnavailable, AssignmentError, TopicsError)
"""Failures whose message says what to do; everything else is a defect and is shown with its traceback."""

log = logging.getLogger("throughline.worker")


def run(settings: Settings, topology: tuple[Step, ...], wire: Wire) -> int:
    """Run a worker in the main thread; return 0 after SIGTERM or SIGINT, 1 after a failure, which it prints.

    After a failure nothing more is written or acknowledged: the next start takes in again what was under way.
    """
    _log_to_stderr()
    try:
        engine = app(settings, topology, wire)
    except EXPLAINED as error:
        log.error("%s", error)
        return 1
    engine.metrics.serve(settings.metrics_port)
    worker = Worker(engine, engine.floor, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as ending:
        return int(ending.code or 0)


def _log_to_stderr() -> None:
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    lines.addFilter(_without_needless_traceback)
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.getLogger("throughline").setLevel(logging.INFO)


def _without_needless_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RuntimeError) and "Event loop is closed" in str(error):
        return False  # Faust stops its consumer thread twice after a crash; the cause was told before
    if isinstance(error, EXPLAINED):
        record.msg, record.args = "stopping: %s", (error,)
        record.exc_info = None
    return True
