"""The room: a folder in which the parts run side by side, one subfolder a part.

They start in two waves: what stands on nothing, then what stands on Kafka or PostgreSQL.
"""

import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stack.connect import NAME as CONNECT, Connect
from stack.errors import Say, StackError
from stack.kafka import NAME as KAFKA, Kafka, is_cluster
from stack.locked import locked
from stack.parts import NAMES, OPTIONAL, WAVES, Line, Part
from stack.postgresql import NAME as POSTGRESQL, PostgreSQL
from stack.prometheus import NAME as PROMETHEUS, Prometheus
from stack.registry import NAME as REGISTRY, Registry
from stack.server import was_started
from stack.tools import java, postgresql, prometheus, venv
from stack.tryton import NAME as TRYTON, Tryton
from stack.variables import of_commands, of_connectors, of_psql, write

KAFKA_PORT = 19_092
PORTS_BESIDE = {TRYTON: -92, REGISTRY: -11, CONNECT: -9, PROMETHEUS: -2, POSTGRESQL: 340}
"""How far from Kafka's first port each part listens, where that is given; Connect on the port after it, too."""

_STANDS_ON: Mapping[str, str] = {REGISTRY: KAFKA, CONNECT: KAFKA, TRYTON: POSTGRESQL}
_NEEDS: Mapping[str, tuple[Callable[[], object], ...]] = {
    KAFKA: (java,),
    REGISTRY: (java,),
    CONNECT: (java,),
    POSTGRESQL: (postgresql,),
    PROMETHEUS: (prometheus,),
    TRYTON: (postgresql, venv),
}
_LAYOUT, _VARIABLES = "room.json", "env"
_PROMETHEUS_CONFIG = Path(__file__).parents[1] / "deploy" / "prometheus" / "prometheus.yaml"


