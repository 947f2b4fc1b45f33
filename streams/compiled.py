"""Compiled modules: the steps and what they stand on, as machine code where `make setup` found a C compiler.

Owns which modules are compiled, where they lie, and whether they are used. They are the same sources, compiled by mypyc
into `.compiled`; nothing else differs. All are used or none, since they call each other directly: none where they were
made of other sources, where a module of theirs is loaded already, or where `PURE_PYTHON` is set, as the tests do.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

Made = TypeVar("Made")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".compiled"
STAMP = FOLDER / "sources"
"""Holds the fingerprint of the sources that the modules were made of."""

GROUP = "throughline"
SHARED = f"{GROUP}__mypyc"
"""The library that all compiled modules share."""

COMPILED = (
    "state/store.py", "state/table.py", "state/timers.py",
    "streams/partitioning.py", "streams/replay.py", "streams/simulator.py", "streams/step.py",
    "streams/domain/calendar.py", "streams/domain/made.py", "streams/domain/money.py", "streams/domain/terms.py",
    "streams/assembly/*.py", "streams/intake/*.py", "streams/ledger/*.py", "streams/rules/*.py", "streams/steps/*.py",
)  # fmt: skip
"""What is compiled. Not the modules of named tuples that are read from bytes: they would forget what a field holds."""

CONSTRUCTORS = "streams.constructors"
"""The module that makes named tuples quick to construct; it is written in C."""

CONSTRUCTORS_SOURCE = Path("streams/native/constructors.c")

MADE_OF = (
    "state/*.py", "schemas/*.py", "streams/*.py", "streams/domain/*.py", *COMPILED, str(CONSTRUCTORS_SOURCE),
)  # fmt: skip
"""What compiled code was made of: it knows the places of fields, also in modules that are not compiled."""


def sources() -> list[Path]:
    """Return the files that are compiled, by path from the root, in order."""
    found = {path.relative_to(ROOT) for pattern in COMPILED for path in ROOT.glob(pattern)}
    return sorted(path for path in found if path.name != "__init__.py")


def names() -> list[str]:
    """Return the names of the modules that are compiled."""
    return [".".join(path.with_suffix("").parts) for path in sources()]


def fingerprint() -> str:
    """Return what changes whenever a source does that compiled code was made of, or the version of Python."""
    digest = sha256(sys.version.encode())
    for path in sorted({path for pattern in MADE_OF for path in ROOT.glob(pattern)}):
        digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current() -> bool:
    """Tell whether the compiled modules are there, and were made of the sources that are there."""
    return STAMP.is_file() and STAMP.read_text(encoding="ascii") == fingerprint()


def obstacle() -> str | None:
    """Return why the compiled modules are not to be used, or None if they are."""
    if os.environ.get("PURE_PYTHON", "0") not in ("", "0"):
        return "PURE_PYTHON is set"
    if not is_current():
        return "there are none of these sources: `make setup` makes them where it finds a C compiler"
    if loaded := [name for name in names() if name in sys.modules]:
        return f"{loaded[0]} is loaded already"
    return None


class CompiledModules:
    """Finds the compiled modules before their sources are found."""

    def __init__(self) -> None:
        suffix = EXTENSION_SUFFIXES[0]
        found = (SHARED, CONSTRUCTORS, *names())
        self._places = {name: str(FOLDER / (name.replace(".", "/") + suffix)) for name in found}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002, named by importlib
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return where a compiled module lies, None for any other."""
        place = self._places.get(fullname)
        if place is None:
            return None
        spec = ModuleSpec(fullname, ExtensionFileLoader(fullname, place), origin=place)
        spec.has_location = True
        return spec


def _finders() -> Iterator[CompiledModules]:
    return (finder for finder in sys.meta_path if isinstance(finder, CompiledModules))


def in_use() -> bool:
    """Tell whether compiled modules are what is imported."""
    return any(_finders())


def prefer() -> None:
    """Import compiled modules from here on, if there are some to be used."""
    if not in_use() and obstacle() is None:
        sys.meta_path.insert(0, CompiledModules())


class Constructor(Protocol):
    """As `tuple.__new__`: makes a named tuple of all its fields."""

    def __call__(self, cls: type[Made], fields: Iterable[Any], /) -> Made:
        """Return a tuple of the class."""


def constructor() -> Constructor:
    """Return the quickest way to make a named tuple of its fields."""
    return cast(Constructor, import_module(CONSTRUCTORS).made if in_use() else tuple.__new__)


def quicken() -> None:
    """Make the named tuples of `streams` quick to construct, once all are loaded; nothing where pure Python runs."""
    if not in_use():
        return
    quicken_class = import_module(CONSTRUCTORS).quicken
    for name, module in list(sys.modules.items()):
        if name.startswith("streams."):
            for found in vars(module).values():
                if isinstance(found, type) and tuple in found.__bases__ and "_fields" in vars(found):
                    quicken_class(found, tuple(vars(found)["_field_defaults"].values()))
