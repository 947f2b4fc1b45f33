"""Files: CSV in a folder, dropped there for a history that is loaded or for corrections in bulk.

A file is complete by its name: whoever writes it gives it another name until it is, and renames it. Where it was read
to is remembered with each batch. Its content is known by its checksum: dropped again, it is said and not landed.
"""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Final, Literal, NamedTuple

from pydantic import Field

from connect.catalogue import Kind, Outside
from connect.csv_records import CsvRecords, Place, Record, UnreadableFile, check
from connect.drop_folder import DropFolder, RejectsFile
from connect.feeds.contract import SEQUENCE_MAX, Batch, Change, Memory, Reject, Retriable, position
from connect.rows import Read, RowFault, RowShape, shapes
from connect.settings import FeedSettings

log = logging.getLogger("throughline.feed")

_OPS: Final = {"": "", "c": "c", "create": "c", "u": "u", "update": "u", "upsert": "u", "d": "d", "delete": "d"}
_BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
_CURRENT, _DONE, _COUNT, _LEFT = "file", "done/", "files", "left"
_TOLD_SECONDS: Final = 5.0


class FilesSettings(FeedSettings):
    """Settings of a drop folder."""

    folder: Path = Field(description="Folder in which files are dropped: `NAME.csv` or `NAME.csv.gz`.")
    mode: Literal["load", "correction"] = Field(
        default="load",
        description="`load`: a version of a row counts from when it was changed, as it says, so that live changes go "
        "before it. `correction`: from when its file was dropped, so that it goes before what was there.",
    )
    topic: str = Field(
        default="",
        description="Topic of all files; absent: each file says its own, by its name (`hr.Worker.2026-01.csv`) or by a "
        "first line (`# hr.Worker`).",
    )
    op_column: str = Field(
        default="op",
        alias="op.column",
        description="Column that says `delete` for rows that are gone; it may be absent.",
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="What stands between two fields.")
    batch_rows: int = Field(
        default=2_000, ge=1, le=100_000, alias="batch.rows", description="Rows that are landed at once, at most."
    )


