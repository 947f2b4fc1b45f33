"""A load: files of history, given by name, landed once each while live feeds go on.

How far each file was landed is remembered by its checksum, so that a load that was killed goes on when it is given
again, whatever was loaded in between. Files stay where they are; the rejects of each lie beside it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

from connect.csv_records import UnreadableFile
from connect.drop_folder import checksum_of
from connect.feeds.contract import Batch, Fatal, Memory, Retriable
from connect.row_files import DONE, Reached, RowFiles, Watch, picked_up
from connect.sheets import Terms

log = logging.getLogger("throughline.feed")

CONNECTOR: Final = "files"
"""What `source.connector` says of rows from files."""

_AT: Final = "at/"


class Surroundings(NamedTuple):
    """What a load is given: milliseconds since 1970, who is told, and who says when a batch of so many rows may land.

    `hold` waits, and returns False where the load is to stop instead.
    """

    clock: Callable[[], int]
    watch: Watch
    hold: Callable[[int], bool]


class LoadSource:
    """Files to be loaded, in the order given. Raises `UnreadableFile`, with its path, for one that cannot be begun."""

    def __init__(self, paths: Sequence[Path], terms: Terms, outside: Surroundings) -> None:
        self._files = RowFiles(terms, outside.watch)
        self._outside = outside
        self._paths = {path: self._looked_at(path) for path in paths}
        self._landed: set[str] = set()

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        """Yield what files hold, from where each was left. Raises `Retriable` or `Fatal`."""
        for path, checksum in self._paths.items():
            if stop.is_set():
                return
            try:
                yield from self._of(path, checksum, memory, stop)
            except UnreadableFile as error:
                raise Fatal(f"{path}: {error}") from error
            except OSError as error:
                raise Retriable(f"{path}: {error}") from error
        if not stop.is_set():
            yield Batch(alive=True)

    def close(self) -> None:
        """Nothing is held between two looks."""

    def _looked_at(self, path: Path) -> str:
        try:
            self._files.look(path)
            return checksum_of(path)
        except OSError as error:
            raise UnreadableFile(f"{path}: {error.strerror}") from error
        except UnreadableFile as error:
            raise UnreadableFile(f"{path}: {error}") from error

    def _of(self, path: Path, checksum: str, memory: Memory, stop: Event) -> Iterator[Batch]:
        key = _AT + checksum
        if (before := memory.get(DONE + checksum)) is not None:
            if checksum not in self._landed:
                log.warning(
                    "%s has the content of %s, which was loaded before: it is not loaded again", path, before.decode()
                )
            return
        reached = self._begun(path, checksum, key, memory)
        for batch in self._files.batches(path, reached, key, path.parent, stop):
            rows = len(batch.changes) + len(batch.rejects)
            if rows and not self._outside.hold(rows):
                return
            yield batch
        if DONE + checksum in memory:
            self._landed.add(checksum)

    def _begun(self, path: Path, checksum: str, key: str, memory: Memory) -> Reached:
        if key in memory:
            reached = Reached.decoded(memory[key])
            log.info("%s is gone on with behind line %d: %d of its rows are landed", path, reached.line, reached.rows)
            return reached
        for name, content in memory.items():
            if name.startswith(_AT) and (other := Reached.decoded(content)).name == path.name:
                log.warning(
                    "%s is another than the one that was loaded to line %d: all of it is loaded", path, other.line
                )
        return picked_up(path, checksum, memory, self._outside.clock(), path.parent)
