"""Environments of Python programs: locked, made once, made again after an interruption, refused with a reason."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stack import environments
from stack.environments import environment, lock_file, locked_versions
from stack.errors import StackError
from stack.followed import Ended, followed
from stack.lock import lock
from stack.tools import venv
from stack.tryton import modules_of, settings_text
from stack.versions import PINS, versions
from tests.support.programs import put_program

VERSIONS = (PINS / "versions.toml").read_text(encoding="utf-8")
Commands = list[list[str]]


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pins of the test's own with the lock of a small program, and a cache that is empty."""
    monkeypatch.setenv("STACK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pins"
    folder.mkdir()
    (folder / "versions.toml").write_text(VERSIONS, encoding="utf-8")
    lock_file("tryton", folder).write_text("trytond==8.0.12 \\\n    --hash=sha256:00\nlxml==6.1 ; os_name == 'nt'\n")
    return folder


def run_by(ran: Commands, code_of: Callable[[list[str]], int], lines: list[str]) -> Callable[..., Ended]:
    def run(command: list[str | Path], what: str, counts: object, say: object) -> Ended:
        words = [str(word) for word in command]
        ran.append(words)
        if "venv" in words:
            put_program(Path(words[-1], "bin"), "python", "")
        return Ended(code_of(words), lines)

    return run


@pytest.mark.parametrize("name", versions().environments)
def test_a_lock_has_all_that_is_required_with_a_checksum_each(name: str) -> None:
    pinned = {canonicalize_name(package): version for package, version in locked_versions(name).items()}
    for text in versions().environments[name].requirements():
        wanted = Requirement(text)
        found = pinned.get(canonicalize_name(wanted.name), "0")
        assert wanted.specifier.contains(found), f"{text}: run `python -m stack.lock {name}`"
    entries = re.split(r"\n(?=[a-z])", lock_file(name).read_text(encoding="utf-8"))[1:]
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_no_lock_belongs_to_an_environment_that_is_gone() -> None:
    assert {file.stem for file in PINS.glob("*.lock")} == versions().environments.keys()


def test_it_is_made_once(pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: Commands = []
    said: list[str] = []
    monkeypatch.setattr(environments, "followed", run_by(ran, lambda _: 0, []))
    folder = environment("tryton", said.append, pins)
    assert [words[1:3] for words in ran] == [["-m", "venv"], ["-I", "-m"]]
    assert ran[1][-4:] == ["install", "--require-hashes", "-r", str(lock_file("tryton", pins))]
    assert said == [f"tryton 8.0.12: installing 2 packages into {folder}"]
    assert environment("tryton", said.append, pins) == folder
    assert (len(ran), len(said)) == (2, 1)
    (folder / "bin" / "python").unlink()  # the Python that it was made with is gone
    environment("tryton", said.append, pins)
    assert (len(ran), len(said)) == (4, 2)


def test_another_lock_is_another_environment(pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "followed", run_by([], lambda _: 0, []))
    before = environment("tryton", lambda _: None, pins)
    lock_file("tryton", pins).write_text("trytond==8.0.13\n")
    assert environment("tryton", lambda _: None, pins) != before


def test_one_that_was_interrupted_is_made_again(pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: Commands = []
    lines = ["Collecting lxml==6.1", "ERROR: Could not find a version that satisfies lxml==6.1", "[notice] of pip"]
    monkeypatch.setattr(environments, "followed", run_by(ran, lambda words: "pip" in words, lines))
    with pytest.raises(StackError) as refused:
        environment("tryton", lambda _: None, pins)
    assert str(refused.value) == (
        "pip cannot install tryton 8.0.12: ERROR: Could not find a version that satisfies lxml==6.1\n[notice] of pip\n"
        "It needs the network, or an index named by PIP_INDEX_URL; run the same command again"
    )
    monkeypatch.setattr(environments, "followed", run_by(ran, lambda _: 0, []))
    environment("tryton", lambda _: None, pins)
    assert len(ran) == 4


def test_where_no_environment_can_be_made_the_message_says_why(pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "followed", run_by([], lambda words: "venv" in words, ["Error: no space left"]))
    with pytest.raises(StackError, match=r": an environment cannot be made there: Error: no space left$"):
        environment("tryton", lambda _: None, pins)
    monkeypatch.setattr("stack.tools._VENV", ("venv", "no_such_module"))
    with pytest.raises(StackError, match=r"cannot make environments, as it has no no_such_module: apt install python3"):
        venv()


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read: No such file"), ("# empty\n", "names no package")])
def test_a_lock_that_is_none_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        lock_file("tryton", tmp_path).write_text(text)
    with pytest.raises(StackError, match=rf"tryton\.lock: {said}.*; write it with `python -m stack\.lock tryton`$"):
        locked_versions("tryton", tmp_path)


def test_what_has_no_name_cannot_be_locked() -> None:
    with pytest.raises(StackError, match=r"^there is no part 'oracle'; there is kafka, .*tryton$"):
        lock("oracle", lambda _: None)


def test_a_command_is_followed_to_its_end() -> None:
    ended = followed(["/bin/sh", "-c", "echo one; echo two >&2; exit 3"], "", lambda _: True, lambda _: None)
    assert ended == Ended(3, ["one", "two"])
    with pytest.raises(StackError, match=r"^/no/such/program cannot be started: No such file or directory$"):
        followed(["/no/such/program"], "", lambda _: True, lambda _: None)


def test_it_is_told_of_a_command_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("stack.followed.SAY_EVERY_SECONDS", 0.0)
    followed(["/bin/sh", "-c", "echo a; echo b; echo a"], "{count} of a", lambda line: line == "a\n", said.append)
    assert said == ["1 of a in 0 s", "1 of a in 0 s", "2 of a in 0 s"]


def test_all_modules_that_are_named_are_activated_and_its_settings_hold_no_password() -> None:
    requires = ("trytond=={version}", "psycopg[binary,pool]>=3.3", "trytond-timesheet-cost>=8.0,<8.1")
    assert modules_of(requires) == ["timesheet_cost"]
    assert settings_text("127.0.0.1:1", "127.0.0.1:2", Path("files")) == (
        "[database]\nuri = postgresql://127.0.0.1:1/\npath = files\n\n[web]\nlisten = 127.0.0.1:2\n"
    )
