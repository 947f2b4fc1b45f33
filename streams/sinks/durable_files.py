"""Files that appear whole or not at all: the few operations a file exchange needs, and the order that makes it so.

A published file has its checksum beside it (`NAME.sha256`, in the format of `sha256sum`). Both are written and fsynced
under temporary names; the checksum is renamed first, the file last. A reader that sees the file thus finds it complete
and its checksum there; every remainder of a crash is a temporary file or a checksum without file, which
`tidy` removes.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

CHECKSUM_SUFFIX = ".sha256"
TEMPORARY_SUFFIX = ".tmp"
LOCK_NAME = ".lock"

Stamp = tuple[int, int, int]
"""What changes when a file is replaced: inode, size in bytes, time of modification in ns."""


class BadFile(ValueError):
    """A file is not what it must be. The message names the file, the line where there is one, and what is wrong."""


class Files(Protocol):
    """The file operations used, each durable when it returns. All raise OSError. Local here; over SFTP elsewhere."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, unless they exist."""

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted."""

    def read(self, path: Path) -> bytes:
        """Return the content of a file."""

    def stamp(self, path: Path) -> Stamp:
        """Return the stamp of a file."""

    def write(self, path: Path, content: bytes) -> None:
        """Write a file anew and fsync it."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in its folder, replacing what has that name."""

    def appear(self, old: Path, new: Path) -> None:
        """Give a file the name under which it is seen, and which no file has: the lock, or more, keeps others out.

        Raises BlockingIOError if another writer has taken the name, or the lock, meanwhile.
        """

    def remove(self, path: Path) -> None:
        """Remove a file."""

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""

    def lock(self, path: Path) -> int:
        """Take the lock file for this process or raise BlockingIOError; a process that dies loses it."""

    def unlock(self, token: int) -> None:
        """Give back what `lock` returned."""


class LocalFiles:
    """Files of this machine's file system."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, unless they exist."""
        folder.mkdir(parents=True, exist_ok=True)

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted."""
        return sorted(path.name for path in folder.iterdir())

    def read(self, path: Path) -> bytes:
        """Return the content of a file."""
        return path.read_bytes()

    def stamp(self, path: Path) -> Stamp:
        """Return the stamp of a file."""
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def write(self, path: Path, content: bytes) -> None:
        """Write a file anew and fsync it."""
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in its folder, replacing what has that name."""
        old.replace(new)

    def appear(self, old: Path, new: Path) -> None:
        """Give a file the name under which it is seen; the lock keeps others out for as long as this process lives."""
        self.rename(old, new)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> int:
        """Take the lock file for this process or raise BlockingIOError; a process that dies loses it."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def unlock(self, token: int) -> None:
        """Give back what `lock` returned."""
        os.close(token)


@contextmanager
def locked(files: Files, folder: Path) -> Iterator[None]:
    """Keep other writers out of a folder. Raises BlockingIOError if one is at work there."""
    token = files.lock(folder / LOCK_NAME)
    try:
        yield
    finally:
        files.unlock(token)


def checksum_of(path: Path) -> Path:
    """Return where the checksum of a file lies."""
    return path.with_name(path.name + CHECKSUM_SUFFIX)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a content in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def prepare(files: Files, path: Path, content: bytes) -> None:
    """Do everything of a publication but its last step: nothing is visible yet, and nothing may be left of it."""
    temporary = _temporary(path)
    checksum = checksum_of(path)
    files.write(temporary, content)
    write_checksum(files, path, content)
    files.sync_folder(checksum.parent)


def publish(files: Files, path: Path) -> None:
    """Make a prepared file visible, whole and for good."""
    files.appear(_temporary(path), path)
    files.sync_folder(path.parent)


def write_checksum(files: Files, path: Path, content: bytes) -> None:
    """Write the checksum of a content beside its file."""
    checksum = checksum_of(path)
    files.write(_temporary(checksum), f"{digest_of(content)}  {path.name}\n".encode())
    files.rename(_temporary(checksum), checksum)


def tidy(files: Files, folder: Path) -> list[str]:
    """Remove what a crash left behind; return the names of files that lack their checksum. Only under the lock."""
    names = files.names(folder)
    present = set(names)
    for name in names:
        orphaned = name.endswith(CHECKSUM_SUFFIX) and name.removesuffix(CHECKSUM_SUFFIX) not in present
        if name.endswith(TEMPORARY_SUFFIX) or orphaned:
            files.remove(folder / name)
            present.discard(name)
    return [
        name for name in sorted(present)
        if not name.startswith(".") and not name.endswith(CHECKSUM_SUFFIX) and name + CHECKSUM_SUFFIX not in present
    ]  # fmt: skip


def read_checked(files: Files, path: Path) -> bytes:
    """Return the content of a file after comparing its checksum. Raises BadFile, and OSError if it cannot be read."""
    content = files.read(path)
    try:
        words = files.read(checksum_of(path)).split()
    except FileNotFoundError as error:
        raise BadFile(f"{path.name}: its checksum {checksum_of(path).name} is missing") from error
    if not words or words[0].decode(errors="replace") != digest_of(content):
        raise BadFile(f"{path.name}: its content does not match {checksum_of(path).name}; have it sent again")
    return content


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
