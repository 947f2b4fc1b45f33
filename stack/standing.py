"""What stands while a block runs."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Standing(ABC):
    """Something that is started and stopped: in a `with` block, it stands as long as the block runs."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it in good order, also where it hangs."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
