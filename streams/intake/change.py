"""Changes as intake takes them in: read, checked and translated, or refused with the reason."""

from typing import Any, Final, NamedTuple

from streams.domain.fact import Cause

NO_MAPPING: Final = "no_mapping: "
"""How the reason of a row begins whose topic no mapping file declares."""


class Refusal(NamedTuple):
    """Why a version of a row is not applied: `unmapped_value` or `validation_failed`, with all faults found."""

    kind: str
    reasons: tuple[str, ...]


class Change(NamedTuple):
    """One version of one row.

    `kind` is the canonical row's name, empty where the topic has no mapping yet. `scope` is the record key that its
    history comes under, `id` the row's identity. `row` is the canonical row; None for a delete and for what is refused.
    `raw` is the source's row, kept for what is refused. `reread`: it is no change, but the row read anew on request.
    `feed` is who brought it (`source.name`), empty where unsaid.
    """

    kind: str
    topic: str
    scope: str
    id: str
    row: Any
    deleted: bool
    refusal: Refusal | None
    raw: Any
    cause: Cause
    reread: bool = False
    feed: str = ""


class NativeChange(NamedTuple):
    """One version of one row of a table of a system's own design, which rows are assembled from.

    `texts` are the values of `columns`, as `streams.domain.assembled` has them; `untold` names columns that the version
    left as they were, without saying how. `reread`: it is no change, but the row read anew on request.
    """

    topic: str
    id: str
    columns: tuple[str, ...]
    texts: tuple[str | None, ...]
    untold: tuple[str, ...]
    deleted: bool
    refusal: Refusal | None
    cause: Cause
    reread: bool = False


class Unreadable(NamedTuple):
    """A record that is no change of a row: it goes to the dead letters as it came."""

    error: str
    message: str
    stage: str
    original: Any


class Heartbeat(NamedTuple):
    """A sign of life of a feed."""

    feed: str
    at: int
