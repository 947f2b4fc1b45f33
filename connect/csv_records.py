"""Records of a CSV file, one by one with where each ends, in memory that does not grow with the file.

As RFC 4180 has them: quotes, line breaks within quotes, CRLF or LF; UTF-8, with or without a mark of byte order; plain
or gzip. A record that cannot be read is told with its first line, and the next line begins the next: a quote that is
left open costs one line, and not the rest of the file.
"""

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

_MARK: Final = b"\xef\xbb\xbf"
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_QUOTE: Final = b'"'


class UnreadableFile(Exception):
    """A file as a whole cannot be read; the text says why."""


class Place(NamedTuple):
    """Between two records: bytes of the unpacked file before it, and lines."""

    offset: int = 0
    line: int = 0


class Record(NamedTuple):
    """One record: its fields, or None and what is wrong; the line it begins on, its bytes, where the next begins."""

    fields: tuple[str, ...] | None
    fault: str
    line: int
    raw: bytes
    behind: Place


class CsvRecords:
    """Reads the records of one file from a place on."""

    def __init__(self, path: Path, delimiter: str = ",", record_bytes_max: int = 1024 * 1024) -> None:
        self._file = opened(path)
        self._delimiter = delimiter
        self._record_bytes_max = record_bytes_max
        self._waiting: deque[bytes] = deque()
        self._place = Place()

    def from_place(self, place: Place) -> None:
        """Go on from where a record ended."""
        self._file.seek(place.offset)
        self._waiting.clear()
        self._place = place

    def comment(self) -> str | None:
        """Return the first line without its `#` if it begins with one, and go on behind it; None if it does not."""
        line = self._line()
        text = line.removeprefix(_MARK)
        if not text.startswith(b"#"):
            self._waiting.appendleft(line)
            return None
        self._place = Place(self._place.offset + len(line), self._place.line + 1)
        return text[1:].decode("utf-8", "replace").strip()

    def __iter__(self) -> Iterator[Record]:
        """Yield the records, without empty lines. Raises `UnreadableFile` for a packed file that is damaged."""
        while lines := self._lines():
            raw = b"".join(lines)
            if raw.strip():
                fields, fault = self._parsed(raw)
            else:
                fields, fault = (), ""
            if fault and len(lines) > 1:
                self._waiting.extendleft(reversed(lines[1:]))
                lines, raw = lines[:1], lines[0]
            begins, size = self._place.line + 1, len(raw) + self._rest_of(raw)
            self._place = Place(self._place.offset + size, self._place.line + len(lines))
            if fields != ():
                yield Record(fields, fault, begins, raw, self._place)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _lines(self) -> list[bytes]:
        """Return the lines of one record: up to where its quotes are closed, or it is too long, or the file ends."""
        lines, size, quotes = list[bytes](), 0, 0
        while line := self._line():
            lines.append(line)
            size += len(line)
            quotes += line.count(_QUOTE)
            if quotes % 2 == 0 or size > self._record_bytes_max:
                break
        return lines

    def _line(self) -> bytes:
        if self._waiting:
            return self._waiting.popleft()
        try:
            return self._file.readline(self._record_bytes_max + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableFile(f"it cannot be read on: {error}") from error

    def _rest_of(self, raw: bytes) -> int:
        """Pass over what is left of a line that is too long; return how many bytes that is."""
        passed = 0
        while len(raw) > self._record_bytes_max and not raw.endswith(b"\n"):
            rest = self._line()
            passed += len(rest)
            if not rest or rest.endswith(b"\n"):
                break
        return passed

    def _parsed(self, raw: bytes) -> tuple[tuple[str, ...] | None, str]:
        if len(raw) > self._record_bytes_max:
            return None, f"a record of more than {self._record_bytes_max} bytes, or a quote that is not closed"
        if self._place.offset == 0:
            if raw.startswith(_WIDE_MARKS):
                return None, "it is UTF-16: save it as UTF-8"
            raw = raw.removeprefix(_MARK)
        try:
            text = raw.decode("utf-8").rstrip("\r\n")
            if text and text.isprintable() and '"' not in text:
                return tuple(text.split(self._delimiter)), ""  # as CSV has it, at a third of the time
            (fields,) = csv.reader([text], delimiter=self._delimiter, strict=True)
        except UnicodeDecodeError as error:
            return None, f"no UTF-8: byte {error.start + 1} of the record"
        except (csv.Error, ValueError) as error:
            return None, f"no CSV: {error}"
        return tuple(fields), ""


def opened(path: Path) -> IO[bytes]:
    """Open a file, plain or packed, as it reads unpacked; whoever asked closes it."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def check(path: Path) -> int:
    """Return the bytes of a file, unpacked. A packed one is read to its end, so that none is begun that is damaged.

    Raises `UnreadableFile`.
    """
    if path.suffix != ".gz":
        return path.stat().st_size
    size = 0
    try:
        with gzip.open(path, "rb") as file:
            while part := file.read(1024 * 1024):
                size += len(part)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(f"it is packed, and damaged: {error}") from error
    return size
