"""Calls of a sink as they are made: each is run once its intent is committed, and says exactly what became of it.

Owns how an error of a sink is read. Does not own when a call may begin, nor what follows from how it ended.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol

from streams.domain.posting import Status
from streams.sinks.contract import Answers, Fatal, P, Receipt, Retriable, Sink, Skippable, Trouble

log = logging.getLogger("throughline.sinks")

Clock = Callable[[], int]
"""Milliseconds since 1970, UTC."""


class Ended(NamedTuple):
    """How one call ended: `trouble` None is well. `more`: the work has calls left to make; `made`: there was a call."""

    trouble: Trouble | None = None
    retry_after_ms: int | None = None
    more: bool = False
    made: bool = True


class Work(Protocol):
    """Something to be done by calls, one after the other."""

    failure: Retriable | None
    fatal: Fatal | None

    @property
    def calls(self) -> int:
        """How many calls it takes, at most."""

    def run(self) -> Ended:
        """Make the next call."""


@dataclass
class Sending(Generic[P]):
    """Postings that are sent in order, so many a call, until one of them does not go through.

    Then the lists hold what became of each: `answered` by the target, `refused` for a reason, `failed` so that what
    became of them is unknown, or `not_sent` for a passing reason; what is in none of them was not sent.

    `may` says before each call whether it may still be made: not once somebody else may have asked what became of it.
    """

    sink: Sink[P]
    postings: Sequence[P]
    clock: Clock
    answered: list[Receipt] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: list[P] = field(default_factory=list)
    not_sent: list[P] = field(default_factory=list)
    failure: Retriable | None = None
    fatal: Fatal | None = None
    begun: int = 0
    may: Callable[[], bool] = lambda: True

    @property
    def calls(self) -> int:
        """How many calls it still takes, at most."""
        return -(-(len(self.postings) - self.begun) // self.sink.postings_per_call)

    def run(self) -> Ended:
        """Make the next call, or none if it may not be made any more."""
        if not self.may():
            return Ended(made=False)
        chunk = self.postings[self.begun : self.begun + self.sink.postings_per_call]
        self.begun += len(chunk)
        try:
            answers = self.sink.post(chunk, self.clock())
        except Skippable as refused:
            return self._refused(chunk, refused)
        except Retriable as failure:
            self.failure = failure
            (self.not_sent if failure.nothing_sent else self.failed).extend(chunk)
            return Ended(failure.trouble, failure.retry_after_ms)
        except Fatal as fatal:
            self.fatal = fatal
            self.failed.extend(chunk)
            return Ended(Trouble.DOWN)
        except (Exception, SystemExit) as defect:  # a thread that ends of the latter would leave its lane one short
            self.fatal = _defect(self.sink.system, defect)
            self.failed.extend(chunk)
            return Ended(Trouble.DOWN)
        return self._answered(chunk, answers)

    def _answered(self, chunk: Sequence[P], answers: list[Receipt]) -> Ended:
        known = {posting.posting_id for posting in chunk}
        for answer in answers:
            if answer.posting_id not in known or answer.status is Status.PENDING:
                said = f"{self.sink.system} answered {answer.status} for posting {answer.posting_id}"
                self.fatal = Fatal(f"{said}, not sent by this call")
                self.failed.extend(posting for posting in chunk if posting not in self.failed)
                return Ended(Trouble.DOWN)
        self.answered += answers
        statuses = {answer.status for answer in answers}
        goes_on = len(answers) == len(chunk) and (
            Status.UNKNOWN not in statuses if self.sink.pipelined else statuses <= {Status.POSTED}
        )
        return Ended(more=goes_on and self.begun < len(self.postings))

    def _refused(self, chunk: Sequence[P], skipped: Skippable) -> Ended:
        known = {posting.posting_id for posting in chunk}
        reasons = {each: reason for each, reason in skipped.reasons.items() if each in known}
        if not reasons:
            named = ", ".join(skipped.reasons) or "none named"
            self.fatal = Fatal(f"{self.sink.system} skipped postings that were not in the call: {named}")
            self.failed.extend(chunk)
            return Ended(Trouble.DOWN)
        self.refused |= reasons
        return Ended()


@dataclass
class _Reading(ABC, Generic[P]):
    """A call that changes nothing at the target."""

    sink: Sink[P]
    failure: Retriable | None = field(default=None, init=False)
    fatal: Fatal | None = field(default=None, init=False)

    @property
    def calls(self) -> int:
        """How many calls it takes."""
        return 1

    def run(self) -> Ended:
        """Make the call."""
        try:
            self._read()
        except Retriable as failure:
            self.failure = failure
            return Ended(failure.trouble, failure.retry_after_ms)
        except Fatal as fatal:
            self.fatal = fatal
            return Ended(Trouble.DOWN)
        except (Exception, SystemExit) as defect:
            self.fatal = _defect(self.sink.system, defect)
            return Ended(Trouble.DOWN)
        return Ended()

    @abstractmethod
    def _read(self) -> None:
        """Make the call, and keep what it brings."""


@dataclass
class Question(_Reading[P]):
    """Asks a target what it holds of some postings, before anything of them is sent again."""

    posting_ids: Sequence[str]
    found: list[Receipt] = field(default_factory=list, init=False)

    def _read(self) -> None:
        self.found = self.sink.find(self.posting_ids)


@dataclass
class Look(_Reading[P]):
    """Takes the answers that have arrived at a sink since the last look."""

    clock: Clock
    answers: Answers = field(default=Answers(), init=False)

    def _read(self) -> None:
        self.answers = self.sink.poll(self.clock())


def _defect(system: str, defect: BaseException) -> Fatal:
    log.error("%s: a defect of its sink", system, exc_info=defect)
    return Fatal(f"a defect of its sink: {defect!r}; the log of the worker has more")
