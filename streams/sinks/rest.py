"""What targets behind an API share: calls and what their failures mean, bodies, and one posting after the other.

Owns the translation of what a network does into the classes of `contract`, and the rule that a contract's later
postings wait for an earlier one whose outcome is unknown. Does not own what any ERP is asked, nor what its answers say.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any, Final, Protocol, TypeVar

import msgspec

from outside import errors
from outside.http import Answer, message_of, retry_after_ms
from streams.domain.posting import Posting, Status
from streams.sinks.contract import Fatal, Receipt, Retriable, Skippable, Trouble, receipt_of
from streams.sinks.target_mapping import CustomerMapping, Properties, TargetNames, Unmapped

JSON: Final = {"content-type": "application/json"}
_UNCLEAR: Final = (408, 425)
"""Statuses below 500 that leave open whether the request was carried out."""

LATE_MS_MAX: Final = 300_000
"""How long a call that we gave up on may still be carried out there, and a search may miss what it booked, unless told.

No target publishes either. Whoever asks too early books twice, or takes for unbooked what its reversal then leaves
standing; whoever asks late keeps a contract waiting whose posting's outcome is unknown, which is rare.
"""

_WAITS_OF_A_CALL: Final = 8
"""A posting takes up to four requests, for a login, what to look up, and itself; each connects and is answered."""

_TRIGGER: Final = re.compile(r"trigger ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")

encoded: Final = msgspec.json.Encoder(decimal_format="number").encode
"""JSON as bytes, decimals as numbers to their last digit."""

Item = TypeVar("Item")


class Refused(Exception):
    """A target will never take a posting as it is; the message is the target's own."""


