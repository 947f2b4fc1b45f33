"""The programs that the stack and its tests need and do not bring: Java, Maven to fetch with, PostgreSQL and others."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from stack.errors import StackError
from stack.versions import versions

PACKAGES = ("default-jre-headless", "maven")
INSTALL = f"apt install {' '.join(PACKAGES)}"
POSTGRESQL, PROMETHEUS = "postgresql", "prometheus"
DOCKER_COMPOSE = "docker-compose"
OPENSSH_SERVER = "openssh-server"
DEBIAN_SSHD = Path("/usr/sbin/sshd")
"""Where Debian keeps it, which is not on every PATH."""
DEBIAN_POSTGRESQL = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of each version, which are not on the PATH."""
_POSTGRESQL_PROGRAMS = ("postgres", "initdb", "pg_isready", "psql")
_VENV = ("venv", "ensurepip")
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


def jvm_flags(heap_mib: int) -> tuple[str, ...]:
    """Flags for a server on a small machine: little heap at first, one collector thread, quick to start."""
    sizes = (f"-Xms{min(heap_mib, 128)}m", f"-Xmx{heap_mib}m")
    return (*sizes, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


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
    return _program("promtool", PROMETHEUS, "checks the alerts")


def docker_compose() -> str:
    """The path of docker-compose, which reads docker-compose.yml; it needs no container engine for that.

    Raises:
        StackError: There is none; the message names the package to install.
    """
    return _program(DOCKER_COMPOSE, DOCKER_COMPOSE, "reads docker-compose.yml")


def sshd() -> str:
    """The path of sshd, to which files are exchanged over SFTP.

    Raises:
        StackError: There is none; the message names the package to install.
    """
    path = shutil.which("sshd")
    if path is not None:
        return str(Path(path).absolute())  # it starts itself anew for each session, by its whole path
    if DEBIAN_SSHD.is_file():
        return str(DEBIAN_SSHD)
    raise StackError(f"there is no sshd on the PATH, which SFTP is tried with: apt install {OPENSSH_SERVER}")


def prometheus() -> tuple[str, str]:
    """The path of Prometheus, and its version.

    Raises:
        StackError: There is none, or it is too old; the message names the package to install.
    """
    path = _program("prometheus", PROMETHEUS, "keeps the metrics")
    told = ask([path, "--version"], _ANSWER_SECONDS_MAX)
    return path, _new_enough(path, PROMETHEUS, re.search(r"version (\d+(?:\.\d+)*)", told.stdout + told.stderr))


def postgresql() -> tuple[Path, str]:
    """The folder of PostgreSQL's programs, the newest there is, and its version.

    Raises:
        StackError: There is none, or it is too old; the message names the package to install.
    """
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []  # what lies on the PATH may be a link to one program
    folders += sorted(DEBIAN_POSTGRESQL.glob("*/bin"), key=lambda folder: _number(folder.parent.name), reverse=True)
    for folder in folders:
        if all((folder / name).is_file() for name in _POSTGRESQL_PROGRAMS):
            path = str(folder / "postgres")
            told = ask([path, "--version"], _ANSWER_SECONDS_MAX)
            return folder, _new_enough(path, POSTGRESQL, re.search(r"\) (\d+(?:\.\d+)*)", told.stdout))
    raise StackError(
        f"there is no PostgreSQL on the PATH or in {DEBIAN_POSTGRESQL}, which keeps the databases: "
        f"apt install {versions().programs[POSTGRESQL].package}"
    )


def venv() -> None:
    """See that environments can be made by the Python that runs this.

    Raises:
        StackError: It cannot make any; the message names the package to install.
    """
    if absent := [name for name in _VENV if importlib.util.find_spec(name) is None]:
        what = f"{sys.executable} cannot make environments, as it has no {' and no '.join(absent)}"
        raise StackError(f"{what}: apt install python3-venv")


def version_or_none(find: Callable[[], tuple[object, str]]) -> str:
    """The version of a program, `none` where there is none: what was started with it can still be stopped."""
    try:
        return find()[1]
    except StackError:
        return "none"


def _program(name: str, package: str, what_for: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise StackError(f"there is no {name} on the PATH, which {what_for}: apt install {package}")
    return path


def _new_enough(path: str, name: str, found: re.Match[str] | None) -> str:
    wanted = versions().programs[name]
    if found is None:
        raise StackError(f"{path} --version does not say its version")
    if [*map(int, found[1].split("."))] < [*map(int, wanted.least.split("."))]:
        raise StackError(
            f"{path} is version {found[1]}, and the stack needs {wanted.least} or newer: apt install {wanted.package}"
        )
    return found[1]


def _number(text: str) -> int:
    return int(text) if text.isdigit() else -1
