"""Python programs of the stack, each in an environment of its own: made once, in the cache, from its lock.

Nothing of such a program is imported here; it is run, and spoken to over the network. What is installed is compared
with the checksums in the lock, which is committed beside this module. An environment cannot be moved, so it is made
where it stays: one whose making was interrupted has no mark, and is made again.
"""

import re
import shutil
import sys
from pathlib import Path

from stack.errors import Say, StackError
from stack.followed import Ended, followed
from stack.jars import cache_folder, checksum
from stack.locked import locked
from stack.tools import venv
from stack.versions import PINS, versions

_MADE = ".made"
_PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_REASONS = ("ERROR:", "THESE PACKAGES DO NOT MATCH THE HASHES")


def lock_file(name: str, pins: Path = PINS) -> Path:
    """The lock of an environment: every package with its version and checksums, as pip reads it."""
    return pins / f"{name}.lock"


def locked_versions(name: str, pins: Path = PINS) -> dict[str, str]:
    """The version of each package in an environment's lock.

    Raises:
        StackError: There is no lock, or it names nothing.
    """
    file = lock_file(name, pins)
    try:
        found = dict(_PIN.findall(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise StackError(f"{file}: cannot be read: {error.strerror}; {_how_to_lock(name)}") from None
    if not found:
        raise StackError(f"{file}: names no package; {_how_to_lock(name)}")
    return found


def environment(name: str, say: Say, pins: Path = PINS) -> Path:
    """The folder of a program's environment, after making it if the cache has none.

    Raises:
        StackError: No environment can be made here, or what it needs cannot be fetched or is not what was locked.
    """
    version, packages = versions(pins).environments[name].version, locked_versions(name, pins)
    lock, python = lock_file(name, pins), f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_folder() / f"{name}-{version}-{checksum(lock)[:8]}-python{python}"
    with locked(folder.parent / f"{folder.name}.lock", f"another fetch of {name} {version}", say):
        if not _is_whole(folder):
            say(f"{name} {version}: installing {len(packages)} packages into {folder}")
            _make(folder, f"{name} {version}", lock, say)
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether it was made to its end, and the Python that it was made with is still there."""
    return (folder / _MADE).is_file() and (folder / "bin" / "python").exists()


def _make(folder: Path, what: str, lock: Path, say: Say) -> None:
    venv()
    shutil.rmtree(folder, ignore_errors=True)
    made = followed([sys.executable, "-m", "venv", folder], what, lambda _: False, say)
    if made.code:
        raise StackError(f"{folder}: an environment cannot be made there: {_reason(made)}")
    pip: list[str | Path] = [
        folder / "bin" / "python",
        "-I",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "install",
    ]
    told = f"{what}: {{count}} packages fetched"
    done = followed([*pip, "--require-hashes", "-r", lock], told, lambda line: line.startswith("Collecting"), say)
    if done.code:
        raise StackError(
            f"pip cannot install {what}: {_reason(done)}\n"
            "It needs the network, or an index named by PIP_INDEX_URL; run the same command again"
        )
    (folder / _MADE).touch()


def _reason(ended: Ended) -> str:
    """From the first line that says an error: what comes before is progress, and the last line may be advice."""
    first = next((number for number, line in enumerate(ended.lines) if line.startswith(_REASONS)), 0)
    return "\n".join(ended.lines[first:]).strip()


def _how_to_lock(name: str) -> str:
    return f"write it with `python -m stack.lock {name}`"
