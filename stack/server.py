"""A program that serves on ports of loopback: started, waited for until it answers, killed, suspended, stopped."""

import json
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.daemon import Daemon, tail_of
from stack.errors import Say, StackError, silent
from stack.parts import Line, line_of
from stack.ports import LOOPBACK, free_ports, is_free
from stack.standing import Standing

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 30.0
_ASK_AGAIN_SECONDS = 0.05
_LOG_LINES_SHOWN = 12
_PORT_FILE = "port.json"


class Server(ABC):
    """One program in a folder. Whoever derives from it says by which command it starts, and when it answers.

    `daemon` runs it; `ports` are all it listens on, the first being that of its clients.
    """

    stop_signal = signal.SIGTERM

    def __init__(self, daemon: Daemon, ports: Sequence[int], say: Say = silent) -> None:
        self.daemon = daemon
        self.ports = tuple(ports)
        self._say = say

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.daemon.folder

    @property
    def port(self) -> int:
        """The port of its clients."""
        return self.ports[0]

    @property
    def address(self) -> str:
        """Where clients connect to, `host:port`."""
        return f"{LOOPBACK}:{self.port}"

    @abstractmethod
    def command(self) -> list[str]:
        """Fetch and write what it needs; return the command that runs it in its folder. Raises `StackError`."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it answers now, in its own protocol, as far as it must for others to use it."""

    def environment(self) -> Mapping[str, str]:
        """What it finds in its environment beside what we have in ours."""
        return {}

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers.

        Raises:
            StackError: It ended, did not answer in time, or its ports are taken.
        """
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it, unless it runs, and do not wait."""
        if self.daemon.pid is not None:
            return
        for port in self.ports:
            if not is_free(port):
                raise StackError(
                    f"{self.daemon.name}: port {port} is taken; stop what listens there, or choose another"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self.command()
        self.daemon.start(command, self.environment())

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + START_SECONDS_MAX
        while not self.answers():
            if self.daemon.pid is None:
                raise StackError(f"{self.daemon.name} ended while it started:\n{self._last_words()}")
            if time.monotonic() > until:
                what = f"does not answer on {self.address} after {START_SECONDS_MAX:.0f} s"
                raise StackError(f"{self.daemon.name} {what}:\n{self._last_words()}")
            time.sleep(_ASK_AGAIN_SECONDS)  # one that is not ready yet may answer so at once

    def stop(self) -> None:
        """Stop it in good order and wait until it is gone."""
        self.daemon.end(self.stop_signal, STOP_SECONDS_MAX)

    def kill(self) -> None:
        """Kill it (kill -9) and wait until it is gone."""
        self.daemon.end(signal.SIGKILL, STOP_SECONDS_MAX)

    def suspend(self) -> None:
        """Let it hang (SIGSTOP): connections stay, answers do not come."""
        self.daemon.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        self.daemon.send(signal.SIGCONT)

    def line(self) -> Line:
        """What can be said of it."""
        return line_of(self.daemon, self.address, answers=self.daemon.pid is not None and self.answers())

    def _last_words(self) -> str:
        return f"{tail_of(self.daemon.log, _LOG_LINES_SHOWN)}\nThe whole log is {self.daemon.log}"


class ServerPart(Server, Standing):
    """A part that is one server, which keeps its port.

    `port`: it listens there; None: as before, else on a free one. `bound`: it ends with the program that started it,
    even when that is killed; otherwise it runs until it is stopped.
    """

    name: str

    def __init__(
        self, folder: Path, version: str, port: int | None = None, *, bound: bool = True, say: Say = silent
    ) -> None:
        folder = folder.absolute()
        super().__init__(Daemon(self.name, version, folder, bound=bound), [kept_port(folder, port)], say)
        self._bound = bound

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers. Raises `StackError`."""
        try:
            super().start()
        except BaseException:
            if self._bound:  # nobody else would end it
                self.kill()
            raise

    def pids(self) -> list[int | None]:
        """Its pid; None if it does not run."""
        return [self.daemon.pid]

    def logs(self) -> list[Path]:
        """Its log."""
        return [self.daemon.log]

    def lines(self) -> list[Line]:
        """One line: each part says it so."""
        return [self.line()]


def was_started(folder: Path) -> bool:
    """Whether a server part was ever started in a folder."""
    return (folder / _PORT_FILE).is_file()


def kept_port(folder: Path, port: int | None, file_name: str = _PORT_FILE, *, taken: Sequence[int] = ()) -> int:
    """The port that a server in a folder listens on, which `file_name` keeps: `port`, else as before, else a free one.

    `taken`: ports that are chosen already, though nobody listens there yet.

    Raises:
        StackError: The file cannot be read, or no port is free.
    """
    file = folder / file_name
    kept: int | None = None
    if file.is_file():
        try:
            kept = int(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise StackError(f"{file}: says no port ({error}); remove the folder {folder}") from None
    if port is None:
        port = kept if kept is not None else next(one for one in free_ports(1 + len(taken)) if one not in taken)
    if port != kept:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(port), encoding="utf-8")
    return port
