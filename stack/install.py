"""What the stack and its tests need of the system, where it is missing: `make stack-tools`.

Java, Maven, PostgreSQL, Prometheus, docker-compose and sshd are installed by apt where nobody needs to be asked: as
root, or in continuous integration (`CI` is set) with sudo. Elsewhere it says what to install, and fails.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

from stack.errors import StackError
from stack.tools import (
    DOCKER_COMPOSE,
    OPENSSH_SERVER,
    PACKAGES,
    docker_compose,
    java,
    maven,
    postgresql,
    prometheus,
    promtool,
    sshd,
)
from stack.versions import versions


def _whole_prometheus() -> object:
    return prometheus(), promtool()


def _is_there(find: Callable[[], object]) -> bool:
    try:
        find()
    except StackError:
        return False
    return True


_FOUND: Mapping[str, Callable[[], object]] = {
    "Java": java,
    "Maven": maven,
    "PostgreSQL": lambda: postgresql()[0],
    "Prometheus": lambda: prometheus()[0],
    "promtool": promtool,
    "docker-compose": docker_compose,
    "sshd": sshd,
}


_SERVERS: Mapping[str, Callable[[], object]] = {"postgresql": postgresql, "prometheus": _whole_prometheus}


def missing() -> list[str]:
    """What is wrong with the programs that the stack needs, one message each."""
    faults = []
    for find in _FOUND.values():
        try:
            find()
        except StackError as error:
            faults.append(str(error))
    return faults


def as_root(environment: Mapping[str, str], user: int, which: Callable[[str], str | None]) -> list[str] | None:
    """The words before a command that installs; None if it is not for us to install anything here."""
    if which("apt-get") is None:
        return None
    if user == 0:
        return []
    return ["sudo", "-n"] if environment.get("CI") and which("sudo") else None


def commands(which: Callable[[str], str | None]) -> list[list[str]]:
    """The commands that install by apt."""
    update, install = ["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends"]
    steps = [update]
    absent = [program.package for name, program in versions().programs.items() if not _is_there(_SERVERS[name])]
    without_sshd = not _is_there(sshd)
    if which("systemctl"):
        # Debian starts what it installs, now and at every boot; Prometheus would listen on every address. A server that
        # is there already is left as it is.
        services = [*absent, "ssh"] if without_sshd else absent
        steps += [["systemctl", "mask", "--quiet", f"{service}.service"] for service in services]
    readers = [] if _is_there(docker_compose) else [DOCKER_COMPOSE]
    steps.append([*install, *PACKAGES, *absent, *readers, *([OPENSSH_SERVER] if without_sshd else [])])
    if which("update-ca-certificates"):
        # Java keeps certificates of its own: without this, it does not know an authority that this machine had added.
        steps.append(["update-ca-certificates", "--fresh"])
    return steps


def main() -> int:
    """Install what is missing, or say what to install; 0 if all is there."""
    faults = missing()
    before = as_root(os.environ, os.geteuid(), shutil.which)
    if faults and before is not None:
        print(*faults, "installing by apt", sep="\n", file=sys.stderr, flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in commands(shutil.which):
            if subprocess.run([*before, *step], env=quiet, stdin=subprocess.DEVNULL, check=False).returncode:
                print(f"{' '.join([*before, *step])} failed; its message is above", file=sys.stderr)
                return 1
        faults = missing()
    found = [] if faults else [f"{name}: {find()}" for name, find in _FOUND.items()]
    print(*faults or found, sep="\n", file=sys.stderr if faults else sys.stdout)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
