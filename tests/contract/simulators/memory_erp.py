"""An ERP behind an answering API, in memory: it books at once, and its answer may get lost on the way back."""

from collections.abc import Collection, Sequence

from streams.domain.posting import Posting, Status
from streams.sinks.contract import Answers, Receipt, Retriable, receipt_of
from tests.contract.simulators.faults import Faults


class LostAnswer(Exception):
    """The call ended without an answer: whether it was booked is not known to the caller."""


class Busy(Exception):
    """The ERP took nothing of the call and says when to come again."""

    def __init__(self, retry_after_ms: int | None = None) -> None:
        super().__init__("too many requests")
        self.retry_after_ms = retry_after_ms


class MemoryErp:
    """What is booked, in order. It outlives the worker. It books what comes, twice if it comes twice."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.booked: list[Posting] = []
        self.refused: dict[str, str] = {}
        self.place: dict[str, int] = {}

    def book(self, posting: Posting) -> str | None:
        """Book a posting and return why not, or None."""
        reason = self.refused.get(posting.trigger_id)
        if reason is None:
            self.booked.append(posting)
            self.place[posting.posting_id] = len(self.booked)
        return reason


class MemorySink:
    """The sink of a MemoryErp, as small as the contract allows."""

    pipelined = False
    answers_later = False
    calls_at_once = 1
    postings_per_call = 10_000
    answer_ms_max = 0
    stale_ms_max = 0

    def __init__(self, system: str, erp: MemoryErp) -> None:
        self.system = system
        self._erp = erp

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        receipts: list[Receipt] = []
        unclear: set[str] = set()
        for posting in postings:
            if posting.order_key in unclear:
                continue
            try:
                reason = self._erp.faults.step(lambda posting=posting: self._erp.book(posting))  # type: ignore[misc]
            except LostAnswer:
                unclear.add(posting.order_key)
                receipts.append(receipt_of(posting, Status.UNKNOWN, first_sent_at=now, error="no answer"))
            except Busy as busy:
                if receipts:
                    break
                raise Retriable(str(busy), nothing_sent=True, retry_after_ms=busy.retry_after_ms) from busy
            else:
                receipts.append(self._receipt(posting, reason, now))
        return receipts

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        places = [self._erp.place[posting_id] for posting_id in posting_ids if posting_id in self._erp.place]
        return [self._receipt(self._erp.booked[place - 1], None, None) for place in places]

    def poll(self, now: int) -> Answers:  # noqa: ARG002 - it has answered already
        return Answers()

    def close(self) -> None:
        pass

    def _receipt(self, posting: Posting, reason: str | None, now: int | None) -> Receipt:
        if reason is not None:
            return receipt_of(posting, Status.REJECTED, answered_at=now, error=reason)
        document_id = f"DOC-{self._erp.place[posting.posting_id]}"
        return receipt_of(posting, Status.POSTED, document_id=document_id, first_sent_at=now, answered_at=now)
