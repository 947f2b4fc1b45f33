"""Doubts: what a target must be asked about before anything of it is sent, which order keys wait, and when to ask.

Owns when questions are asked and asked again. Does not own what an answer means. Times are milliseconds.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

QUESTION_MAX: Final = 500
"""How many postings one question names."""


@dataclass(slots=True, eq=False)
class _Doubt:
    """What is in doubt of one posting: the order keys that wait for it, and from when on an answer can be trusted.

    `asked` is what that was when the question under way was asked, None if there is none.
    """

    keys: set[str]
    ask_at: int
    asked: int | None = None


class Doubts:
    """The ids in doubt, by when they may be asked about."""

    def __init__(self) -> None:
        self._doubts: dict[str, _Doubt] = {}
        self._unasked: list[tuple[int, int, str]] = []
        self._added = 0
        self._not_before = 0
        self.failures = 0
        """How many questions have failed in a row."""

    def add(self, posting_id: str, order_key: str, ask_at: int) -> None:
        """Doubt a posting, for an order key that waits; from `ask_at` on an answer can be trusted."""
        doubt = self._doubts.get(posting_id)
        if doubt is None:
            doubt = self._doubts[posting_id] = _Doubt({order_key}, ask_at)
        else:
            doubt.keys.add(order_key)
            doubt.ask_at = max(doubt.ask_at, ask_at)
        if doubt.asked is None:
            self._line_up(posting_id, doubt)

    def drop(self, posting_id: str) -> set[str]:
        """Doubt a posting no more: it was answered. Return the order keys that waited for it."""
        doubt = self._doubts.pop(posting_id, None)
        return set() if doubt is None else doubt.keys

    def next_at(self) -> int | None:
        """Return when the next question may be asked, None if there is none."""
        self._pass_over()
        return max(self._unasked[0][0], self._not_before) if self._unasked else None

    def questions(self, now: int) -> Iterator[list[str]]:
        """Yield the ids of each question that is due; they are not asked again before this one is settled."""
        while ids := self._due(now):
            yield ids

    def failed(self, posting_ids: Collection[str], ask_at: int) -> None:
        """Note that a question has no answer; nothing is asked before another time."""
        self.failures += 1
        self._not_before = ask_at
        for posting_id in posting_ids:
            doubt = self._doubts.get(posting_id)
            if doubt is not None and doubt.asked is not None:
                self._ask_again(posting_id, doubt)

    def answered(self, posting_ids: Collection[str]) -> Iterator[tuple[str, set[str]]]:
        """Yield what was still in doubt of what a question asked, with the keys that waited; it is no more."""
        self.failures = 0
        for posting_id in posting_ids:
            doubt = self._doubts.get(posting_id)
            if doubt is None or doubt.asked is None:
                continue
            if doubt.asked < doubt.ask_at:  # it was sent once more since
                self._ask_again(posting_id, doubt)
                continue
            yield posting_id, self.drop(posting_id)

    def _due(self, now: int) -> list[str]:
        ids: list[str] = []
        while len(ids) < QUESTION_MAX and (at := self.next_at()) is not None and at <= now:
            posting_id = heappop(self._unasked)[2]
            doubt = self._doubts[posting_id]
            doubt.asked = doubt.ask_at
            ids.append(posting_id)
        return ids

    def _ask_again(self, posting_id: str, doubt: _Doubt) -> None:
        doubt.asked = None
        self._line_up(posting_id, doubt)

    def _line_up(self, posting_id: str, doubt: _Doubt) -> None:
        self._added += 1
        heappush(self._unasked, (doubt.ask_at, self._added, posting_id))

    def _pass_over(self) -> None:
        """Forget what is to be asked about no more, or later."""
        while self._unasked:
            ask_at, _, posting_id = self._unasked[0]
            doubt = self._doubts.get(posting_id)
            if doubt is not None and doubt.asked is None and doubt.ask_at == ask_at:
                return
            heappop(self._unasked)
