"""What the documents tell a reader to type, and where they point."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.tidy.house import ROOT

SHELLS = frozenset(["sh", "bash", "shell", "console"])
FENCE = re.compile(r"^\s*```(\w*)")
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
OURS = re.compile(r"(?:^|[|&;]\s*)(?:\.venv/bin/)?(make|throughline)\s+(\S.*)$")


class Command(NamedTuple):
    """A command of ours that a document names: the program (`make` or `throughline`) and the words after it."""

    document: str
    line: int
    program: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.program} {' '.join(self.words)}"


def documents() -> list[Path]:
    """The README, what lies beside it, and the pages of docs."""
    return [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]


def fenced(text: str, languages: frozenset[str]) -> Iterator[tuple[int, str]]:
    """The lines inside the fences of these languages, with their line numbers; a trailing backslash joins lines."""
    language, start, joined = None, 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if mark := FENCE.match(line):
            language = mark[1] if language is None else None
        elif language in languages:
            start = start if joined else number
            joined += line.strip()
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            yield start, joined
            joined = ""


def commands(document: str, text: str) -> Iterator[Command]:
    """Every command of ours in a shell fence or in a span of code."""
    lines = [*fenced(text, SHELLS)]
    for number, line in enumerate(text.splitlines(), 1):
        lines.extend((number, span) for span in SPAN.findall(line))
    for number, line in lines:
        if found := OURS.search(line.removeprefix("$ ").split(" #")[0].strip()):
            yield Command(document, number, found[1], tuple(re.split(r"\s+[|&;<>]", found[2])[0].split()))


def links(text: str) -> Iterator[str]:
    """The targets of links that lie in the tree."""
    return (target for target in LINK.findall(text) if "://" not in target and not target.startswith("mailto:"))


def targets(makefile: str) -> frozenset[str]:
    """The targets that a Makefile offers."""
    return frozenset(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
