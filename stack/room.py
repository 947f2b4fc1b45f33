"""The room: a folder in which the parts run side by side, one subfolder a part."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stack.errors import Say, StackError
from stack.kafka import NAME as KAFKA, Kafka, is_cluster
from stack.locked import locked
from stack.parts import Line, Part

KAFKA_PORT = 19_092


class Room:
    """The parts in one folder. They run until they are stopped, beyond the program that started them."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder.absolute()
        self._say = say

    def up(self, brokers: int | None, first_port: int | None) -> None:
        """Start what does not run, and wait until all of it answers.

        `first_port`: of Kafka; 0: as before, else free ones; None: as before, else 19092.

        Raises:
            StackError: A part cannot be started; those before it run.
        """
        with self._alone():
            for part in [self._kafka(brokers, first_port)]:
                part.start()

    def down(self, *, wipe: bool) -> None:
        """Stop what runs, the last part first; `wipe`: remove what it holds, too."""
        if not self.folder.is_dir():
            return
        with self._alone():
            for part in reversed(self._parts()):
                part.stop()
                if wipe:
                    shutil.rmtree(part.folder)
        if wipe:
            self._lock.unlink(missing_ok=True)
            with suppress(OSError):  # something else lies there: it is not ours to remove
                self.folder.rmdir()

    def lines(self) -> list[Line]:
        """One line for each program of the parts that were ever started here."""
        return [line for part in self._parts() for line in part.lines()]

    def logs(self, name: str | None) -> list[Path]:
        """The logs of one part, or of all.

        Raises:
            StackError: There is no such part.
        """
        parts = self._parts()
        if name is not None and name not in {part.name for part in parts}:
            there = ", ".join(part.name for part in parts) or "nothing"
            raise StackError(f"no part {name} was started in {self.folder}; {there} was")
        return [log for part in parts if name in (None, part.name) for log in part.logs()]

    def _parts(self) -> list[Part]:
        """The parts that were started here, in the order in which they start."""
        return [self._kafka(None, None)] if is_cluster(self.folder / KAFKA) else []

    def _kafka(self, brokers: int | None, first_port: int | None) -> Kafka:
        folder = self.folder / KAFKA
        if first_port is None and not is_cluster(folder):
            first_port = KAFKA_PORT
        return Kafka(folder, brokers, first_port or None, bound=False, say=self._say)

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with locked(self._lock, f"another command on {self.folder}", self._say):
                yield
        except OSError as error:
            raise StackError(f"{error.filename or self.folder}: {error.strerror}") from error
