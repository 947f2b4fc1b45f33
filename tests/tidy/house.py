"""The rules of the house that a reader of source text can check, each as one function from a Source to its faults.

Imports between packages are not here: import-linter checks them, with the contracts in pyproject.toml.
"""

import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PRODUCT = ("bench", "connect", "console", "firm", "live", "outside", "schemas", "stack", "state", "streams")
PURE = tuple(
    f"streams/{part}" for part in ("assembly", "domain", "intake", "ledger", "rules", "step.py", "steps", "topics.py")
)
MONEY = (*PURE, "streams/sinks")

FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 400

# The words of the house that name nothing, since they could name anything; their plurals and short forms with them.
EMPTY_WORDS = frozenset(
    ["data", "info", "manager", "managers", "helper", "helpers", "util", "utils", "process", "handle", "handles"]
)
# Names that a library prescribes, as "path:name": which library, and for what.
PRESCRIBED: dict[str, str] = {}

# What reaches outside of a function: clock, randomness, environment, files, network, threads.
OUTSIDE_MODULES = frozenset(
    """aiohttp asyncio concurrent fcntl getpass glob http httpx importlib io locale logging multiprocessing os pathlib
    platform queue random requests sched secrets select selectors shutil signal socket sqlite3 ssl subprocess sys
    tempfile threading time urllib zoneinfo""".split()
)
OUTSIDE_NAMES = frozenset(["uuid1", "uuid4"])
PURE_EXCEPTIONS = frozenset([("sys", "intern")])
OUTSIDE_CALLS = frozenset(["open", "input", "print", "eval", "exec", "__import__"])
CLOCK_CALLS = re.compile(r"(?:^|\.)(?:datetime\.(?:now|utcnow|today)|date\.today)$")
ASYNC_NODES = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)

