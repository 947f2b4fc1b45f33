"""A folder in which files are dropped: what waits there, what is done, refused or rejected of it.

A file waits under its complete name. Whoever writes it names it otherwise until it is whole (`x.csv.tmp`), and renames
it then; a checksum may lie beside it, written before (`x.csv.sha256`).
"""

import csv
import hashlib
import io
import os
from itertools import count
from pathlib import Path
from typing import IO, Final

from outside.errors import Fatal

_ENDINGS: Final = (".csv", ".csv.gz")


class RejectsFile:
    """The lines of a file that cannot be read, each with its number and what is wrong, as CSV."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._file: IO[bytes] | None = None

    def add(self, line: int, why: str, raw: bytes) -> None:
        """Add a line."""
        if self._file is None:
            self._file = self._opened()
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(
            (line, why, raw.decode("utf-8", "backslashreplace").rstrip("\r\n"))
        )
        self._file.write(text.getvalue().encode("utf-8", "backslashreplace"))

    def flushed(self) -> int:
        """Return how many bytes it has, all of them on disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._size = self._file.tell()
        return self._size

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> IO[bytes]:
        self._path.parent.mkdir(exist_ok=True)
        file = self._path.open("r+b" if self._size and self._path.exists() else "wb")
        # What was written behind what was landed comes again. Somebody may have taken away or shortened the file.
        if file.seek(0, os.SEEK_END) > self._size:
            file.truncate(self._size)
            file.seek(self._size)
        if file.tell() == 0:
            file.write(b"line,reason,content\n")
        return file


def rejects_path(folder: Path, name: str, number: int) -> Path:
    """Return where the rejects of a file lie: those of the first of its name, or of a later one by its number."""
    return folder / f"{name}{f'.{number}' if number > 1 else ''}.rejects.csv"


def free_rejects_number(folder: Path, name: str) -> int:
    """Return the number of a file whose name others may have had whose rejects still lie there."""
    return next(number for number in count(1) if not rejects_path(folder, name, number).exists())


class DropFolder:
    """One such folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.done_folder = folder / "done"
        self.refused = folder / "refused"
        self.rejects_folder = folder / "rejects"

    def check(self) -> None:
        """Raise `Fatal` if there is no such folder."""
        if not self._folder.is_dir():
            raise Fatal(f"{self._folder}: there is no such folder; make it, or correct the setting folder")

    def waiting(self) -> list[Path]:
        """Return the files that are complete, in the order of their names."""
        return sorted(
            path
            for path in self._folder.iterdir()
            if path.name.endswith(_ENDINGS) and not path.name.startswith(".") and path.is_file()
        )

    def wanted_checksum(self, path: Path) -> str | None:
        """Return the checksum that lies beside a file, as `sha256sum` writes it, or None."""
        beside = _beside(path)
        if not beside.is_file():
            return None
        words = beside.read_text("utf-8", "replace").split()
        return words[0].lower() if words else ""

    def done(self, path: Path, checksum: str) -> bool:
        """Put a file away that is landed. Return False, and leave what lies there, if it is not that file any more."""
        return self._move(path, checksum, self.done_folder, checksum) is not None

    def refuse(self, path: Path, checksum: str, why: str, wanted: str) -> bool:
        """Put a file away that cannot be landed, beside it why, and its checksum if that is still the one wanted.

        Return False, and leave what lies there, if it is not that file any more.
        """
        moved = self._move(path, checksum, self.refused, wanted)
        if moved is not None:
            moved.with_name(moved.name + ".why").write_text(why + "\n", encoding="utf-8")
        return moved is not None

    def _move(self, path: Path, checksum: str, folder: Path, wanted: str) -> Path | None:
        # Who drops files may have dropped the next one of this name, or its checksum, at any moment.
        if not path.exists() or checksum_of(path) != checksum:
            return None
        folder.mkdir(exist_ok=True)
        target, number = folder / path.name, 1
        while target.exists():
            number += 1
            target = folder / f"{path.name}.{number}"
        path.rename(target)
        if self.wanted_checksum(path) == wanted:
            _beside(path).rename(_beside(target))
        return target


def checksum_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes: of the file that has the name at the end of reading them."""
    while True:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return digest


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
