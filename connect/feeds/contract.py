"""The contract of every feed: a Source is asked from where it was left, and yields batches that are landed whole.

What a feed must remember to go on (a replay id, a time, the last version of a row) is memory: bytes by key, written in
the same transaction as the changes of its batch. So a feed that is killed finds exactly what was landed, and asks for
the rest. Rows are in their JSON view: decimals and dates as text, instants as RFC 3339 text, names as in the contract
of their topic. Instants are milliseconds since 1970, UTC.
"""

from collections.abc import Iterator, Mapping
from threading import Event
from typing import Any, Final, NamedTuple, Protocol

from outside.errors import CannotGoOn as FeedError, Fatal, Retriable

__all__ = [
    "SEQUENCE_MAX",
    "Batch",
    "Change",
    "Fatal",
    "FeedError",
    "Memory",
    "Reject",
    "Retriable",
    "Row",
    "Source",
    "position",
]

Row = Mapping[str, Any]
Memory = Mapping[str, bytes]
"""What a feed remembers, by key; the keys are its own."""

_SEQUENCE_BITS: Final = 20
SEQUENCE_MAX: Final = (1 << _SEQUENCE_BITS) - 1


class Change(NamedTuple):
    """One version of one row, as `op` says: c, u, d, or r for one that a first reading found.

    `key` is the record key of the topic, `happened_ms` when it happened in the source. `position` rises with every
    version of the row: see `position`. `before` is the old row as far as the feed knows it, None if it does not; a
    delete has at least the identity in it. An update that changes the key is two changes: a delete, then a create.
    `history` says that it is loaded, and counts before anything that is told live, whatever the positions.
    """

    topic: str
    key: str
    op: str
    before: Row | None
    after: Row | None
    happened_ms: int
    position: int
    snapshot: bool = False
    history: bool = False


class Reject(NamedTuple):
    """What a source gave and nobody can read: it goes to the dead letters of its topic, `original` as it came.

    `place` says where it stood: file and line, or object and id. `message` says what is wrong, and what to do.
    """

    topic: str
    key: str | None
    original: bytes
    place: str
    message: str


class Batch(NamedTuple):
    """What one look gave: landed whole or not at all.

    `memory`: what the feed remembers from now on; None forgets a key. `gaps`: what is known to be missing between what
    was landed before and this, each in words; the feed closes a gap by itself where it can. `alive` says that the
    source answered and had no more than this up to now: a batch without changes is a sign of life.
    """

    changes: tuple[Change, ...] = ()
    rejects: tuple[Reject, ...] = ()
    memory: Mapping[str, bytes | None] = {}
    gaps: tuple[str, ...] = ()
    alive: bool = False


class Source(Protocol):
    """A system that is read."""

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what there is since `memory`, batch by batch, in the order in which it is to be landed.

        A source that is polled ends when it has given all there is, and is asked again after a pause; one that is
        subscribed to goes on, with batches that are only `alive` while nothing happens, until `stop` is set. `memory`
        is what was landed: it has what a batch said by the time the next one is asked for. After an error, or when it
        ended, it is called anew.

        Raises:
            Retriable: The source cannot answer now; what was yielded stays landed.
            Fatal: A person must act.
        """

    def close(self) -> None:
        """Close connections. Called once, from the thread that read."""


def position(at_ms: int, sequence: int = 0) -> int:
    """Return a source position: by time, then by a sequence among versions of the same millisecond.

    Raises:
        ValueError: The sequence does not fit its 20 bits, or a number is negative.
    """
    if at_ms < 0 or not 0 <= sequence <= SEQUENCE_MAX:
        raise ValueError(f"{at_ms} ms, sequence {sequence}: a sequence is from 0 to {SEQUENCE_MAX}")
    return at_ms << _SEQUENCE_BITS | sequence
