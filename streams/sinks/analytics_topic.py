"""The analytics topic as a target: facts are published once each, and their place in the log is the receipt.

Owns neither the facts (they come encoded, as the rules built them) nor the producer: `publish` and `lookup` are given.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from pydantic import ConfigDict

from streams.domain.posting import Status, posting_id_of
from streams.sinks.contract import Answers, Receipt, Retriable, receipt_of

Headers = Sequence[tuple[str, bytes]]


class Place(NamedTuple):
    """Where a record stands in a log."""

    topic: str
    partition: int
    offset: int


class Publication(Protocol):
    """A record on its way, such as an `asyncio.Future` or a `concurrent.futures.Future` of its place."""

    def done(self) -> bool:
        """Return whether the outcome is known."""

    def exception(self) -> BaseException | None:
        """Return why it was not published, or None. Only once done."""

    def result(self) -> Place:
        """Return where it stands. Only once done."""


Publish = Callable[[str, bytes, Headers], Publication]
"""Publish a value under a key.

Raises, without having taken it, BufferError when the producer's queue is full, and ValueError for a record that can
never be published, such as one that is too large.
"""


class Published(NamedTuple):
    """A fact found in the topic: its id, from the header `fact_id`, and where it stands."""

    fact_id: str
    place: Place


Lookup = Callable[[Collection[str]], Mapping[str, Published]]
"""Return those of these posting ids that the topic holds already, by the header `posting_id`."""


@dataclass(frozen=True, slots=True)
class FactPosting:
    """One fact on its way into a topic. `trigger_id` is the fact's id, `value` the encoded record, shipped as it is."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    posting_id: str
    trigger_id: str
    system: str
    kind: str
    key: str
    value: bytes
    contract_number: str | None
    project_id: str | None
    reverses: None = None

    @property
    def order_key(self) -> str:
        """Facts of one record key are published in order."""
        return self.key


def fact_posting(
    system: str,
    fact_id: str,
    kind: str,
    key: str,
    value: bytes,
    *,
    contract_number: str | None = None,
    project_id: str | None = None,
) -> FactPosting:
    """Return the posting of a fact whose id is the same whenever it is computed again."""
    posting_id = posting_id_of(system, fact_id)
    return FactPosting(posting_id, fact_id, system, kind, key, value, contract_number, project_id)


class AnalyticsTopic:
    """A topic as a sink of facts.

    Where `publish` takes part in the transaction that commits the delivery memory, nothing can be in the topic that is
    not in the memory, and `lookup` may find nothing. Otherwise it must read what was published since the last commit.
    """

    pipelined = False  # a publication that fails would be overtaken by those behind it
    answers_later = True
    calls_at_once = 1
    postings_per_call = 10_000
    answer_ms_max = 0
    stale_ms_max = 0

    def __init__(self, system: str, publish: Publish, lookup: Lookup) -> None:
        self.system = system
        self._publish = publish
        self._lookup = lookup
        self._on_the_way: dict[str, tuple[FactPosting, Publication]] = {}

    def post(self, postings: Sequence[FactPosting], now: int) -> list[Receipt]:
        """Publish facts in order; one whose key has another on its way is left for later."""
        busy = {posting.key for posting, _ in self._on_the_way.values()}
        receipts: list[Receipt] = []
        for posting in postings:
            if posting.key in busy:
                continue
            try:
                publication = self._publish(posting.key, posting.value, _headers(posting))
            except BufferError as error:
                if receipts:
                    break
                raise Retriable(f"{self.system}: the producer's queue is full", nothing_sent=True) from error
            except ValueError as error:
                receipts.append(receipt_of(posting, Status.REJECTED, answered_at=now, error=str(error)))
                continue
            receipt = self._receipt(posting, publication, now)
            if receipt.status is not Status.POSTED:
                busy.add(posting.key)
            if receipt.status is Status.SENT:
                self._on_the_way[posting.posting_id] = (posting, publication)
            receipts.append(receipt)
        return receipts

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Return a receipt for each of these that is on its way or in the topic."""
        receipts = []
        for posting_id, (posting, _) in self._on_the_way.items():
            if posting_id in posting_ids:
                receipts.append(receipt_of(posting, Status.SENT))
        for posting_id, (fact_id, place) in self._lookup(posting_ids).items():
            if posting_id not in self._on_the_way:
                receipts.append(
                    Receipt(
                        posting_id,
                        fact_id,
                        self.system,
                        _document_id(place),
                        Status.POSTED,
                        1,
                        None,
                        None,
                        None,
                        None,
                        None,
                    )
                )
        return receipts

    def poll(self, now: int) -> Answers:
        """Return what became of the facts on their way."""
        arrived = [(posting, publication) for posting, publication in self._on_the_way.values() if publication.done()]
        for posting, _ in arrived:
            del self._on_the_way[posting.posting_id]
        return Answers(tuple(self._receipt(posting, publication, now) for posting, publication in arrived))

    def close(self) -> None:
        """Forget what is on its way; the next sink asks for it."""
        self._on_the_way.clear()

    def _receipt(self, posting: FactPosting, publication: Publication, now: int) -> Receipt:
        if not publication.done():
            return receipt_of(posting, Status.SENT, first_sent_at=now)
        failure = publication.exception()
        if failure is not None:
            # A producer that gives up does not know whether the broker has it.
            return receipt_of(posting, Status.UNKNOWN, first_sent_at=now, error=f"{type(failure).__name__}: {failure}")
        document_id = _document_id(publication.result())
        return receipt_of(posting, Status.POSTED, document_id=document_id, first_sent_at=now, answered_at=now)


def _headers(posting: FactPosting) -> Headers:
    named = (("posting_id", posting.posting_id), ("fact_id", posting.trigger_id), ("kind", posting.kind))
    return tuple((name, value.encode()) for name, value in named)


def _document_id(place: Place) -> str:
    return f"{place.topic}-{place.partition}-{place.offset}"
