"""When what has failed of a connector is restarted, without anybody being asked.

A task that met brokers or a registry which were away has failed for good: Connect does not try it again. Mostly all is
well a moment later, so it is restarted soon, then later and later. Whatever was paused or stopped, somebody wanted so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from connect.rest import Standing
from outside.backoff import longest_wait_ms

FIRST_MS: Final = 10_000
"""From a failure to the first restart, at most; each further one waits twice as long."""

LONGEST_MS: Final = 600_000
"""Between two restarts, at most."""

SETTLED_MS: Final = 600_000
"""A connector that has not failed for so long begins anew with the first wait."""

_BY_HAND: Final = frozenset({"PAUSED", "STOPPED"})


@dataclass
class _Failing:
    """A connector that has failed: how often it was restarted, when it is next, and when it was last seen failed."""

    restarts: int
    due_ms: int
    failed_ms: int


class Restarts:
    """Decides which connectors are restarted. `chance` gives numbers from 0 to 1, so that not all come at once."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failing: dict[str, _Failing] = {}

    def due(self, running: Mapping[str, Standing], now_ms: int) -> list[str]:
        """Return the connectors of which something failed and is to be restarted now; `now_ms` since 1970."""
        chosen = []
        for name, standing in running.items():
            if not standing.failures or standing.state in _BY_HAND:
                self._settle(name, now_ms)
                continue
            failing = self._failing.get(name)
            if failing is None:
                failing = self._failing[name] = _Failing(0, now_ms + self._wait_ms(0), now_ms)
            failing.failed_ms = now_ms
            if now_ms >= failing.due_ms:
                failing.restarts += 1
                failing.due_ms = now_ms + self._wait_ms(failing.restarts)
                chosen.append(name)
        return chosen

    def _settle(self, name: str, now_ms: int) -> None:
        failing = self._failing.get(name)
        if failing is not None and now_ms - failing.failed_ms >= SETTLED_MS:
            del self._failing[name]

    def _wait_ms(self, restarts: int) -> int:
        """Return how long to wait after so many restarts: half of the time for certain, the rest by chance."""
        longest = longest_wait_ms(FIRST_MS, LONGEST_MS, restarts)
        return longest // 2 + round(longest / 2 * self._chance())
