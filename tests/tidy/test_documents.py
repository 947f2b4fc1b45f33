"""Every command and link in the documents works: the make target, the subcommand, the option and the file are there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from tests.tidy.documents import Command, commands, documents, fenced, links, targets
from tests.tidy.house import ROOT

THROUGHLINE = Path(sys.executable).with_name("throughline")


def say(*words: str) -> str:
    """What `throughline` prints for these words.

    Raises:
        LookupError: There is no such subcommand.
    """
    surroundings = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    command = [str(THROUGHLINE), *words]
    result = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LookupError(result.stderr)
    return result.stdout


@cache
def help_of(*words: str) -> str:
    return say(*words, "--help")


def unknown_words(command: Command, help_text: Callable[..., str]) -> Iterator[str]:
    """The subcommands and options of a `throughline` command that its help does not know."""
    named = list(takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), command.words))
    depth = 0
    while depth < len(named) and "COMMAND" in help_text(*named[:depth]):
        if not re.search(rf"^\W*{named[depth]}\b", help_text(*named[:depth]), re.MULTILINE):
            yield named[depth]
            return
        depth += 1
    known = help_text(*named[:depth])
    for word in command.words:
        option = re.match(r"\[?(--?[a-z][a-z-]*)", word)
        if option and not re.search(rf"(?<![\w-]){option[1]}(?![\w-])", known):
            yield option[1]


def named_commands(program: str) -> list[Command]:
    found = [
        command
        for path in documents()
        for command in commands(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    return [command for command in found if command.program == program]


def test_the_readme_says_how_to_start() -> None:
    named = {command.words[0] for command in named_commands("make") if command.document == "README.md"}
    assert {"demo", "test", "setup"} <= named


def test_make_targets_in_documents_exist() -> None:
    known = targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    assert not [str(command) for command in named_commands("make") if command.words[0] not in known]


def test_throughline_commands_in_documents_exist() -> None:
    faults = {str(command): [*unknown_words(command, help_of)] for command in named_commands("throughline")}
    assert not {command: words for command, words in faults.items() if words}


def test_links_in_documents_lead_somewhere() -> None:
    pages = {path: [*links(path.read_text(encoding="utf-8"))] for path in documents()}
    assert not [
        f"{path.name}: {link}" for path, found in pages.items() for link in found if not (path.parent / link).exists()
    ]


def test_the_picture_in_the_readme_is_the_topology() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = [line for _, line in fenced(readme, frozenset(["mermaid"]))]
    drawn = [line.strip() for line in say("topology", "--mermaid").strip().splitlines()]
    assert picture == drawn, "put the output of `throughline topology --mermaid` into README.md"


PAGE = """
Start with `make demo`, or `.venv/bin/throughline replay a.jsonl --until 2026-01-31`.

```sh
$ make lint   # slow
cat feed.jsonl | throughline replay - \\
    --out x.jsonl
```

```python
make = throughline
```
See [the rules](docs/rules.md#caps), [a site](https://example.org/x).
"""


def test_commands_and_links_are_read_from_a_page() -> None:
    found = {(command.line, command.program, command.words) for command in commands("a.md", PAGE)}
    assert found == {
        (2, "make", ("demo",)),
        (2, "throughline", ("replay", "a.jsonl", "--until", "2026-01-31")),
        (5, "make", ("lint",)),
        (6, "throughline", ("replay", "-", "--out", "x.jsonl")),
    }
    assert [*links(PAGE)] == ["docs/rules.md"]
    assert targets("BIN := x\ndemo: y ## z\n.PHONY: demo\ntest-stack:\n") == {"demo", "test-stack"}


HELP = {
    (): "Usage: throughline [OPTIONS] COMMAND [ARGS]...\n  replay  run\n  schemas  contracts\n",
    ("replay",): "Usage: throughline replay [OPTIONS] FILES...\n  --until TIME\n",
    ("schemas",): "Usage: throughline schemas [OPTIONS] COMMAND [ARGS]...\n  check  compare\n",
    ("schemas", "check"): "Usage: throughline schemas check [OPTIONS]\n",
}


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        ("replay in --until 2026-01-31", []),
        ("schemas check", []),
        ("--help", ["--help"]),
        ("rewind in.jsonl", ["rewind"]),
        ("schemas verify", ["verify"]),
        ("replay in.jsonl --unti x", ["--unti"]),
        ("replay in.jsonl [--till TIME]", ["--till"]),
    ],
)
def test_an_unknown_word_is_found(words: str, unknown: list[str]) -> None:
    command = Command("README.md", 1, "throughline", tuple(words.split()))
    assert [*unknown_words(command, lambda *named: HELP[named])] == unknown
