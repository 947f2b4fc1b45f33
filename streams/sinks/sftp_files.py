"""The files of an exchange on another machine, over SFTP: the same operations, and the same promises, as `LocalFiles`.

Owns one connection, which is made anew when it broke, and how writers are kept apart. Does not own what is written.

SFTP (version 3) has no lock that dies with its holder. Two things stand in for it:
- A lock file beside the folder names its holder. It ends when it is given back, or when another has seen it unchanged
  for longer than a holder may hold it. A holder that is late gives up before the step by which a file is seen.
- That step never replaces anything: the server itself refuses a name that is taken. So even a holder that slept, and
  wakes when another has its lock, writes no second batch of one number, and nothing of another's is lost.

Clocks are never compared: each side goes by how long it has waited itself.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import paramiko
from paramiko.sftp import SFTPError

from streams.sinks.durable_files import TEMPORARY_SUFFIX, Stamp
from streams.sinks.sftp_connection import Client, Unusable, connected
from streams.sinks.sftp_settings import SftpSettings

_CUT_SHORT: Final = ("Authentication timeout", "transport shut down")
"""Of what is told as a login that failed, what says nothing of the login."""

_NS: Final = 1_000_000_000
_FOLDER_MODE: Final = 0o755

Result = TypeVar("Result")


class SftpFiles:
    """Files on an SFTP server. May be used by several threads, one operation at a time.

    `monotonic` gives seconds, to wait for another's lock by.
    """

    def __init__(self, settings: SftpSettings, monotonic: Callable[[], Any] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._turn = threading.RLock()
        self._ssh: paramiko.SSHClient | None = None
        self._sftp: Client | None = None
        self._writer = uuid4().hex
        self._held: dict[int, tuple[Path, str, Any]] = {}  # by token: lock file, what stands in it, until when
        self._seen: dict[Path, tuple[str, Any]] = {}  # what stands in another's lock, and since when
        self._next = 1
        self._listed: dict[Path, Stamp] = {}
        self._changed: dict[Path, Path] = {}
        self._drafts: dict[Path, Path] = {}

    # -- files

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, unless they exist."""
        missing = [place for place in (folder, *folder.parents) if not self._exists(place)]
        for place in reversed(missing):
            self._make(place)

    def _make(self, folder: Path) -> None:
        try:
            self._once(folder, lambda sftp: sftp.mkdir(str(folder), _FOLDER_MODE))
        except OSError:
            if not self._exists(folder):
                raise

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted."""
        found = self._again(folder, lambda sftp: sftp.listdir_attr(str(folder)))
        # Each may be asked for its stamp next, and one by one that takes a journey each.
        self._listed = {folder / one.filename: _stamp(one) for one in found}
        return sorted(one.filename for one in found)

    def read(self, path: Path) -> bytes:
        """Return the content of a file."""

        def content(sftp: Client) -> bytes:
            with sftp.open(str(path), "rb") as file:
                # Not by `prefetch`: its thread would die of a connection that breaks, and say so to nobody but stderr.
                return file.read(file.stat().st_size or 0)

        return self._again(path, content)

    def stamp(self, path: Path) -> Stamp:
        """Return the stamp of a file; what was just listed is told once from the list.

        Times are in whole seconds here, and there are no inodes: a file that is replaced within a second by one of the
        same size has the same stamp.
        """
        with self._turn:
            listed = self._listed.pop(path, None)
        return self._again(path, lambda sftp: _stamp(sftp.stat(str(path)))) if listed is None else listed

    def write(self, path: Path, content: bytes) -> None:
        """Write a file anew, have it fsynced where the server can, and see that all of it arrived.

        What is temporary has a name at each try that no other has, of this writer or of another: a request that the
        server was slow with must not reach what a later one has made.
        """

        def written(sftp: Client) -> None:
            place = self._drafted(path)
            with sftp.open(str(place), "wb") as file:
                file.set_pipelined(True)
                file.write(content)
                size = file.stat().st_size
                if size != len(content):
                    raise OSError(errno.ENOSPC, f"{size} of {len(content)} bytes were written: is the disk full?")
                sftp.fsync(file)

        self._again(path, written)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in its folder, replacing what has that name, in one step."""
        draft = self._drafts.pop(old, old)
        with self._not_meddled(new):
            self._once(new, lambda sftp: sftp.posix_rename(str(draft), str(new)))
        self._changed[new.parent] = new

    def appear(self, old: Path, new: Path) -> None:
        """Give a file a name that none has. Raises BlockingIOError if one has, or the lock is another's by now."""
        self._see_locked(new.parent)
        draft = self._drafts.pop(old, old)
        with self._not_meddled(new):
            self._once(new, lambda sftp: sftp.rename(str(draft), str(new)))
        self._changed[new.parent] = new

    @contextmanager
    def _not_meddled(self, new: Path) -> Iterator[None]:
        """Tell apart what another writer did: it took the name, or cleared our draft away as left behind."""
        try:
            yield
        except FileNotFoundError as error:
            if self._exists(new.parent):
                raise BlockingIOError(errno.EAGAIN, "another writer cleared the draft away", str(new)) from error
            raise
        except OSError as error:
            if error.errno == errno.EIO and self._exists(new):
                raise BlockingIOError(errno.EAGAIN, "another writer has taken the name", str(new)) from error
            raise

    def remove(self, path: Path) -> None:
        """Remove a file."""
        self._once(path, lambda sftp: sftp.remove(str(path)))

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable, as far as SFTP can.

        A folder cannot be fsynced there; the file that was renamed last can, and the journal of a file system that has
        one holds the names before it.
        """
        path = self._changed.pop(folder, None)
        if path is not None:
            with suppress(FileNotFoundError):  # it was removed since
                self._again(path, lambda sftp: _fsynced(sftp, path))

    # -- the lock

    def lock(self, path: Path) -> int:
        """Take the lock of a folder, or raise BlockingIOError.

        The lock file lies beside the folder, whose own time of change thus says when a batch came or went.
        """
        place = _lock_of(path.parent)
        with self._turn:
            mine = f"{self._writer} {uuid4().hex}"
            until = self._monotonic() + self._settings.lock_seconds_max / 2
            if not self._taken(place, mine):
                self._end_if_dead(place)
                if not self._taken(place, mine):
                    raise BlockingIOError(errno.EAGAIN, "another writer is at work", str(path))
            self._seen.pop(place, None)
            token, self._next = self._next, self._next + 1
            self._held[token] = (place, mine, until)
            return token

    def unlock(self, token: int) -> None:
        """Give back what `lock` returned. What cannot be given back, since the connection broke, ends by itself."""
        place, mine, _ = self._held.pop(token)
        with suppress(OSError):  # it has our name, by which `lock` knows it again
            if self._holder(place) == mine:
                self.remove(place)

    def _taken(self, place: Path, mine: str) -> bool:
        """Make the lock file, whole in one step; return whether it is ours."""
        temporary = place.with_name(place.name + TEMPORARY_SUFFIX)
        self.write(temporary, mine.encode())
        draft = self._drafts.pop(temporary)
        try:
            self._once(place, lambda sftp: sftp.rename(str(draft), str(place)))
        except OSError as error:
            holder = self._holder(place)
            if holder is None and error.errno not in (errno.EIO, errno.ETIMEDOUT):
                raise
            if holder != mine:  # else it was the answer that was lost
                self.remove(draft)
                return False
        return True

    def _end_if_dead(self, place: Path) -> None:
        """Remove a lock that was left: by us, or by one that has held it for longer than anybody may."""
        holder = self._holder(place)
        if holder is None:
            return
        ours = holder.startswith(self._writer) and holder not in [mine for _, mine, _ in self._held.values()]
        known, since = self._seen.get(place, ("", None))
        if known != holder:
            known, since = holder, self._monotonic()
            self._seen[place] = known, since
        if ours or self._monotonic() - since > self._settings.lock_seconds_max:
            self.remove(place)

    def _see_locked(self, folder: Path) -> None:
        """See that a folder is locked by us, and will be for long enough."""
        place = _lock_of(folder)
        found = [(mine, until) for held, mine, until in self._held.values() if held == place]
        for mine, until in found:
            if self._monotonic() > until or self._holder(place) != mine:
                raise BlockingIOError(errno.EAGAIN, "the lock was held for too long: another writer may be at work")

    def _holder(self, place: Path) -> str | None:
        try:
            return self.read(place).decode(errors="replace")
        except FileNotFoundError:
            return None

    # -- the connection

    def close(self) -> None:
        """Close the connection; the next operation makes another."""
        with self._turn:
            ssh, self._ssh, self._sftp = self._ssh, None, None
            if ssh is not None:
                ssh.close()

    def _drafted(self, path: Path) -> Path:
        """Return where a file is written: one that is temporary where no other ever is."""
        if not path.name.endswith(TEMPORARY_SUFFIX):
            return path
        self._drafts[path] = path.with_name(
            f"{path.name.removesuffix(TEMPORARY_SUFFIX)}.{uuid4().hex}{TEMPORARY_SUFFIX}"
        )
        return self._drafts[path]

    def _exists(self, path: Path) -> bool:
        try:
            self._again(path, lambda sftp: sftp.stat(str(path)))
        except FileNotFoundError:
            return False
        return True

    def _again(self, path: Path, ask: Callable[[Client], Result]) -> Result:
        """Do what may be done twice: a connection that was dropped while nobody spoke is no failure."""
        was_open = self._sftp is not None
        try:
            return self._once(path, ask)
        except TimeoutError:
            if not was_open:
                raise
            return self._once(path, ask)

    def _once(self, path: Path, ask: Callable[[Client], Result]) -> Result:
        """Do something, over a connection that lives as far as is known.

        Raises:
            TimeoutError: The connection broke: whether it was done is unknown.
            OSError: The server refuses; EIO where it does not say why.
        """
        with self._turn, self._failing(path):
            result = ask(self._connected())
            self._listed.pop(path, None)
            return result

    @contextmanager
    def _failing(self, path: Path) -> Iterator[None]:
        where = f"{self._settings.host}:{path}"
        try:
            yield
        except (Unusable, paramiko.BadHostKeyException) as error:
            self.close()
            raise PermissionError(errno.EACCES, str(error), where) from None
        except paramiko.AuthenticationException as error:
            self.close()
            text = f"{self._settings.user} is not let in: {error}"
            if any(words in text for words in _CUT_SHORT):
                raise TimeoutError(errno.ETIMEDOUT, text, where) from None
            raise PermissionError(errno.EACCES, text, where) from None
        except (paramiko.SSHException, EOFError, TimeoutError, ConnectionError, SFTPError) as error:
            self.close()
            text = f"the connection broke: {error or type(error).__name__}"
            raise TimeoutError(errno.ETIMEDOUT, text, where) from error
        except OSError as error:
            if self._ssh is None:  # such as a name that is not resolved at the moment
                raise TimeoutError(errno.ETIMEDOUT, f"no connection: {error}", where) from error
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), where) from error

    def _connected(self) -> Client:
        transport = None if self._ssh is None else self._ssh.get_transport()
        if self._sftp is not None and transport is not None and transport.is_active():
            return self._sftp
        self.close()
        ssh = paramiko.SSHClient()
        try:
            sftp = connected(ssh, self._settings)
        except BaseException:
            ssh.close()
            raise
        self._ssh, self._sftp = ssh, sftp
        return sftp


def _fsynced(sftp: Client, path: Path) -> None:
    with sftp.open(str(path), "rb") as file:
        sftp.fsync(file)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _stamp(found: paramiko.SFTPAttributes) -> Stamp:
    return 0, found.st_size or 0, (found.st_mtime or 0) * _NS
