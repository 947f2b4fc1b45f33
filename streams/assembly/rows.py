"""Native rows at their own ids: the newest version of each, and who is to be told of it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.assembly import Assembly
from streams.assembly.refusals import Refusals
from streams.domain.assembled import Answer, Lookup, NativeRow
from streams.domain.fact import NO_CAUSE, Cause
from streams.intake.change import NativeChange, Refusal
from streams.intake.parked import SEP
from streams.rules.exceptions import Entity
from streams.step import Context
from streams.topics import ASSEMBLY_LOOKUPS

TABLES: Final[dict[str, Any]] = {"assembly.row": NativeRow, "assembly.seeker": bool, "assembly.columns": str}

Texts = Mapping[str, str | None]


class NativeRows:
    """The native rows of one partition. `assembly.seeker` has who asked to be told of which row, for which lookup."""

    def __init__(self, context: Context, assemblies: Sequence[Assembly], refusals: Refusals) -> None:
        self._context = context
        self._refusals = refusals
        self._rows = context.table("assembly.row")
        self._seekers = context.table("assembly.seeker")
        self._columns = context.table("assembly.columns")
        self._needed: dict[str, tuple[str, ...]] = {}
        self._wanted: dict[str, dict[tuple[str, str], tuple[str, ...]]] = {}
        for assembly in assemblies:
            for topic, table in assembly.tables.items():
                self._needed[topic] = table.columns
                self._wanted[topic] = {}
            for spec in assembly.rows:
                for wanted in spec.wanted:
                    self._wanted[wanted.table][spec.topic, wanted.name] = wanted.columns

    def get(self, table: str, identity: str) -> NativeRow | None:
        """Return what is kept of a row."""
        row: NativeRow | None = self._rows.get(f"{table}{SEP}{identity}")
        return row

    def all_of(self, table: str) -> list[tuple[str, NativeRow]]:
        """Return all rows of a table, by id."""
        return [(place.split(SEP, 1)[1], row) for place, row in self._rows.scan(table + SEP)]

    def take_in(self, change: NativeChange) -> NativeRow | None:
        """Keep a version and tell those who need it; None if nothing is new, or it cannot be read."""
        kept = self.get(change.topic, change.id)
        if kept is not None and not _is_newer(change, kept):
            self._context.count("duplicates")
            return None
        place, entity = f"{change.topic}{SEP}{change.id}", Entity(change.topic, change.id)
        columns, texts, refusal = change.columns, change.texts, change.refusal
        if refusal is None and change.untold:
            columns, texts, refusal = _filled(change, kept)
        if refusal is not None:
            # The last version that could be read stays in force.
            in_force = ((), ()) if kept is None else (kept.columns, kept.texts)
            self._rows.put(place, _after(change, kept, *in_force))
            self._refusals.refuse(change.topic, change.id, entity, refusal, change.cause)
            return None
        self._refusals.forgive(change.topic, change.id, entity, change.cause)
        row = _after(change, kept, columns, texts)
        self._rows.put(place, row)
        self._tell_seekers(change.topic, change.id, kept, row)
        return row

    def _tell_seekers(self, table: str, identity: str, before: NativeRow | None, after: NativeRow) -> None:
        """Answer those again for whom something has changed."""
        known, now = columns_of(before), columns_of(after)
        for (row_topic, name), columns in self._wanted[table].items():
            if bool(known) != bool(now) or any(known.get(column) != now.get(column) for column in columns):
                self._answer_all(table, identity, row_topic, name, after)

    def _answer_all(self, table: str, identity: str, row_topic: str, name: str, row: NativeRow) -> None:
        for place, _ in self._seekers.scan(SEP.join((table, identity, row_topic, name, ""))):
            self._answer(Lookup(table, identity, row_topic, place.rsplit(SEP, 1)[1], name, True), row)

    def look_up(self, lookup: Lookup) -> None:
        """Note who asks for a row, and answer; or forget that one did."""
        seeker = SEP.join((lookup.table, lookup.id, lookup.row_topic, lookup.name, lookup.row_id))
        if not lookup.wanted:
            self._seekers.delete(seeker)
            return
        self._seekers.put(seeker, True)
        self._note_columns(lookup.row_topic, lookup.name, self._columns_for(lookup))
        self._answer(lookup, self.get(lookup.table, lookup.id))

    def _columns_for(self, lookup: Lookup) -> tuple[str, ...]:
        """Return the columns that a lookup is for; none if another version of the mapping has asked."""
        return self._wanted.get(lookup.table, {}).get((lookup.row_topic, lookup.name), ())

    def _answer(self, lookup: Lookup, row: NativeRow | None) -> None:
        known = columns_of(row)
        columns = tuple([column for column in self._columns_for(lookup) if column in known])
        texts = tuple([known[column] for column in columns])
        cause = NO_CAUSE if row is None else row.cause
        answer = Answer(
            lookup.row_topic, lookup.row_id, lookup.name, lookup.table, lookup.id, bool(known), columns, texts, cause
        )
        self._context.emit(ASSEMBLY_LOOKUPS, lookup.row_id, answer)

    def _note_columns(self, row_topic: str, name: str, columns: tuple[str, ...]) -> bool:
        """Note which columns a lookup is answered with; tell whether they were others before."""
        place, said = f"{row_topic}{SEP}{name}", SEP.join(columns)
        before: str | None = self._columns.get(place)
        if before != said:
            self._columns.put(place, said)
        return before is not None and before != said

    def look_again(self) -> None:
        """Answer all lookups that are for other columns now, and refuse rows that came when some were not asked for."""
        for table, lookups in self._wanted.items():
            others = [place for place, columns in lookups.items() if self._note_columns(place[0], place[1], columns)]
            for identity, row in self.all_of(table):
                if row.columns and (missing := sorted({*self._needed[table]} - {*row.columns})):
                    self._refuse_unknown(table, identity, missing, row.cause)
                for row_topic, name in others:
                    self._answer_all(table, identity, row_topic, name, row)

    def _refuse_unknown(self, table: str, identity: str, missing: list[str], cause: Cause) -> None:
        reasons = [
            f"{name}: no mapping asked for it when this version came; have its connector read the table anew"
            for name in missing
        ]
        refusal = Refusal("validation_failed", tuple(reasons))
        self._refusals.refuse(table, identity, Entity(table, identity), refusal, cause)


def columns_of(row: NativeRow | None) -> dict[str, str | None]:
    """Return the columns of a row that are in force; none where no version of it is."""
    return {} if row is None else dict(zip(row.columns, row.texts, strict=True))


def _is_newer(change: NativeChange, kept: NativeRow) -> bool:
    """Tell whether a version has not been seen, as intake does for its rows: see `streams.intake.memory.is_new`."""
    version, seen = (change.cause.epoch, change.cause.position or 0), (kept.cause.epoch, kept.position)
    if change.reread:
        return version > (kept.cause.epoch, max(kept.position, kept.reread))
    return version > seen or (version == seen and not change.deleted and not kept.live)


def _after(
    change: NativeChange, kept: NativeRow | None, columns: tuple[str, ...], texts: tuple[str | None, ...]
) -> NativeRow:
    """Return what is to be kept of a row after a new version; a reading does not move what changes are held against."""
    position = change.cause.position or 0
    same_epoch = kept is not None and kept.cause.epoch == change.cause.epoch
    last, reread = (kept.position, kept.reread) if kept is not None and same_epoch else (0, 0)
    last, reread = (last, position) if change.reread else (position, reread)
    return NativeRow(change.cause, last, reread, not change.deleted, columns, texts)


def _filled(
    change: NativeChange, kept: NativeRow | None
) -> tuple[tuple[str, ...], tuple[str | None, ...], Refusal | None]:
    """Return the columns and texts of a version with those that it left as they were, or why that cannot be."""
    known = columns_of(kept)
    if missing := [name for name in change.untold if name not in known]:
        reasons = [f"{name}: it was left as it was, and how that is is not known" for name in missing]
        return (), (), Refusal("validation_failed", tuple(reasons))
    texts = tuple([known[name] for name in change.untold])
    return (*change.columns, *change.untold), (*change.texts, *texts), None
