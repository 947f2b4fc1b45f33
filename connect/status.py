"""How connectors and feeds are, side by side: what Connect says of them, and how fresh they are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from connect.configuration import Configuration
from connect.freshness import Freshness, Look, Unknown, brings
from connect.rest import Standing

_UNKNOWN = "-"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))

TITLES = ("feed", "state", "tasks", "newest", "slot lag", "log", "snapshot")
FEED_STATE = "feed"
"""In place of a state: it is run by ourselves, and what it is worth is seen by its age."""
ABSENT_STATE = "not there"


class Line(NamedTuple):
    """One connector or feed. `standing`: None for a feed, and for a connector that is not there.

    `brings`: whether it brings changes, and so has an age; a sink has none.
    """

    name: str
    state: str
    standing: Standing | None
    freshness: Freshness
    brings: bool = True

    @property
    def as_wanted(self) -> bool:
        """Whether it runs, as far as Connect knows."""
        return self.state == FEED_STATE or (self.standing is not None and self.standing.runs)

    def stale(self, now_ms: int, age_s_max: float | None) -> bool:
        """Whether its newest record or heartbeat is older than allowed, or there is none."""
        if age_s_max is None or not self.brings:
            return False
        newest = self.freshness.newest_ms
        return newest is None or now_ms - newest > age_s_max * 1000

    def cells(self, now_ms: int) -> tuple[str, ...]:
        """Return what is shown of it, by `TITLES`."""
        tasks = _UNKNOWN if self.standing is None else _tasks(self.standing)
        fresh = self.freshness
        newest = _UNKNOWN if fresh.newest_ms is None else f"{age(max(0, now_ms - fresh.newest_ms) // 1000)} ago"
        lag = _UNKNOWN if fresh.slot_lag_bytes is None else size(fresh.slot_lag_bytes)
        log, snapshot = fresh.slot_state or _UNKNOWN, fresh.snapshot or _UNKNOWN
        return self.name, self.state, tasks, newest, lag, log, snapshot


def lines(
    configurations: Mapping[str, Configuration], running: Mapping[str, Standing], looks: Sequence[Look]
) -> tuple[list[Line], list[str]]:
    """Return a line for all that should run and all that does, and what could not be learnt, each once."""
    found, unknown = [], dict[str, None]()
    for name in sorted(configurations.keys() | running.keys()):
        configuration, standing = configurations.get(name), running.get(name)
        freshness = Freshness()
        if configuration is not None:
            freshness = _freshness(configuration, looks, unknown)
        if configuration is not None and configuration.is_feed:
            state = FEED_STATE
        else:
            state = ABSENT_STATE if standing is None else standing.state
        found.append(Line(name, state, standing, freshness, configuration is None or brings(configuration)))
    return found, [*unknown]


def _freshness(configuration: Configuration, looks: Iterable[Look], unknown: dict[str, None]) -> Freshness:
    freshness = Freshness()
    for look in looks:
        try:
            freshness = freshness.filled(look.look(configuration))
        except Unknown as error:
            unknown[str(error)] = None
    return freshness


def _tasks(standing: Standing) -> str:
    if not standing.tasks:
        return "none"
    states = [task.state for task in standing.tasks]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def age(seconds: int) -> str:
    """Return a time in its largest unit, rounded down."""
    return next((f"{seconds // unit} {name}" for unit, name in _UNITS if seconds >= unit), "0 s")


def size(count: int) -> str:
    """Return a number of bytes in its largest unit, rounded down."""
    return next((f"{count // unit} {name}" for unit, name in _BYTES if count >= unit), "0 B")
