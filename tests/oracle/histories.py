"""Row histories on a time line, written down as the records that feeds would deliver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.oracle.folding import Record
from tests.oracle.shapes import Row, identity

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
PSA = "psa.public."
BY_PROJECT = {PSA + "milestones", PSA + "assignments", PSA + "time_entries", PSA + "expenses"}
CONNECTORS = {"psa": "postgresql", "crm": "crm-feed", "hr": "hr-feed", "erp": "erp-feed"}


def key_of(topic: str, row: Row) -> str:
    """The record key of a row: what the feeds table of the contract says."""
    if topic in BY_PROJECT:
        return str(row["project_id"])
    if topic == "crm.ContractAmendment":
        return str(row["ContractNumber"])
    if topic in ("erp.Invoice", "erp.CostPosting"):
        return str(row["ProjectId"])
    return identity(topic, row)


def stamp(moment: datetime) -> str:
    """A time as the JSON view writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def at(days: float) -> datetime:
    """A moment of the firm's time line, in days since it starts."""
    return START + timedelta(minutes=round(days * 1440))


class Histories:
    """Collects row versions in any order; ``records`` gives them by time, with rising positions."""

    def __init__(self) -> None:
        self._changes: list[tuple[datetime, int, str, Row, bool]] = []

    def put(self, topic: str, row: Row, days: float) -> None:
        """Write a whole row version at a time in days; versions of one row need rising times."""
        self._changes.append((at(days), len(self._changes), topic, dict(row), False))

    def change(self, topic: str, row: Row, days: float, **fields: Any) -> Row:
        """Write the row with some fields changed; returns the new row."""
        changed = {**row, **fields}
        self.put(topic, changed, days)
        return changed

    def delete(self, topic: str, row: Row, days: float) -> None:
        """Delete the row at a time in days."""
        self._changes.append((at(days), len(self._changes), topic, dict(row), True))

    def records(self) -> list[Record]:
        """All records in order of time, tombstones after deletes."""
        found: list[Record] = []
        stored: dict[tuple[str, str], Row] = {}
        for place, (moment, _, topic, row, deleted) in enumerate(sorted(self._changes, key=lambda c: c[:2]), start=1):
            position = place * 10
            name = (topic, identity(topic, row))
            before = stored.get(name)
            if deleted:
                if before is not None:
                    found += _removed(topic, before, moment, position)
                    del stored[name]
                continue
            stored[name] = row
            if before is not None and key_of(topic, before) != key_of(topic, row):
                found += _removed(topic, before, moment, position)
                before = None
            found.append(_record(topic, key_of(topic, row), "u" if before else "c", (before, row), moment, position))
        return found


def _removed(topic: str, before: Row, moment: datetime, position: int) -> list[Record]:
    key = key_of(topic, before)
    gone = _record(topic, key, "d", (before, None), moment, position)
    return [gone, {"topic": topic, "key": key, "value": None, "timestamp": gone["timestamp"]}]


def _record(
    topic: str, key: str, operation: str, rows: tuple[Row | None, Row | None], moment: datetime, position: int
) -> Record:
    happened = int(moment.timestamp() * 1000)
    feed = topic.partition(".")[0]
    return {
        "topic": topic,
        "key": key,
        "value": {
            "before": rows[0],
            "after": rows[1],
            "op": operation,
            "ts_ms": happened + 800,
            "source": {
                "connector": CONNECTORS[feed],
                "name": feed,
                "ts_ms": happened,
                "snapshot": False,
                "position": position,
            },
        },
        "timestamp": happened + 900,
    }
