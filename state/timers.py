"""Durable timers: a key and the time it falls due, kept with the rest of the partition's state."""

from typing import Final

from state.table import END, State

_NEVER: Final = -1
_UNKNOWN: Final = -2


class Timers:
    """One timer a key, fired in order of time, then key. Times are milliseconds since 1970, UTC."""

    def __init__(self, state: State) -> None:
        self._due_of = state.table("timers.due", int)
        self._queue = state.table("timers.queue", bool)
        self._next = _UNKNOWN
        self._start = ""  # nothing is queued before it: what was taken need not be stepped over again

    def set(self, key: str, due_ms: int) -> None:
        """Set or move the timer of a key; one due before 1970 is due at once."""
        due_ms = max(due_ms, 0)
        before = self._due_of.get(key)
        if before == due_ms:
            return
        if before is not None:
            self._queue.delete(_queued(before, key))
        self._due_of.put(key, due_ms)
        queued = _queued(due_ms, key)
        self._queue.put(queued, True)
        self._start = min(self._start, queued)
        if before == self._next:
            self._next = _UNKNOWN
        elif self._next == _NEVER or due_ms < self._next:
            self._next = due_ms

    def cancel(self, key: str) -> None:
        """Forget the timer of a key, if there is one."""
        before = self._due_of.get(key)
        if before is not None:
            self._due_of.delete(key)
            self._queue.delete(_queued(before, key))
            self._next = _UNKNOWN

    def next_due(self) -> int | None:
        """Return when the earliest timer falls due, or None."""
        if self._next == _UNKNOWN:
            first = next(self._queue.between(self._start, END), None)
            self._next = _NEVER if first is None else int(first[0][:15])
        return None if self._next == _NEVER else self._next

    def take_due(self, now: int) -> str | None:
        """Remove and return the key of the earliest timer due by now, or None."""
        due = self.next_due()
        if due is None or due > now:
            return None
        queued, _ = next(self._queue.between(self._start, END))
        key = queued[16:]
        self._queue.delete(queued)
        self._due_of.delete(key)
        self._next = _UNKNOWN
        self._start = queued
        return key


def _queued(due_ms: int, key: str) -> str:
    return f"{due_ms:015d} {key}"
