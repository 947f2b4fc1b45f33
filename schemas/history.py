"""The names of histories: what a load lands names its source so, and counts before anything that is told live.

A live feed has positions of its own kind: places in a log, or times. So the rows of a load are told apart by name, and
go into an epoch before all others.
"""

from typing import Final

HISTORY: Final = "history"
"""Reserved: the `source.name` of what is loaded, or what it begins with, a dot and a name of the load behind it."""

HISTORY_EPOCH: Final = -1
"""The epoch of what is loaded; those of live feeds begin at 0."""


def is_history(name: object) -> bool:
    """Tell whether a source's name is that of a load."""
    return isinstance(name, str) and (name == HISTORY or name.startswith(f"{HISTORY}."))


def history_of(feed: str) -> str:
    """Return the `source.name` of what a feed loads."""
    return feed if is_history(feed) else f"{HISTORY}.{feed}"
