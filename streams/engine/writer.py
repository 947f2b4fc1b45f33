"""The way out: everything a checkpoint writes, in one transaction or at least once.

The writer is told nothing but a `Commit` and keeps nothing: what it has not confirmed, the caller still holds.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from faust.types import TP

from streams.engine.probe import Probe, unwatched
from streams.engine.round import Commit, Fenced, MembershipOver, WriteError
from streams.engine.transport.producer import Encoded

log = logging.getLogger("throughline.writer")

RECORD_BYTES_MAX = 32 * 1024 * 1024
"""A dead letter carries its original whole, so the limit is above that of any source."""

_ANSWER_SECONDS_MAX = 5.0
_STUCK_SECONDS = 2 * _ANSWER_SECONDS_MAX
_PAUSE_SECONDS = 0.5
_QUEUED_RECORDS_MAX = 2_000_000
_QUEUED_KBYTES_MAX = 1024 * 1024


class _Writing:
    """What both writers share: a producer, the changelog, and patience."""

    def __init__(self, config: Mapping[str, Any], changelog: str, patience_s: float) -> None:
        self._config = {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # Kafka's own, so that all writers agree where a key lives
            "message.max.bytes": RECORD_BYTES_MAX,
            "queue.buffering.max.messages": _QUEUED_RECORDS_MAX,
            "queue.buffering.max.kbytes": _QUEUED_KBYTES_MAX,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "compression.type": "lz4",  # brokers store and send a third of the bytes, and it costs less than it saves
            "retry.backoff.ms": 20,
            "reconnect.backoff.max.ms": 2_000,
            "log_level": 4,
            **config,
        }
        self._changelog = changelog
        self._patience_s = patience_s
        self._made: Producer | None = None

    @property
    def _producer(self) -> Producer:
        assert self._made is not None  # opened before it writes
        return self._made

    def _make(self) -> None:
        self._made = Producer(self._config, logger=log)

    def close(self) -> None:
        """Let go of the brokers."""
        if self._made is not None:
            self._made.purge()
            self._made = None

    def _produce(self, commit: Commit, told: Callable[..., None] | None) -> None:
        """Queue all records of a round; the last changelog entry of each partition tells where it lands."""
        self._queue_outputs(commit.outputs, told)
        changelog = self._changelog
        for partition, entries in commit.changes.items():
            self._queue((changelog, value, key, partition, told, told) for key, value in entries[:-1])
            key, value = entries[-1]
            landing = _landing(commit, partition, told)
            self._queue([(changelog, value, key, partition, landing, landing)])

    def _queue_outputs(self, outputs: Sequence[Encoded], told: Callable[..., None] | None) -> None:
        self._queue(
            (topic, value, key, partition, told, told, max(timestamp, 0), headers)
            for topic, key, value, timestamp, partition, headers in outputs
        )

    def _queue(self, records: Iterable[tuple[Any, ...]]) -> None:
        """Queue records, each as the client's positional arguments.

        They are topic, value, key, partition, callback, on_delivery (its other name), timestamp, headers. Names would
        cost a third more, and so would a call of our own for each: nothing is called as often.
        """
        produce = self._producer.produce
        for arguments in records:
            while True:
                try:
                    produce(*arguments)
                    break
                except BufferError:
                    self._producer.poll(0.05)
                except KafkaException as exception:
                    raise _refusal(arguments[0], exception.args[0]) from exception


def _landing(commit: Commit, partition: int, told: Callable[..., None] | None) -> Callable[..., None]:
    def landed(error: KafkaError | None, message: Message) -> None:
        if error is None:
            commit.ends[partition] = (message.offset() or 0) + 1
        if told is not None:
            told(error, message)

    return landed


_BROKEN = frozenset((KafkaError._STATE, KafkaError._FATAL))
"""The brokers have refused something of the transaction meanwhile: the client takes no more of it."""

_OVER = frozenset((KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS))
_FENCED = frozenset(
    (
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
    )
)


class _Broken(WriteError):
    """A transaction can only be aborted, which also tells why."""


def _refusal(topic: str, error: KafkaError) -> WriteError:
    if error.fatal() or error.code() in _BROKEN:
        return _Broken(f"produce: {error.str()}")
    return WriteError(f"topic {topic}: {error.str()}")


class _Aborted(Exception):
    """A transaction was aborted, and may be tried again."""


class Transactions(_Writing):
    """Writes transactions under an identity: readers of committed records see all of one or nothing.

    `rival` says of whoever is fenced who may be the other. `aborted` is told of each transaction that is written again.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        identity: str,
        timeout_ms: int,
        patience_s: float,
        aborted: Callable[[], None],
        rival: str,
        changelog: str = "",
    ) -> None:
        super().__init__(
            {"transactional.id": identity, "transaction.timeout.ms": timeout_ms, **config}, changelog, patience_s
        )
        self._aborted = aborted
        self._rival = rival
        self._deadline = 0.0

    def open(self) -> None:
        """Fence whoever went by the same identity, and abort what it left open."""
        self._deadline = time.monotonic() + self._patience_s
        self._begin()

    def _begin(self) -> None:
        self._make()
        try:
            self._until_done("init_transactions", self._producer.init_transactions)
        except _Aborted as error:
            raise WriteError(str(error)) from error

    def _whole(self, attempt: Callable[[], None]) -> None:
        """Write a transaction; one that had to be aborted for no fault of ours is tried again."""
        self._deadline = time.monotonic() + self._patience_s
        while True:
            try:
                attempt()
                return
            except _Aborted as error:
                self._aborted()
                if time.monotonic() >= self._deadline:
                    raise WriteError(f"{error}; given up after {self._patience_s:.0f} s") from error
                log.warning("%s; the round is written again", error)
                time.sleep(_PAUSE_SECONDS)

    def _filled(self, fill: Callable[[], None]) -> None:
        """Queue the records of a transaction; one that brokers have broken meanwhile is aborted."""
        try:
            fill()  # what is not delivered fails the transaction
        except _Broken as error:
            self._abort()
            raise _Aborted(str(error)) from error

    def write_records(self, records: Sequence[Encoded]) -> None:
        """Write records in one transaction. Raises `Fenced` or `WriteError`."""
        self._whole(lambda: self._attempt_records(records))

    def _attempt_records(self, records: Sequence[Encoded]) -> None:
        self._until_done("begin_transaction", lambda _timeout: self._producer.begin_transaction())
        self._filled(lambda: self._queue_outputs(records, None))
        self._until_done("commit_transaction", self._producer.commit_transaction)

    def _until_done(self, name: str, call: Callable[[float], Any]) -> None:
        """Make a call of the transaction, again while that helps."""
        while True:
            try:
                call(_ANSWER_SECONDS_MAX)
                return
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.fatal():
                    raise self._final(name, error) from exception
                if error.txn_requires_abort() or error.code() in _OVER:
                    self._abort()
                    raise self._after_abort(name, error) from exception
                if not error.retriable() or time.monotonic() >= self._deadline:
                    raise WriteError(f"{name}: {error.str()}") from exception
                log.warning("%s: %s; tried again", name, error.str())

    def _final(self, name: str, error: KafkaError) -> WriteError:
        if error.code() in _FENCED:
            return Fenced(f"{name}: {error.str()}; {self._rival}")
        return WriteError(f"{name}: {error.str()}")

    def _after_abort(self, name: str, error: KafkaError) -> Exception:
        if error.code() in _OVER:
            return MembershipOver(f"{name}: {error.str()}")
        if error.code() == KafkaError.FENCED_INSTANCE_ID:
            return self._final(name, error)
        return _Aborted(f"{name}: {error.str()}")

    def _abort(self) -> None:
        while True:
            try:
                self._producer.abort_transaction(_ANSWER_SECONDS_MAX)
                return
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if not error.retriable() or time.monotonic() >= self._deadline:
                    raise self._final("abort_transaction", error) from exception


