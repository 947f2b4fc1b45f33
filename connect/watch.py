"""The watch over connectors and feeds: looks every few seconds, and tells Prometheus what it found.

It restarts what has failed of the connectors it knows, unless it is told not to, and changes nothing else. A place that
does not answer leaves its figures out and is counted as unknown: what was true a minute ago may not be any more.
"""

import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Event
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server

from connect.configuration import Configuration, UnusableConfiguration
from connect.freshness import Look, heard_as
from connect.rest import ConnectError, Standing
from connect.restarts import Restarts
from connect.status import lines
from connect.watch_metrics import WatchMetrics

log = logging.getLogger("throughline.connect")

RESTARTED: Final = "restarted, as"
"""Stands in each line of the log that tells of a restart, between what was restarted and why."""

_KNOWN_AGAIN: Final = {"connect": "how connectors are", "freshness": "how fresh all of them are"}
"""What is known of a place when it answers."""

Running = Callable[[], Mapping[str, Standing]]
"""Asks Connect how its connectors are. Raises `ConnectError`."""

Restart = Callable[[str], None]
"""Has Connect restart what has failed of a connector. Raises `ConnectError`."""


class Outside(NamedTuple):
    """What the watch takes from outside: Connect, places that know of freshness, the clock, and where it says things.

    `restart` is None where nothing is restarted. `clock`: milliseconds since 1970. `wait`: waits for so many seconds,
    and says whether the watch is to end. `chance`: a number from 0 to 1.
    """

    running: Running
    restart: Restart | None
    looks: Sequence[Look]
    clock: Callable[[], int]
    wait: Callable[[float], bool]
    say: Callable[[str], None]
    chance: Callable[[], float]


class Watch:
    """Looks at the connectors and feeds of some files."""

    def __init__(self, files: Mapping[str, Configuration], metrics: WatchMetrics, outside: Outside) -> None:
        self._files = files
        self._metrics = metrics
        self._outside = outside
        self._restarts = Restarts(outside.chance)
        self._said: frozenset[str] = frozenset()
        self._unknown: frozenset[str] = frozenset()

    def run(self, every_s: float) -> None:
        """Look again and again, until it is to end."""
        while True:
            self.look()
            if self._outside.wait(every_s):
                return

    def look(self) -> None:
        """Look once, and tell; what cannot be learnt is said when it begins, and that a place is known again."""
        unknown = {"connect": 0, "freshness": 0}
        running: Mapping[str, Standing] = {}
        failures: list[str] = []
        try:
            running = self._outside.running()
        except ConnectError as error:
            unknown["connect"] = 1
            failures.append(str(error))
        known = {name: standing for name, standing in running.items() if name in self._files}
        failures += self._restart(known)
        found, not_learnt = lines(self._files, known, self._outside.looks)
        unknown["freshness"] = len(not_learnt)
        feeds = [(heard_as(self._files[line.name]), line) for line in found]
        self._metrics.set(feeds, unknown, self._outside.clock())
        self._tell([*failures, *not_learnt])
        self._tell_known({place for place, count in unknown.items() if count})

    def _restart(self, known: Mapping[str, Standing]) -> list[str]:
        """Restart what is due, and return what went wrong with that."""
        wrong: list[str] = []
        restart = self._outside.restart
        if restart is None:
            return wrong
        for name in self._restarts.due(known, self._outside.clock()):
            self._outside.say(f"{name}: {RESTARTED} {'; '.join(known[name].failures)}")
            self._metrics.restarted(heard_as(self._files[name]))
            try:
                restart(name)
            except ConnectError as error:
                wrong.append(f"whether {name} is restarted: {error}")
        return wrong

    def _tell(self, failures: Sequence[str]) -> None:
        for failure in failures:
            if failure not in self._said:
                self._outside.say(f"not known: {failure}")
        self._said = frozenset(failures)

    def _tell_known(self, unknown: Collection[str]) -> None:
        for place in sorted(self._unknown.difference(unknown)):
            self._outside.say(f"known again: {_KNOWN_AGAIN[place]}")
        self._unknown = frozenset(unknown)


def watch_until_stopped(
    files: Mapping[str, Configuration],
    asked: tuple[Running, Restart | None],
    looks: Sequence[Look],
    address: tuple[str, int],
    every_s: float,
) -> None:
    """Look every few seconds and answer Prometheus at an address, until SIGTERM or SIGINT. `asked` is of Connect.

    Raises:
        UnusableConfiguration: The port cannot be listened on.
    """
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    log.setLevel(logging.INFO)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry, stop = CollectorRegistry(), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    outside = Outside(*asked, looks, lambda: time.time_ns() // 1_000_000, stop.wait, log.warning, random.random)
    watch = Watch(files, WatchMetrics(registry), outside)
    host, port = address
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise UnusableConfiguration(
            f"--host {host} --port {port}: {error.strerror}; give an address of this machine, and a free port of it"
        ) from None
    log.info("watching %s; metrics on http://%s:%d/metrics", ", ".join(files) or "nothing", host, port)
    try:
        watch.run(every_s)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
