"""Files of rows, batch by batch: what a drop folder and `throughline load` share.

Owns how far a file was landed, and how it is gone on with. Does not own where files lie, what becomes of them
afterwards, nor what a line says (`connect.sheets`).
"""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple, Protocol

from connect.csv_records import CsvRecords, Place, UnreadableFile, check
from connect.drop_folder import RejectsFile, free_rejects_number, rejects_path
from connect.feeds.contract import SEQUENCE_MAX, Batch, Change, Memory, Reject
from connect.json_lines import ENDINGS, JsonLines
from connect.rows import shapes
from connect.sheets import CsvSheet, JsonSheet, Sheet, Terms, Told

log = logging.getLogger("throughline.feed")

DONE: Final = "done/"
"""Before the checksum of a file that was landed to its end, whose name is remembered."""

COUNT: Final = "files"
"""How many files were begun, and the newest instant that one of them may take for its rows."""

_BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
_TOLD_SECONDS: Final = 5.0


class Reached(NamedTuple):
    """A file that is being read, and how far it was landed: bytes of the unpacked file, and lines.

    `rejects_number` is its own among the files of its name whose rejects lie there. `is_begun` says that its number is
    remembered, so that no other file gets it.
    """

    name: str
    checksum: str
    picked_ms: int
    number: int
    offset: int = 0
    line: int = 0
    rows: int = 0
    rejects: int = 0
    rejects_bytes: int = 0
    rejects_number: int = 1
    is_begun: bool = False

    def encoded(self) -> bytes:
        """Return it as it is remembered."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def decoded(cls, content: bytes) -> "Reached":
        """Return what was remembered."""
        return cls(**json.loads(content))


class Watch(Protocol):
    """Who is told how far a file was landed."""

    def begin(self, path: Path, size: int, reached: Reached) -> None:
        """A file of so many bytes, unpacked, is begun or gone on with."""

    def tell(self, reached: Reached) -> None:
        """A batch of it was landed."""

    def end(self, reached: Reached) -> None:
        """All of it was landed."""


def picked_up(path: Path, checksum: str, memory: Memory, now: int, rejects: Path) -> Reached:
    """Return a file at its beginning, and later than all of the last one. Its rejects are to lie in a folder.

    Also where two are picked up within a millisecond: the later one counts.
    """
    number, until = json.loads(memory.get(COUNT, b"[0, 0]"))
    lying = free_rejects_number(rejects, path.name)
    return Reached(path.name, checksum, max(now, until + 1), number + 1, rejects_number=lying)


class RowFiles:
    """Reads files on the same terms. What is remembered of a file on its way stands under `key`."""

    def __init__(self, terms: Terms, watch: Watch) -> None:
        self._terms = terms
        self._watch = watch
        self._shapes = shapes()

    def look(self, path: Path) -> None:
        """Look whether a file can be begun. Raises `UnreadableFile`."""
        records, _ = self._opened(path, Reached(path.name, "", 0, 0))
        records.close()

    def batches(self, path: Path, reached: Reached, key: str, folder: Path, stop: Event) -> Iterator[Batch]:
        """Yield what a file holds from where it was left, each batch with how far that is under `key`.

        The first one has no rows: the file is begun. The last one forgets `key`, and remembers the checksum. Rejects
        lie in `folder`, too. Raises `UnreadableFile`, also in the middle of a file.
        """
        size = check(path)
        records, sheet = self._opened(path, reached)
        lying = rejects_path(folder, reached.name, reached.rejects_number)
        rejects = RejectsFile(lying, reached.rejects_bytes)
        try:
            if not reached.is_begun:
                # Before a row or a reject of it is written anywhere: another file that comes in its place, or is begun
                # before it is done, must get neither its number nor its rejects.
                reached = reached._replace(is_begun=True)
                yield Batch(memory={key: reached.encoded(), COUNT: _counted(reached, size)})
            if reached.offset:
                records.from_place(Place(reached.offset, reached.line))
            self._watch.begin(path, size, reached)
            yield from self._read(records, sheet, rejects, reached, key, stop)
        finally:
            rejects.close()
            records.close()

    def _read(
        self, records: CsvRecords | JsonLines, sheet: Sheet, rejects: RejectsFile, reached: Reached, key: str,
        stop: Event,
    ) -> Iterator[Batch]:  # fmt: skip
        changes, refused, size, behind = list[Change](), list[Reject](), 0, Place(reached.offset, reached.line)
        rows_max = self._terms.batch_rows
        for record in records:
            read = sheet.read(record)
            if isinstance(read, Reject):
                refused.append(read)
                rejects.add(record.line, read.message, record.raw)
            else:
                changes += read
            size += len(record.raw)
            behind = record.behind
            if len(changes) + len(refused) >= rows_max or size >= _BATCH_BYTES_MAX:
                reached = _further(reached, behind, changes, refused, rejects.flushed())
                yield Batch(tuple(changes), tuple(refused), {key: reached.encoded()})
                changes, refused, size = [], [], 0
                self._watch.tell(reached)
                if stop.is_set():
                    return
        reached = _further(reached, behind, changes, refused, rejects.flushed())
        ended = {key: None, DONE + reached.checksum: reached.name.encode()}
        yield Batch(tuple(changes), tuple(refused), ended)
        self._watch.end(reached)

    def _opened(self, path: Path, reached: Reached) -> tuple[CsvRecords | JsonLines, Sheet]:
        told = Told(path.name, reached.picked_ms, reached.number)
        if path.name.endswith(ENDINGS):
            return JsonLines(path), JsonSheet(told)
        records = CsvRecords(path, self._terms.delimiter)
        try:
            return records, self._columns(path, records, told)
        except BaseException:
            records.close()
            raise

    def _columns(self, path: Path, records: CsvRecords, told: Told) -> CsvSheet:
        topic = records.comment() or self._terms.topic or self._topic_of(path.name)
        shape = self._shapes.get(topic)
        if shape is None:
            raise UnreadableFile(
                f"{topic or 'its name'} is no topic: name the file as hr.Worker.csv, begin it with a line # hr.Worker, "
                "or say by topic which it is"
            )
        head = next(iter(records), None)
        if head is None or head.fields is None:
            raise UnreadableFile(f"it has no line of column names{'' if head is None else f': {head.fault}'}")
        return CsvSheet(shape, head.fields, self._terms, told)

    def _topic_of(self, name: str) -> str:
        stems = (
            topic for topic in self._shapes if name.startswith(topic) and name[len(topic) : len(topic) + 1] in "._-"
        )
        return max(stems, key=len, default="")


def _counted(reached: Reached, size: int) -> bytes:
    # Rows of a correction take an instant for so many lines, and lines are no more than bytes.
    return json.dumps([reached.number, reached.picked_ms + size // (SEQUENCE_MAX + 1)]).encode()


def _further(
    reached: Reached, behind: Place, changes: list[Change], refused: list[Reject], rejects_bytes: int
) -> Reached:
    return reached._replace(
        offset=behind.offset, line=behind.line, rows=reached.rows + len(changes),
        rejects=reached.rejects + len(refused), rejects_bytes=rejects_bytes,
    )  # fmt: skip


class LoggedProgress:
    """Says in the log, at times, how far a file has come."""

    def __init__(self, feed: str) -> None:
        self._feed = feed
        self._size = 0
        self._from = Reached("", "", 0, 0)
        self._began = self._told = time.monotonic()

    def begin(self, path: Path, size: int, reached: Reached) -> None:  # noqa: ARG002, told by its name
        """Begin to measure."""
        self._size, self._from = size, reached
        self._began = self._told = time.monotonic()

    def tell(self, reached: Reached) -> None:
        """Say how far it is, unless that was said just now."""
        now = time.monotonic()
        if now - self._told < _TOLD_SECONDS:
            return
        self._told = now
        took, before = now - self._began, self._from
        rate = (reached.rows + reached.rejects - before.rows - before.rejects) / took
        left = ""
        if reached.offset > before.offset:
            left = f", {(self._size - reached.offset) / (reached.offset - before.offset) * took:,.0f} s left"
        said = f"{reached.rows:,} rows, {reached.rejects:,} rejects, {rate:,.0f} a second{left}"
        log.info("%s: %s: %s", self._feed, reached.name, said)

    def end(self, reached: Reached) -> None:
        """Say that it is done."""
        took = time.monotonic() - self._began
        said = f"{reached.rows:,} rows, {reached.rejects:,} rejects in {took:.1f} s"
        log.info("%s: %s is landed: %s", self._feed, reached.name, said)
