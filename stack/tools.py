"""The programs that the stack needs and does not bring: Java, Maven to fetch with, promtool to check alerts with."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from stack.errors import StackError
from stack.versions import versions

PACKAGES = ("default-jre-headless", "maven")
INSTALL = f"apt install {' '.join(PACKAGES)}"
PROMETHEUS = "prometheus"
"""The package that promtool comes in."""
_ANSWER_SECONDS_MAX = 30.0


def java() -> str:
    """The path of a Java that is new enough: of JAVA_HOME where that is set, else of PATH.

    Raises:
        StackError: There is none, or it is too old; the message names the package to install.
    """
    least = versions().java.least
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=os.path.join(home, "bin") if home else None)  # noqa: PTH118, a search path
    if path is None:
        where = f"in JAVA_HOME={home}" if home else "on the PATH"
        raise StackError(f"there is no Java {where}, and the stack needs {least} or newer: {INSTALL}")
    path = str(Path(path).absolute())  # it is started in another folder than this
    found = _java_version(path)
    if found < least:
        raise StackError(f"{path} is Java {found}, and the stack needs {least} or newer: {INSTALL}, or set JAVA_HOME")
    return path


def _java_version(path: str) -> int:
    """The feature version: 17 of `openjdk version "17.0.15"`, 8 of `java version "1.8.0_402"`."""
    told = ask([path, "-version"], _ANSWER_SECONDS_MAX)
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if told.returncode or found is None:
        raise StackError(f"{path} -version does not say its version: {(told.stderr or told.stdout).strip()!r}")
    return int(found[1])


def ask(
    command: Sequence[str], wait_seconds_max: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a short command, in `folder` if given, and return how it ended and what it said.

    Raises:
        StackError: It cannot be run, or does not end in time.
    """
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=wait_seconds_max
        )
    except OSError as error:
        raise StackError(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise StackError(f"{' '.join(command)} did not end within {wait_seconds_max:.0f} s") from None


def maven() -> str:
    """The path of Maven.

    Raises:
        StackError: There is none; the message names the package to install.
    """
    path = shutil.which("mvn")
    if path is None:
        raise StackError(f"there is no Maven (mvn) on the PATH, and the jars come by it: {INSTALL}")
    return path


def promtool() -> str:
    """The path of promtool, which checks Prometheus rules.

    Raises:
        StackError: There is none; the message names the package to install.
    """
    path = shutil.which("promtool")
    if path is None:
        raise StackError(f"there is no promtool on the PATH, which checks the alerts: apt install {PROMETHEUS}")
    return path
