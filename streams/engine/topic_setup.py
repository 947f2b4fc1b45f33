"""Topics as the product needs them: what each should be, what the brokers have, and how to get from one to the other.

Source topics keep everything unless the settings say for how long: brokers go by the time that records carry, so a
history loaded with times of its own would be gone before it is read. Internal topics keep what a worker that was away
still has to read, and so do those of heartbeats; public topics keep everything, as they are the record of what was
billed. The changelog and what feeds remember are compacted and nothing else: they are state. No other topic may be
compacted: source topics are keyed by project, and many rows share a key.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.debezium import HEARTBEAT_PREFIX
from streams.config import Settings
from streams.engine.clients import admin_client
from streams.engine.cluster import TopicsError, changelog_of
from streams.engine.writer import RECORD_BYTES_MAX
from streams.topics import DEAD_LETTERS, FEED_MEMORY, TOPICS, Role

_ANSWER_SECONDS_MAX = 30.0
_DAY_MS = 24 * 60 * 60 * 1000
_REPLICAS_WANTED = 3

_FOR_GOOD = -1
_INTERNAL_MS = 7 * _DAY_MS
_CHANGELOG = {
    "cleanup.policy": "compact",
    "delete.retention.ms": str(7 * _DAY_MS),
    "min.cleanable.dirty.ratio": "0.3",
    "segment.ms": str(_DAY_MS),
}


class Wanted(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]


class Finding(NamedTuple):
    """A topic, what was found of it, and what differs: (setting, as it is, as it should be)."""

    wanted: Wanted
    exists: bool
    differing: Sequence[tuple[str, str, str]]
    replicas: int

    @property
    def mendable(self) -> bool:
        """Return whether `apply` can bring it about: partitions and replicas of a topic stay as they were made."""
        return len(self.settable) == len(self.differing)

    @property
    def settable(self) -> list[tuple[str, str, str]]:
        """Return what of it `apply` can set."""
        return [differs for differs in self.differing if differs[0] not in ("partitions", "replicas")]


def wanted_topics(
    settings: Settings, further: Iterable[str] = (), feeds: Iterable[str] = (), between: Iterable[str] = ()
) -> list[Wanted]:
    """Return every topic the product needs, and the changelog of the settings' group.

    `further` are topics that no contract names, such as those of mappings of one's own; they are kept as sources.
    `feeds` are the names of connectors and feeds that send heartbeats. `between` are topics that no contract names
    either, which a step writes and another reads, or which hold what else connectors say; they are kept as internal
    topics.
    """
    days = settings.sources_kept_days
    source_ms = _FOR_GOOD if days is None else days * _DAY_MS
    kept_ms = {Role.SOURCE: source_ms, Role.INTERNAL: _INTERNAL_MS, Role.PUBLIC: _FOR_GOOD}
    roles = {name: topic.role for name, topic in TOPICS.items()}
    roles |= dict.fromkeys(sorted(set(further) - TOPICS.keys()), Role.SOURCE)
    heartbeats = {HEARTBEAT_PREFIX + feed for feed in (*feeds, *settings.feeds_expected)}
    roles |= dict.fromkeys(sorted({*heartbeats, *between}), Role.INTERNAL)
    topics = []
    for name, role in roles.items():
        config: Mapping[str, str] = {"cleanup.policy": "delete", "retention.ms": str(kept_ms[role])}
        if name == DEAD_LETTERS:
            config = {**config, "max.message.bytes": str(RECORD_BYTES_MAX)}  # a dead letter carries its original whole
        if name == FEED_MEMORY:
            config = _CHANGELOG
        topics.append(Wanted(name, settings.partitions, config))
    return [*topics, Wanted(changelog_of(settings.group), settings.partitions, _CHANGELOG)]


class TopicSetup:
    """Compares topics with what is wanted, and brings that about. Raises `TopicsError` where brokers refuse."""

    def __init__(self, settings: Settings, wanted: Sequence[Wanted], replicas: int | None = None) -> None:
        self._brokers = settings.brokers
        self._client = admin_client(settings.brokers)
        self._wanted = wanted
        self._replicas = replicas

    def find(self) -> list[Finding]:
        """Return every topic with what differs."""
        try:
            cluster = self._client.list_topics(timeout=_ANSWER_SECONDS_MAX)
            replicas = self._replicas or min(_REPLICAS_WANTED, len(cluster.brokers))
            known = [wanted.name for wanted in self._wanted if wanted.name in cluster.topics]
            configs = self._configs(known)
        except (KafkaException, TimeoutError) as error:
            raise self._refused(error) from error
        return [
            _finding(wanted, cluster.topics.get(wanted.name), configs.get(wanted.name, {}), replicas)
            for wanted in self._wanted
        ]

    def apply(self, findings: Sequence[Finding]) -> None:
        """Make topics that are not there, and set what differs and can be set."""
        missing = [finding for finding in findings if not finding.exists]
        changed = [finding for finding in findings if finding.exists and finding.settable]
        try:
            if missing:
                self._create(missing)
            if changed:
                self._alter(changed)
        except (KafkaException, TimeoutError) as error:
            raise self._refused(error) from error

    def _create(self, missing: Sequence[Finding]) -> None:
        made = []
        for wanted, _, _, replicas in missing:
            safe = {"min.insync.replicas": str(replicas - 1)} if replicas > 2 else {}
            config = {**wanted.config, **safe}
            made.append(NewTopic(wanted.name, wanted.partitions, replicas, config=config))
        for answer in self._client.create_topics(made, operation_timeout=_ANSWER_SECONDS_MAX).values():
            answer.result(_ANSWER_SECONDS_MAX)

    def _alter(self, changed: Sequence[Finding]) -> None:
        resources = []
        for finding in changed:
            entries = [
                ConfigEntry(setting, should_be, incremental_operation=AlterConfigOpType.SET)
                for setting, _, should_be in finding.settable
            ]
            topic: Any = ResourceType.TOPIC
            resources.append(ConfigResource(topic, finding.wanted.name, incremental_configs=entries))
        for answer in self._client.incremental_alter_configs(resources).values():
            answer.result(_ANSWER_SECONDS_MAX)

    def _configs(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        topic: Any = ResourceType.TOPIC
        asked = [ConfigResource(topic, name) for name in topics]
        answers = self._client.describe_configs(asked) if asked else {}
        return {
            resource.name: {name: str(entry.value) for name, entry in answer.result(_ANSWER_SECONDS_MAX).items()}
            for resource, answer in answers.items()
        }

    def _refused(self, error: KafkaException | TimeoutError) -> TopicsError:
        if isinstance(error, TimeoutError):
            return TopicsError(
                f"brokers {self._brokers}: no answer within {_ANSWER_SECONDS_MAX:g} s; what was asked for may still "
                "come to be: run this again, which does what is left"
            )
        cause = error.args[0]
        return TopicsError(
            f"brokers {self._brokers}: {cause.str()}; check the setting brokers, that Kafka runs, and that topics may "
            "be made and described"
        )


def _finding(wanted: Wanted, found: Any, config: Mapping[str, str], replicas: int) -> Finding:
    if found is None:
        return Finding(wanted, False, (), replicas)
    differing = []
    if len(found.partitions) != wanted.partitions:
        differing.append(("partitions", str(len(found.partitions)), str(wanted.partitions)))
    has = min((len(partition.replicas) for partition in found.partitions.values()), default=0)
    if has < replicas:
        differing.append(("replicas", str(has), str(replicas)))
    differing += [
        (setting, config.get(setting, "unknown"), should_be)
        for setting, should_be in wanted.config.items()
        if config.get(setting) != should_be
    ]
    return Finding(wanted, True, differing, replicas)
