"""Writing down what is fetched, after versions changed: `python -m stack.lock kafka`.

For a part that is the checksums of its jars; for an environment the versions and checksums of all its packages.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from stack.environments import lock_file, locked_versions
from stack.errors import Say, StackError
from stack.jars import checksum, checksums_file, fetch_into, jars_in
from stack.versions import versions


def lock(name: str, say: Say) -> str:
    """Write down what is fetched for a part or an environment; return what was written where.

    Raises:
        StackError: There is neither of this name, or something cannot be fetched or resolved.
    """
    known = versions()
    if name in known.parts:
        return f"{checksums_file(name)}: {_lock_jars(name, say)} jars"
    if name in known.environments:
        _resolve(name)
        return f"{lock_file(name)}: {len(locked_versions(name))} packages"
    raise StackError(f"there is no part {name!r}; there is {', '.join([*known.parts, *known.environments])}")


def _lock_jars(name: str, say: Say) -> int:
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        fetch_into(whole, name, say)
        lines = [f"{checksum(jar)}  {path}\n" for path, jar in jars_in(whole).items()]
    checksums_file(name).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _resolve(name: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--quiet"]
    command += ["--generate-hashes", "--no-emit-index-url", "--custom-compile-command", f"python -m stack.lock {name}"]
    asked = "\n".join(versions().environments[name].requirements())
    told = subprocess.run(
        [*command, "--upgrade", "--output-file", str(lock_file(name)), "-"],
        input=asked, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        raise StackError(f"{name}: cannot be resolved:\n{told.stderr.strip()}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        for part in sys.argv[1:] or [*versions().parts, *versions().environments]:
            print(lock(part, _say))
    except StackError as error:
        sys.exit(f"stack.lock: {error}")
