"""Doubts: what a target must be asked about before anything of it is sent, which order key waits, and when to ask.

Owns when questions are asked and asked again. Does not own what an answer means. Times are milliseconds.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

QUESTION_MAX: Final = 500
"""How many postings one question names."""


class Doubts:
    """The ids in doubt, in the order in which they may be asked about."""

    def __init__(self) -> None:
        self._doubtful: dict[str, tuple[str, int]] = {}
        self._asked: set[str] = set()
        self._not_before = 0
        self.failures = 0
        """How many questions have failed in a row."""

    def add(self, posting_id: str, order_key: str, ask_at: int) -> None:
        """Doubt a posting; from `ask_at` on an answer can be trusted."""
        self._doubtful[posting_id] = (order_key, ask_at)

    def drop(self, posting_id: str) -> None:
        """Doubt a posting no more: it was answered."""
        self._doubtful.pop(posting_id, None)

    def next_at(self) -> int | None:
        """Return when the next question may be asked, None if there is none."""
        ask_at = next((at for posting_id, (_, at) in self._doubtful.items() if posting_id not in self._asked), None)
        return None if ask_at is None else max(ask_at, self._not_before)

    def questions(self, now: int) -> Iterator[list[str]]:
        """Yield the ids of each question that is due; they are not asked again before this one is settled."""
        while (ask_at := self.next_at()) is not None and ask_at <= now:
            unasked = (each for each, (_, at) in self._doubtful.items() if at <= now and each not in self._asked)
            ids = list(islice(unasked, QUESTION_MAX))
            self._asked.update(ids)
            yield ids

    def failed(self, posting_ids: Collection[str], ask_at: int) -> None:
        """Note that a question has no answer; nothing is asked before another time."""
        self._asked.difference_update(posting_ids)
        self.failures += 1
        self._not_before = ask_at

    def answered(self, posting_ids: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield what was still in doubt of what a question asked: (posting id, order key); it is no more."""
        self._asked.difference_update(posting_ids)
        self.failures = 0
        for posting_id in posting_ids:
            doubted = self._doubtful.pop(posting_id, None)
            if doubted is not None:
                yield posting_id, doubted[0]
