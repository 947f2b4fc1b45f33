"""Records as a replay file: one JSON object a line, gzip where the name says so, `-` for standard output."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson

from firm.wire import Record

_GZIP_LEVEL = 3  # twice as fast as the default for a few percent more bytes


def line_of(record: Record) -> bytes:
    """A record as a line of a replay file."""
    return orjson.dumps(
        {"topic": record.topic, "key": record.key, "value": record.value, "timestamp": record.timestamp},
        option=orjson.OPT_APPEND_NEWLINE,
    )


@contextmanager
def opened(out: str) -> Iterator[IO[bytes]]:
    """The file to write to. Raises OSError if it cannot be written. The same records give the same bytes, packed too."""
    if out == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with Path(out).open("wb") as plain:
        if not out.endswith(".gz"):
            yield plain
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=plain, compresslevel=_GZIP_LEVEL, mtime=0) as packed:
            yield packed  # type: ignore[misc]
