"""`throughline feed`: one feed in a program of its own."""

import logging
import signal
from threading import Event

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

from streams.config import Settings
from streams.engine.feed_metrics import FeedMetrics
from streams.engine.feeds import FAILED, configured_feeds, prepared
from streams.engine.monitor import PortError, serve
from streams.engine.worker import log_to_stderr

log = logging.getLogger("throughline.feed")


def run_alone(settings: Settings, name: str, once: bool, linger_s: float) -> int:
    """Run one feed in the main thread until a signal stops it, or, with `once`, until its source is read to its end.

    After a failure, metrics go on for `linger_s` seconds, so that Prometheus hears of it; not with `once`.

    Returns 0, 1 after a failure, or 2 where its source cannot be opened as the settings have it. Raises
    `connect.configuration.UnusableConfiguration`, and `schemas.lined_yaml.UnusableFile`.
    """
    log_to_stderr()
    (feed,) = configured_feeds(settings, (name,))
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry, stop = CollectorRegistry(), Event()
    ProcessCollector(registry=registry)
    ready = prepared(settings, feed, FeedMetrics(registry), stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("feed %s lands in %s", name, settings.brokers)
    try:
        with serve(settings.metrics_host, settings.metrics_port, _Alone(registry)):
            code = ready.run(once)
            if code == FAILED and linger_s and not once:
                log.error("feed %s: its metrics say so for %g s more, then it exits with %d", name, linger_s, code)
                stop.wait(linger_s)
            return code
    except PortError as error:
        log.error("%s", error)
        return 1


class _Alone:
    """A feed as its watchers see it: it answers, so it runs; whether its source answers is in the metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def registry(self) -> CollectorRegistry:
        return self._registry

    def health(self) -> tuple[bool, dict[str, object]]:
        return True, {}

    def readiness(self) -> tuple[bool, dict[str, object]]:
        return True, {}
