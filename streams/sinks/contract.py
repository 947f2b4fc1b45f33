"""The contract of every target: a Posting goes in, a Receipt comes back, and the class of an error decides what next.

Instants are milliseconds since 1970, UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from streams.domain.posting import Status


class SinkError(Exception):
    """A target did not take what it was given."""


class Fatal(SinkError):
    """Nothing can be delivered until a person acts: wrong credentials, a missing batch. The sink stops."""


class Trouble(StrEnum):
    """What a failure that passes by itself says something about.

    `down`: the target, which does not answer or is broken. `busy`: the pace, it was asked too much. `record`: what was
    sent, such as a record that somebody has locked; the target itself is well.
    """

    DOWN = "down"
    BUSY = "busy"
    RECORD = "record"


class Retriable(SinkError):
    """The target cannot take it now: it is tried again, later and later.

    `nothing_sent` True says for certain that no posting of the call reached the target; otherwise the target is asked
    before anything is sent again. `retry_after_ms` is the wait that the target asked for, if it did.
    """

    def __init__(
        self,
        reason: str,
        *,
        nothing_sent: bool = False,
        retry_after_ms: int | None = None,
        trouble: Trouble = Trouble.DOWN,
    ) -> None:
        super().__init__(reason)
        self.nothing_sent = nothing_sent
        self.retry_after_ms = retry_after_ms
        self.trouble = trouble


class Skippable(SinkError):
    """Some postings of the call can never be taken: they are rejected, the others go on. Nothing was sent.

    `reasons` names each refused posting id and why.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{posting_id}: {reason}" for posting_id, reason in reasons.items()))
        self.reasons = dict(reasons)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of a posting: its status, and the target's answer once there is one.

    `document_id` is the target's own. `attempts` counts how often it was sent, `error` says why it last failed.
    """

    posting_id: str
    trigger_id: str
    system: str
    document_id: str | None
    status: Status
    attempts: int
    first_sent_at: int | None
    answered_at: int | None
    error: str | None
    contract_number: str | None
    project_id: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What a target said that cannot be believed: it changed nothing, and a person must look at it.

    `subject` names the file, document or posting, `reason` what is wrong and what to do.
    """

    system: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What came back from a target: receipts, and problems that concern no receipt.

    `sound` are the subjects that were looked at and are no problem, or none any more.
    """

    receipts: tuple[Receipt, ...] = ()
    problems: tuple[Problem, ...] = ()
    sound: tuple[str, ...] = ()


class Deliverable(Protocol):
    """What a sink can be given: something with a fixed id, an order, and possibly something that it reverses."""

    @property
    def posting_id(self) -> str:
        """Identity at the target."""

    @property
    def trigger_id(self) -> str:
        """Identity of the decision or fact that is delivered."""

    @property
    def system(self) -> str:
        """The target system."""

    @property
    def contract_number(self) -> str | None:
        """The contract it concerns, if one."""

    @property
    def project_id(self) -> str | None:
        """The project it concerns, if one."""

    @property
    def reverses(self) -> str | None:
        """The trigger id that it takes back, if it does."""

    @property
    def order_key(self) -> str:
        """Deliverables of one key arrive in order; others do not wait for each other."""


P = TypeVar("P", bound=Deliverable)
P_contra = TypeVar("P_contra", bound=Deliverable, contravariant=True)


class Sink(Protocol[P_contra]):
    """A target system. Calls are short and synchronous; the time is given.

    All methods raise `Retriable` or `Fatal`; `post` also raises `Skippable`.
    """

    @property
    def system(self) -> str:
        """The system's name, as routes and receipts have it."""

    @property
    def pipelined(self) -> bool:
        """Whether the target keeps the order of one contract's postings while earlier ones are still unanswered."""

    @property
    def answers_later(self) -> bool:
        """Whether `poll` has something to tell, or may have at any time; otherwise `post` has told it all."""

    @property
    def calls_at_once(self) -> int:
        """How many calls may be under way at one moment, from as many threads."""

    @property
    def postings_per_call(self) -> int:
        """How many postings one call carries at most: 1 where the target has no batches."""

    @property
    def answer_ms_max(self) -> int:
        """How long a call may be under way, at most; afterwards nothing of it can still arrive."""

    @property
    def stale_ms_max(self) -> int:
        """For how long after a call `find` may miss what the call has booked; 0 where it never does."""

    def post(self, postings: Sequence[P_contra], now: int) -> list[Receipt]:
        """Send postings in the order given; return a receipt for each one sent or refused.

        A posting without a receipt was not sent. Once the outcome of one is unknown, the later ones of its order key
        are left unsent.
        """

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        """Return what the target already holds of these; an id without receipt has never arrived there.

        Fields that the target does not know are None: `Delivery` fills them from its memory.
        """

    def poll(self, now: int) -> Answers:
        """Return the answers that arrived since the last call. A new sink object may return old answers again."""

    def close(self) -> None:
        """Release what the sink holds; it is not used afterwards."""


def receipt_of(
    posting: Deliverable,
    status: Status,
    *,
    document_id: str | None = None,
    first_sent_at: int | None = None,
    answered_at: int | None = None,
    error: str | None = None,
) -> Receipt:
    """Return a receipt for a posting; a pending one has no attempt yet, any other has at least one."""
    attempts = 0 if status is Status.PENDING else 1
    return Receipt(
        posting.posting_id, posting.trigger_id, posting.system, document_id, status, attempts, first_sent_at,
        answered_at, error, posting.contract_number, posting.project_id,
    )  # fmt: skip


def completed(known: Receipt, answer: Receipt, attempts: int, first_sent_at: int | None) -> Receipt:
    """Return the known receipt with the target's answer; the earliest known time of sending stays."""
    first = first_sent_at if known.first_sent_at is None else known.first_sent_at
    return Receipt(
        known.posting_id, known.trigger_id, known.system, answer.document_id, answer.status, attempts, first,
        answer.answered_at, answer.error, known.contract_number, known.project_id,
    )  # fmt: skip


def contradiction(known: Receipt, answer: Receipt) -> Problem:
    """Return the problem of an answer that says otherwise than the one that was kept."""
    reason = (
        f"answered as {answer.status} with document {answer.document_id}, but it stands as {known.status} with "
        f"document {known.document_id}; the first answer is kept: correct the document in {known.system}"
    )
    return Problem(known.system, f"posting {known.posting_id} of trigger {known.trigger_id}", reason)