class _Current(NamedTuple):
    """A file that is being read, and how far it was landed."""

    name: str
    checksum: str
    picked_ms: int
    number: int
    offset: int = 0
    line: int = 0
    rows: int = 0
    rejects: int = 0
    rejects_bytes: int = 0

    def encoded(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    @classmethod
    def decoded(cls, content: bytes) -> "_Current":
        return cls(**json.loads(content))


class FileSource:
    """The files of one folder, in the order of their names."""

    def __init__(self, settings: FilesSettings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        self._folder = DropFolder(settings.folder)
        self._shapes = shapes()

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what files hold, from where the last one was left. Raises `Retriable` or `Fatal`."""
        try:
            self._folder.check()
            yield from self._left(memory)
            if _CURRENT in memory:
                yield from self._resumed(_Current.decoded(memory[_CURRENT]), memory, stop)
            for path in self._folder.waiting():
                if stop.is_set():
                    return
                yield from self._begun(path, memory, stop)
        except OSError as error:
            raise Retriable(f"{self._settings.folder}: {error}") from error
        yield Batch(alive=True)

    def close(self) -> None:
        """Nothing is held between two looks."""

    def _left(self, memory: Memory) -> Iterator[Batch]:
        """Put away the file that was landed to its end, if whoever landed it did not come to that."""
        if _LEFT in memory:
            path = self._settings.folder / memory[_LEFT].decode()
            if path.exists():
                self._folder.done(path)
            yield Batch(memory={_LEFT: None})

    def _resumed(self, current: _Current, memory: Memory, stop: Event) -> Iterator[Batch]:
        path = self._settings.folder / current.name
        if not path.exists() or self._folder.checksum(path) != current.checksum:
            gap = f"{path} was taken away or changed after line {current.line}: what followed is not landed"
            yield Batch(memory={_CURRENT: None}, gaps=(gap,))
            return
        log.info("%s: %s is read on from line %d", self._outside.name, path.name, current.line + 1)
        yield from self._read(path, current, memory, stop)

    def _begun(self, path: Path, memory: Memory, stop: Event) -> Iterator[Batch]:
        checksum = self._folder.checksum(path)
        wanted = self._folder.wanted_checksum(path)
        if wanted is not None and wanted != checksum:
            self._refuse(path, f"its checksum is {checksum}, and {path.name}.sha256 says {wanted}")
        elif (before := memory.get(_DONE + checksum)) is not None:
            log.warning(
                "%s: %s has the content of %s, which was landed before: it is not landed again",
                self._outside.name, path.name, before.decode(),
            )  # fmt: skip
            self._folder.done(path)
        else:
            number, until = json.loads(memory.get(_COUNT, b"[0, 0]"))
            # Later than all of the last file, also where two are picked up within a millisecond: the later one counts.
            picked = max(self._outside.clock(), until + 1)
            current = _Current(path.name, checksum, picked, number + 1)
            log.info("%s: %s is read", self._outside.name, path.name)
            yield from self._read(path, current, memory, stop)

    def _refuse(self, path: Path, why: str) -> None:
        log.error("%s: %s is refused: %s; it lies in %s", self._outside.name, path.name, why, self._folder.refused)
        self._folder.refuse(path, why)

    def _read(self, path: Path, current: _Current, memory: Memory, stop: Event) -> Iterator[Batch]:
        records = None
        try:
            check(path)
            records = CsvRecords(path, self._settings.delimiter)
            sheet = self._sheet(path, records)
            if current.offset:
                records.from_place(Place(current.offset, current.line))
            with self._folder.rejects(path, current.rejects_bytes) as rejects:
                yield from self._batches(path, records, sheet, rejects, current, stop)
        except UnreadableFile as error:
            self._refuse(path, str(error))
            if _CURRENT in memory:
                yield Batch(memory={_CURRENT: None})
            return
        finally:
            if records is not None:
                records.close()
        if _LEFT in memory:  # landed to its end
            self._folder.done(path)
            yield Batch(memory={_LEFT: None})

    def _batches(
        self, path: Path, records: CsvRecords, sheet: "_Sheet", rejects: RejectsFile, current: _Current, stop: Event
    ) -> Iterator[Batch]:
        progress = _Progress(self._outside.name, path, current.offset)
        changes, refused, size = list[Change](), list[Reject](), 0
        for record in records:
            read = sheet.read(record, current)
            if isinstance(read, Reject):
                refused.append(read)
                rejects.add(record.line, read.message, record.raw)
            else:
                changes.append(read)
            size += len(record.raw)
            current = current._replace(offset=record.behind.offset, line=record.behind.line)
            if len(changes) + len(refused) >= self._settings.batch_rows or size >= _BATCH_BYTES_MAX:
                current = _counted(current, changes, refused, rejects.flushed())
                yield Batch(tuple(changes), tuple(refused), {_CURRENT: current.encoded()})
                changes, refused, size = [], [], 0
                progress.tell(current)
                if stop.is_set():
                    return
        current = _counted(current, changes, refused, rejects.flushed())
        ended = {
            _CURRENT: None,
            _COUNT: json.dumps([current.number, current.picked_ms + current.line // (SEQUENCE_MAX + 1)]).encode(),
            _DONE + current.checksum: current.name.encode(),
            _LEFT: current.name.encode(),
        }
        yield Batch(tuple(changes), tuple(refused), ended)
        progress.end(current)

    def _sheet(self, path: Path, records: CsvRecords) -> "_Sheet":
        topic = records.comment() or self._settings.topic or self._topic_of(path.name)
        shape = self._shapes.get(topic)
        if shape is None:
            raise UnreadableFile(
                f"{topic or 'its name'} is no topic: name the file as hr.Worker.csv, begin it with a line # hr.Worker, "
                "or set topic"
            )
        head = next(iter(records), None)
        if head is None or head.fields is None:
            raise UnreadableFile(f"it has no line of column names{'' if head is None else f': {head.fault}'}")
        return _Sheet(shape, head.fields, self._settings, path.name)

    def _topic_of(self, name: str) -> str:
        stems = (
            topic for topic in self._shapes if name.startswith(topic) and name[len(topic) : len(topic) + 1] in "._-"
        )
        return max(stems, key=len, default="")


class _Sheet:
    """The columns of a file, and what a line of it says. Raises `UnreadableFile` for columns that make no row."""

    def __init__(self, shape: RowShape, columns: tuple[str, ...], settings: FilesSettings, name: str) -> None:
        names = [column.strip() for column in columns]
        wanted = [column for column in names if column != settings.op_column]
        if len(set(names)) != len(names):
            raise UnreadableFile(f"a column is there twice: {', '.join(names)}")
        if unknown := sorted(set(wanted) - set(shape.fields)):
            raise UnreadableFile(f"{shape.topic} has no {', '.join(unknown)}; its fields are {', '.join(shape.fields)}")
        if missing := sorted(shape.key_fields - set(wanted)):
            raise UnreadableFile(f"columns are missing that every row of {shape.topic} needs: {', '.join(missing)}")
        self._shape = shape
        self._names = names
        self._op = names.index(settings.op_column) if settings.op_column in names else None
        self._is_load = settings.mode == "load"
        self._file = name

    def read(self, record: Record, current: _Current) -> Change | Reject:
        """Return the change on a line, or what is wrong with it."""
        key = None
        try:
            if record.fields is None:
                raise RowFault(record.fault)
            if len(record.fields) != len(self._names):
                raise RowFault(f"{len(record.fields)} fields, there should be {len(self._names)}")
            op = self._op_of(record.fields)
            cells = zip(self._names, record.fields, strict=True)
            values = {name: value or None for at, (name, value) in enumerate(cells) if at != self._op}
            read = self._shape.read(values)
            key = read.key
            return self._change(read, op, record, current)
        except ValueError as error:  # RowFault is one
            return Reject(self._shape.topic, key, record.raw, f"{self._file}, line {record.line}", str(error))

    def _op_of(self, fields: tuple[str, ...]) -> str:
        if self._op is None:
            return ""
        said = fields[self._op].strip().lower()
        if said not in _OPS:
            raise RowFault(f"op {said!r}: write delete, or nothing")
        return _OPS[said]

    def _change(self, read: Read, op: str, record: Record, current: _Current) -> Change:
        # In a correction, later lines go before earlier ones. In a load the row itself says when it was changed, and of
        # two files that tell of one change the later one counts.
        if self._is_load and read.changed_ms is not None:
            happened, place = read.changed_ms, position(read.changed_ms, min(current.number, SEQUENCE_MAX))
        else:
            more, sequence = divmod(record.line, SEQUENCE_MAX + 1)
            happened, place = current.picked_ms, position(current.picked_ms + more, sequence)
        if op == "d":
            return Change(self._shape.topic, read.key, "d", read.row, None, happened, place)
        op = op or ("r" if self._is_load else "u")
        return Change(self._shape.topic, read.key, op, None, read.row, happened, place, snapshot=op == "r")


def _counted(current: _Current, changes: list[Change], refused: list[Reject], rejects_bytes: int) -> _Current:
    return current._replace(
        rows=current.rows + len(changes), rejects=current.rejects + len(refused), rejects_bytes=rejects_bytes
    )


class _Progress:
    """Says at times how far a file has come."""

    def __init__(self, feed: str, path: Path, offset: int) -> None:
        self._feed = feed
        self._name = path.name
        self._size = 0 if path.suffix == ".gz" else path.stat().st_size  # of what is packed nobody knows
        self._from = offset
        self._began = self._told = time.monotonic()
        self._rows_before: int | None = None

    def tell(self, current: _Current) -> None:
        now = time.monotonic()
        if self._rows_before is None:
            self._rows_before = current.rows + current.rejects
            return
        if now - self._told < _TOLD_SECONDS:
            return
        self._told = now
        took = now - self._began
        rate = (current.rows + current.rejects - self._rows_before) / took
        left = ""
        if self._size and current.offset > self._from:
            left = f", {(self._size - current.offset) / (current.offset - self._from) * took:,.0f} s left"
        said = f"{current.rows:,} rows, {current.rejects:,} rejects, {rate:,.0f} a second{left}"
        log.info("%s: %s: %s", self._feed, self._name, said)

    def end(self, current: _Current) -> None:
        took = time.monotonic() - self._began
        said = f"{current.rows:,} rows, {current.rejects:,} rejects in {took:.1f} s"
        log.info("%s: %s is landed: %s", self._feed, self._name, said)


def _open(settings: FilesSettings, outside: Outside) -> FileSource:
    return FileSource(settings, outside)


KIND: Final = Kind("files", FilesSettings, _open)
