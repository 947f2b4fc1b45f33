"""The outbound folder of a file exchange: batches are written and found here, each posting id in exactly one of them.

The folder is the memory of what was sent: numbers have no gaps, whatever died at whatever step. Writers, of this
program or of others, take turns by a lock on it. Sinks of one program share one object, or each of them would read back
what the others have written.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from streams.domain.posting import Posting
from streams.sinks.batch_file import Batch, number_text, parse_batch, render_batch
from streams.sinks.contract import Fatal
from streams.sinks.durable_files import (
    BadFile,
    Files,
    Stamp,
    locked,
    prepare,
    publish,
    read_checked,
    tidy,
    write_checksum,
)

_HIGHEST_NAME = ".highest"


class Outbound:
    """The batches of one system. What is said under the lock holds until it is given back.

    All methods raise `OSError` of the file system, and `Fatal` where batches are missing or damaged.
    """

    def __init__(self, folder: Path, system: str, files: Files) -> None:
        self.folder = folder
        self.batch_of: dict[str, int] = {}
        """In which batch each posting stands, as of the last `catch_up`."""
        self._system = system
        self._files = files
        self._name = re.compile(rf"{re.escape(system)}-(\d{{8}})\.csv")
        self._highest = 0
        self._left: Stamp | None = None  # of the folder, as this program left it
        files.make_folder(folder)

    def locked(self) -> AbstractContextManager[None]:
        """Keep other writers out. Raises `BlockingIOError` if one is at work."""
        return locked(self._files, self.folder)

    def path_of(self, number: int) -> Path:
        """Return where a batch lies."""
        return self.folder / f"{self._system}-{number_text(number)}.csv"

    # -- writing: only under the lock

    def prepare(self, postings: Sequence[Posting], now: int) -> Batch:
        """Do everything but the last step for the next batch: nothing of it is visible, and nothing may be left."""
        batch = Batch(self._system, self._highest + 1, now, tuple(postings))
        self._left = None
        prepare(self._files, self.path_of(batch.number), render_batch(batch))
        return batch

    def publish(self, batch: Batch) -> None:
        """Make a prepared batch visible, whole and for good. Raises `BlockingIOError` if its number is taken."""
        path = self.path_of(batch.number)
        try:
            publish(self._files, path)
        except BlockingIOError:
            # Another writer was faster, and our checksum may stand beside its batch.
            with suppress(FileNotFoundError):
                self._restore_checksum(path.name)
            raise
        self._index(batch)
        self._keep_highest()
        self._left = self._files.stamp(self.folder)

    def catch_up(self) -> None:
        """Clear what a crash left, and take in the batches written since the last look.

        It is asked at every call, and all the batches there ever were are looked at only if there is something new.
        """
        if self._is_as_left():
            return
        for name in tidy(self._files, self.folder):
            if self._name.fullmatch(name):
                self._restore_checksum(name)
        numbers = self._numbers()
        stated = self._stated_highest()
        missing = sorted(set(range(1, max([stated, *numbers]) + 1)) - set(numbers))
        if missing:
            raise self._fatal(
                f"batches {', '.join(map(number_text, missing[:5]))} ({len(missing)} in all) were written and are "
                "gone; put them back, so that nothing is sent twice"
            )
        for number in numbers[self._highest :]:
            self._index(self.read(number))
        if stated < self._highest:
            self._keep_highest()
        self._left = self._files.stamp(self.folder)

    def _is_as_left(self) -> bool:
        """Tell whether nobody has written or removed a batch since this program wrote or looked.

        Another writer may have come within the grain of the folder's clock: the batch it wrote tells.
        """
        if self._files.stamp(self.folder) != self._left:
            return False
        try:
            self._files.stamp(self.path_of(self._highest + 1))
        except FileNotFoundError:
            return True
        return False

    def _restore_checksum(self, name: str) -> None:
        """Give a batch its checksum back, if its own totals say that it is whole."""
        content = self._files.read(self.folder / name)
        try:
            parse_batch(content, name)
        except BadFile as error:
            raise self._fatal(f"{error}; the batch has no checksum either: put back both files") from error
        write_checksum(self._files, self.folder / name, content)

    def _numbers(self) -> list[int]:
        found = (self._name.fullmatch(name) for name in self._files.names(self.folder))
        return sorted(int(match[1]) for match in found if match)

    def _index(self, batch: Batch) -> None:
        for posting in batch.postings:
            self.batch_of[posting.posting_id] = batch.number
        self._highest = batch.number

    def _stated_highest(self) -> int:
        try:
            text = self._files.read(self.folder / _HIGHEST_NAME)
        except FileNotFoundError:
            return 0
        # A crash can leave it empty or old, never too high: the batches themselves say the rest.
        return int(text) if text.isdigit() else 0

    def _keep_highest(self) -> None:
        """Note the highest number, so that batches taken away are missed and their numbers not used again."""
        temporary = self.folder / f"{_HIGHEST_NAME}.tmp"
        self._files.write(temporary, number_text(self._highest).encode())
        self._files.rename(temporary, self.folder / _HIGHEST_NAME)

    # -- reading

    def read(self, number: int) -> Batch:
        """Return a batch."""
        path = self.path_of(number)
        try:
            batch = parse_batch(read_checked(self._files, path), path.name)
        except BadFile as error:
            raise self._fatal(f"{error}; put back the batch as it was written") from error
        if (batch.system, batch.number) != (self._system, number):
            raise self._fatal(
                f"{path.name}: holds batch {batch.number} of {batch.system}; put back the batch as it was written"
            )
        return batch

    def _fatal(self, reason: str) -> Fatal:
        """Return the error that a person must see to; all is read anew afterwards."""
        self.batch_of.clear()
        self._highest, self._left = 0, None
        return Fatal(f"{self.folder}: {reason}")
