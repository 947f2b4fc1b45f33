"""The durable memory of what was delivered: a trigger posts once, whatever is replayed, and in its contract's order.

Owns intent, order, reversals, batching, backing off, and asking before sending again. Does not own the target (a
`Sink`) nor how memory is stored: writes go to the `Memory` given in, and count once the caller commits it together
with the receipts returned and the consumed input. After a crash the memory may be older than the target; a new
`Delivery` therefore asks the target about everything it has not asked about before, and never sends on trust.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Generic

import msgspec
from sortedcontainers import SortedDict

from streams.domain.posting import posting_id_of
from streams.sinks.contract import (
    FINAL,
    Answers,
    Fatal,
    P,
    Problem,
    Receipt,
    Retriable,
    Sink,
    Skippable,
    Status,
    completed,
    receipt_of,
)
from streams.sinks.memory import Memory


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full (postings), when it is old (ms), and how long to wait after failures (ms, doubling)."""

    postings_max: int = 500
    age_ms_max: int = 60_000
    backoff_ms_first: int = 1_000
    backoff_ms_max: int = 300_000

    def __post_init__(self) -> None:
        """Refuse limits that could never send or never wait. Raises ValueError."""
        if self.postings_max < 1 or self.age_ms_max < 0:
            raise ValueError("limits: postings_max must be at least 1 and age_ms_max at least 0")
        if not 0 < self.backoff_ms_first <= self.backoff_ms_max:
            raise ValueError("limits: backoff_ms_first must be above 0 and at most backoff_ms_max")


@dataclass(slots=True)
class _Open(Generic[P]):
    """A posting without a final answer. `sequence` is its place among the open ones."""

    sequence: int
    posting: P
    intended_at: int
    receipt: Receipt


_encode = msgspec.json.Encoder(decimal_format="string").encode
_receipts = msgspec.json.Decoder(Receipt)


