"""From the records of the feeds to the final rows: what a batch job would find in the tables.

Source of the rules: the domain contract, sections 1, 2 and 9 (Records).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.oracle.shapes import FIELDS, MASTERS, Row, fault, identity

Record = dict[str, Any]
Rows = dict[str, dict[str, Row]]


@dataclass
class Folded:
    """The final rows and what was not applied on the way.

    ``rows``: topic -> row identity -> row in force. ``refused``: (topic, identity) -> kind of exception, for rows
    whose newest version was refused. ``undeletable``: master rows whose newest version is a delete. ``duplicates``:
    versions not newer than one that had arrived. ``dead``: records that are no envelope of a known feed.
    """

    rows: Rows
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    undeletable: set[tuple[str, str]] = field(default_factory=set)
    duplicates: int = 0
    dead: int = 0


@dataclass(frozen=True)
class _Version:
    position: int
    deleted: bool
    created: bool
    row: Row | None

    def supersedes(self, other: _Version | None) -> bool:
        """At one position only a create after a delete is new (a changed key is written as both)."""
        if other is None or self.position > other.position:
            return True
        return self.position == other.position and other.deleted and self.created


def final_rows(records: Iterable[Record]) -> Folded:
    """Fold records in any order of rows into the final rows."""
    newest: dict[tuple[str, str], _Version] = {}
    versions: dict[tuple[str, str], list[_Version]] = defaultdict(list)
    folded = Folded({topic: {} for topic in FIELDS})
    for record in records:
        if record.get("value") is None or str(record["topic"]).startswith("__debezium-heartbeat"):
            continue
        found = _versions(record)
        folded.dead += not found
        for key, version in found:
            if version.supersedes(newest.get(key)):
                newest[key] = version
            else:
                folded.duplicates += 1
            versions[key].append(version)
    for key, known in versions.items():
        _settle(folded, key, known, newest[key])
    return folded


def _settle(folded: Folded, key: tuple[str, str], known: list[_Version], newest: _Version) -> None:
    """Find the last good version of one row; a refused or unappliable newest one is only remembered."""
    topic = key[0]
    if newest.deleted and topic in MASTERS:
        folded.undeletable.add(key)
    if newest.row is not None and (kind := fault(topic, newest.row)):
        folded.refused[key] = kind
    good: _Version | None = None
    for version in known:
        applies = topic not in MASTERS if version.row is None else fault(topic, version.row) is None
        if applies and version.supersedes(good):
            good = version
    if good is not None and good.row is not None:
        folded.rows[topic][key[1]] = good.row


def good_versions(records: Iterable[Record]) -> dict[tuple[str, str], list[Row | None]]:
    """Of each row the versions that apply, by position and without repeats; None where it is deleted."""
    found: dict[tuple[str, str], dict[tuple[int, bool], Row | None]] = defaultdict(dict)
    for record in records:
        for key, version in _versions(record) if record.get("value") is not None else []:
            applies = key[0] not in MASTERS if version.row is None else fault(key[0], version.row) is None
            if applies:
                found[key][version.position, not version.deleted] = version.row
    return {key: [known[place] for place in sorted(known)] for key, known in found.items()}


def _versions(record: Record) -> list[tuple[tuple[str, str], _Version]]:
    """The row versions in one record: one, or two when an update changes the row's identity, or none if dead."""
    topic, value = record["topic"], record["value"]
    try:
        source = value["source"]
        position = source["position"] if source.get("position") is not None else source["lsn"]
        operation = value["op"]
        before, after = plain(topic, value.get("before")), plain(topic, value.get("after"))
        if operation == "d":
            return [((topic, identity(topic, before)), _Version(position, True, False, None))]  # type: ignore[arg-type]
        if after is None or topic not in FIELDS:
            return []
        name = identity(topic, after)
        created = operation == "c"
        found = []
        if operation == "u" and before is not None and identity(topic, before) != name:
            found.append(((topic, identity(topic, before)), _Version(position, True, False, None)))
            created = True
        return [*found, ((topic, name), _Version(position, False, created, after))]
    except (KeyError, TypeError, AttributeError):
        return []


def plain(topic: str, row: Row | None) -> Row | None:
    """A row as the JSON view writes it: a database connector sends dates as days since 1970."""
    if row is None or topic not in FIELDS:
        return row
    days = [f.name for f in FIELDS[topic] if f.kind == "date" and type(row.get(f.name)) is int]
    return {**row, **{name: (date(1970, 1, 1) + timedelta(days=row[name])).isoformat() for name in days}}


def clock_of(records: Iterable[Record], until: str | None = None) -> datetime:
    """The clock of a file run after these records: the newest ``source.ts_ms``, or ``until`` if later."""
    newest = datetime(1970, 1, 1, tzinfo=UTC)
    for record in records:
        for _, version in _versions(record) if record.get("value") is not None else []:
            if version.row is None or fault(record["topic"], version.row) is None:
                moment = datetime.fromtimestamp(record["value"]["source"]["ts_ms"] / 1000, tz=UTC)
                newest = max(newest, moment)
    return max(newest, moment_of(until)) if until else newest


def moment_of(text: str) -> datetime:
    """An RFC 3339 time as an aware datetime in UTC; a time without zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
