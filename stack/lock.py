"""Writing down the checksums of a part's jars, after its versions changed: `python -m stack.lock kafka`."""

import sys
import tempfile
from pathlib import Path

from stack.errors import Say, StackError
from stack.jars import checksum, checksums_file, fetch_into, jars_in
from stack.versions import versions


def lock(name: str, say: Say) -> int:
    """Fetch the jars of a part and write their checksums; return how many there are."""
    if name not in versions().parts:
        raise StackError(f"there is no part {name!r}; there is {', '.join(versions().parts)}")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        fetch_into(whole, name, say)
        lines = [f"{checksum(jar)}  {path}\n" for path, jar in jars_in(whole).items()]
    checksums_file(name).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        for part in sys.argv[1:] or versions().parts:
            print(f"{checksums_file(part)}: {lock(part, _say)} jars")
    except StackError as error:
        sys.exit(f"stack.lock: {error}")
