"""The folder of a demo: made anew for each run, never anybody else's, and of one run at a time."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = ".throughline-demo"
"""The file that says that a folder is the demo's. Whoever has it locked works in the folder."""


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


@contextmanager
def demo_folder(out: Path) -> Iterator[None]:
    """Empty or make a folder, and keep other demos out of it.

    Raises `DemoError` for a folder with other content, one that another demo works in, or one that cannot be written.
    """
    try:
        if out.exists() and not (out / MARKER).exists() and any(out.iterdir()):
            raise DemoError(f"{out} exists and was not made by the demo; give another folder with --out")
        out.mkdir(parents=True, exist_ok=True)
        marker = (out / MARKER).open("w")
    except OSError as error:
        raise _unusable(out, error) from error
    with marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The marker stays: a clean-up that is interrupted leaves a folder that is still the demo's.
            for path in out.iterdir():
                if path.name != MARKER:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except BlockingIOError as error:
            raise DemoError(f"another demo is at work in {out}; give another folder with --out") from error
        except OSError as error:
            raise _unusable(out, error) from error
        yield


def _unusable(out: Path, error: OSError) -> DemoError:
    return DemoError(f"{error.filename or out}: {error.strerror or error}; give another folder with --out")
