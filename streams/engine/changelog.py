"""The changelog: from where it comes back, what is missing of it, and how a partition's state is restored from it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from state.rocks import RocksStore
from state.store import Entry
from streams.engine.clients import admin_client, client_config, reader_config
from streams.engine.cluster import TopicsError
from streams.engine.kit import Kit
from streams.engine.metrics import Metrics
from streams.engine.probe import Probe, unwatched

log = logging.getLogger("throughline.restore")

_BATCH_RECORDS_MAX = 20_000
_POLL_SECONDS = 0.2
_PAUSE_SECONDS = 0.5
_TOLD_SECONDS = 2.0
_ANSWER_SECONDS_MAX = 15.0


class LostChangelogError(Exception):
    """The changelog has lost entries that the local state does not have: the state cannot be made whole."""


class Extent(NamedTuple):
    """The first offset of a changelog partition, and the offset behind its last record or mark."""

    start: int
    end: int


class Interrupted(Exception):
    """The partitions are not this worker's any more; what was restored so far is kept."""


class Changelog:
    """The topic that holds the state of all partitions, as the brokers have it."""

    def __init__(self, kit: Kit, topic: str, cluster: str, tombstones_ms: int) -> None:
        self.topic = topic
        self.cluster = cluster
        self._config = client_config(kit.settings)
        self._brokers = kit.settings.brokers
        self._tombstones_ms = tombstones_ms
        self._patience_s = kit.settings.patience_s
        self._metrics = kit.metrics
        self._probe = kit.probe

    def extents(self, partitions: Iterable[int]) -> dict[int, Extent]:
        """Return what the brokers hold of partitions, committed or not; waits for brokers that do not answer.

        Raises `TopicsError` when they have not for as long as the patience lasts.
        """
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return self._ask(partitions)
            except KafkaException as error:
                told = error.args[0].str()
                if time.monotonic() > deadline:
                    raise TopicsError(
                        f"brokers {self._brokers}: topic {self.topic}: {told}; given up after {self._patience_s:.0f} s"
                    ) from error
                log.warning("%s: %s; asked again", self.topic, told)
                time.sleep(_PAUSE_SECONDS)  # in a thread: brokers do not tell when they are back

    def _ask(self, partitions: Iterable[int]) -> dict[int, Extent]:
        # By a client of its own each time: one that has seen a broker before its restart asks under the leader's former
        # epoch, is refused, and does not find out by itself.
        client, found = admin_client(self._brokers), []
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
            asked: dict[TopicPartition, Any] = {TopicPartition(self.topic, number): spec for number in partitions}
            answers = client.list_offsets(asked, request_timeout=_ANSWER_SECONDS_MAX)
            found.append({place.partition: answer.result().offset for place, answer in answers.items()})
        return {number: Extent(start, found[1][number]) for number, start in found[0].items()}

    def start_of(self, store: RocksStore, extent: Extent, now: int) -> int | None:
        """Return the offset to restore a store from, or None if it has to be rebuilt from the beginning.

        It has to be where the log ends before the store's position (another log is in its place), where the log has
        lost what follows the position, and where what it lacks may be deletions older than the log keeps them. Raises
        `LostChangelogError` if the beginning is lost, too.
        """
        position, lost = store.position, extent.start > 0
        # An old store that lacks something is rebuilt, unless the log cannot give it all back.
        keeps = lost or position == extent.end or now - store.written_at <= self._tombstones_ms
        if position is not None and extent.start <= position <= extent.end and keeps:
            return position
        if lost:
            raise LostChangelogError(
                f"{self.topic} begins at offset {extent.start}: what was before is lost, and with it state that "
                f"{store.folder} does not hold; was its cleanup.policy ever other than compact? Bring back a state "
                "folder that is not older, or rebuild under another group"
            )
        return 0 if position is None else None

    def restore(self) -> "Restore":
        """Return a restore, to be run once."""
        return Restore(self._config, self.topic, self._metrics, self._patience_s, self._probe)