class Room:
    """The parts in one folder. They run until they are stopped, beyond the program that started them."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder.absolute()
        self._say = say

    def up(
        self,
        names: Sequence[str] = (),
        brokers: int | None = None,
        first_port: int | None = None,
        prometheus_config: Path | None = None,
    ) -> None:
        """Start the parts named that do not run, with what they stand on; wait until all of it answers.

        None named: all but the optional ones.

        `first_port`: of Kafka, the others listen beside it; 0: as before, else free ones; None: as before, else 19092.
        `prometheus_config`: what Prometheus goes by; None: as before, else the one in `deploy`.

        Raises:
            StackError: There is no such part, a program it needs is missing, or it cannot be started; those before it
                run.
        """
        wanted = _with_what_they_stand_on(names or [name for name in NAMES if name not in OPTIONAL])
        for find in dict.fromkeys(find for name in NAMES if name in wanted for find in _NEEDS[name]):
            find()
        with self._alone():
            self._lay_out(first_port, prometheus_config)
            for wave in WAVES:
                parts = [self._part(name, brokers, first_port) for name in wave if name in wanted]
                self._tell(parts)
                for part in parts:
                    part.launch()
                for part in parts:
                    part.wait()
            write(self.folder / _VARIABLES, self.variables())
        self._say(f"settings for a shell: set -a; . {shlex.quote(str(self.folder / _VARIABLES))}; set +a")

    def down(self, *, wipe: bool) -> None:
        """Stop what runs, the last part first; `wipe`: remove what it holds, too."""
        if not self.folder.is_dir():
            self._say(f"nothing was started in {self.folder}")
            return
        with self._alone():
            parts = self._parts()[::-1]
            running = ", ".join(part.name for part in parts if any(part.pids()))
            self._say(f"stopping {running}" if running else f"nothing runs in {self.folder}")
            for part in parts:
                part.stop()
                if wipe:
                    shutil.rmtree(part.folder)
        if wipe:
            self._say(f"removing what was kept in {self.folder}")
            for file in (self._lock, self.folder / _LAYOUT, self.folder / _VARIABLES):
                file.unlink(missing_ok=True)
            with suppress(OSError):  # something else lies there: it is not ours to remove
                self.folder.rmdir()

    def lines(self) -> list[Line]:
        """One line for each program of the parts that were ever started here."""
        return [line for part in self._parts() for line in part.lines()]

    def logs(self, name: str | None) -> list[Path]:
        """The logs of one part, or of all.

        Raises:
            StackError: There is no such part.
        """
        parts = self._parts()
        if name is not None and name not in {part.name for part in parts}:
            there = ", ".join(part.name for part in parts) or "nothing"
            raise StackError(f"no part {name} was started in {self.folder}; {there} was")
        return [log for part in parts if name in (None, part.name) for log in part.logs()]

    def kafka(self) -> Kafka:
        """The brokers that were started here."""
        return Kafka(self.folder / KAFKA, bound=False, say=self._say)

    def postgresql(self) -> PostgreSQL:
        """The databases that were started here."""
        return PostgreSQL(self.folder / POSTGRESQL, bound=False, say=self._say)

    def registry(self) -> Registry:
        """The registry that was started here."""
        return Registry(self.folder / REGISTRY, self.kafka().bootstrap, bound=False, say=self._say)

    def connect(self) -> Connect:
        """The worker of Kafka Connect that was started here."""
        return self._connect(None)

    def tryton(self) -> Tryton:
        """The Tryton that was started here."""
        return Tryton(self.folder / TRYTON, self.postgresql(), bound=False, say=self._say)

    def variables(self) -> dict[str, str]:
        """What finds the parts that were started here, for whoever works in a shell. Passwords are among it."""
        kafka = self.kafka() if is_cluster(self.folder / KAFKA) else None
        registry, postgresql = self._where_connectors_come_to()
        connect = self.connect() if was_started(self.folder / CONNECT) else None
        settings = of_commands(kafka, registry, connect)
        return {**settings, **of_psql(postgresql), **of_connectors(registry, postgresql)}

    def _where_connectors_come_to(self) -> tuple[Registry | None, PostgreSQL | None]:
        """Those of the two that were started here: to ask for one that was not would give it a port."""
        registry = self.registry() if was_started(self.folder / REGISTRY) else None
        return registry, self.postgresql() if was_started(self.folder / POSTGRESQL) else None

    def _connect(self, port: int | None) -> Connect:
        bootstrap, variables = self.kafka().bootstrap, of_connectors(*self._where_connectors_come_to())
        beside = None if port is None else port + 1
        return Connect(
            self.folder / CONNECT, bootstrap, port, metrics_port=beside, variables=variables, bound=False, say=self._say
        )

    def _tell(self, parts: Sequence[Part]) -> None:
        """Say which parts are started now, and which run already."""
        starting = [part.name for part in parts if not all(part.pids())]
        if starting:
            self._say(f"starting {', '.join(starting)}")
        if there := [part.name for part in parts if part.name not in starting]:
            self._say(f"{', '.join(there)}: up already")

    def _parts(self) -> list[Part]:
        """The parts that were started here, in the order in which they start."""
        there = [name for name in NAMES if was_started(self.folder / name) or is_cluster(self.folder / name)]
        return [self._part(name, None, None) for name in there]

    def _part(self, name: str, brokers: int | None, first_port: int | None) -> Part:
        folder = self.folder / name
        if name == KAFKA:
            if first_port is None and not is_cluster(folder):
                first_port = KAFKA_PORT
            return Kafka(folder, brokers, first_port or None, bound=False, say=self._say)
        layout = self._layout()
        port = None
        if first_port or (layout.get("first_port") and not was_started(folder)):
            port = (first_port or layout["first_port"]) + PORTS_BESIDE[name]
        if name == POSTGRESQL:
            return PostgreSQL(folder, port, bound=False, say=self._say)
        if name == TRYTON:
            return Tryton(folder, self.postgresql(), port, bound=False, say=self._say)
        if name == PROMETHEUS:
            config = Path(layout.get("prometheus_config", _PROMETHEUS_CONFIG))
            return Prometheus(folder, config, port, bound=False, say=self._say)
        if name == REGISTRY:
            return Registry(folder, self.kafka().bootstrap, port, bound=False, say=self._say)
        return self._connect(port)

    def _lay_out(self, first_port: int | None, prometheus_config: Path | None) -> None:
        """Write down where parts that are new here will listen, and what Prometheus goes by."""
        layout = self._layout()
        if first_port is not None or "first_port" not in layout:
            layout["first_port"] = KAFKA_PORT if first_port is None else first_port
        if prometheus_config is not None:
            layout["prometheus_config"] = str(prometheus_config.absolute())
        (self.folder / _LAYOUT).write_text(json.dumps(layout), encoding="utf-8")

    def _layout(self) -> dict[str, Any]:
        file = self.folder / _LAYOUT
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            raise StackError(f"{file}: cannot be read ({error}); remove it, and name the ports again") from None

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with locked(self._lock, f"another command on {self.folder}", self._say):
                yield
        except OSError as error:
            raise StackError(f"{error.filename or self.folder}: {error.strerror}") from error


def _with_what_they_stand_on(names: Iterable[str]) -> set[str]:
    wanted = set(names)
    if unknown := wanted - {*NAMES}:
        raise StackError(f"there is no part {', '.join(sorted(unknown))}; there is {', '.join(NAMES)}")
    return wanted | {_STANDS_ON[name] for name in wanted if name in _STANDS_ON}
