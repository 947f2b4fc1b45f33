"""What every part of a worker is given."""

from typing import NamedTuple

from streams.config import Settings
from streams.engine.clock import Clock
from streams.engine.metrics import Metrics
from streams.engine.probe import Probe
from streams.engine.wire import Wire


class Kit(NamedTuple):
    """Settings, the bytes of topics, the figures told to Prometheus, the clock, and who watches points pass."""

    settings: Settings
    wire: Wire
    metrics: Metrics
    clock: Clock
    probe: Probe
