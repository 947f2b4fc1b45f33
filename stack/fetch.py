"""Jars of parts, copied into folders of their own for an image that is built: `python -m stack.fetch PART... FOLDER`.

They are fetched and compared with their checksums as for the local stack.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from stack.errors import Say, StackError
from stack.jars import JARS, fetched
from stack.versions import versions


def copy_jars(names: Sequence[str], into: Path, say: Say) -> None:
    """Copy the jars of parts into `into`, one folder a part.

    Raises:
        StackError: There is no such part, or a jar cannot be fetched or is not what was written down.
    """
    if unknown := [name for name in names if name not in versions().parts]:
        raise StackError(f"there is no part {', '.join(unknown)}; there is {', '.join(versions().parts)}")
    for name in names:
        shutil.copytree(fetched(name, say) / JARS, into / name)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        copy_jars(sys.argv[1:-1], Path(sys.argv[-1]), _say)
    except StackError as error:
        sys.exit(f"stack.fetch: {error}")
