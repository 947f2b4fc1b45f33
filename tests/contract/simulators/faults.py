"""Faults on order: the worker dies, or an operation fails, before, half-way through or after the nth step."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from streams.sinks.durable_files import Files, LocalFiles, Stamp

Result = TypeVar("Result")
WHEN = ("before", "half", "after")


class Killed(BaseException):
    """The worker died here. No `except Exception` of the product may survive it."""


def disk_full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


class Faults:
    """Counts the steps that a target's seams report, and strikes at those that were ordered."""

    def __init__(self) -> None:
        self.steps = 0
        self._ordered: dict[int, tuple[str, BaseException]] = {}

    def order(self, step: int, when: str, fault: BaseException) -> None:
        """Strike at the step that comes after so many others from now on."""
        self._ordered[self.steps + step] = (when, fault)

    def clear(self) -> None:
        self._ordered.clear()

    def commit(self) -> None:
        """The step before the worker's commit: the worker may die here, but it calls no target that could fail."""
        ordered = self._ordered.pop(self.steps, None)
        self.steps += 1
        if ordered is not None and isinstance(ordered[1], Killed):
            raise ordered[1]
        if ordered is not None:
            self._ordered.setdefault(self.steps, ordered)

    def step(self, effect: Callable[[], Result], half: Callable[[], None] | None = None) -> Result:
        when, fault = self._ordered.pop(self.steps, ("", None))
        self.steps += 1
        if fault is None:
            return effect()
        if when == "half" and half is not None:
            half()
        elif when == "after":
            effect()
        raise fault


class FaultyFiles:
    """Files whose every change is a step at which the disk or the worker may fail."""

    def __init__(self, faults: Faults, files: Files | None = None) -> None:
        self._files: Files = LocalFiles() if files is None else files
        self._faults = faults

    def make_folder(self, folder: Path) -> None:
        self._files.make_folder(folder)

    def names(self, folder: Path) -> list[str]:
        return self._files.names(folder)

    def read(self, path: Path) -> bytes:
        return self._files.read(path)

    def stamp(self, path: Path) -> Stamp:
        return self._files.stamp(path)

    def write(self, path: Path, content: bytes) -> None:
        def half() -> None:
            self._files.write(path, content[: len(content) // 2])

        self._faults.step(lambda: self._files.write(path, content), half)

    def rename(self, old: Path, new: Path) -> None:
        self._faults.step(lambda: self._files.rename(old, new))

    def appear(self, old: Path, new: Path) -> None:
        self._faults.step(lambda: self._files.appear(old, new))

    def remove(self, path: Path) -> None:
        self._faults.step(lambda: self._files.remove(path))

    def sync_folder(self, folder: Path) -> None:
        self._faults.step(lambda: self._files.sync_folder(folder))

    def lock(self, path: Path) -> int:
        return self._files.lock(path)

    def unlock(self, token: int) -> None:
        self._files.unlock(token)
