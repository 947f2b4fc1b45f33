"""What goes wrong here, and whom to tell."""

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one line of progress for whoever waits."""


class StackError(Exception):
    """A part cannot be fetched, started or stopped; the message says what, where and what to do."""


def silent(_line: str) -> None:
    """Says nothing."""
