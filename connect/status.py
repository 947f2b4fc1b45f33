"""How connectors and feeds are, side by side: what Connect says of them, and how fresh they are."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from connect.configuration import Configuration
from connect.freshness import Freshness, Look, Unknown, brings, heard_as
from connect.rest import Standing

_UNKNOWN = "-"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))

TITLES = ("feed", "state", "tasks", "newest", "behind", "slot lag", "log", "snapshot")
FEED_STATE = "feed"
"""In place of a state: it is run by ourselves, and what it is worth is seen by its age."""
ABSENT_STATE = "not there"
UNKNOWN_STATE = "unknown"
"""Connect does not say."""


class Line(NamedTuple):
    """One connector or feed.

    `standing`: None for a feed, for a connector that is not there, and where Connect does not say. `brings`: whether it
    brings changes, and so has an age; a sink takes them, and is behind or not. `may_be_silent`: whether nobody waits to
    hear of it.
    """

    name: str
    state: str
    standing: Standing | None
    freshness: Freshness
    brings: bool = True
    may_be_silent: bool = False

    @property
    def as_wanted(self) -> bool:
        """Whether it runs, as far as Connect knows."""
        return self.state == FEED_STATE or (self.standing is not None and self.standing.runs)

    def stale(self, now_ms: int, age_s_max: float | None) -> str:
        """Say why it is not as fresh as allowed, or that this is not known; empty if it is, or need not be."""
        if age_s_max is None or self.may_be_silent:
            return ""
        fresh, allowed_ms = self.freshness, now_ms - age_s_max * 1000
        if not self.brings:
            if fresh.behind_records is None:
                return "not known how far it is behind"
            is_old = fresh.oldest_ms is not None and fresh.oldest_ms < allowed_ms
            return f"what it has still to take is {age_s_max:g} s old, or older" if is_old else ""
        if fresh.newest_ms is None:
            return "not known when anything came" if fresh.heard is None else "nothing ever came"
        return f"nothing came for {age_s_max:g} s or longer" if fresh.newest_ms < allowed_ms else ""

    def cells(self, now_ms: int) -> tuple[str, ...]:
        """Return what is shown of it, by `TITLES`."""
        tasks = _UNKNOWN if self.standing is None else _tasks(self.standing)
        fresh = self.freshness
        newest = "never" if fresh.heard is False else _UNKNOWN
        if fresh.newest_ms is not None:
            newest = f"{_since(fresh.newest_ms, now_ms)} ago"
        behind = _UNKNOWN if fresh.behind_records is None else f"{fresh.behind_records:,}"
        if fresh.oldest_ms is not None:
            behind += f", {_since(fresh.oldest_ms, now_ms)} old"
        lag = _UNKNOWN if fresh.slot_lag_bytes is None else size(fresh.slot_lag_bytes)
        log, snapshot = fresh.slot_state or _UNKNOWN, fresh.snapshot or _UNKNOWN
        return self.name, self.state, tasks, newest, behind, lag, log, snapshot


def lines(
    configurations: Mapping[str, Configuration],
    running: Mapping[str, Standing] | None,
    looks: Sequence[Look],
    expected: Collection[str] = (),
) -> tuple[list[Line], list[str]]:
    """Return a line for all that should run and all that does, and what could not be learnt, each once.

    `running` is None where Connect does not say. `expected` are the names of feeds that must be heard. Of the others,
    those may be silent from which nothing ever came, as not every firm has them all, and those that come when somebody
    drops a file.
    """
    found, unknown = [], dict[str, None]()
    known, absent = ({}, UNKNOWN_STATE) if running is None else (running, ABSENT_STATE)
    for name in sorted(configurations.keys() | known.keys()):
        configuration, standing = configurations.get(name), known.get(name)
        state = absent if standing is None else standing.state
        if configuration is None:
            found.append(Line(name, state, standing, Freshness()))
            continue
        fresh, may_be_silent = _freshness(configuration, looks, unknown), False
        if configuration.is_feed:
            state = FEED_STATE
            silent = configuration.is_on_demand or fresh.heard is False
            may_be_silent = silent and heard_as(configuration) not in expected
        found.append(Line(name, state, standing, fresh, brings(configuration), may_be_silent))
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


def _since(at_ms: int, now_ms: int) -> str:
    return age(max(0, now_ms - at_ms) // 1000)


def age(seconds: int) -> str:
    """Return a time in its largest unit, rounded down."""
    return next((f"{seconds // unit} {name}" for unit, name in _UNITS if seconds >= unit), "0 s")


def size(count: int) -> str:
    """Return a number of bytes in its largest unit, rounded down."""
    return next((f"{count // unit} {name}" for unit, name in _BYTES if count >= unit), "0 B")
