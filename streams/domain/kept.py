"""What steps keep beside the ledger: the types of the values in their tables.

Tables read these annotations to turn bytes back into values, so the types live apart from the modules that may be
compiled: compiling a named tuple loses what its fields hold.
"""

from typing import Generic, NamedTuple, TypeVar

from streams.domain.canonical import Opportunity, Worker
from streams.domain.fact import Cause, Claim, Figures, ProjectView

RowT = TypeVar("RowT")


class Kept(NamedTuple, Generic[RowT]):
    """A row: position of the newest version seen, whether that was no delete, the version in force.

    `refused` says that the newest version is not in force. `reread` is the position at which the row was last read anew
    on request, 0 if never: it holds against older readings, and not against changes.
    """

    epoch: int
    position: int
    live: bool
    good: RowT | None
    refused: bool = False
    reread: int = 0


class Refused(NamedTuple):
    """A version that is not applied, kept until a later good one, or until mappings change."""

    topic: str
    scope: str
    id: str
    kind: str
    reasons: tuple[str, ...]
    raw: str
    first_seen: int
    attempts: int
    cause: Cause


class Home(NamedTuple):
    """Where a project's facts go; `past` are the ledgers it has been under before. `generation` counts its moves."""

    ledger: str
    generation: int
    past: tuple[str, ...]
    view: ProjectView


class Violation(NamedTuple):
    """An open violation: since when, and what both sides say."""

    since: int
    owner: str
    copy: str


class Activation(NamedTuple):
    """A deal and how much of its activation was told (`done` -1: none). `failed` are the reasons of its exception.

    `attempt` counts the attempts at the step that is due; `due_at` is when it is late, 0 while it is not waited for.
    `refused` is why whoever does the step will not. `started_at` is when the deal was first told, `step_at` when its
    step began; 0 where that was before they were kept.
    """

    opportunity: Opportunity
    done: int = -1
    failed: tuple[str, ...] = ()
    failed_since: int = 0
    due_at: int = 0
    attempt: int = 1
    refused: tuple[str, ...] = ()
    started_at: int = 0
    step_at: int = 0


class KnownResource(NamedTuple):
    """Who a resource is; `version` rises when it becomes another worker."""

    employee_id: str | None
    version: int
    cause: Cause


class KnownWorker(NamedTuple):
    """A worker with the cause of what is known."""

    worker: Worker
    cause: Cause


class Published(NamedTuple):
    """What is known and said of a project's margin; `figures` None while no ledger has it."""

    generation: int
    figures: Figures | None
    said: Figures | None
    sequence: int
    eroding: bool


class Alert(NamedTuple):
    """The life of an alert: who claims what, and how it was last published (None: never, or resolved) to which owner.

    `wakes_at` is when its timer fires, if that lies ahead.
    """

    claims: tuple[Claim, ...] = ()
    opened_at: int = 0
    said: Claim | None = None
    wakes_at: int = 0
    owner: str = ""


class Silence(NamedTuple):
    """How long a feed has been silent, as of the last look, and when it was last heard before (0: never).

    `told` says that it is claimed to have stalled. Times are milliseconds.
    """

    silent_ms: int = 0
    heard_at: int = 0
    told: bool = False
