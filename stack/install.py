"""Java and Maven, where they are missing: `python -m stack.install`, which is `make stack-tools`.

They are installed by apt where nobody needs to be asked: as root, or in continuous integration (`CI` is set) with sudo.
Elsewhere it says what to install, and fails.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

from stack.errors import StackError
from stack.tools import PACKAGES, java, maven


def missing() -> list[str]:
    """What is wrong with the programs that the stack needs, one message each."""
    faults = []
    for find in (java, maven):
        try:
            find()
        except StackError as error:
            faults.append(str(error))
    return faults


def apt(environment: Mapping[str, str], user: int, which: Callable[[str], str | None]) -> list[str] | None:
    """The words that begin an apt command here; None if it is not for us to install anything."""
    if which("apt-get") is None:
        return None
    if user == 0:
        return ["apt-get"]
    return ["sudo", "-n", "apt-get"] if environment.get("CI") and which("sudo") else None


def main() -> int:
    """Install what is missing, or say what to install; 0 if all is there."""
    faults = missing()
    command = apt(os.environ, os.geteuid(), shutil.which)
    if faults and command is not None:
        print(*faults, "installing by apt", sep="\n", file=sys.stderr, flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *PACKAGES]):
            if subprocess.run([*command, *words], env=quiet, stdin=subprocess.DEVNULL, check=False).returncode:
                print(f"{' '.join([*command, *words])} failed; its message is above", file=sys.stderr)
                return 1
        faults = missing()
    print(*faults or [f"Java: {java()}", f"Maven: {maven()}"], sep="\n", file=sys.stderr if faults else sys.stdout)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
