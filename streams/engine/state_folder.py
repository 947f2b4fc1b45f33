"""The state folder of one worker: a database for each partition it has worked on, and the identity it goes by.

The identity is made with the folder and stays with it: a worker started again on its folder is, for the group and for
transactions, the same worker. Two workers cannot share a folder.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from state.rocks import StoreUnavailable

_LOCK_FILE = "worker.lock"
_IDENTITY_FILE = "identity"


class StateFolder:
    """A state folder held by this process. Make it with `held`."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.identity = identity

    def database(self, partition: int) -> Path:
        """Return the folder of a partition's database."""
        return self.path / f"partition-{partition}"


@contextmanager
def held(path: Path) -> Iterator[StateFolder]:
    """Hold a state folder, made if it is not there, until the end of the block or of the process.

    Raises `StoreUnavailable` if another process holds it, or if it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreUnavailable(
            f"state folder {path} cannot be used: {error.strerror}; give another state_folder"
        ) from error
    try:
        _lock(lock, path)
        yield StateFolder(path, _identity(path))
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise StoreUnavailable(
            f"state folder {path} is in use by another worker, process {holder}; stop it, or give this one a "
            "state_folder of its own"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _identity(path: Path) -> str:
    file = path / _IDENTITY_FILE
    try:
        known = file.read_text().strip() if file.exists() else ""
        if not known:
            known = uuid.uuid4().hex[:12]
            file.write_text(known + "\n")
    except OSError as error:
        raise StoreUnavailable(
            f"state folder {path} cannot be written: {error.strerror}; give another state_folder"
        ) from error
    return known
