"""What commands on connectors are given from outside: where Connect is, who knows what is in topics, which files."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from connect.configuration import CONNECTORS_FOLDER


class AskTopics(Protocol):
    """Who knows what is in topics. What cannot be learnt is `connect.freshness.Unknown`."""

    def newest(self, topics: Iterable[str]) -> Mapping[str, int]:
        """Return when the newest record of each topic came, in milliseconds since 1970."""

    def absent(self, topics: Iterable[str]) -> Sequence[str]:
        """Return those of the topics that are not there."""

    def notices(self, topic: str) -> Sequence[Mapping[str, Any]]:
        """Return the records of a topic of notices since the last call, in order of time."""

    def count_since(self, topic: str, since_ms: int) -> int:
        """Return about how many records were written to a topic since an instant."""

    def behind(self, group: str, chosen: Callable[[str], bool]) -> tuple[int, int | None]:
        """Return how many records of the topics chosen a group has not taken, and the time of the oldest (ms)."""


class Place(NamedTuple):
    """Where Connect is, what opens a connection to who knows what is in topics, and where the connectors' files are.

    `expected`: which feeds must be heard. `folder` None: the files are those shipped.
    """

    url: str
    topics: Callable[[], AskTopics]
    expected: Collection[str] = ()
    folder: Path | None = None

    @property
    def files(self) -> Path:
        """The folder of the connectors' files, where none is given."""
        return self.folder or CONNECTORS_FOLDER


OpenPlace = Callable[[Path | None], Place]
"""Reads the settings, of the file given if one is. Raises the exit to end with where they cannot be used."""
