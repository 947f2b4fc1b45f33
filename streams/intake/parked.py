"""Parked rows: how many wait on a partition, and since when the first. Counted as they come and go, never looked for.

Two things are parked: a version that was refused, until a good one comes or mappings change; and a row that bears on
money or plans whose project is not known yet. A row may be parked for both.
"""

from typing import Final

from sortedcontainers import SortedDict

from state import Table
from streams.domain.kept import Refused
from streams.step import Context

SEP: Final = "\x1f"


class Parked:
    """The count of one partition's parked rows, told as it changes. What is not parked does not pass here.

    The table named by `waiting` holds since when each row without a partner waits. Counted from the tables once, at the
    beginning.
    """

    def __init__(self, context: Context, refused: Table[Refused], waiting: str = "intake.waiting") -> None:
        self._gauges = context.gauges
        self._waiting = context.table(waiting)
        self._rows = 0
        self._rows_since = SortedDict()  # by second, so that it stays small however many rows are parked
        for _, since in self._waiting.scan(""):
            self.add(since)
        for _, version in refused.scan(""):
            self.add(version.first_seen)
        self._tell()

    def add(self, since: int) -> None:
        """Count a row that is parked since an instant."""
        second = since // 1000
        self._rows += 1
        self._rows_since[second] = self._rows_since.get(second, 0) + 1
        self._tell()

    def remove(self, since: int) -> None:
        """Count a row no more that was parked since an instant."""
        second = since // 1000
        self._rows -= 1
        left = self._rows_since[second] - 1
        if left:
            self._rows_since[second] = left
        else:
            del self._rows_since[second]
        self._tell()

    def wait(self, kind: str, scope: str, identity: str, since: int) -> None:
        """Park a row that is not parked, until its project is known."""
        self._waiting.put(SEP.join((scope, kind, identity)), since)
        self.add(since)

    def give_up(self, kind: str, scope: str, identity: str) -> None:
        """Let a parked row go whose project is still unknown: it was deleted, or bears on nothing now."""
        self._release(SEP.join((scope, kind, identity)))

    def release(self, scope: str) -> None:
        """Let all rows go that have waited for a project."""
        if self._rows:
            for key, _ in self._waiting.scan(scope + SEP):
                self._release(key)

    def _release(self, key: str) -> None:
        since = self._waiting.get(key)
        if since is not None:  # None where it was parked before rows were counted
            self._waiting.delete(key)
            self.remove(since)

    def _tell(self) -> None:
        """Tell how many rows are parked, and since when the first: to the second, in milliseconds; 0 without any."""
        self._gauges["parked"] = self._rows
        self._gauges["parked_since"] = self._rows_since.peekitem(0)[0] * 1000 if self._rows else 0
