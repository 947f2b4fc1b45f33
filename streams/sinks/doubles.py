"""Postings of which a target was found to hold more than one document: where our reference is not unique there.

Owns what is told of them, until each was seen with one document only. Does not own the looking.
"""

import threading
from collections.abc import Mapping, Sequence

from streams.sinks.contract import Answers, Problem


class Doubles:
    """What was seen since it was last told. May be used by several threads."""

    def __init__(self, system: str, documents: str) -> None:
        self._system = system
        self._documents = documents
        self._lock = threading.Lock()
        self._seen: dict[str, Problem | None] = {}

    def look(self, found: Mapping[str, Sequence[str]]) -> None:
        """Note the ids of the documents that were found, by posting id; the first of several counts."""
        for posting_id, ids in found.items():
            subject = f"posting {posting_id}"
            problem = None
            if len(ids) > 1:
                named = f"{len(ids)} {self._documents}: {', '.join(ids)}"
                reason = f"has {named}; the first counts: delete the others in {self._system}"
                problem = Problem(self._system, subject, reason)
            with self._lock:
                self._seen[subject] = problem

    @property
    def untold(self) -> bool:
        """Whether something was seen that was not told yet."""
        return bool(self._seen)

    def told(self) -> Answers:
        """Return which of the postings seen have several documents, and which have one."""
        with self._lock:
            seen, self._seen = self._seen, {}
        problems = tuple(problem for problem in seen.values() if problem is not None)
        return Answers((), problems, tuple(subject for subject, problem in seen.items() if problem is None))
