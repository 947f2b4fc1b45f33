"""How far snapshots are, from the notices that Debezium's connectors write while they read tables.

A notice says which table is read and, once it is read whole, how many rows it had. The rows of the table under way are
counted in its topic: what was written there since its reading began. A connector's offsets say no more than that a
snapshot is under way, and its JMX figures need an agent in Connect; notices come on a topic of their own, in the
transactions of the rows, and are still there after Connect was killed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from connect.configuration import NOTICES, Configuration
from connect.freshness import Freshness, heard_as

Notices = Callable[[str], Sequence[Mapping[str, Any]]]
"""A topic to the notices that were written to it since it was asked for last, at first to all, in order of time."""

CountSince = Callable[[str, int], int]
"""(topic, instant in milliseconds since 1970) to how many records were written to it since."""

_WORDS: Final = {"Initial Snapshot": "first snapshot", "Incremental Snapshot": "on request"}
_OVER: Final = {"COMPLETED": "", "ABORTED": "broken off", "STOPPED": "stopped", "SKIPPED": ""}


class Snapshot(NamedTuple):
    """The newest snapshot of a connector. `tables` are all that it reads, `rows` those read whole, with their rows.

    `reading` is the table under way, `since_ms` when its reading began; None between two tables. `over` is None while
    the snapshot is under way, then how it ended if it did not end well.
    """

    kind: str
    tables: frozenset[str] = frozenset()
    rows: Mapping[str, int] = {}
    reading: str | None = None
    since_ms: int = 0
    over: str | None = None

    @property
    def tables_left(self) -> int:
        """How many tables are not read whole; none once it has ended well."""
        return 0 if self.over == "" else len(self.tables - self.rows.keys())

    def words(self, rows: int) -> str:
        """Say how far it is, given how many rows were read; empty once it has ended well."""
        if self.over is not None:
            return f"{_WORDS[self.kind]} {self.over}" if self.over else ""
        now = f", reading {self.reading}" if self.reading else ""
        return f"{_WORDS[self.kind]}: {rows:,} rows, {self.tables_left} of {len(self.tables)} tables left{now}"


class NoticesLook:
    """How far a snapshot is, as the connector gives notice of. It goes on from what it was told before."""

    def __init__(self, notices: Notices, count_since: CountSince) -> None:
        self._notices = notices
        self._count_since = count_since
        self._known: dict[str, Snapshot] = {}

    def look(self, configuration: Configuration) -> Freshness:
        """Return the progress of the newest snapshot; nothing where no notice is given. Raises `Unknown`."""
        topic = configuration.config.get(NOTICES)
        if not topic:
            return Freshness()
        for notice in self._notices(topic):  # connectors may share a topic
            name = _more(notice).get("connector_name", "")
            if (known := followed([notice], self._known.get(name))) is not None:
                self._known[name] = known
        server = heard_as(configuration)
        found = self._known.get(server)
        if found is None:
            return Freshness()
        rows = sum(found.rows.values())
        if found.reading is not None and found.over is None:
            rows += self._count_since(f"{server}.{found.reading}", found.since_ms)
        return Freshness(snapshot=found.words(rows), snapshot_rows=rows, snapshot_tables_left=found.tables_left)


def followed(notices: Iterable[Mapping[str, Any]], known: Snapshot | None = None) -> Snapshot | None:
    """Return the newest snapshot after some notices, in their order; None where there was none yet."""
    for notice in notices:
        if notice["aggregate_type"] in _WORDS:
            known = _after(notice, known)
    return known


def _after(notice: Mapping[str, Any], known: Snapshot | None) -> Snapshot:
    kind, more = notice["aggregate_type"], _more(notice)
    if known is None or notice["type"] == "STARTED" or known.kind != kind:
        known = Snapshot(kind)
    match notice["type"]:
        case "TABLE_SCAN_COMPLETED":
            rows = {**known.rows, more["scanned_collection"]: int(more.get("total_rows_scanned", 0))}
            return known._replace(rows=rows, reading=None)
        case "STARTED" | "IN_PROGRESS" | "RESUMED" | "PAUSED":
            tables, reading = known.tables | _listed(more), more.get("current_collection_in_progress")
            if reading is None or reading == known.reading:
                return known._replace(tables=tables, over=None)
            return known._replace(tables=tables, reading=reading, since_ms=notice["timestamp"], over=None)
        case ended:
            return known._replace(reading=None, over=_OVER.get(ended, ended.lower()))


def _listed(more: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name.strip() for name in more.get("data_collections", "").split(",") if name.strip())


def _more(notice: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] | None = notice.get("additional_data")
    return found or {}
