"""A sink for the simulated ERP: one call a posting, and questions for many references at once."""

import json
from collections.abc import Collection, Sequence

from outside.errors import CannotGoOn, Fatal as OutsideFatal, Retriable as Busy
from outside.http import Http, Limits, Uncounted
from streams.domain.posting import Posting, Status
from streams.sinks.contract import Answers, Fatal, Receipt, Retriable, Trouble, receipt_of

ASKED_AT_ONCE = 100


class PlainErp:
    """The ERP at a URL."""

    pipelined = False
    answers_later = False
    postings_per_call = 1
    stale_ms_max = 0

    def __init__(self, system: str, url: str, at_once: int, timeout_s: float, clock: object) -> None:
        self.system = system
        self.calls_at_once = at_once
        self.answer_ms_max = round(timeout_s * 1000)
        self._url = url
        limits = Limits(timeout_s=timeout_s, answer_s_max=timeout_s, at_once=at_once)
        self._http = Http(limits, Uncounted(), clock, lambda _: None)  # type: ignore[arg-type]

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        """Book one posting."""
        [posting] = postings
        document = {
            "reference": posting.posting_id,
            "contract": posting.contract_number,
            "place": posting.revision,
            "amount": str(posting.amount),
        }
        try:
            answer = self._http.request("POST", f"{self._url}/documents", content=json.dumps(document).encode()).json()
        except CannotGoOn as error:
            raise _translated(error) from error
        return [
            receipt_of(posting, Status.POSTED, document_id=str(answer["number"]), first_sent_at=now, answered_at=now)
        ]

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Ask for our references."""
        ids, found = list(posting_ids), []
        for first in range(0, len(ids), ASKED_AT_ONCE):
            references = ",".join(ids[first : first + ASKED_AT_ONCE])
            try:
                found += self._http.get(f"{self._url}/documents", {"references": references})
            except CannotGoOn as error:
                raise _translated(error) from error
        return [_held(self.system, each["reference"], str(each["number"])) for each in found]

    def poll(self, now: int) -> Answers:  # noqa: ARG002
        """It has answered already."""
        return Answers()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()


def _held(system: str, reference: str, number: str) -> Receipt:
    return Receipt(reference, "", system, number, Status.POSTED, 1, None, None, None, None, None)


def _translated(error: CannotGoOn) -> Exception:
    if isinstance(error, Busy):
        trouble = Trouble.BUSY if error.status == 429 else Trouble.DOWN
        return Retriable(
            str(error), nothing_sent=error.nothing_sent, retry_after_ms=error.retry_after_ms, trouble=trouble
        )
    assert isinstance(error, OutsideFatal)
    return Fatal(str(error))