class Calls(Protocol):
    """What makes a request, such as `outside.http.Http`: the answer comes back whatever its status."""

    def answer(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a request. Raises the errors of `outside.errors`."""

    def close(self) -> None:
        """Close all connections."""


class Clock(Protocol):
    """Milliseconds since 1970, UTC."""

    def __call__(self) -> int:
        """Return the time."""


class Rest:
    """One system's API. May be used by several threads.

    Calls return answers from 200 to 499 that say something about what was sent; of these, 429 and 401 never come back.
    `answer_ms_max` is how long a posting's requests take together, where each is given up after `timeout_ms`;
    `late_ms_max` how long one that was given up may still be carried out, and a search may miss what it booked.
    """

    def __init__(
        self,
        system: str,
        url: str,
        http: Calls,
        clock: Clock,
        timeout_ms: int = 30_000,
        late_ms_max: int = LATE_MS_MAX,
    ) -> None:
        self.system = system
        self.answer_ms_max = _WAITS_OF_A_CALL * timeout_ms
        self.late_ms_max = late_ms_max
        self.url = url.rstrip("/")
        self._http = http
        self._clock = clock

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call.

        Raises:
            Retriable: There was no whole answer, or the target is down or busy. A 5xx leaves open what was done.
            Fatal: We cannot log in, or the target sends us elsewhere.
        """
        try:
            answer = self._http.answer(
                method, self.url + path, params=params, content=content, headers={**JSON, **(headers or {})}
            )
        except errors.Retriable as error:
            raise Retriable(
                f"{self.system}: {error}", nothing_sent=error.nothing_sent, retry_after_ms=error.retry_after_ms
            ) from error
        except errors.CannotGoOn as error:
            raise Fatal(f"{self.system}: {error}") from error
        return self.checked(answer)

    def checked(self, answer: Answer) -> Answer:
        """Return an answer that says something about what was sent. Raises as `call` does."""
        if answer.status == 429:
            raise self.busy(answer)
        if answer.status >= 500 or answer.status in _UNCLEAR:
            raise Retriable(self.said(answer), retry_after_ms=self._asked_wait_ms(answer))
        if answer.status == 401:
            raise Fatal(f"{self.said(answer)}; the credentials are refused: correct them")
        if 300 <= answer.status < 400:
            raise Fatal(f"{self.said(answer)}; the target sends us elsewhere: correct its URL")
        return answer

    def read(self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """Return what stands at a path, as JSON. Raises as `call` does, and `Fatal` where reading is refused."""
        answer = self.call("GET", path, params=params, headers=headers)
        if answer.status >= 400:
            raise self.forbidden(answer)
        return self.json(answer)

    def json(self, answer: Answer) -> Any:
        """Return an answer's body as JSON, its fractions as decimals. Raises `Retriable` for one that is cut."""
        try:
            return answer.json()
        except errors.Retriable as error:
            raise Retriable(f"{self.system}: {error}") from error

    def said(self, answer: Answer) -> str:
        """Return what an answer says, with where it came from."""
        return f"{self.system}: {answer.url}: {answer.status}: {message_of(answer.body)}"

    def busy(self, answer: Answer) -> Retriable:
        """Return that the target was asked too much, and did nothing."""
        wait_ms = self._asked_wait_ms(answer)
        return Retriable(self.said(answer), nothing_sent=True, retry_after_ms=wait_ms, trouble=Trouble.BUSY)

    def locked(self, answer: Answer) -> Retriable:
        """Return that what the posting touches is locked by somebody, and nothing was booked."""
        return Retriable(self.said(answer), nothing_sent=True, trouble=Trouble.RECORD)

    def forbidden(self, answer: Answer) -> Fatal:
        """Return that nothing of the kind is allowed or known there, whatever is sent: a person must act."""
        return Fatal(f"{self.said(answer)}; correct the target's URL, or our rights there")

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _asked_wait_ms(self, answer: Answer) -> int | None:
        return retry_after_ms(answer.headers.get("retry-after"), self._clock())


@contextmanager
def sending(*, nothing: bool) -> Iterator[None]:
    """Say of a failure within whether a posting was sent: not by what is read before, but by what is read after."""
    try:
        yield
    except Retriable as error:
        wait_ms, trouble = error.retry_after_ms, error.trouble
        raise Retriable(str(error), nothing_sent=nothing, retry_after_ms=wait_ms, trouble=trouble) from error


def bodies(postings: Sequence[Posting], body_of: Callable[[Posting], Item]) -> dict[str, Item]:
    """Return the body of each posting by its id. Raises `Skippable`, naming all that the mapping does not cover."""
    found, unmapped = {}, {}
    for posting in postings:
        try:
            found[posting.posting_id] = body_of(posting)
        except Unmapped as reason:
            unmapped[posting.posting_id] = str(reason)
    if unmapped:
        raise Skippable(unmapped)
    return found


class Outcomes:
    """What became of the postings of one call, as it is told in the end."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._receipts: list[Receipt] = []
        self._rejected: list[Receipt] = []
        self._failures: list[Fatal | Retriable] = []
        self._held: set[str] = set()

    def holds(self, posting: Posting) -> bool:
        """Return whether an earlier posting of the same order key was not taken, but may be later."""
        return posting.order_key in self._held

    def note(self, posting: Posting, book: Callable[[], str]) -> bool:
        """Book one posting and note what came of it; return whether more may be sent now."""
        try:
            document_id = book()
        except Refused as reason:
            told, now = self._rejected, self._now
            told.append(receipt_of(posting, Status.REJECTED, first_sent_at=now, answered_at=now, error=str(reason)))
        except Retriable as failure:
            self._failures.append(failure)
            self._held.add(posting.order_key)
            if not failure.nothing_sent:
                self._receipts.append(receipt_of(posting, Status.UNKNOWN, first_sent_at=self._now, error=str(failure)))
            return failure.nothing_sent and failure.trouble is Trouble.RECORD
        except Fatal as failure:
            self._failures.append(failure)
            return False
        else:
            self._receipts.append(
                receipt_of(
                    posting, Status.POSTED, document_id=document_id, first_sent_at=self._now, answered_at=self._now
                )
            )
        return True

    def receipts(self) -> list[Receipt]:
        """Return what is to be told, or raise where nothing but refusals or failures came of the call.

        A failure that others went along with is not told: what it left unsent is sent again, and meets it again.
        """
        if any(receipt.status is Status.POSTED for receipt in self._receipts):
            return [*self._receipts, *self._rejected]
        if self._rejected and not self._receipts:
            raise Skippable({receipt.posting_id: receipt.error or "" for receipt in self._rejected})
        if self._failures and not self._rejected:
            # The first unknown outcome, if there is one: then no other may claim that nothing was sent.
            raise min(self._failures, key=lambda failure: isinstance(failure, Retriable) and failure.nothing_sent)
        return [*self._receipts, *self._rejected]


def one_by_one(postings: Sequence[Posting], book: Callable[[Posting], str], now: int) -> list[Receipt]:
    """Book postings in order, each by a call of its own that returns the document's id; return their receipts.

    What comes after a failure is left unsent. A locked record holds up its own order key only.

    Raises:
        Skippable: Nothing was booked, and these were refused.
        Retriable, Fatal: The first call failed. Where several postings are given, all count as if they had been sent.
    """
    outcomes = Outcomes(now)
    for posting in postings:
        if outcomes.holds(posting):
            continue
        if not outcomes.note(posting, lambda posting=posting: book(posting)):  # type: ignore[misc]
            break
    return outcomes.receipts()


def found_receipt(system: str, posting_id: str, document_id: str, note: str) -> Receipt:
    """Return the receipt of a posting that was found at the target, by the document's id and its note."""
    trigger = _TRIGGER.search(note)
    return Receipt(
        posting_id, trigger[1] if trigger else "", system, document_id, Status.POSTED, 1, None, None, None, None, None
    )


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield items by so many, in order."""
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


def booking_date(posting: Posting) -> date:
    """Return the day to book on: of service if its month is still open, else the first of the posting period."""
    if f"{posting.service_date:%Y-%m}" == posting.posting_period:
        return posting.service_date
    return date.fromisoformat(f"{posting.posting_period}-01")


def note_of(posting: Posting) -> str:
    """Return what an accountant reads on the document, and what tells the trigger once it is found again."""
    worth = f", {_plain(posting.quantity)} h at {_plain(posting.rate)}" if posting.quantity and posting.rate else ""
    what = f"{posting.kind} {posting.source_id} of {posting.service_date}{worth}, contract {posting.contract_number}"
    back = " taken back" if posting.reverses else ""
    # The trigger stands first: some targets cut what is long.
    return f"trigger {posting.trigger_id}: {what}{back}"


def named(
    posting: Posting, names: TargetNames[Any], properties: Properties, day: str, text_length: int
) -> dict[str, Any]:
    """Return what a posting says, under the names that the target has for it. Raises `Unmapped`.

    `day` is when it is booked, as the target writes it; text longer than it takes is cut.
    """
    own: CustomerMapping = names.content
    values = {
        properties.amount: posting.amount,
        properties.currency: posting.currency,
        properties.date: day,
        properties.text: note_of(posting)[:text_length],
        properties.company: names.of("company", posting.legal_entity),
        properties.contract: posting.contract_number,
        properties.customer: names.of("customer", posting.erp_customer_id),
        properties.item: names.of("item", posting.billing_code),
        properties.project: posting.project_id and names.of("project", posting.project_id),
        properties.purchase_order: posting.po_number,
        properties.quantity: posting.quantity,
        properties.rate: posting.rate,
        properties.tax: names.of("tax", posting.tax_code) if own.tax else None,
    }
    return {name: value for name, value in values.items() if name is not None and value is not None}


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
