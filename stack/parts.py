"""What every part of the stack can do, whatever it is."""

from pathlib import Path
from typing import Final, NamedTuple, Protocol

from stack.daemon import Daemon

WAVES: Final = (("kafka", "postgresql"), ("registry", "connect", "prometheus", "tryton"))
"""The parts in the order in which they start: what stands on nothing, then what stands on Kafka or PostgreSQL."""

NAMES: Final = tuple(name for wave in WAVES for name in wave)

OPTIONAL: Final = ("tryton",)
"""Parts that start only where they are named."""


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


def line_of(daemon: Daemon, address: str, *, answers: bool) -> Line:
    """The line of one program."""
    return Line(daemon.name, daemon.version, address, daemon.pid, daemon.rss_mib(), daemon.log, answers)


class Part(Protocol):
    """A part in its folder. `launch` does nothing for what runs, `stop` nothing for what does not."""

    name: str

    @property
    def folder(self) -> Path:
        """Its folder."""

    def launch(self) -> None:
        """Start it, and do not wait."""

    def wait(self) -> None:
        """Wait until it answers."""

    def stop(self) -> None:
        """Stop it and wait until it is gone; what it holds stays in the folder."""

    def pids(self) -> list[int | None]:
        """The pid of each program; None for one that does not run."""

    def logs(self) -> list[Path]:
        """The log of each program."""

    def lines(self) -> list[Line]:
        """One line a program; each is asked whether it answers."""
