"""Lines of a replay file, one by one with where each ends, in memory that does not grow with the file.

One JSON object a line, with topic, key and value; plain or gzip. What a line says is not read here.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connect.csv_records import Place, Record, UnreadableFile, opened

ENDINGS: Final = (".jsonl", ".jsonl.gz")
"""How the names of such files end."""

_LINE_BYTES_MAX: Final = 32 * 1024 * 1024


class JsonLines:
    """Reads the lines of one file from a place on; the records have no fields."""

    def __init__(self, path: Path) -> None:
        self._file = opened(path)
        self._place = Place()

    def from_place(self, place: Place) -> None:
        """Go on from where a record ended."""
        self._file.seek(place.offset)
        self._place = place

    def __iter__(self) -> Iterator[Record]:
        """Yield the lines that are not empty. Raises `UnreadableFile` for a file that is damaged or has no lines."""
        while line := self._line():
            offset, number = self._place
            if len(line) == _LINE_BYTES_MAX:
                raise UnreadableFile(f"line {number + 1} is longer than {_LINE_BYTES_MAX:,} bytes")
            self._place = Place(offset + len(line), number + 1)
            if not line.isspace():
                yield Record((), "", number + 1, line, self._place)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _line(self) -> bytes:
        try:
            return self._file.readline(_LINE_BYTES_MAX)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableFile(f"it cannot be read on: {error}") from error
