"""`throughline worker`: all steps under Faust's worker, until a signal stops it."""

import asyncio
import logging
import os
import random
import signal
import sys
import threading
import time

from faust.worker import Worker

from connect.configuration import UnusableConfiguration
from schemas.codec import Codec
from schemas.evolution import SchemaJudge
from schemas.lined_yaml import UnusableFile
from schemas.mapping import MAPPINGS_FOLDER, OWNERSHIP_FILE, load_mappings, load_ownership
from schemas.registry import RegistryUnavailable
from state.rocks import StoreUnavailable
from streams import compiled
from streams.config import Settings
from streams.doers.opening import load_plan
from streams.engine.activating import activation_step
from streams.engine.app import EngineApp, app
from streams.engine.assignment import AssignmentError, MissingStateError
from streams.engine.changelog import LostChangelogError
from streams.engine.cluster import TopicsError
from streams.engine.doing import doers_of
from streams.engine.feeds import configured_feeds, running
from streams.engine.lanes import targets_in, targets_of
from streams.engine.malloc import few_arenas
from streams.engine.monitor import PortError, serve
from streams.engine.partition import ForeignStateError
from streams.engine.posting import posting_step
from streams.engine.probe import Probe, unwatched
from streams.engine.repeats import Repeats
from streams.engine.round import WriteError
from streams.engine.state_folder import held
from streams.engine.transport.fetching import FetchError
from streams.engine.unknown_ids import ForeignIds, of_own_topics, of_sources
from streams.engine.watch import StalledError
from streams.engine.wire import ContractWire, Wire, registry_of
from streams.intake.reading import Reader
from streams.policy import load_policy
from streams.routes import load_routes
from streams.step import Step
from streams.topology import Rulebook, topology

EXPLAINED = (
    AssignmentError,
    FetchError,
    ForeignIds,
    ForeignStateError,
    LostChangelogError,
    MissingStateError,
    PortError,
    RegistryUnavailable,
    StalledError,
    StoreUnavailable,
    TopicsError,
    UnusableConfiguration,
    UnusableFile,
    WriteError,
)
"""Failures whose message says what to do; everything else is a defect and is shown with its traceback."""

log = logging.getLogger("throughline.worker")

_ORPHANED_SECONDS_MAX = 10.0

_FAUSTS_LAST_WORDS = "We experienced a crash! Reraising original exception..."
"""What a failed worker would end its log with: the cause was told before, and is looked for in the last line."""


def run(settings: Settings, ends_with_input: bool = False) -> int:
    """Run a worker of the whole topology in the main thread; return 0 after SIGTERM or SIGINT, 1 after a failure.

    `ends_with_input` also stops it when standard input closes, so that it ends with the process that started it.
    """
    log_to_stderr()
    if settings.feeds_expected:
        log.info("feeds that must be heard: %s", ", ".join(settings.feeds_expected))
    else:
        log.info("no feed must be heard: nobody is told of one that falls silent; see the setting feeds_expected")
    try:
        steps, wire = steps_of(settings)
    except EXPLAINED as error:
        log.error("%s", error)
        return 1
    return run_steps(settings, steps, wire, ends_with_input)


def steps_of(settings: Settings) -> tuple[tuple[Step, ...], Wire]:
    """Return the topology and its targets as the settings have them, and the wire of its topics.

    Raises `schemas.lined_yaml.UnusableFile` if mappings, ownership, policy, targets, routes, activation or recorded
    schemas cannot be used.
    """
    rulebook, targets, contracts = rulebook_of(settings), targets_in(settings), settings.contracts
    routes = load_routes(settings.routing_file, None if targets is None else targets.names)
    registry = registry_of(contracts)
    judge = SchemaJudge(rulebook.mappings, contracts.passed_schemas)
    codec = Codec(registry, judge=judge, unknown=of_sources(contracts))
    reader = Reader(rulebook.mappings, codec.decode_change, settings.epochs)
    beside = [posting_step(targets_of(settings, routes, targets))]
    if settings.activation_file is not None:
        beside.append(activation_step(doers_of(settings, load_plan(settings.activation_file), random.random)))
    wire = ContractWire(registry, reader, of_own_topics(contracts))
    return (*topology(rulebook, reader, settings.feeds_expected, routes), *beside), wire


def rulebook_of(settings: Settings) -> Rulebook:
    """Return mappings, ownership and policy as the settings have them; raises as `steps_of` does."""
    contracts = settings.contracts
    mappings = load_mappings(contracts.mappings_folder or MAPPINGS_FOLDER, contracts.further_mappings)
    ownership = load_ownership(contracts.ownership_file or OWNERSHIP_FILE, mappings)
    return Rulebook(mappings, ownership, load_policy(settings.policy_file))


def run_steps(
    settings: Settings,
    steps: tuple[Step, ...],
    wire: Wire,
    ends_with_input: bool = False,
    probe: Probe = unwatched,
) -> int:
    """Run a worker of some steps, as `run` does.

    After a failure nothing more is written or acknowledged: the next start takes in again what was under way.
    """
    log_to_stderr()
    few_arenas()
    try:
        how = "compiled" if compiled.in_use() else f"pure Python ({compiled.obstacle()})"
        log.info("a worker of group %s on %s, steps %s", settings.group, settings.brokers, how)
        with held(settings.state_folder) as folder:
            engine = app(settings, steps, wire, folder, probe)
            feeds = configured_feeds(settings, settings.feeds)
            with (
                serve(settings.metrics_host, settings.metrics_port, engine),
                running(settings, feeds, engine.kit.metrics.feeds),
            ):
                return _execute(engine, ends_with_input)
    except EXPLAINED as error:
        log.error("%s", error)
        return 1


def _execute(engine: EngineApp, ends_with_input: bool) -> int:
    worker = Worker(engine, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None
    if ends_with_input:
        threading.Thread(target=_end_with_input, name="input", daemon=True).start()
    try:
        worker.execute_from_commandline()
    except SystemExit as ending:
        return int(ending.code or 0)


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    # Whoever started it may have been killed, and the broker with it: there is nobody left to wait for.
    time.sleep(_ORPHANED_SECONDS_MAX)
    os._exit(1)


def log_to_stderr() -> None:
    """Have what is logged written to standard error, without what nobody needs."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    lines.addFilter(needed)
    lines.addFilter(Repeats())
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.getLogger("throughline").setLevel(logging.INFO)


def needed(record: logging.LogRecord) -> bool:
    """Return whether a line of the log is needed, and leave its traceback out where the message says what to do.

    The last line of a worker that fails is its failure, whoever reports that.
    """
    if str(record.msg).endswith(_FAUSTS_LAST_WORDS):
        return False
    error = record.exc_info[1] if record.exc_info else None
    if record.exc_info and error is None:  # Faust tells of it elsewhere than where it was raised
        error = next((part for part in record.args or () if isinstance(part, BaseException)), None)
        record.exc_info = (type(error), error, error.__traceback__) if error is not None else None
    if isinstance(error, RuntimeError) and "Event loop is closed" in str(error):
        return False  # Faust stops its consumer thread twice after a crash; the cause was told before
    if isinstance(error, asyncio.CancelledError):
        return False  # an agent that is ended with the others, in the middle of a batch: no fault of its own
    if isinstance(error, EXPLAINED):
        record.msg, record.args = "stopping: %s", (error,)
        record.exc_info = None
    return True
