"""A command that takes its time: run to its end, its output followed line by line, and told of meanwhile."""

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stack.errors import Say, StackError

SAY_EVERY_SECONDS = 2.0
_LINES_KEPT = 30


class Ended(NamedTuple):
    """How it ended: its exit code, and its last lines, standard output and standard error as they came."""

    code: int
    lines: list[str]


def followed(
    command: Sequence[str | Path],
    what: str,
    counts: Callable[[str], bool],
    say: Say,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command. Every two seconds one line is told: `what`, with how many lines of output counted so far.

    Raises:
        StackError: It cannot be started.
    """
    count, kept = 0, deque[str](maxlen=_LINES_KEPT)
    began = said_at = time.monotonic()
    try:
        child = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise StackError(f"{command[0]} cannot be started: {error.strerror}") from None
    with child:
        assert child.stdout is not None
        for line in child.stdout:
            kept.append(line.rstrip("\n"))
            count += counts(line)
            if time.monotonic() - said_at >= SAY_EVERY_SECONDS:
                said_at = time.monotonic()
                say(f"{what.format(count=count)} in {said_at - began:.0f} s")
    return Ended(child.returncode, list(kept))
