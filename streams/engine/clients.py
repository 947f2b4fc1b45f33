"""How Kafka clients are configured: one place for brokers and for what the measurements say pays."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka.admin import AdminClient

from streams.config import Guarantee, Settings

FETCH_BYTES_MAX = 32 * 1024 * 1024
_MAX_POLL_INTERVAL_MS = 300_000
_HEARTBEAT_MS_MAX = 2_000
"""A heartbeat brings word of a rebalance: whoever comes waits for the next one of all the others."""


def client_config(settings: Settings) -> dict[str, Any]:
    """Return what every client needs."""
    return {"bootstrap.servers": settings.brokers, "log_level": 4}


def reader_config(config: Mapping[str, Any], identity: str, *, committed: bool = True) -> dict[str, Any]:
    """Return, from what every client needs, the settings of a consumer that reads partitions of its own choice.

    It is told of ends, and joins no group; without `committed`, it reads also what may still be aborted.
    """
    return {
        **config,
        "group.id": identity,  # asked for by the client; it is never joined
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "auto.offset.reset": "earliest",
        "log_level": 2,  # what fails is raised; it need not write lines
    }


def admin_client(brokers: str) -> AdminClient:
    """Return a client to ask about topics and groups. Hold it: answers that are still to come die with it."""
    return AdminClient({"bootstrap.servers": brokers, "log_level": 2})  # what fails is raised; it need not write lines


def consumer_config(settings: Settings, identity: str) -> Mapping[str, Any]:
    """Return the settings of the worker's consumer."""
    session_ms = round(settings.session_timeout_s * 1000)
    config = client_config(settings) | {
        "group.id": settings.group,
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": min(session_ms // 4, _HEARTBEAT_MS_MAX),
        "max.poll.interval.ms": _MAX_POLL_INTERVAL_MS,
        "partition.assignment.strategy": "range",  # the same partitions of every topic to the same worker
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",  # records that are gone must not be passed over in silence
        "fetch.wait.max.ms": 10,
        "fetch.queue.backoff.ms": 5,  # by default the client stalls for a second whenever its queue is full
        # What is fetched ahead stands in one queue, in the order in which it came. What steps derive for each other
        # waits behind all of it; and what waits for the answer to a question is stored, read back and stored again.
        "queued.min.messages": 5_000,
        "queued.max.messages.kbytes": 64 * 1024,
        "fetch.max.bytes": FETCH_BYTES_MAX,
        "reconnect.backoff.max.ms": 2_000,
    }
    if settings.guarantee is Guarantee.EXACTLY_ONCE:
        config["isolation.level"] = "read_committed"
    if settings.static_membership:
        config["group.instance.id"] = f"{settings.group}-{identity}"
    return config
