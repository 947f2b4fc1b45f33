"""Files: CSV in a folder, dropped there for a history that is loaded or for corrections in bulk.

A file is complete by its name: whoever writes it gives it another name until it is, and renames it. Where it was read
to is remembered with each batch. Its content is known by its checksum: dropped again, it is said and not landed.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Final, Literal

from pydantic import Field

from connect.catalogue import Kind, Outside
from connect.csv_records import UnreadableFile
from connect.drop_folder import DropFolder, checksum_of
from connect.feeds.contract import Batch, Memory, Retriable
from connect.row_files import DONE, LoggedProgress, Reached, RowFiles, picked_up
from connect.settings import FeedSettings
from connect.sheets import Terms

log = logging.getLogger("throughline.feed")

_CURRENT: Final = "file"


class FilesSettings(FeedSettings):
    """Settings of a drop folder."""

    folder: Path = Field(description="Folder in which files are dropped: `NAME.csv` or `NAME.csv.gz`.")
    mode: Literal["load", "correction"] = Field(
        default="load",
        description="`load`: a version of a row counts from when it was changed, as it says, and everything live goes "
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

    @property
    def lands_history(self) -> bool:
        """Whether all that it lands is history."""
        return self.mode == "load"


class FileSource:
    """The files of one folder, in the order of their names."""

    def __init__(self, settings: FilesSettings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        self._folder = DropFolder(settings.folder)
        terms = Terms(settings.mode, settings.topic, settings.op_column, settings.delimiter, settings.batch_rows)
        self._files = RowFiles(terms, LoggedProgress(outside.name))

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what files hold, from where the last one was left. Raises `Retriable` or `Fatal`."""
        try:
            self._folder.check()
            if _CURRENT in memory:
                yield from self._resumed(Reached.decoded(memory[_CURRENT]), memory, stop)
            for path in self._folder.waiting():
                if stop.is_set():
                    return
                yield from self._begun(path, memory, stop)
        except OSError as error:
            raise Retriable(f"{self._settings.folder}: {error}") from error
        yield Batch(alive=True)

    def close(self) -> None:
        """Nothing is held between two looks."""

    def _resumed(self, current: Reached, memory: Memory, stop: Event) -> Iterator[Batch]:
        path = self._settings.folder / current.name
        if not path.exists() or checksum_of(path) != current.checksum:
            gap = f"{path} was taken away or changed after line {current.line}: what followed is not landed"
            yield Batch(memory={_CURRENT: None}, gaps=(gap,))
            return
        log.info("%s: %s is read on from line %d", self._outside.name, path.name, current.line + 1)
        yield from self._read(path, current, memory, stop)

    def _begun(self, path: Path, memory: Memory, stop: Event) -> Iterator[Batch]:
        checksum = checksum_of(path)
        wanted = self._folder.wanted_checksum(path)
        if wanted is not None and wanted != checksum:
            self._refuse(path, checksum, f"its checksum is {checksum}, and {path.name}.sha256 says {wanted}", wanted)
        elif (before := memory.get(DONE + checksum)) is not None:
            # Dropped again; or whoever landed it did not come to putting it away.
            log.warning(
                "%s: %s has the content of %s, which was landed before: it is not landed again",
                self._outside.name, path.name, before.decode(),
            )  # fmt: skip
            self._put_away(path, checksum)
        else:
            log.info("%s: %s is read", self._outside.name, path.name)
            now, rejects = self._outside.clock(), self._folder.rejects_folder
            yield from self._read(path, picked_up(path, checksum, memory, now, rejects), memory, stop)

    def _read(self, path: Path, reached: Reached, memory: Memory, stop: Event) -> Iterator[Batch]:
        checksum, is_opened = reached.checksum, False
        try:
            for batch in self._files.batches(path, reached, _CURRENT, self._folder.rejects_folder, stop):
                # It may have been replaced between its checksum and now. From here on it is open, whatever comes.
                if not is_opened and checksum_of(path) != checksum:
                    self._tell_of_another(path)
                    return
                is_opened = True
                yield batch
        except UnreadableFile as error:
            self._refuse(path, checksum, str(error), checksum)
            if _CURRENT in memory:
                yield Batch(memory={_CURRENT: None})
            return
        if DONE + checksum in memory:
            self._put_away(path, checksum)

    def _put_away(self, path: Path, checksum: str) -> None:
        if not self._folder.done(path, checksum):
            self._tell_of_another(path)

    def _refuse(self, path: Path, checksum: str, why: str, wanted: str) -> None:
        name, refused = self._outside.name, self._folder.refused
        if self._folder.refuse(path, checksum, why, wanted):
            log.error("%s: %s is refused: %s; it lies in %s", name, path.name, why, refused)
        else:
            log.error("%s: %s is refused: %s", name, path.name, why)
            self._tell_of_another(path)

    def _tell_of_another(self, path: Path) -> None:
        log.warning(
            "%s: %s was replaced or taken away while it was read; what has its name now is read next",
            self._outside.name, path.name,
        )  # fmt: skip


def _open(settings: FilesSettings, outside: Outside) -> FileSource:
    return FileSource(settings, outside)


KIND: Final = Kind("files", FilesSettings, _open)
