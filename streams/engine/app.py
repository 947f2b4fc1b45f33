"""The Faust app of a worker: one agent a step, one floor of seats, rounds of checkpoints."""

from collections.abc import Mapping
from typing import Any

import faust
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faust.types import TP

from streams.config import Settings
from streams.engine import transport
from streams.engine.agents import enlist
from streams.engine.checkpoint import Checkpoint
from streams.engine.floor import Floor
from streams.engine.metrics import Metrics
from streams.engine.outbox import RECORD_BYTES_MAX, ProducerOutbox
from streams.engine.wire import Wire
from streams.step import Step

_ANSWER_SECONDS_MAX = 15.0


class TopicsError(Exception):
    """The brokers do not answer, or their topics do not have the number of partitions that state and keys follow."""


class EngineApp(faust.App):
    """Faust's app, with the floor its agents work on."""

    floor: Floor
    metrics: Metrics

    def positions(self, committed: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Tell the transport from where to read."""
        return self.floor.positions(committed)

    def end_offset(self, tp: TP) -> int | None:
        """Return the end of a partition as of the last fetch, or None before it."""
        return self.consumer.highwater(tp) if self.consumer.assignment() else None


def app(settings: Settings, topology: tuple[Step, ...], wire: Wire) -> EngineApp:
    """Build the Faust app of a worker that runs the steps of a topology.

    Raises `TopicsError` if brokers are out of reach or partitions differ from the settings.
    """
    topics = sorted({topic for step in topology for topic in (*step.reads, *step.writes)})
    cluster = check_topics(settings, topics)
    transport.install()
    faust_folder = settings.state_folder / ".faust"
    faust_folder.mkdir(parents=True, exist_ok=True)
    metrics = Metrics()
    engine = EngineApp(
        settings.group,
        broker=[f"{transport.SCHEME}://{address}" for address in settings.brokers.split(",")],
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 4,
        broker_max_poll_interval=300.0,
        broker_commit_interval=0.5,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=RECORD_BYTES_MAX,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        store="memory://",
        datadir=faust_folder,
        web_enabled=False,
        autodiscover=False,
    )
    outbox = ProducerOutbox(settings.brokers, wire, metrics)
    floor = Floor(topology, settings, wire, Checkpoint(outbox, metrics), metrics, cluster, engine.end_offset)
    engine.floor, engine.metrics = floor, metrics
    _follow_rebalances(engine, floor)
    for step in topology:
        enlist(engine, floor, step)
    return engine


def _follow_rebalances(engine: EngineApp, floor: Floor) -> None:
    async def assigned(_app: Any, partitions: set[TP], **_: Any) -> None:
        await floor.assigned(partitions)

    async def revoked(_app: Any, _partitions: set[TP], **_: Any) -> None:
        await floor.revoked()

    async def stopping(_app: Any, **_: Any) -> None:
        await floor.revoked()

    engine.on_partitions_assigned.connect(assigned, weak=False)  # type: ignore[arg-type]
    engine.on_partitions_revoked.connect(revoked, weak=False)  # type: ignore[arg-type]
    engine.on_before_shutdown.connect(stopping, weak=False)  # type: ignore[arg-type]


def check_topics(settings: Settings, topics: list[str]) -> str:
    """Check that every topic has the partitions of the settings; return the cluster's id.

    Asking for a topic makes it where brokers allow that. Raises `TopicsError` naming the topics that differ.
    """
    client = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 2})
    wrong = []
    try:
        for topic in topics:
            found = client.list_topics(topic, timeout=_ANSWER_SECONDS_MAX).topics[topic]
            if len(found.partitions) != settings.partitions:
                wrong.append(f"{topic} ({found.error or f'{len(found.partitions)} partitions'})")
        cluster = client.list_topics(timeout=_ANSWER_SECONDS_MAX).cluster_id
    except KafkaException as error:
        raise TopicsError(
            f"brokers {settings.brokers}: no answer within {_ANSWER_SECONDS_MAX:.0f} s ({error.args[0].str()}); "
            "check the setting brokers, and that Kafka runs"
        ) from error
    if wrong:
        raise TopicsError(
            f"brokers {settings.brokers}: every topic must have {settings.partitions} partitions (setting partitions), "
            f"or keys would not meet; these differ: {', '.join(wrong)}"
        )
    return str(cluster)