WORDS_OF_A_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
LEFT_OPEN = re.compile("|".join([r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b"]))
MACHINE_PATH = re.compile(r"(?<![\w.})>/-])/(?:work|farm|root|home|Users|tmp)/\w")
OUTER_FOLDER = re.compile(r"\.\./" + "shared")

TEXT_SUFFIXES = frozenset(
    ".py .pyi .c .h .md .toml .yaml .yml .json .avsc .j2 .html .css .js .sql .sh .cfg .ini".split()
)
TEXT_NAMES = frozenset(["Makefile", "Dockerfile", "run"])
NOT_OURS = frozenset(["__pycache__", "build", "demo-out", "dist", "node_modules"])
OWN_DOTTED = frozenset([".ci", ".pre-commit-config.yaml"])


class Source(NamedTuple):
    """A text file of the tree: its path from the root, and what it says."""

    path: PurePosixPath
    text: str

    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    def inside(self, folders: tuple[str, ...]) -> bool:
        return any(self.path.is_relative_to(folder) for folder in folders)


class Fault(NamedTuple):
    """A breach of a rule: where, and what it is."""

    path: PurePosixPath
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


Check = Callable[[Source], Iterator[Fault]]


def function_lines(source: Source) -> Iterator[Fault]:
    """No function is longer than a screen, its docstring counted."""
    for node in ast.walk(source.tree()):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield Fault(source.path, node.lineno, f"{node.name} has {lines} lines, over {FUNCTION_LINES_MAX}")


def module_lines(source: Source) -> Iterator[Fault]:
    """No module is longer than one can know."""
    lines = len(source.text.splitlines())
    if lines > MODULE_LINES_MAX:
        yield Fault(source.path, lines, f"{lines} lines, over {MODULE_LINES_MAX}")


def no_floats(source: Source) -> Iterator[Fault]:
    """No float where money is: no literal, no conversion, no annotation. To refuse one by isinstance is allowed."""
    if not source.inside(MONEY):
        return
    tree = source.tree()
    refusals = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
        for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield Fault(source.path, node.lineno, f"float literal {node.value!r}; write a Decimal")
        elif isinstance(node, ast.Name) and node.id == "float" and id(node) not in refusals:
            yield Fault(source.path, node.lineno, "float; money is Decimal")


def nothing_from_outside(source: Source) -> Iterator[Fault]:
    """No clock, randomness, environment, input, output or async in what computes: it gets them as arguments."""
    if not source.inside(PURE):
        return
    for node in ast.walk(source.tree()):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in _outside_imports(node):
                yield Fault(source.path, node.lineno, f"import of {name} reaches outside; pass the value in")
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in OUTSIDE_CALLS or CLOCK_CALLS.search(called) or called.split(".")[-1] in OUTSIDE_NAMES:
                yield Fault(source.path, node.lineno, f"{called}() reaches outside; pass the value in")
        elif isinstance(node, ASYNC_NODES):
            yield Fault(source.path, node.lineno, "async; rules are plain functions")


def _outside_imports(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in OUTSIDE_MODULES)
        return
    module = node.module or ""
    outside = not node.level and module.split(".")[0] in OUTSIDE_MODULES
    for alias in node.names:
        if (outside and (module, alias.name) not in PURE_EXCEPTIONS) or alias.name in OUTSIDE_NAMES:
            yield f"{module}.{alias.name}"


def no_empty_words(source: Source) -> Iterator[Fault]:
    """No module, class, function, parameter, field or variable of the product is named by a word that says nothing."""
    if not source.inside(PRODUCT):
        return
    for name, line in _names_given(source):
        words = {word.lower() for word in WORDS_OF_A_NAME.findall(name)} & EMPTY_WORDS
        if words and f"{source.path}:{name}" not in PRESCRIBED:
            yield Fault(source.path, line, f"the name {name} says {', '.join(sorted(words))}; say what it is")


def _names_given(source: Source) -> Iterator[tuple[str, int]]:
    for part in source.path.with_suffix("").parts:
        yield part, 1
    for node in ast.walk(source.tree()):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            # A field set on something else has the name that its own class gave it.
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name, node.lineno


def nothing_left_open(source: Source) -> Iterator[Fault]:
    """No note of work that is still to be done: such work is finished, or it stands in the tracker."""
    yield from _found(source, LEFT_OPEN, "work left open; finish it or track it")


def no_machine_paths(source: Source) -> Iterator[Fault]:
    """No path that exists on one machine only."""
    yield from _found(source, MACHINE_PATH, "a path of one machine; make it relative or a setting")


def nothing_beside_the_tree(source: Source) -> Iterator[Fault]:
    """The product holds what it needs. Only the script of continuous integration looks beside it, where that exists."""
    if source.path != PurePosixPath(".ci/run"):
        yield from _found(source, OUTER_FOLDER, "a folder outside of the tree; the product holds what it needs")


def _found(source: Source, pattern: re.Pattern[str], what: str) -> Iterator[Fault]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := pattern.search(line):
            yield Fault(source.path, number, f"{found[0]}: {what}")


OF_PYTHON: tuple[Check, ...] = (function_lines, module_lines, no_floats, nothing_from_outside, no_empty_words)
OF_TEXT: tuple[Check, ...] = (nothing_left_open, no_machine_paths, nothing_beside_the_tree)


def texts() -> Iterator[Source]:
    """Every text file of the project, without what runs and builds leave behind."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if _ours(name))
        for name in sorted(filter(_ours, names)):
            path = Path(folder, name)
            if path.suffix in TEXT_SUFFIXES or name in TEXT_NAMES:
                yield Source(PurePosixPath(path.relative_to(ROOT).as_posix()), path.read_text(encoding="utf-8"))


def _ours(name: str) -> bool:
    if name.startswith("."):
        return name in OWN_DOTTED
    return name not in NOT_OURS and not name.endswith(".egg-info")


def modules() -> Iterator[Source]:
    """Every Python module of the project, tests included."""
    return (source for source in texts() if source.path.suffix == ".py")
