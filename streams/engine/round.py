"""A round: what one checkpoint brings to Kafka, who writes it, and how that may fail.

A `Commit` has outputs, changelog entries, and how far the input was taken in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from faust.types import TP

from state.store import Entry
from streams.engine.transport.producer import Encoded


class WriteError(Exception):
    """The brokers have not taken a round, and trying again does not help; nothing of it may be acknowledged."""


class Fenced(WriteError):
    """Another worker goes by this one's identity, or has its partitions: this one must not write any more."""


class MembershipOver(Exception):
    """The group has given the partitions to others: the round is void, and so is the state it came from."""


@dataclass
class Commit:
    """What one checkpoint writes."""

    outputs: Sequence[Encoded]
    changes: Mapping[int, Sequence[Entry]]
    """Changelog entries by partition."""
    offsets: Mapping[TP, int]
    """From where the group reads on."""
    member: Any
    """The group metadata under which the records were fetched."""
    ends: dict[int, int] = field(default_factory=dict)
    """Filled by the writer: the changelog offset behind the round's entries, by partition."""
    queued: Callable[[], object] = lambda: None
    """Called on the writer's thread when the client has all records, and what is left is to wait for brokers."""


class Writer(Protocol):
    """Writes rounds. Called on one thread at a time; may block while brokers are away, up to its patience."""

    def open(self) -> None:
        """Get ready to write; fences whoever went by the same identity before. Raises `WriteError`."""

    def write(self, commit: Commit) -> None:
        """Write a commit. Raises `MembershipOver`, `Fenced` or `WriteError`, with nothing of it acknowledged."""

    def close(self) -> None:
        """Let go of the brokers."""
