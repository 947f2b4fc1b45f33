"""A simulator of somebody else's system, as a program of the repository. It ends with us, however we end."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx2

from live.errors import PipelineError
from stack.daemon import tail_of

ROOT: Final = Path(__file__).parents[1]
_PLACE: Final = "tests.contract.feeds"
_ANSWER_SECONDS_MAX: Final = 30.0
_END_SECONDS_MAX: Final = 20.0
_WORDS_SHOWN: Final = 8


class Simulator:
    """One simulator: told by orders what happens in its system. Its standard input is its life line."""

    def __init__(self, name: str, folder: Path, *arguments: str) -> None:
        """Start it; `name` is that of its module, without `_simulator`.

        Raises:
            PipelineError: The repository is not here, which alone has the simulators.
        """
        if not (ROOT / _PLACE.replace(".", "/") / f"{name}_simulator.py").is_file():
            raise PipelineError(f"{ROOT} has no simulator {name}; run this from a clone of the repository")
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._log = folder / "log.txt"
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", f"{_PLACE}.{name}_simulator", *arguments],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._client = httpx2.Client(timeout=_ANSWER_SECONDS_MAX)

    def first_line(self) -> str:
        """Wait for what it says of itself first: where it listens. Raises `PipelineError` if it ends before."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise PipelineError(f"simulator {self.name} has ended; its last words:\n{tail_of(self._log, _WORDS_SHOWN)}")
        return line.strip()

    def order(self, url: str, order: Mapping[str, Any]) -> Any:
        """POST an order to it, and return what it answers. Raises `PipelineError` if it does not."""
        try:
            return self._client.post(url, json=order).raise_for_status().json()
        except httpx2.HTTPError as error:
            words = tail_of(self._log, _WORDS_SHOWN)
            raise PipelineError(f"simulator {self.name} does not do as ordered: {error}\n{words}") from error

    def close(self) -> None:
        """End it, and wait until it is gone."""
        self._client.close()
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(_END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