class Restore:
    """Brings stores up to their changelog. Runs in a thread of its own; `stop` interrupts it between two batches."""

    def __init__(
        self, config: Mapping[str, Any], topic: str, metrics: Metrics, patience_s: float, probe: Probe = unwatched
    ) -> None:
        self._config = reader_config(config, "throughline-restore") | {
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 50_000,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
            "log_level": 3,
        }
        self._topic = topic
        self._metrics = metrics
        self._patience_s = patience_s
        self._probe = probe
        self._stopping = threading.Event()
        self._running = threading.Lock()

    def stop(self) -> None:
        """Let the restore end after the batch under way, and wait for that."""
        self._stopping.set()
        with self._running:
            pass

    def run(self, starts: Mapping[int, int], ends: Mapping[int, int], stores: Mapping[int, RocksStore]) -> int:
        """Restore each partition up to its end; return how many records were read.

        A record that is not committed yet, or never, holds up nothing but itself: an end is reached once every
        transaction before it is over. Raises `Interrupted`, and `TopicsError` when nothing has come for as long as the
        patience lasts.
        """
        with self._running:
            if self._stopping.is_set():
                raise Interrupted
            consumer = Consumer(self._config, logger=log)
            try:
                consumer.assign([TopicPartition(self._topic, number, start) for number, start in starts.items()])
                return self._run(consumer, starts, ends, stores)
            finally:
                consumer.close()

    def _run(
        self, consumer: Consumer, starts: Mapping[int, int], ends: Mapping[int, int], stores: Mapping[int, RocksStore]
    ) -> int:
        progress = _Progress(sum(ends[n] - starts[n] for n in starts), self._metrics.restored)
        missing, came_at = dict(ends), time.monotonic()
        for number in starts:
            stores[number].begin_restore()
        while missing:
            if self._stopping.is_set():
                raise Interrupted
            fetched = self._fetch(consumer)
            came_at = time.monotonic() if fetched else came_at
            if time.monotonic() - came_at > self._patience_s:
                raise TopicsError(
                    f"topic {self._topic}: nothing came for {self._patience_s:g} s, and partitions "
                    f"{', '.join(map(str, sorted(missing)))} are not restored; are the brokers reachable?"
                )
            for number, (entries, position, records) in fetched.items():
                stores[number].apply_entries(entries, position, _now())
                progress.done(records)
                self._probe("restored a batch")
                self._metrics.restore_left(number, max(0, ends[number] - position))
                if position >= missing.get(number, position + 1):
                    del missing[number]
        for number in starts:
            stores[number].end_restore()
        progress.end()
        return progress.records

    def _fetch(self, consumer: Consumer) -> dict[int, tuple[list[Entry], int, int]]:
        """Return the newest entries by partition with the position they lead to, and how many records they were."""
        fetched: dict[int, dict[bytes, bytes | None]] = {}
        positions: dict[int, int] = {}
        records: dict[int, int] = {}
        for message in consumer.consume(_BATCH_RECORDS_MAX, _POLL_SECONDS):
            number, error = message.partition() or 0, message.error()
            if error is None:
                fetched.setdefault(number, {})[message.key() or b""] = message.value()
                positions[number] = (message.offset() or 0) + 1
                records[number] = records.get(number, 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                positions[number] = max(positions.get(number, 0), message.offset() or 0)
            elif not error.retriable():
                raise KafkaException(error)
        return {
            number: (list(fetched.get(number, {}).items()), position, records.get(number, 0))
            for number, position in positions.items()
        }


class _Progress:
    """Tells how far a restore has come: to Prometheus with every batch, to the log at times."""

    def __init__(self, total: int, told: Callable[[int, float], None]) -> None:
        self.records = 0
        self._total = total
        self._tell = told
        self._began = self._told = time.monotonic()

    def done(self, records: int) -> None:
        self.records += records
        now = time.monotonic()
        rate = self.records / max(now - self._began, 0.001)
        left = max(0, self._total - self.records)
        self._tell(records, left / rate if rate else 0.0)
        if now - self._told >= _TOLD_SECONDS:
            self._told = now
            log.info(
                "restoring: %s of at most %s records, %s a second, at most %.0f s left",
                f"{self.records:,}", f"{self._total:,}", f"{rate:,.0f}", left / rate if rate else 0,
            )  # fmt: skip

    def end(self) -> None:
        seconds = max(time.monotonic() - self._began, 0.001)
        rate = self.records / seconds
        self._tell(0, 0.0)
        if self.records:
            told = f"{self.records:,}", seconds, f"{rate:,.0f}"
            log.info("restored %s records in %.1f s (%s a second)", *told)


def _now() -> int:
    return time.time_ns() // 1_000_000
