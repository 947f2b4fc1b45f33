"""Running feeds, each with its landing: several as threads of a worker, or one by itself (see `feed_alone`)."""

import logging
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

from connect.catalogue import Configured, Outside, configured
from connect.configuration import CONNECTORS_FOLDER, UnusableConfiguration
from connect.feeds.contract import Fatal
from connect.feeds.runner import Runner, Surroundings
from streams.config import Settings
from streams.engine.clock import system_clock
from streams.engine.feed_bytes import Feed
from streams.engine.feed_metrics import FeedMetrics, OfFeed
from streams.engine.landing import KafkaLanding
from streams.engine.wire import registry_of

log = logging.getLogger("throughline.feed")

WELL, FAILED, UNUSABLE = 0, 1, 2
"""How a feed may end, as exit codes."""

_END_SECONDS_MAX = 30.0


class Prepared(NamedTuple):
    """A feed with all that it is run with, and what ends it.

    `open` makes its runner; raises `UnusableConfiguration` for what only opening its source can tell.
    """

    open: Callable[[], Runner]
    told: OfFeed
    name: str
    stop: Event

    def run(self, once: bool = False) -> int:
        """Run it to its end; return how it ended: `WELL`, `FAILED` or `UNUSABLE`.

        What ends it otherwise than well is in the log and in the metrics.
        """
        how, code, why = "failed", FAILED, None
        try:
            self.open().run(once)
            how, code = "stopped" if self.stop.is_set() else "finished", WELL
        except UnusableConfiguration as error:
            code, why = UNUSABLE, str(error)
            self.told.failed("fatal")
            log.error("feed %s ends: %s", self.name, error)
        except Fatal as error:
            why = str(error)
            log.error("feed %s ends: %s", self.name, error)
        except Exception as error:  # of one feed: ends neither the worker nor others, and is told with its traceback
            why = f"a defect: {error!r}"
            self.told.failed("defect")
            log.exception("feed %s ends by a defect", self.name)
        finally:
            self.told.ended(how, why)
        return code


def configured_feeds(settings: Settings, names: Iterable[str]) -> list[Configured]:
    """Return feeds by their names. Raises `connect.configuration.UnusableConfiguration`."""
    folder = settings.connectors_folder or CONNECTORS_FOLDER
    return [configured(name, folder) for name in names]


def prepared(settings: Settings, feed: Configured, metrics: FeedMetrics, stop: Event) -> Prepared:
    """Return a feed ready to be run. Raises `schemas.lined_yaml.UnusableFile` as `registry_of` does."""
    told = metrics.of(feed.name)
    landing = KafkaLanding(settings, Feed(feed.name, feed.kind.connector), registry_of(settings.contracts))
    outside = Surroundings(system_clock, random.random, stop.wait)

    def opened() -> Runner:
        try:
            source = feed.kind.open(feed.settings, Outside(feed.name, system_clock, told, stop))
        except Fatal as error:  # nothing was asked of its system yet: it is the settings, or what they name
            raise UnusableConfiguration(str(error)) from error
        return Runner(feed.name, source, landing, told, feed.settings.pace, outside, stop)

    return Prepared(opened, told, feed.name, stop)


@contextmanager
def running(settings: Settings, feeds: list[Configured], metrics: FeedMetrics) -> Iterator[None]:
    """Run feeds in threads of their own while the block runs, and stop them at its end."""
    stop = Event()
    ready = [prepared(settings, feed, metrics, stop) for feed in feeds]
    threads = [threading.Thread(target=each.run, name=f"feed {each.name}", daemon=True) for each in ready]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            # One that hangs in a request is left behind: what it has not committed is landed by the next run.
            thread.join(_END_SECONDS_MAX)
