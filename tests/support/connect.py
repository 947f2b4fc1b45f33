"""A simulated Connect worker, started as a program of its own and told how to behave."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from connect.configuration import Configuration
from connect.rest import Patience

ROOT = Path(__file__).parents[2]
CONFIG = {"connector.class": "org.example.Source", "tasks.max": "1", "database.password": "${env:PASSWORD}"}


class SimulatedConnect:
    """Where it is, and what it is told and asked beside what Connect is."""

    def __init__(self, url: str) -> None:
        self.url = url

    def order(self, **orders: Any) -> None:
        """Tell it how to misbehave; see the simulator."""
        self._asked("/orders", orders)

    def changes(self) -> list[str]:
        """What it was asked that is no question, in order."""
        found: list[str] = self._asked("/requests")
        return found

    def _asked(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.url + path, content, {"Content-Type": "application/json"}), timeout=10) as answer:
            told = answer.read()
        return json.loads(told) if told else None


class Clock:
    """Time passes by pausing, and by nothing else."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def pause(self, seconds: float) -> None:
        self.now_s += seconds

    def patience(self, wait_s: float = 60.0) -> Patience:
        return Patience(wait_s, 0.5, lambda: self.now_s, self.pause)


@contextmanager
def simulated_connect() -> Iterator[SimulatedConnect]:
    """A worker without connectors."""
    command = [sys.executable, "-m", "tests.contract.simulators.connect_rest"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield SimulatedConnect(child.stdout.readline().strip())
        child.stdin.close()


def connector(name: str = "psa", **settings: str) -> Configuration:
    """A connector, with settings beside the usual ones; an underscore stands for a dot."""
    config = CONFIG | {key.replace("_", "."): value for key, value in settings.items()}
    return Configuration(name=name, config=config)
