"""The whole stack in a folder, wired: the PSA's database captured, the registry asked, facts landed for analysts.

with Pipeline(folder) as pipeline:
    worker = pipeline.worker("worker")
    worker.start()
    # write to the PSA: `pipeline.psa_dsn`
    pipeline.connect.kill()
    pipeline.connect.start()
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from connect.configuration import CONNECTORS_FOLDER
from live.errors import PipelineError
from live.program import Program, command
from stack.connect import Connect
from stack.errors import Say, silent
from stack.kafka import Kafka
from stack.postgresql import PostgreSQL
from stack.registry import Registry
from stack.server import ServerPart
from stack.variables import ROLES, of_commands, of_connectors

PSA, ANALYTICS = "psa", "analytics"
"""Databases, and the connectors that capture or fill them."""

_SQL: Final = Path(__file__).parents[1] / "connect"
_COMMAND_SECONDS_MAX = 180.0


class Pipeline:
    """Kafka, PostgreSQL, the registry and Connect in a folder, with databases, topics and connectors made.

    `settings` are further settings of every `throughline`, by variable. All of it ends with the program that made it.
    """

    databases: ClassVar[Sequence[str]] = (PSA, ANALYTICS)
    """The databases that connectors come to."""

    connectors = CONNECTORS_FOLDER
    """The folder of the connectors' files."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, *, brokers: int = 1, say: Say = silent
    ) -> None:
        self.folder = folder.absolute()
        self._say = say
        self._settings = dict(settings or {})
        self.kafka = Kafka(self.folder / "kafka", brokers, say=say)
        self.postgresql = PostgreSQL(self.folder / "postgresql", say=say)
        self.registry = Registry(self.folder / "registry", self.kafka.bootstrap, say=say)
        self._found = of_connectors(self.registry, self.postgresql)
        self.connect = Connect(self.folder / "connect", self.kafka.bootstrap, variables=self._found, say=say)
        self._programs: list[Program] = []

    @property
    def parts(self) -> list[Kafka | ServerPart]:
        """What runs, in the order in which it starts."""
        return [self.kafka, self.postgresql, self.registry, self.connect]

    @property
    def psa_dsn(self) -> str:
        """The PSA's database, for whoever writes to it."""
        return self.postgresql.dsn(PSA)

    @property
    def analytics_dsn(self) -> str:
        """The database of facts."""
        return self.postgresql.dsn(ANALYTICS)

    @property
    def environment(self) -> dict[str, str]:
        """What every `throughline` of this pipeline finds in its environment."""
        return {
            **of_commands(self.kafka, self.registry, self.connect),
            "THROUGHLINE_SINKS__FOLDER": str(self.folder / "exchange"),
            **self._found,
            **self._settings,
        }

    def start(self, connectors: Sequence[str] = (PSA, ANALYTICS)) -> None:
        """Start all parts, make databases and topics, and have the connectors run.

        Raises:
            StackError: A part cannot be started.
            PipelineError: Topics or connectors cannot be made.
        """
        self._say("starting Kafka and PostgreSQL")
        self.kafka.launch()
        self.postgresql.launch()
        self.kafka.wait()
        self.postgresql.wait()
        self._say("starting the registry and Connect")
        self.registry.launch()
        self.connect.launch()
        self._make_databases()
        self.run("topics", "apply")
        self.registry.wait()
        self.connect.wait()
        if connectors:
            self._say(f"applying connectors: {', '.join(connectors)}")
            self.run("connect", "apply", *connectors, "--folder", str(self.connectors))

    def run(self, *words: str) -> str:
        """Run one `throughline …` to its end, and return what it printed.

        Raises:
            PipelineError: It ended with another code than 0.
        """
        told = subprocess.run(
            command(*words),
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS_MAX,
        )
        if told.returncode:
            said = f"{told.stdout}{told.stderr}".strip()
            raise PipelineError(f"throughline {' '.join(words)} ended with {told.returncode}:\n{said}")
        return told.stdout

    def program(self, name: str, *words: str, settings: Mapping[str, str] | None = None) -> Program:
        """A `throughline …` that runs on once it is started, and ends with the pipeline at the latest."""
        made = Program(name, self.folder / name, {**self.environment, **(settings or {})}, *words)
        self._programs.append(made)
        return made

    def worker(self, name: str, **settings: Any) -> Program:
        """A worker with a state folder of its own; `settings` by their names, as in its settings file."""
        own = {f"THROUGHLINE_{key.upper()}": str(value) for key, value in settings.items()}
        state = {"THROUGHLINE_STATE_FOLDER": str(self.folder / name / "state")}
        return self.program(name, "worker", settings={**state, **own})

    def stop(self) -> None:
        """Stop programs first, then the parts, the last started first."""
        for program in self._programs:
            program.stop()
        for part in reversed(self.parts):
            part.resume()
            part.stop()

    def _make_databases(self) -> None:
        for name in self.databases:
            self.postgresql.create_database(name)
            for file in sorted((_SQL / name).glob("*.sql")):
                self.postgresql.psql("--file", str(file), database=name)
            self.postgresql.set_password(ROLES[name], self.postgresql.password_of(name))

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


__all__ = ["ANALYTICS", "PSA", "Pipeline", "PipelineError", "Program"]
