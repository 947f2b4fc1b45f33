"""A log with partitions, in memory, whose acknowledgements come later, or never."""

from collections.abc import Collection
from concurrent.futures import Future

from streams.sinks.analytics_topic import Headers, Place, Published
from tests.contract.simulators.faults import Faults

PARTITIONS = 4


class MemoryLog:
    """What was published, by partition. It outlives the producer."""

    def __init__(self, topic: str, faults: Faults) -> None:
        self.topic = topic
        self.faults = faults
        self.records: list[list[tuple[str, bytes, dict[str, bytes]]]] = [[] for _ in range(PARTITIONS)]
        self.refused: dict[bytes, str] = {}
        self.answers_lost: list[bool] = []
        """For each of the next publications whose answer gets lost: whether the record itself arrives."""
        self.queue_full = 0
        self._found: dict[str, Published] = {}
        self._unanswered: list[tuple[Future[Place], Place | Exception]] = []

    def publish(self, key: str, value: bytes, headers: Headers) -> "Future[Place]":
        """Append a record; the future is answered by `answer`."""
        if self.queue_full:
            self.queue_full -= 1
            raise BufferError("queue full")
        if value in self.refused:
            raise ValueError(self.refused[value])
        lost = self.answers_lost.pop() if self.answers_lost else None
        future: Future[Place] = Future()
        outcome: Place | Exception = TimeoutError("no acknowledgement")
        if lost is None:
            outcome = self.faults.step(lambda: self._append(key, value, headers))
        elif lost:
            self._append(key, value, headers)
        self._unanswered.append((future, outcome))
        return future

    def answer(self) -> None:
        """Answer every publication that is on its way."""
        unanswered, self._unanswered = self._unanswered, []
        for future, outcome in unanswered:
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def lookup(self, posting_ids: Collection[str]) -> dict[str, Published]:
        """Return where these postings stand."""
        return {posting_id: self._found[posting_id] for posting_id in posting_ids if posting_id in self._found}

    def _append(self, key: str, value: bytes, headers: Headers) -> Place:
        partition = sum(key.encode()) % PARTITIONS
        named = dict(headers)
        self.records[partition].append((key, value, named))
        place = Place(self.topic, partition, len(self.records[partition]) - 1)
        self._found[named["posting_id"].decode()] = Published(named["fact_id"].decode(), place)
        return place
