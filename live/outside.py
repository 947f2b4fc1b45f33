"""The firm's other systems, simulated: CRM, HR and ERP as programs, each read by the feed that would read the real one.

with closing(Outside(folder / "outside")) as outside, Pipeline(folder / "stack", outside.settings) as pipeline:
    outside.begin(pipeline)
    outside.write(changes)
"""

import json
import shutil
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

from connect.configuration import CONNECTORS_FOLDER
from connect.freshness import heard_as
from firm.topics import SOURCE_TOPICS
from firm.wire import Record
from live.pipeline import ANALYTICS, PSA, Pipeline
from live.program import Program
from live.salesforce import Salesforce
from live.systems import Dynamics, System, Workday
from stack.ports import free_ports

_CONNECTORS: Final = (PSA, ANALYTICS)


class Outside:
    """The systems and their feeds. `settings` must be those of the pipeline that the feeds land in."""

    def __init__(self, folder: Path) -> None:
        """Start the systems, and write the configurations of their feeds beside those of the connectors.

        Raises:
            PipelineError: A simulator is not here, or ends at once.
        """
        folder = folder.absolute()
        self.connectors = folder / "connectors"
        self.connectors.mkdir(parents=True)
        self._feeds: list[Program] = []
        self.ports: list[int] = []
        """Where the feeds tell Prometheus, once they run."""
        self._systems: list[System] = []
        try:
            self._systems.append(Salesforce(folder / "salesforce"))
            self._systems.append(Workday(folder / "workday"))
            self._systems.append(Dynamics(folder / "dynamics"))
            for system in self._systems:
                system.connect()
        except BaseException:
            self.close()
            raise
        for name in _CONNECTORS:
            shutil.copy(CONNECTORS_FOLDER / f"{name}.json", self.connectors)
        for configuration in (system.configuration for system in self._systems):
            content = json.dumps(configuration.model_dump(), indent=2)
            (self.connectors / f"{configuration.name}.json").write_text(f"{content}\n", "utf-8")

    @property
    def names(self) -> list[str]:
        """The names under which changes of these systems come."""
        return [heard_as(system.configuration) for system in self._systems]

    @property
    def topics(self) -> list[str]:
        """The topics in which they land."""
        return [topic for topic in SOURCE_TOPICS if self._system_of(topic) is not None]

    @property
    def settings(self) -> dict[str, str]:
        """What every `throughline` has to find in its environment."""
        found = {
            "THROUGHLINE_CONNECTORS_FOLDER": str(self.connectors),
            "THROUGHLINE_FEEDS_EXPECTED": json.dumps([PSA, *self.names]),
        }
        for system in self._systems:
            found |= system.environment
        return found

    def begin(self, pipeline: Pipeline) -> None:
        """Have the feeds run, each as a program that ends with the pipeline."""
        self.ports = free_ports(len(self._systems))
        for system, port in zip(self._systems, self.ports, strict=True):
            name = system.configuration.name
            feed = pipeline.program(f"feed-{name}", "feed", name, settings={"THROUGHLINE_METRICS_PORT": str(port)})
            feed.start()
            self._feeds.append(feed)

    def lives(self) -> None:
        """Raise `PipelineError` if a feed has ended."""
        for feed in self._feeds:
            feed.lives()

    def owns(self, change: Record) -> bool:
        """Whether a change happens in one of these systems."""
        return self._system_of(change.topic) is not None

    def write(self, changes: Iterable[Record]) -> int:
        """Have changes happen where they belong, in their order; return how many. Raises `PipelineError`."""
        written = 0
        for system, run in groupby(changes, lambda change: self._system_of(change.topic)):
            part = list(run)
            if system is None:
                raise ValueError(f"{part[0].topic} is of none of the systems here")
            system.write(part)
            written += len(part)
        return written

    def close(self) -> None:
        """End the systems."""
        for system in self._systems:
            system.close()

    def _system_of(self, topic: str) -> System | None:
        return next((system for system in self._systems if topic.startswith(system.prefix)), None)
