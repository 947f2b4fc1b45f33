"""The lanes of a worker: each ERP is called by one of them, whatever partitions have something for it."""

from threading import Lock

from streams.config import Settings
from streams.delivery.flow import Pace
from streams.delivery.lane import Lane
from streams.delivery.limits import Limits
from streams.domain.posting import Posting
from streams.domain.routes import Routes
from streams.engine.clock import system_clock
from streams.engine.posting import Target, Targets
from streams.engine.targets import NamedTarget, NamedTargets, load_targets
from streams.sinks.contract import Sink
from streams.sinks.file_exchange import FileExchanges


class Lanes:
    """Opens ERPs: each partition has a sink of its own, and all of them one lane."""

    def __init__(self, settings: Settings, targets: NamedTargets | None = None) -> None:
        self._sinks = settings.sinks
        self._exchanges = FileExchanges(settings.sinks.folder)
        self._targets = targets
        self._partitions = settings.partitions
        self._lanes: dict[str, Lane] = {}
        self._one_by_one = Lock()

    def open(self, system: str) -> Target:
        """Open an ERP. Raises ValueError for one that is not known, and `Fatal` or `Retriable` as sinks do."""
        if self._targets is None:
            sink = self._exchanges.open(system)
            return Target(sink, self.lane(system, Pace(sink.calls_at_once)), self._limits(sink, None))
        target = self._targets.target(system)
        opened = target.open()
        pace = Pace(opened.calls_at_once, target.calls_per_second)
        return Target(opened, self.lane(system, pace), self._limits(opened, target))

    def lane(self, system: str, pace: Pace) -> Lane:
        """Return the lane to an ERP."""
        with self._one_by_one:
            lane = self._lanes.get(system)
            if lane is None:
                lane = self._lanes[system] = Lane(system, pace, self._partitions)
            return lane

    def _limits(self, sink: Sink[Posting], target: NamedTarget | None) -> Limits:
        """Return when a batch goes; what takes one posting a call has none to wait for."""
        postings_max = min(sink.postings_per_call, self._sinks.batch_lines_max)
        own = None if target is None else target.batch_seconds_max
        waits_s = self._sinks.batch_seconds_max if own is None else own
        return Limits(postings_max=postings_max, age_ms_max=0 if postings_max == 1 else round(waits_s * 1000))


def targets_in(settings: Settings) -> NamedTargets | None:
    """Return the targets that the settings name a file of, None without. Raises `schemas.lined_yaml.UnusableFile`."""
    file = settings.sinks.targets_file
    return None if file is None else load_targets(file)


def targets_of(settings: Settings, routes: Routes, targets: NamedTargets | None = None) -> Targets:
    """Return the ERPs of a worker as its settings have them, and the targets that these name."""
    poll_ms = round(settings.sinks.poll_seconds * 1000)
    lanes = Lanes(settings, targets)
    return Targets(lanes.open, routes, poll_ms, system_clock)
