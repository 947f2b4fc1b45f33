"""One at a time, across programs."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.errors import Say


@contextmanager
def locked(file: Path, waiting_for: str, say: Say) -> Iterator[None]:
    """Hold the lock file; say what is waited for while another program holds it. It ends with us, however we end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {waiting_for}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
