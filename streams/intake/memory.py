"""The memory of intake: of every row the newest version seen, the last good one, and what was refused."""

from collections.abc import Iterator
from typing import Any, Final

from streams.domain.kept import Kept, Refused
from streams.domain.made import made
from streams.intake.change import Change, Refusal
from streams.intake.parked import SEP, Parked
from streams.intake.rows import row_type
from streams.step import Context

MASTERS: Final = frozenset({"Contract", "Project", "Account", "Worker", "LegalEntity"})
"""Rows that are archived, not deleted: deleting one is never applied."""

KINDS: Final = (
    "Account", "Client", "Opportunity", "Contract", "Amendment", "Project", "ErpProject", "Milestone", "Assignment",
    "TimeEntry", "Expense", "Resource", "Worker", "LegalEntity", "Customer", "Invoice", "CostPosting",
    "RevenueSchedule", "FxRate", "Period",
)  # fmt: skip


TABLES: Final[dict[str, Any]] = {
    **{f"rows.{kind}": Kept.__class_getitem__(row_type(kind)) for kind in KINDS},
    "rows.": Kept[str],
    "intake.refused": Refused,
    "intake.waiting": int,
}


class Memory:
    """Reads and keeps rows of one partition. A row's history comes under one record key: its scope."""

    def __init__(self, context: Context) -> None:
        self._rows = {kind: context.table(f"rows.{kind}") for kind in (*KINDS, "")}
        self.refused = context.table("intake.refused")
        self.parked = Parked(context, self.refused)

    def kept(self, change: Change) -> Kept[Any] | None:
        """Return what is kept of the row of a change."""
        kept: Kept[Any] | None = self._rows[change.kind].get(_place(change))
        return kept

    def keep(self, change: Change, kept: Kept[Any]) -> None:
        """Keep a row."""
        self._rows[change.kind].put(_place(change), kept)

    def good(self, kind: str, scope: str, identity: str) -> Any:
        """Return the version of a row in force, or None."""
        kept = self._rows[kind].get(f"{scope}{SEP}{identity}")
        return None if kept is None else kept.good

    def rows_of(self, kind: str, scope: str) -> list[tuple[Any, tuple[int, int]]]:
        """Return the versions in force of all rows under a scope, each with the (epoch, position) last seen."""
        found = self._rows[kind].scan(scope + SEP)
        return [
            (kept.good, (kept.epoch, max(kept.position, kept.reread))) for _, kept in found if kept.good is not None
        ]

    def refusal(self, change: Change) -> Refused | None:
        """Return what was refused of the row of a change."""
        refused: Refused | None = self.refused.get(_refused_place(change))
        return refused

    def refuse(self, change: Change, refusal: Refusal, raw: str, now: int) -> Refused:
        """Keep a refused version in the place of one refused before."""
        before = self.refusal(change)
        refused = Refused(
            change.topic, change.scope, change.id, refusal.kind, refusal.reasons, raw,
            before.first_seen if before else now, before.attempts + 1 if before else 1, change.cause,
        )  # fmt: skip
        self.refused.put(_refused_place(change), refused)
        if before is None:
            self.parked.add(now)
        return refused

    def forgive(self, change: Change) -> None:
        """Forget what was refused: a later version is good, or gone."""
        refused = self.refusal(change)
        if refused is not None:
            self.refused.delete(_refused_place(change))
            self.parked.remove(refused.first_seen)

    def all_refused(self) -> Iterator[Refused]:
        """Yield all that is refused."""
        for _, refused in self.refused.scan(""):
            yield refused


def is_new(change: Change, kept: Kept[Any] | None) -> bool:
    """Tell whether a version has not been seen: a later position, or a create at the position of a delete.

    A real Debezium writes a changed key as a delete and a create at one position. A row that was read anew on request
    is new if nothing was seen since its reading; and no change is older than a reading, since a transaction that was
    open meanwhile wrote its changes before, and they come after.
    """
    if kept is None:
        return True
    version, seen = (change.cause.epoch, change.cause.position or 0), (kept.epoch, kept.position)
    if change.reread:
        return version > (kept.epoch, max(kept.position, kept.reread))
    return version > seen or (version == seen and not change.deleted and not kept.live)


def is_known(change: Change, kept: Kept[Any]) -> bool:
    """Tell whether a row is as it was known, so that there is nothing to tell of it."""
    return kept.live and not kept.refused and change.row is not None and bool(change.row == kept.good)


def after(change: Change, kept: Kept[Any] | None, good: Any, refused: bool) -> Kept[Any]:
    """Return what is to be kept of a row after a new version: `good` is in force, which is not its own if `refused`.

    A reading does not move the position that changes are held against.
    """
    epoch, position = change.cause.epoch, change.cause.position or 0
    last, reread = (kept.position, kept.reread) if kept is not None and kept.epoch == epoch else (0, 0)
    last, reread = (last, position) if change.reread else (position, reread)
    found: Kept[Any] = made(Kept, (epoch, last, not change.deleted, good, refused, reread))
    return found


def _place(change: Change) -> str:
    # Without a mapping the topic is all that tells one row from another of the same id.
    return f"{change.scope}{SEP}{change.id}" if change.kind else SEP.join((change.topic, change.scope, change.id))


def _refused_place(change: Change) -> str:
    return SEP.join((change.topic, change.scope, change.id))
