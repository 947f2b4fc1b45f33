"""Compiled modules are used all together or not at all, and only where they were made of the sources that are there."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from streams import compiled
from streams.intake.reading import Reader
from streams.topology import topology
from tests.support.streams import rulebook

WANTED = os.environ["PURE_PYTHON"] == "0"


def test_what_runs_is_what_was_asked_for() -> None:
    assert compiled.in_use() == WANTED, compiled.obstacle()
    suffixes = {Path(import_module(name).__file__ or "").suffix for name in compiled.names()}
    assert suffixes == {".so" if WANTED else ".py"}


def test_the_list_names_modules_that_exist_and_none_twice() -> None:
    for pattern in compiled.COMPILED:
        assert [*compiled.ROOT.glob(pattern)], f"{pattern} is nothing any more: take it from COMPILED"
    assert len({*compiled.names()}) == len(compiled.names())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compiled, "STAMP", tmp_path / "sources")
    monkeypatch.setattr(compiled, "COMPILED", ("state/spill.py",))  # no other test loads it into sys.modules
    monkeypatch.delitem(sys.modules, "state.spill", raising=False)
    monkeypatch.delenv("PURE_PYTHON")
    return tmp_path


def test_they_are_used_where_they_are_up_to_date(folder: Path) -> None:
    (folder / "sources").write_text(compiled.fingerprint())
    assert compiled.obstacle() is None


def test_they_are_not_used_where_pure_python_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sources").write_text(compiled.fingerprint())
    monkeypatch.setenv("PURE_PYTHON", "1")
    assert compiled.obstacle() == "PURE_PYTHON is set"
    monkeypatch.setenv("PURE_PYTHON", "0")
    assert compiled.obstacle() is None


def test_they_are_not_used_where_there_are_none(folder: Path) -> None:
    assert not (folder / "sources").exists()
    assert (compiled.obstacle() or "").startswith("there are none of these sources")


def test_they_are_not_used_where_sources_have_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sources").write_text(compiled.fingerprint())
    monkeypatch.setattr(compiled, "COMPILED", ("state/spill.py", "state/rocks.py"))
    monkeypatch.setattr(compiled, "MADE_OF", ("state/*.py",))
    assert (compiled.obstacle() or "").startswith("there are none of these sources")


def test_they_are_not_used_beside_one_that_is_loaded_from_its_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sources").write_text(compiled.fingerprint())
    monkeypatch.setitem(sys.modules, "state.spill", sys)
    assert compiled.obstacle() == "state.spill is loaded already"


def test_where_no_compiler_is_it_says_so_and_nothing_else_happens() -> None:
    script = (
        "from streams import compiled, compiling; compiled.is_current = lambda: False; "
        "compiling.build = lambda: exit('built'); compiling.main()"
    )
    surroundings = os.environ | {"CC": "no-such-compiler"}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=compiled.ROOT, env=surroundings, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (
        "The steps run as pure Python, at half the speed: there is no C compiler with Python's headers here.\n"
    )


def types_in(hint: Any) -> set[type]:
    """Every named tuple that a type is made of."""
    named = get_origin(hint) or hint
    fields = get_type_hints(named).values() if hasattr(named, "_fields") else ()
    inside = [types_in(part) for part in (*fields, *get_args(hint))]
    return ({named} if hasattr(named, "_fields") else set()).union(*inside)


def test_what_is_read_back_from_bytes_is_not_compiled() -> None:
    rules = rulebook()
    steps = topology(rules, Reader(rules.mappings, lambda _, __: {}))
    remembered = {found for step in steps for hint in step.remembers.values() for found in types_in(hint)}
    assert len(remembered) > 30
    compiled_away = {found.__qualname__ for found in remembered if found.__module__ in compiled.names()}
    assert not compiled_away, "move them to streams/domain: compiled, they forget what their fields hold"