class ExactlyOnce(Transactions):
    """A round is one transaction: readers of committed records see all of it or nothing, and state and group follow.

    Offsets go first. Brokers refuse those of a worker that the group has given up, so it writes no record; and once
    they are taken, who is given its partitions waits until the transaction is over, and after that it is fenced.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        changelog: str,
        identity: str,
        timeout_ms: int,
        patience_s: float,
        probe: Probe = unwatched,
        aborted: Callable[[], None] = lambda: None,
    ) -> None:
        rival = (
            f"another worker goes by the identity {identity} (that of this state folder), or this one was away for "
            "longer than its transaction may last"
        )
        super().__init__(config, identity, timeout_ms, patience_s, aborted, rival, changelog)
        self._probe = probe

    def write(self, commit: Commit) -> None:
        """Write a round in one transaction; one that had to be aborted for no fault of ours is tried again."""
        self._whole(lambda: self._attempt(commit))

    def _attempt(self, commit: Commit) -> None:
        if not commit.offsets or commit.member is None:
            raise WriteError("a round without offsets is not written: brokers could not tell whether it may be")
        commit.ends.clear()
        self._until_done("begin_transaction", lambda _timeout: self._producer.begin_transaction())
        self._probe("begun")
        places = [TopicPartition(*tp, offset) for tp, offset in commit.offsets.items()]
        self._until_done(
            "send_offsets_to_transaction", lambda timeout: self._send_offsets(places, commit.member, timeout)
        )
        self._probe("offsets sent")
        self._filled(lambda: self._produce(commit, None))
        self._probe("produced")
        commit.queued()
        self._until_done("commit_transaction", self._producer.commit_transaction)
        self._probe("committed")
        self._producer.poll(0)
        if missing := commit.changes.keys() - commit.ends.keys():
            raise WriteError(f"{self._changelog}: no position was told for partitions {sorted(missing)}")

    def _send_offsets(self, places: list[TopicPartition], member: Any, timeout: float) -> None:
        """Send offsets; where the client does not come back from that, leave it there and go on with another.

        Whatever time it is given, it may wait for ever for a coordinator whose broker was restarted (librdkafka's
        issues 5456 and 5511). Nothing can have been committed yet, and the other client has the transaction aborted.
        """
        producer, answer = self._producer, Future[None]()

        def send() -> None:
            try:
                producer.send_offsets_to_transaction(places, member, timeout)
            except BaseException as error:
                answer.set_exception(error)
            else:
                answer.set_result(None)

        threading.Thread(target=send, name="offsets", daemon=True).start()
        try:
            answer.result(_STUCK_SECONDS)
        except TimeoutError as error:
            self._begin()
            raise _Aborted(
                "send_offsets_to_transaction: the Kafka client does not come back, and is replaced"
            ) from error


class AtLeastOnce(_Writing):
    """A round is written, then acknowledged: a crash in between writes it again, with the same identities."""

    def __init__(
        self,
        config: Mapping[str, Any],
        changelog: str,
        patience_s: float,
        acknowledge: Callable[[Mapping[TP, int]], None],
        probe: Probe = unwatched,
    ) -> None:
        super().__init__({"message.timeout.ms": round(patience_s * 1000), **config}, changelog, patience_s)
        self._acknowledge = acknowledge
        self._probe = probe
        self._failures: list[str] = []

    def open(self) -> None:
        """Get ready to write."""
        self._make()

    def write(self, commit: Commit) -> None:
        """Write a round, wait until the brokers have all of it, then acknowledge its input."""
        self._failures.clear()
        commit.ends.clear()
        self._produce(commit, self._delivered)
        self._probe("produced")
        commit.queued()
        self._producer.flush(self._patience_s + _ANSWER_SECONDS_MAX)
        left = len(self._producer)
        if self._failures or left:
            first = self._failures[0] if self._failures else f"{left} unanswered after {self._patience_s:.0f} s"
            raise WriteError(
                f"{len(self._failures) + left} records were not written, first: {first}. Are the brokers reachable?"
            )
        if commit.offsets and commit.member is not None:
            try:
                self._acknowledge(commit.offsets)
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.code() in _OVER:
                    raise MembershipOver(f"commit: {error.str()}") from exception
                if error.code() == KafkaError.FENCED_INSTANCE_ID:
                    raise Fenced(f"commit: {error.str()}; another worker uses this one's state folder") from exception
                raise WriteError(f"commit: {error.str()}") from exception
            except TimeoutError as exception:
                raise WriteError("commit: no answer; are the brokers reachable?") from exception
        self._probe("committed")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(f"topic {message.topic()}, key {message.key()!r}: {error.str()}")
