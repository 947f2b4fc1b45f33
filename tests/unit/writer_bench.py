"""A producer that keeps what it is given, and refuses what the test says, in place of the client's."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from streams.engine import writer
from streams.engine.round import Commit
from streams.engine.transport.producer import ANY_PARTITION, Encoded


class Sent(NamedTuple):
    """A record as it was given to the client."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    timestamp: int


class Delivered:
    """What the client tells of a record that was written."""

    def __init__(self, sent: Sent, offset: int) -> None:
        self._sent, self._offset = sent, offset

    def offset(self) -> int:
        return self._offset

    def topic(self) -> str:
        return self._sent.topic

    def key(self) -> bytes | None:
        return self._sent.key


class FakeProducer:
    """Calls are noted by name; `refuse` lets the next call of a name fail."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.calls: list[str] = []
        self.committed: list[Sent] = []
        self.offsets: list[tuple[dict[tuple[str, int], int], Any]] = []
        self.undelivered: dict[str, KafkaError] = {}
        """Topics whose records are not written, and why."""
        self.unanswered = 0
        self.tells_positions = True
        self.stuck: threading.Event | None = None
        """Until when the next call that sends offsets does not come back."""
        self._refusals: dict[str, list[Exception]] = {}
        self._open: list[tuple[Sent, Any]] = []

    def refuse(self, call: str, *errors: Exception) -> None:
        self._refusals.setdefault(call, []).extend(errors)

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if waiting := self._refusals.get(name):
            raise waiting.pop(0)

    def init_transactions(self, _timeout: float) -> None:
        self._called("init_transactions")

    def begin_transaction(self) -> None:
        self._called("begin_transaction")
        assert not self._open

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        _callback: Any,
        on_delivery: Any = None,
        timestamp: int = 0,
        _headers: Any = None,
    ) -> None:
        if "produce" in self._refusals:
            self._called("produce")
        self._open.append((Sent(topic, value, key, partition, timestamp), on_delivery))

    def send_offsets_to_transaction(self, places: list[Any], member: Any, _timeout: float) -> None:
        self._called("send_offsets_to_transaction")
        if self.stuck is not None:
            stuck, self.stuck = self.stuck, None
            stuck.wait()
            return
        self.offsets.append(({(place.topic, place.partition): place.offset for place in places}, member))

    def commit_transaction(self, _timeout: float) -> None:
        self._called("commit_transaction")
        self._deliver()

    def abort_transaction(self, _timeout: float) -> None:
        self._called("abort_transaction")
        self._open.clear()
        self.offsets.clear()

    def flush(self, _timeout: float) -> int:
        self._called("flush")
        self._deliver()
        return self.unanswered

    def _deliver(self) -> None:
        opened, self._open = self._open, []
        for sent, told in opened:
            error = self.undelivered.get(sent.topic)
            if error is None:
                self.committed.append(sent)
            if told is not None and (self.tells_positions or error):
                told(error, cast(Message, Delivered(sent, len(self.committed) + 99)))

    def poll(self, _timeout: float) -> int:
        self._called("poll")
        return 0

    def purge(self) -> None:
        self._called("purge")

    def __len__(self) -> int:
        return self.unanswered


def refusal(code: int, *, fatal: bool = False, retriable: bool = False, abort: bool = False) -> KafkaException:
    """Return what the client raises for an error of a kind."""
    return KafkaException(KafkaError(code, None, fatal, retriable, abort))


def a_round(**changed: Any) -> Commit:
    """Return a round with two outputs, entries of two partitions and an offset."""
    outputs = [
        Encoded("triggers", b"C1", b"first", 1_000, ANY_PARTITION, None),
        Encoded("margins", None, b"second", -1, 3, None),
    ]
    changes = {0: [(b"a", b"1"), (b"b", None)], 2: [(b"c", b"3")]}
    fields = {"outputs": outputs, "changes": changes, "offsets": {("facts", 0): 7}, "member": "member"}
    return Commit(**(fields | changed))


WRITTEN = [
    Sent("triggers", b"first", b"C1", ANY_PARTITION, 1_000),
    Sent("margins", b"second", None, 3, 0),
    Sent("g.changelog", b"1", b"a", 0, 0),
    Sent("g.changelog", None, b"b", 0, 0),
    Sent("g.changelog", b"3", b"c", 2, 0),
]
"""What a round leaves in Kafka, whole and once."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    made = FakeProducer()

    def make(config: dict[str, Any], **_: Any) -> FakeProducer:
        made.config = config
        return made

    monkeypatch.setattr(writer, "Producer", cast(Callable[..., Any], make))
    monkeypatch.setattr(writer, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(writer, "_STUCK_SECONDS", 0.2)
    return made
