"""The lanes of a worker: each ERP is called by one of them, whatever partitions have something for it."""

from threading import Lock

from streams.config import Settings
from streams.delivery.flow import Pace
from streams.delivery.lane import Lane
from streams.delivery.limits import Limits
from streams.domain.routes import Routes
from streams.engine.clock import system_clock
from streams.engine.posting import Target, Targets
from streams.sinks.file_exchange import FileExchanges


class Lanes:
    """Opens ERPs: each partition has a sink of its own, and all of them one lane."""

    def __init__(self, settings: Settings) -> None:
        sinks = settings.sinks
        self._exchanges = FileExchanges(sinks.folder)
        self._limits = Limits(postings_max=sinks.batch_lines_max, age_ms_max=round(sinks.batch_seconds_max * 1000))
        self._partitions = settings.partitions
        self._lanes: dict[str, Lane] = {}
        self._one_by_one = Lock()

    def open(self, system: str) -> Target:
        """Open an ERP. Raises ValueError for one that is not known, and `Fatal` or `Retriable` as sinks do."""
        sink = self._exchanges.open(system)
        return Target(sink, self.lane(system, sink.calls_at_once), self._limits)

    def lane(self, system: str, calls_at_once: int) -> Lane:
        """Return the lane to an ERP."""
        with self._one_by_one:
            lane = self._lanes.get(system)
            if lane is None:
                lane = self._lanes[system] = Lane(system, Pace(calls_at_once), self._partitions)
            return lane


def targets_of(settings: Settings, routes: Routes) -> Targets:
    """Return the ERPs of a worker as its settings have them."""
    poll_ms = round(settings.sinks.poll_seconds * 1000)
    return Targets(Lanes(settings).open, routes, poll_ms, system_clock)
