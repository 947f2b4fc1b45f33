"""Rows that live on: each keeps its last version, which is the `before` of the next."""

from __future__ import annotations

from typing import Any

from firm.moments import moment_text
from firm.wire import Row, Wire


class Master:
    """One row of a system of record, told on `topic` under `key`. `stamp`: its field of last change, if it has one."""

    __slots__ = ("_key", "_stamp", "_topic", "_wire", "row")

    def __init__(self, wire: Wire, topic: str, key: str, stamp: str | None = None) -> None:
        self._wire = wire
        self._topic = topic
        self._key = key
        self._stamp = stamp
        self.row: Row | None = None

    def open(self, at_ms: int, row: Row, seen_by_snapshot: bool = False) -> None:
        """The row comes into being, or is found there by the feed's first snapshot."""
        if self._stamp:
            row = {**row, self._stamp: moment_text(at_ms)}
        self.row = row
        if seen_by_snapshot:
            self._wire.read(at_ms, self._topic, self._key, row)
        else:
            self._wire.create(at_ms, self._topic, self._key, row)

    def change(self, at_ms: int, **fields: Any) -> None:
        """A new version. A row that is not there yet has nothing to change: that is a mistake of the plan."""
        if self.row is None:
            raise LookupError(f"{self._topic} {self._key}: changed before it was created")
        after = {**self.row, **fields}
        if self._stamp:
            after[self._stamp] = moment_text(at_ms)
        self._wire.update(at_ms, self._topic, self._key, self.row, after)
        self.row = after

    def remove(self, at_ms: int) -> None:
        """The row is gone."""
        if self.row is None:
            raise LookupError(f"{self._topic} {self._key}: deleted before it was created")
        self._wire.delete(at_ms, self._topic, self._key, self.row)
        self.row = None
