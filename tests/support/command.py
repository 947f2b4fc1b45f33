"""Running the command line as a user does, and reading what it wrote."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from streams.cli import app

Json = dict[str, Any]


class Ran(NamedTuple):
    """How a command ended: its exit code, what it said on standard error, and the records it wrote."""

    code: int
    said: str
    records: list[Json]

    def of(self, topic: str) -> list[Json]:
        """Return the values of one topic, in order."""
        return [record["value"] for record in self.records if record["topic"] == topic]

    def billed(self) -> dict[str, list[str]]:
        """Return the amounts of triggers by source id, in order."""
        amounts: dict[str, list[str]] = {}
        for trigger in self.of("billing.triggers"):
            amounts.setdefault(trigger["source_id"], []).append(trigger["amount"])
        return amounts

    def exceptions(self) -> list[Json]:
        """Return the exceptions, in order."""
        return self.of("exceptions")

    def dead_letters(self) -> list[Json]:
        """Return the dead letters, in order, each with `said`: its error headers without their prefix."""
        letters = [record for record in self.records if record["topic"] == "dead.letters"]
        return [{**letter, "said": _errors(letter)} for letter in letters]


def _errors(letter: Json) -> dict[str, str]:
    prefix = "__connect.errors."
    return {n[len(prefix) :]: base64.b64decode(v).decode() for n, v in letter["headers"] if n.startswith(prefix)}


def as_lines(records: Iterable[Json]) -> bytes:
    """Return records as the lines of a replay file."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def replay(folder: Path, content: bytes | list[Json], *options: str) -> Ran:
    """Run `throughline replay` over one file, in this process."""
    source = folder / "in.jsonl"
    source.write_bytes(content if isinstance(content, bytes) else as_lines(content))
    return replay_files(folder / "out.jsonl", [str(source)], *options)


def replay_files(out: Path, inputs: list[str], *options: str) -> Ran:
    """Run `throughline replay` over files, in this process. An exception that escapes it is raised here."""
    result = CliRunner().invoke(
        app, ["replay", "--quiet", "--out", str(out), *inputs, *options], catch_exceptions=False
    )
    written = out.read_bytes() if out.is_file() else b""
    return Ran(result.exit_code, result.stderr, [json.loads(line) for line in written.splitlines()])


def replay_piped(content: bytes, *arguments: str, hash_seed: int = 0) -> subprocess.CompletedProcess[bytes]:
    """Run `throughline replay` in a process of its own, with content on its standard input.

    `hash_seed` decides the order in which Python walks its sets of texts.
    """
    command = [sys.executable, "-c", "from streams.cli import main; main()", "replay", *arguments]
    seeded = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(command, input=content, capture_output=True, timeout=60, check=False, env=seeded)
