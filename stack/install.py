"""Java, Maven and promtool, where they are missing: `python -m stack.install`, which is `make stack-tools`.

They are installed by apt where nobody needs to be asked: as root, or in continuous integration (`CI` is set) with sudo.
Elsewhere it says what to install, and fails.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

from stack.errors import StackError
from stack.tools import PACKAGES, PROMETHEUS, java, maven, promtool


def missing() -> list[str]:
    """What is wrong with the programs that the stack needs, one message each."""
    faults = []
    for find in (java, maven, promtool):
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
    if which("promtool") is None and which("systemctl"):
        # Debian starts what it installs, now and at every boot, and this would listen on every address.
        steps.append(["systemctl", "mask", "--quiet", "prometheus.service"])
    steps.append([*install, *PACKAGES, PROMETHEUS])
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
    found = [] if faults else [f"Java: {java()}", f"Maven: {maven()}", f"promtool: {promtool()}"]
    print(*faults or found, sep="\n", file=sys.stderr if faults else sys.stdout)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
