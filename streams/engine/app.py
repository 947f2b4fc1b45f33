"""The Faust app of a worker: one agent a step, the transport below them, checkpoints beside."""

import asyncio
import gc
import time
from collections.abc import Sequence
from typing import Any, cast

import faust
from prometheus_client import CollectorRegistry

from streams.config import Guarantee, Settings
from streams.engine.agents import enlist
from streams.engine.assignment import Assignment
from streams.engine.changelog import Changelog
from streams.engine.checkpoint import Checkpoints
from streams.engine.clients import client_config
from streams.engine.clock import Clock, system_clock
from streams.engine.cluster import changelog_of, check_topics
from streams.engine.group import GroupMember
from streams.engine.metrics import Metrics
from streams.engine.probe import Probe, unwatched
from streams.engine.state_folder import StateFolder
from streams.engine.transport import driver
from streams.engine.transport.acks import Acks
from streams.engine.transport.consumer import Consumer
from streams.engine.transport.producer import Encoded, Producer
from streams.engine.watch import Watch
from streams.engine.wire import Wire
from streams.engine.writer import AtLeastOnce, ExactlyOnce, Writer
from streams.step import Step

_TOMBSTONES_MS = 20 * 60 * 60 * 1000
"""A store older than this is rebuilt: Kafka keeps deletions in a compacted topic for a day, unless told otherwise."""

_STREAM_EVENTS_MAX = 1_000
"""Single events that wait at an agent, at most."""


class EngineApp(faust.App):
    """Faust's app, with what the engine adds."""

    owner: GroupMember
    acks: Acks
    assignment: Assignment
    metrics: Metrics
    wire: Wire
    checkpoints: Checkpoints
    watch: Watch

    async def on_start(self) -> None:
        """Start the engine's own services before the first record comes."""
        await self.add_runtime_dependency(self.checkpoints)
        await self.add_runtime_dependency(self.watch)
        await super().on_start()

    async def on_started(self) -> None:
        """Take what is there for good out of the garbage collector's rounds: they cost a tenth of the time."""
        await super().on_started()
        gc.collect()
        gc.freeze()

    async def on_stop(self) -> None:
        """Commit what was taken in, and let go of the partitions."""
        await self._stop_consumer()
        await self.owner.revoked()
        await self.on_before_shutdown.send()

    async def _on_agent_error(self, agent: Any, error: BaseException) -> None:  # noqa: ARG002, Faust's signature
        """Acknowledge nothing more, and end: Faust would go on behind the event that failed, and so lose it."""
        self.checkpoints.stop_all()
        await self.crash(error)

    # -- what its watchers ask, from other threads

    def registry(self) -> CollectorRegistry:
        """Return the metrics."""
        return self.metrics.registry

    def health(self) -> tuple[bool, dict[str, object]]:
        """Return whether every partition with records waiting moves, which do not, and whether a step holds up all."""
        stalled = dict(self.watch.stalled)
        told = {f"{tp.topic}/{tp.partition}": round(seconds, 1) for tp, seconds in stalled.items()}
        blocked_s = self.watch.blocked_s(time.monotonic())
        moves = all(seconds < self.watch.stall_s for seconds in (blocked_s, *stalled.values()))
        return moves, {"without_progress_s": told, "blocked_s": round(blocked_s, 1)}

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Return whether all partitions held are restored and nothing outside is waited for, and what is missing."""
        restored, missing, waits = self.assignment.ready(), self.wire.unavailable(), self.checkpoints.waits_for()
        told = {"restored": restored, "registry": missing or "ok", "waits_for": waits or "nothing"}
        return restored and missing is None and waits is None, told

    # -- agents of single events, as a checkpoint sees them

    def take_sent(self) -> Sequence[tuple[Encoded, asyncio.Future[Any]]]:
        """Return what agents have sent since the last call."""
        return cast(Producer, self.producer).take_sent()

    def advanced(self) -> dict[Any, int]:
        """Return the offsets up to which agents have acknowledged all, where they have moved."""
        return self.acks.advanced()

    def committed(self, offsets: dict[Any, int]) -> None:
        """Note offsets as committed."""
        self.acks.committed(offsets)


def app(
    settings: Settings,
    topology: tuple[Step, ...],
    wire: Wire,
    folder: StateFolder,
    probe: Probe = unwatched,
    clock: Clock = system_clock,
) -> EngineApp:
    """Build the Faust app of a worker that runs the steps of a topology in a state folder.

    Raises `TopicsError` if brokers are out of reach or
    partitions differ from the settings.
    """
    changelog_topic = changelog_of(settings.group)
    cluster = check_topics(settings, {changelog_topic, *(t for s in topology for t in (*s.reads, *s.writes))})
    metrics = Metrics()
    engine = _faust_app(settings, folder)
    changelog = Changelog(
        client_config(settings), changelog_topic, cluster, _TOMBSTONES_MS, metrics.restore_left, probe
    )
    assignment = Assignment(topology, settings, wire, metrics, changelog, folder, clock, probe)
    writer = _writer(settings, changelog_topic, folder.identity, engine, metrics, probe)
    checkpoints = Checkpoints(assignment, writer, engine, wire, metrics, clock, settings, probe)
    engine.metrics, engine.checkpoints, engine.assignment, engine.wire = metrics, checkpoints, assignment, wire
    engine.owner = GroupMember(settings, folder.identity, assignment, checkpoints, metrics, probe)
    engine.owner.join(engine)
    engine.acks = Acks()
    engine.watch = Watch(engine, assignment, metrics, clock, settings.stall_s)
    enlist(engine, checkpoints, topology)
    return engine


def _faust_app(settings: Settings, folder: StateFolder) -> EngineApp:
    driver.install()
    faust_folder = folder.path / ".faust"
    faust_folder.mkdir(parents=True, exist_ok=True)
    return EngineApp(
        settings.group,
        broker=[f"{driver.SCHEME}://{address}" for address in settings.brokers.split(",")],
        broker_session_timeout=settings.session_timeout_s,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        stream_buffer_maxsize=_STREAM_EVENTS_MAX,
        TableManager=driver.NoTables,
        Stream=driver.Stream,
        store="memory://",
        datadir=faust_folder,
        web_enabled=False,
        autodiscover=False,
    )


def _writer(
    settings: Settings,
    changelog: str,
    identity: str,
    engine: EngineApp,
    metrics: Metrics,
    probe: Probe,
) -> Writer:
    config = client_config(settings)
    if settings.guarantee is Guarantee.EXACTLY_ONCE:
        name = f"{settings.group}-{identity}"
        timeout, patience = settings.transaction_timeout_ms, settings.patience_s
        return ExactlyOnce(config, changelog, name, timeout, patience, probe, metrics.aborted)

    def acknowledge(offsets: Any) -> None:
        cast(Consumer, engine.consumer).commit_offsets(offsets)

    return AtLeastOnce(config, changelog, settings.patience_s, acknowledge, probe)
