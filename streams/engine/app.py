"""The Faust app of a worker: one agent a step, the transport below them, checkpoints beside."""

import asyncio
import gc
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any, cast

import faust
from faust.types import TP
from prometheus_client import CollectorRegistry

from streams.collecting import spare_what_is_loaded
from streams.config import Guarantee, Settings
from streams.engine.agents import enlist
from streams.engine.assignment import Assignment
from streams.engine.changelog import Changelog
from streams.engine.checkpoint import Checkpoints
from streams.engine.clients import client_config
from streams.engine.clock import Clock, system_clock
from streams.engine.cluster import changelog_of, check_topics, deletions_kept_ms
from streams.engine.group import GroupMember
from streams.engine.kit import Kit
from streams.engine.metrics import Metrics
from streams.engine.probe import Probe, unwatched
from streams.engine.round import Writer
from streams.engine.state_folder import StateFolder
from streams.engine.transport import driver
from streams.engine.transport.acks import Acks
from streams.engine.transport.consumer import Consumer
from streams.engine.transport.producer import Encoded, Producer
from streams.engine.watch import Watch
from streams.engine.wire import Wire
from streams.engine.writer import AtLeastOnce, ExactlyOnce
from streams.step import Step

_COLLECTED_AFTER = (500_000, 20, 100)
"""When the garbage collector looks: some ten thousand records are always on their way, and by Python's thresholds it
would look through them again and again."""

_OF_DELETIONS = 0.9
"""A database is rebuilt when its age comes this near to how long the changelog keeps deletions."""

_STREAM_EVENTS_MAX = 1_000
"""Single events that wait at an agent, at most."""


class EngineApp(faust.App):
    """Faust's app, with what the engine adds."""

    owner: GroupMember
    acks: Acks
    assignment: Assignment
    kit: Kit
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
        spare_what_is_loaded(*_COLLECTED_AFTER)

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
        return self.kit.metrics.registry

    def health(self) -> tuple[bool, dict[str, object]]:
        """Return whether every partition with records waiting moves, how far each is, what does not move or hangs.

        What is held waits for somebody who changes a setting or a mapping: a restart would not help, so it is well.
        """
        stalled, blocked_s = dict(self.watch.stalled), self.watch.blocked_s(time.monotonic())
        told = {f"{tp.topic}/{tp.partition}": round(seconds, 1) for tp, seconds in stalled.items()}
        well = max((blocked_s, *stalled.values())) < self.watch.stall_s
        waiting = self.watch.waiting
        waits = {str(number): waiting.get(number, "restoring") for number in sorted(self.assignment.partitions)}
        return well, {
            "waiting_records": waits,
            "without_progress_s": told,
            "blocked_s": round(blocked_s, 1),
            "held": self.assignment.held(),
        }

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Return whether all partitions held are restored and nothing outside is waited for, and what is missing."""
        restored, missing, waits = self.assignment.ready(), self.kit.wire.unavailable(), self.checkpoints.waits_for()
        registry = "ok" if self.kit.settings.contracts.registry_url else "none set"
        told: dict[str, object] = {
            "assigned": self.assignment.generation >= 0,
            "restored": restored,
            "registry": missing or registry,
            "waits_for": waits or "nothing",
        }
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

    def fence(self) -> dict[Any, int]:
        """Return an offset up to which agents have acknowledged all, though it has not moved."""
        return dict(islice(self.acks.reached().items(), 1))

    def caught_up(self) -> bool:
        """Return whether all there was has been taken in, as far as fetching knows."""
        return cast(Consumer, self.consumer).caught_up()

    def hold(self, tp: TP, generation: int) -> None:
        """Fetch nothing more of a partition in this assignment."""
        cast(Consumer, self.consumer).hold(tp, generation)


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
    metrics.expect(topology)
    kit = Kit(settings, wire, metrics, clock, probe)
    engine = _faust_app(settings, folder)
    deletions_ms = deletions_kept_ms(settings, changelog_topic, cluster)
    changelog = Changelog(kit, changelog_topic, cluster, round(deletions_ms * _OF_DELETIONS))
    engine.kit, engine.acks = kit, Acks()
    engine.assignment = Assignment(topology, kit, changelog, folder)
    writer = _writer(kit, changelog_topic, folder.identity, engine)
    engine.checkpoints = Checkpoints(engine.assignment, writer, engine, kit)
    engine.owner = GroupMember(kit, folder.identity, engine.assignment, engine.checkpoints)
    engine.owner.join(engine)
    engine.watch = Watch(engine, engine.assignment, kit)
    enlist(engine, engine.checkpoints, topology)
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


def _writer(kit: Kit, changelog: str, identity: str, engine: EngineApp) -> Writer:
    settings, config = kit.settings, client_config(kit.settings)
    if settings.guarantee is Guarantee.EXACTLY_ONCE:
        name, timeout_ms = f"{settings.group}-{identity}", settings.transaction_timeout_ms
        return ExactlyOnce(config, changelog, name, timeout_ms, settings.patience_s, kit.probe, kit.metrics.aborted)

    def acknowledge(offsets: Any) -> None:
        cast(Consumer, engine.consumer).commit_offsets(offsets)

    return AtLeastOnce(config, changelog, settings.patience_s, acknowledge, kit.probe)