class Delivery(Generic[P]):
    """Delivers postings of one kind to one sink, remembering in one partition's memory.

    Each method returns the receipts that changed; they are to be published with the next commit. A `Fatal` of the sink
    is passed on; if receipts changed before it, they are returned first, and every later `send` and `poll` raises it.
    """

    def __init__(self, sink: Sink[P], memory: Memory, posting_type: type[P], limits: Limits) -> None:
        self._sink = sink
        self._memory = memory
        self._limits = limits
        self._intents: msgspec.json.Decoder[tuple[int, P]] = msgspec.json.Decoder(tuple[int, posting_type])  # type: ignore[valid-type]
        self._open: dict[str, _Open[P]] = {}
        self._pending: SortedDict[int, _Open[P]] = SortedDict()
        self._awaiting: dict[str, _Open[P]] = {}
        self._uncertain: dict[str, _Open[P]] = {}  # of these, whose outcome is unknown
        self._doubtful: dict[str, None] = {}
        self._changed: list[Receipt] = []
        self._problems: list[Problem] = []
        self._failures = 0
        self._failure: str | None = None
        self._retry_at: int | None = None
        self._fatal: Fatal | None = None
        self._next = 0
        self._load()

    @property
    def system(self) -> str:
        """The name of the target system."""
        return self._sink.system

    @property
    def failure(self) -> str | None:
        """Why the last try to send failed, while the next is waited for; None after one that did not."""
        return self._failure

    def intend(self, postings: Iterable[P], now: int) -> list[Receipt]:
        """Remember postings as to be delivered; those known already, in whatever state, change nothing."""
        for posting in postings:
            if posting.system != self.system:
                raise ValueError(f"posting {posting.posting_id} is for {posting.system}, not for {self.system}")
            if self.receipt(posting.posting_id) is not None:
                continue
            entry = _Open(self._next, posting, now, receipt_of(posting, Status.PENDING))
            self._next += 1
            self._memory.put(self._open_key(entry.sequence), _encode((now, posting)))
            self._hold(entry)
            self._doubt(posting.posting_id, posting.reverses)
            self._changed.append(entry.receipt)  # not kept: that it is open says as much
        return self._drain()

    def send(self, now: int, flush: bool = False) -> list[Receipt]:
        """Send what may be sent: full batches, old ones, or with `flush` everything that waits for no answer."""
        self._raise_fatal()
        if self._retry_at is not None and now < self._retry_at:
            return self._drain()
        try:
            self._ask()
            while chunk := self._next_chunk(now, flush):
                if not self._post(chunk, now):
                    break
        except Retriable as failure:
            self._back_off(failure, now)
        except Fatal as failure:
            self._fatal = failure
            if not self._changed:
                raise
        else:
            self._failures, self._failure, self._retry_at = 0, None, None
        return self._drain()

    def poll(self, now: int) -> Answers:
        """Take in the answers that have arrived at the sink. `Retriable` is passed on: poll again later."""
        self._raise_fatal()
        return self.record(self._sink.poll(now))

    def record(self, answers: Answers) -> Answers:
        """Take in answers; those to postings unknown to this memory belong to another partition and change nothing."""
        for answer in answers.receipts:
            self._record(answer)
        problems = (*answers.problems, *self._problems)
        self._problems = []
        return Answers(tuple(self._drain()), problems, answers.sound)

    def receipt(self, posting_id: str) -> Receipt | None:
        """Return what is known of a posting, or None if it was never intended here."""
        entry = self._open.get(posting_id)
        if entry is not None:
            return entry.receipt
        stored = self._memory.get(self._receipt_key(posting_id))
        return None if stored is None else _receipts.decode(stored)

    def open_receipts(self) -> list[Receipt]:
        """Return the receipts without a final answer, in order of intent."""
        return [entry.receipt for entry in sorted(self._open.values(), key=lambda entry: entry.sequence)]

    # Asking ---------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        prefix = f"{self.system}/open/"
        for key, stored in self._memory.scan(prefix):
            intended_at, posting = self._intents.decode(stored)
            receipt = self.receipt(posting.posting_id) or receipt_of(posting, Status.PENDING)
            entry = _Open(int(key.removeprefix(prefix)), posting, intended_at, receipt)
            self._hold(entry)
            self._doubt(posting.posting_id, posting.reverses)
            self._next = entry.sequence + 1

    def _doubt(self, posting_id: str, reverses: str | None) -> None:
        if reverses is not None:
            original = posting_id_of(self.system, reverses)
            known = self.receipt(original)
            if known is None or (known.status not in FINAL and original not in self._open):
                self._doubtful[original] = None
        self._doubtful[posting_id] = None

    def _ask(self) -> None:
        """Ask the target about everything of which it may hold more than the memory says."""
        while self._doubtful:
            asked = [
                posting_id for posting_id, _ in zip(self._doubtful, range(self._limits.postings_max), strict=False)
            ]
            found = {receipt.posting_id: receipt for receipt in self._sink.find(asked)}
            for posting_id in asked:
                del self._doubtful[posting_id]
                self._settle(posting_id, found.get(posting_id))

    def _settle(self, posting_id: str, found: Receipt | None) -> None:
        entry = self._open.get(posting_id)
        if found is not None and entry is None and self.receipt(posting_id) is None:
            # The original of a reversal, delivered before this memory began: it belongs to it from now on.
            self._publish(found)
        elif found is not None:
            self._record(found)
        elif entry is not None and entry.receipt.status is not Status.PENDING:
            self._note(entry, replace(entry.receipt, status=Status.PENDING))

    # Choosing -------------------------------------------------------------------------------------------------------

    def _next_chunk(self, now: int, flush: bool) -> list[_Open[P]]:
        """Return the next batch to send, or nothing while it is neither full nor old."""
        ready = self._ready()
        due = flush or len(ready) >= self._limits.postings_max
        if ready and (due or min(entry.intended_at for entry in ready) + self._limits.age_ms_max <= now):
            return ready
        return []

    def _ready(self) -> list[_Open[P]]:
        """Return what may be sent now, in order; what a reversal makes needless is superseded on the way."""
        holding = self._uncertain if self._sink.pipelined else self._awaiting
        blocked = {entry.posting.order_key for entry in holding.values()}
        ready: dict[str, _Open[P]] = {}
        for entry in self._in_order():
            key = entry.posting.order_key
            if key in blocked:
                continue
            if entry.posting.reverses is None or self._may_reverse(entry, entry.posting.reverses):
                ready[entry.posting.posting_id] = entry
            elif entry.receipt.status is Status.PENDING:
                blocked.add(key)
            else:
                ready.pop(posting_id_of(self.system, entry.posting.reverses), None)
            if len(ready) == self._limits.postings_max:
                break
        return list(ready.values())

    def _in_order(self) -> Iterator[_Open[P]]:
        """Yield what is not sent yet, in order of intent; who asks may take some of it away meanwhile.

        A target that has been away for long has left many: no more of them are looked at than are sent.
        """
        place: int | None = None
        while window := list(islice(self._pending.irange(place, inclusive=(False, True)), self._limits.postings_max)):
            for place in window:
                entry = self._pending.get(place)
                if entry is not None:
                    yield entry

    def _may_reverse(self, reversal: _Open[P], trigger_id: str) -> bool:
        """Return whether a reversal may go; if it never has to, give it and its original their final receipts."""
        original_id = posting_id_of(self.system, trigger_id)
        original = self.receipt(original_id)
        if original is None:
            error = f"reverses trigger {trigger_id}, which was never posted to {self.system}"
            self._note(reversal, replace(reversal.receipt, status=Status.REJECTED, error=error))
            return False
        if original.status is Status.POSTED:
            return True
        if original.status in (Status.SENT, Status.UNKNOWN):
            return False
        # Never booked: rejected, or not sent yet and certainly so, since all doubts were asked about before.
        self._note(reversal, replace(reversal.receipt, status=Status.SUPERSEDED))
        superseded = replace(original, status=Status.SUPERSEDED)
        entry = self._open.get(original_id)
        if entry is not None:
            self._note(entry, superseded)
        elif original != superseded:
            self._publish(superseded)
        return False

    # Sending --------------------------------------------------------------------------------------------------------

    def _post(self, chunk: list[_Open[P]], now: int) -> bool:
        """Send one batch and note what came of it; return whether another may follow at once."""
        by_id = {entry.posting.posting_id: entry for entry in chunk}
        try:
            answers = self._sink.post([entry.posting for entry in chunk], now)
        except Skippable as refused:
            return self._reject(by_id, refused.reasons, now)
        except Retriable as failure:
            self._note_failure(chunk, failure, now)
            raise
        for answer in answers:
            entry = by_id.get(answer.posting_id)
            if entry is None or answer.status is Status.PENDING:
                raise Fatal(
                    f"{self.system} answered {answer.status} for posting {answer.posting_id}, not sent by this call"
                )
            first = now if answer.first_sent_at is None else answer.first_sent_at
            self._note(entry, completed(entry.receipt, answer, entry.receipt.attempts + 1, first))
            if answer.status is Status.UNKNOWN:
                self._doubtful[answer.posting_id] = None
        return bool(answers)

    def _reject(self, by_id: dict[str, _Open[P]], reasons: dict[str, str], now: int) -> bool:
        refused = [(by_id[posting_id], reason) for posting_id, reason in reasons.items() if posting_id in by_id]
        if not refused:
            raise Fatal(
                f"{self.system} skipped postings that were not in the call: {', '.join(reasons) or 'none named'}"
            )
        for entry, reason in refused:
            self._note(entry, replace(entry.receipt, status=Status.REJECTED, answered_at=now, error=reason))
        return True

    def _note_failure(self, chunk: list[_Open[P]], failure: Retriable, now: int) -> None:
        status = Status.PENDING if failure.nothing_sent else Status.UNKNOWN
        for entry in chunk:
            receipt = entry.receipt
            first = receipt.first_sent_at
            if first is None and not failure.nothing_sent:
                first = now
            attempts = receipt.attempts + 1
            self._note(
                entry, replace(receipt, status=status, attempts=attempts, first_sent_at=first, error=str(failure))
            )
            if status is Status.UNKNOWN:
                self._doubtful[entry.posting.posting_id] = None

    def _back_off(self, failure: Retriable, now: int) -> None:
        wait_ms = failure.retry_after_ms
        if wait_ms is None:
            # 30 doublings outlast any maximum; the cap keeps the power small in a long outage.
            wait_ms = min(self._limits.backoff_ms_first << min(self._failures, 30), self._limits.backoff_ms_max)
        self._failures, self._failure = self._failures + 1, str(failure)
        self._retry_at = now + wait_ms

    # Remembering ----------------------------------------------------------------------------------------------------

    def _record(self, answer: Receipt) -> None:
        """Take in one answer of the target; a final one stands, unless a rejection turns out to have been posted."""
        known = self.receipt(answer.posting_id)
        if known is None:
            return
        answer = completed(known, answer, max(known.attempts, answer.attempts), answer.first_sent_at)
        entry = self._open.get(answer.posting_id)
        if entry is not None:
            self._note(entry, answer)
            if answer.status is Status.UNKNOWN:
                self._doubtful[answer.posting_id] = None
        elif answer.status in FINAL and (answer.status, answer.document_id) != (known.status, known.document_id):
            corrected = (known.status, answer.status) == (Status.REJECTED, Status.POSTED)
            if known.status not in FINAL or corrected:
                self._publish(answer)
            else:
                self._problems.append(_contradiction(known, answer))

    def _note(self, entry: _Open[P], receipt: Receipt) -> None:
        """Keep an open posting's receipt, and close it when that is final."""
        changed = receipt != entry.receipt
        self._drop(entry)
        entry.receipt = receipt
        if receipt.status in FINAL:
            self._memory.delete(self._open_key(entry.sequence))
            self._doubtful.pop(receipt.posting_id, None)
        else:
            self._hold(entry)
        if changed:
            self._publish(receipt)

    def _publish(self, receipt: Receipt) -> None:
        self._memory.put(self._receipt_key(receipt.posting_id), _encode(receipt))
        self._changed.append(receipt)

    def _hold(self, entry: _Open[P]) -> None:
        self._open[entry.posting.posting_id] = entry
        if entry.receipt.status is Status.PENDING:
            self._pending[entry.sequence] = entry
            return
        self._awaiting[entry.posting.posting_id] = entry
        if entry.receipt.status is Status.UNKNOWN:
            self._uncertain[entry.posting.posting_id] = entry

    def _drop(self, entry: _Open[P]) -> None:
        self._open.pop(entry.posting.posting_id, None)
        self._pending.pop(entry.sequence, None)
        self._awaiting.pop(entry.posting.posting_id, None)
        self._uncertain.pop(entry.posting.posting_id, None)

    def _raise_fatal(self) -> None:
        if self._fatal is not None:
            raise self._fatal

    def _drain(self) -> list[Receipt]:
        changed, self._changed = self._changed, []
        return changed

    def _open_key(self, sequence: int) -> str:
        return f"{self.system}/open/{sequence:020d}"

    def _receipt_key(self, posting_id: str) -> str:
        return f"{self.system}/receipt/{posting_id}"


def _contradiction(known: Receipt, answer: Receipt) -> Problem:
    reason = (
        f"answered as {answer.status} with document {answer.document_id}, but it stands as {known.status} with "
        f"document {known.document_id}; the first answer is kept: correct the document in {known.system}"
    )
    return Problem(known.system, f"posting {known.posting_id} of trigger {known.trigger_id}", reason)
