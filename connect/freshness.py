"""How fresh a feed is, which is what counts: a connector that runs may still bring nothing.

Five places know: the topics (when the newest record or heartbeat came), the group of a sink (what it has still to
take), the database (what it keeps for the slot), the notices of connectors (how far a snapshot is), and Connect
(whether one is under way, where no notice is given). Each is a `Look`; what one does not know, another may.
`throughline connect status` takes one glance, `watch` tells Prometheus.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from connect.configuration import PREFIX, Configuration, UnusableConfiguration, resolved
from schemas.debezium import HEARTBEAT_PREFIX

_TOPICS, _PATTERN, _GROUP = "topics", "topics.regex", "consumer.override.group.id"
_READS: Final = frozenset({_TOPICS, _PATTERN})

Newest = Callable[[Iterable[str]], Mapping[str, int]]
"""Topics to the time of the newest record of each, in milliseconds since 1970; without those that have none."""

BehindOf = Callable[[str, Callable[[str], bool]], tuple[int, int | None]]
"""(group, which topics) to how many records it has not taken, and the time of the oldest (milliseconds since 1970)."""


class Freshness(NamedTuple):
    """What is known of a feed; None: not known, or there is no such thing.

    `newest_ms`: when the newest record or heartbeat came, in milliseconds since 1970. `slot_lag_bytes`: log that the
    database keeps since it was confirmed. `snapshot`: how far a snapshot is, in words; empty if none is under way.
    `slot_state`: `reserved`, `extended`, `unreserved` or `lost`, as PostgreSQL has it, or `missing`. `slot_left_bytes`:
    log that may still be written before the slot is lost. `slot_is_read`: whether the connector reads it now.
    `snapshot_rows`, `snapshot_tables_left`: of the newest snapshot, also when it is over. `heard`: whether anything
    ever came. `behind_records`: what a sink has still to take, with `oldest_ms` the time that the oldest of it carries;
    None with 0 records.
    """

    newest_ms: int | None = None
    slot_lag_bytes: int | None = None
    snapshot: str | None = None
    slot_state: str | None = None
    slot_left_bytes: int | None = None
    slot_is_read: bool | None = None
    snapshot_rows: int | None = None
    snapshot_tables_left: int | None = None
    heard: bool | None = None
    behind_records: int | None = None
    oldest_ms: int | None = None

    def filled(self, other: "Freshness") -> "Freshness":
        """Return this, and of the other what is not known here."""
        return self._replace(**{name: value for name, value in other._asdict().items() if getattr(self, name) is None})


class Unknown(Exception):
    """A place cannot be asked; the message says which, and why."""


class Look(Protocol):
    """One place that knows something of how fresh feeds are."""

    def look(self, configuration: Configuration) -> Freshness:
        """Return what is known of one connector or feed. Raises `Unknown`."""


class TopicsLook:
    """When the newest record or heartbeat came, as the topics tell."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest

    def look(self, configuration: Configuration) -> Freshness:
        """Return the newest time over all its topics. Raises `Unknown`."""
        topics = topics_of(configuration)
        if not topics:
            return Freshness()
        newest = self._newest(topics)
        return Freshness(newest_ms=max(newest.values(), default=None), heard=bool(newest))


class SinkLook:
    """What a sink has still to take of its topics, as its consumer group has acknowledged."""

    def __init__(self, behind: BehindOf) -> None:
        self._behind = behind

    def look(self, configuration: Configuration) -> Freshness:
        """Return how many records wait, and since when; nothing of what is no sink. Raises `Unknown`."""
        if brings(configuration):
            return Freshness()
        try:
            group, chosen = group_of(configuration), _chosen(configuration)
        except UnusableConfiguration as error:
            raise Unknown(str(error)) from None
        records, oldest_ms = self._behind(group, chosen)
        return Freshness(behind_records=records, oldest_ms=oldest_ms)


class SnapshotLook:
    """How far a snapshot is, as the connector notes it with its offsets."""

    def __init__(self, offsets: Callable[[str], Sequence[Mapping[str, Any]]]) -> None:
        self._offsets = offsets

    def look(self, configuration: Configuration) -> Freshness:
        """Return the progress of the first, or of a requested snapshot. Raises `Unknown`."""
        if configuration.is_feed:
            return Freshness()
        return Freshness(snapshot=snapshot_progress([entry["offset"] for entry in self._offsets(configuration.name)]))


def brings(configuration: Configuration) -> bool:
    """Whether it brings changes, and so is to be heard: feeds and sources do; a sink reads topics, and does not."""
    return not _READS & configuration.config.keys()


def heard_as(configuration: Configuration) -> str:
    """Return the name under which changes and heartbeats of a connector or feed come (`source.name`)."""
    return configuration.name if configuration.is_feed else configuration.config.get(PREFIX, configuration.name)


def topics_of(configuration: Configuration) -> list[str]:
    """Return the topics that tell of a feed's life: those of its tables, and its heartbeats; none of a sink."""
    if not brings(configuration):
        return []
    prefix = heard_as(configuration)
    return [*(f"{prefix}.{table}" for table in configuration.captured_tables), HEARTBEAT_PREFIX + prefix]


def group_of(configuration: Configuration) -> str:
    """Return the consumer group of a sink."""
    return configuration.config.get(_GROUP, f"connect-{configuration.name}")


def _chosen(configuration: Configuration) -> Callable[[str], bool]:
    """Return which topics a sink reads.

    Raises:
        UnusableConfiguration: A reference is to nothing here, or the pattern is none.
    """
    reads = {key: value for key, value in configuration.config.items() if key in _READS}
    found = resolved(configuration.model_copy(update={"config": reads}))
    if pattern := found.get(_PATTERN):
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise UnusableConfiguration(
                f"{configuration.name}: {_PATTERN}: {pattern!r} cannot be followed here: {error}; name its {_TOPICS}"
            ) from None
        return lambda topic: compiled.fullmatch(topic) is not None
    topics = {topic.strip() for topic in found.get(_TOPICS, "").split(",")}
    return topics.__contains__


def snapshot_progress(offsets: Iterable[Mapping[str, Any]]) -> str:
    """Say how far a snapshot is, from what a Debezium connector keeps with its offsets; empty if none is under way."""
    for offset in offsets:
        if offset.get("snapshot") and not offset.get("last_snapshot_record"):
            return "first snapshot under way"
        if requested := offset.get("incremental_snapshot_collections"):
            tables = [entry["incremental_snapshot_collections_id"] for entry in json.loads(requested)]
            return f"reading {tables[0]}, {len(tables) - 1} to follow" if tables else ""
    return ""
