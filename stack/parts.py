"""What every part of the stack can do, whatever it is."""

from pathlib import Path
from typing import NamedTuple, Protocol


class Line(NamedTuple):
    """What can be said of one running program of a part."""

    name: str
    version: str
    address: str
    pid: int | None
    rss_mib: int | None
    log: Path
    answers: bool
    """It answers in its own protocol, as far as it must for others to use it."""


class Part(Protocol):
    """A part in its folder. `start` does nothing for what runs, `stop` nothing for what does not."""

    folder: Path

    def start(self) -> None:
        """Start it and wait until it answers."""

    def stop(self) -> None:
        """Stop it and wait until it is gone; what it holds stays in the folder."""

    def lines(self) -> list[Line]:
        """One line a program."""
