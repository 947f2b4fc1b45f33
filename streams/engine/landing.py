"""Where feeds land: each batch is one transaction of its changes, its rejects, and what the feed remembers.

A feed goes by a transactional id of its own, so that one that was thought dead and wakes cannot write any more. What it
remembers stands in `feed.memory`, all of one feed on one partition, and is read back when the feed begins.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connect.feeds.contract import Batch, Fatal, Memory, Reject
from connect.feeds.runner import Landed, NotLanded
from schemas.registry import Registry, RegistryUnavailable
from streams.config import Settings
from streams.engine.clients import client_config, reader_config
from streams.engine.cluster import TopicsError
from streams.engine.drained import Ends
from streams.engine.feed_bytes import Feed, FeedBytes, memory_key
from streams.engine.round import Fenced, WriteError
from streams.engine.transport.producer import Encoded
from streams.engine.unknown_ids import ForeignIds, check_ids
from streams.engine.writer import Transactions
from streams.partitioning import partition_of
from streams.topics import FEED_MEMORY

log = logging.getLogger("throughline.feed")

_POLL_SECONDS = 0.2
_TOLD_MAX = 5
_SAID_MAX = 200


def identity_of(settings: Settings, feed: Feed) -> str:
    """Return the transactional id that a feed goes by."""
    return f"{settings.group}-{feed.what}-{feed.name}"


class KafkaLanding:
    """The landing of one feed. One object may be used by one thread at a time."""

    def __init__(self, settings: Settings, feed: Feed, registry: Registry) -> None:
        self._settings = settings
        self._feed = feed
        self._registry = registry
        self._bytes = FeedBytes(feed, registry)
        self._writer: Transactions | None = None
        self._partition = 0

    def open(self) -> Memory:
        """Shut out whoever landed under the same name before, and return what the feed remembers.

        Raises `NotLanded` while brokers do not answer, and `Fatal`, also where topics have ids of a registry that is
        not set.
        """
        self.close()
        self._bytes = FeedBytes(self._feed, self._registry)  # a registry may have been given what it lacked
        name, settings = self._feed.name, self._settings
        rival = f"another program runs {self._feed.what} {name} in group {settings.group}; run it once"
        writer = Transactions(
            client_config(settings), identity_of(settings, self._feed), settings.transaction_timeout_ms,
            settings.patience_s, lambda: None, rival,
        )  # fmt: skip
        try:
            check_ids(settings, self._registry)
            writer.open()
            self._writer = writer
            return self._remembered()
        except (Fenced, ForeignIds) as error:
            raise Fatal(f"{name}: {error}") from error
        except TopicsError as error:
            raise NotLanded(f"{name}: {error}") from error
        except WriteError as error:
            raise NotLanded(f"{name}: brokers {settings.brokers}: {error}") from error
        except KafkaException as error:
            raise NotLanded(f"{name}: brokers {settings.brokers}: {error.args[0].str()}") from error

    def land(self, batch: Batch, now: int, beat: bool) -> Landed:
        """Land a batch in one transaction. Raises `NotLanded` or `Fatal`."""
        assert self._writer is not None  # opened first
        rejects, records, newest = list(batch.rejects), list[Encoded](), list[int]()
        try:
            for change in batch.changes:
                encoded = self._bytes.change(change, now)
                if isinstance(encoded, Reject):
                    rejects.append(encoded)
                else:
                    records.append(encoded)
                    newest.append(change.happened_ms)
            landed = Counter(record.topic for record in records)
            records += [self._bytes.letter(reject, now) for reject in rejects]
            records += self._bytes.memory(batch.memory, now, self._partition)
            if beat:
                records.append(self._bytes.heartbeat(now))
            if records:
                self._writer.write_records(records)
        except RegistryUnavailable as error:
            raise NotLanded(f"{self._feed.name}: {error}") from error
        except Fenced as error:
            raise Fatal(f"{self._feed.name}: {error}") from error
        except WriteError as error:
            raise NotLanded(
                f"{self._feed.name}: {error}; are all topics there? see `throughline topics check`"
            ) from error
        self._tell(rejects)
        return Landed(landed, Counter(reject.topic for reject in rejects), max(newest, default=None))

    def close(self) -> None:
        """Let go of the brokers; what is not committed is aborted by whoever comes next."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _tell(self, rejects: Sequence[Reject]) -> None:
        for reject in rejects[:_TOLD_MAX]:
            said = reject.message[:_SAID_MAX]
            log.warning("%s: a reject of %s: %s: %s", self._feed.name, reject.topic, reject.place, said)
        if len(rejects) > _TOLD_MAX:
            log.warning("%s: %d more rejects; all are in dead.letters", self._feed.name, len(rejects) - _TOLD_MAX)

    def _remembered(self) -> dict[str, bytes]:
        """Return what was landed of the feed's memory, up to where the topic ends now.

        Up to the end also behind open transactions of other feeds, which hold readers back for a while: what was landed
        there would be landed again.
        """
        ends = Ends(self._settings.brokers)
        places = ends.places([FEED_MEMORY])
        if not places:
            raise NotLanded(f"{self._feed.name}: there is no topic {FEED_MEMORY}; run `throughline topics apply`")
        self._partition = partition_of(self._feed.remembered_as, len(places))
        place = (FEED_MEMORY, self._partition)
        end, prefix = ends.of([place])[place], memory_key(self._feed, "")
        found: dict[str, bytes] = {}
        for key, value in self._entries(end):
            if not key.startswith(prefix):
                continue
            name = key[len(prefix) :].decode("utf-8", "surrogatepass")
            if value is None:
                found.pop(name, None)
            else:
                found[name] = value
        return found

    def _entries(self, end: int) -> Iterator[tuple[bytes, bytes | None]]:
        config = reader_config(client_config(self._settings), identity_of(self._settings, self._feed))
        consumer = Consumer(config | {"log_level": 3}, logger=log)
        try:
            consumer.assign([TopicPartition(FEED_MEMORY, self._partition, 0)])
            reached, came_at = 0, time.monotonic()
            while reached < end:
                messages = consumer.consume(10_000, _POLL_SECONDS)
                came_at = time.monotonic() if messages else came_at
                if time.monotonic() - came_at > self._settings.patience_s:
                    raise NotLanded(
                        f"{self._feed.name}: {FEED_MEMORY} was not readable to its end for "
                        f"{self._settings.patience_s:g} s; does a transaction hang?"
                    )
                for message in messages:
                    error, offset = message.error(), message.offset() or 0
                    if error is None:
                        reached = offset + 1
                        yield message.key() or b"", message.value()
                    elif error.code() == KafkaError._PARTITION_EOF:
                        reached = max(reached, offset)
                    elif not error.retriable():
                        raise KafkaException(error)
        finally:
            consumer.close()
