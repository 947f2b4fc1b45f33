"""Kafka: one broker or three, in KRaft mode, each a controller, too.

with Kafka(folder) as kafka:
    Producer({"bootstrap.servers": kafka.bootstrap})
    kafka.kill()    # as a power cut for the program; records that were acknowledged are in the system's cache
    kafka.start()   # the same folder, the same ports
"""

import base64
import json
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack.daemon import Daemon
from stack.errors import Say, StackError, silent
from stack.jars import class_path
from stack.kafka_files import (
    LOG_SETTINGS,
    LOG_SETTINGS_FILE,
    PROPERTIES_FILE,
    RECORDS_FOLDER,
    Node,
    as_text,
    java_command,
    properties,
)
from stack.parts import Line
from stack.ports import free_ports
from stack.server import Server
from stack.standing import Standing
from stack.tools import ask, java
from stack.versions import versions

NAME = "kafka"
CONTROLLER_PORTS_ABOVE = 100
"""A controller listens this far above its broker's port, where the ports are given."""

_LAYOUT = "cluster.json"
_ASK_SECONDS = 2.0
_FORMAT_SECONDS_MAX = 60.0


class Broker(Server):
    """One broker of a cluster."""

    def __init__(
        self, node: Node, nodes: Sequence[Node], cluster_id: str, folder: Path, *, bound: bool, say: Say = silent
    ) -> None:
        daemon = Daemon(f"kafka {node.number}", versions().parts[NAME].version, folder, bound=bound)
        super().__init__(daemon, (node.port, node.controller_port), say)
        self.node = node
        self._nodes = nodes
        self._cluster_id = cluster_id
        self._admin: AdminClient | None = None

    def command(self) -> list[str]:
        """Write its settings, format its folder at first, and return the command. Raises `StackError`."""
        program, jars = java(), class_path(NAME, self._say)
        settings = as_text(properties(self.node, self._nodes))
        (self.folder / PROPERTIES_FILE).write_text(settings, encoding="ascii")
        (self.folder / LOG_SETTINGS_FILE).write_text(LOG_SETTINGS, encoding="ascii")
        if not (self.folder / RECORDS_FOLDER / "meta.properties").is_file():
            self._format(program, jars)
        return java_command(program, jars, "kafka.Kafka", PROPERTIES_FILE)

    def wait(self) -> None:
        """Wait until it answers, with one client for all of the asking. Raises `StackError`."""
        self._admin = _admin(self.address)
        try:
            super().wait()
        finally:
            self._admin = None

    def answers(self) -> bool:
        """Whether it answers, and the cluster it describes has it as a member and has a controller."""
        # A client that has been told of the other brokers asks any of them: only a new one is sure to ask this one.
        admin = self._admin or _admin(self.address)
        try:
            cluster = admin.describe_cluster(request_timeout=_ASK_SECONDS).result()
        except KafkaException:
            return False
        return cluster.controller is not None and self.node.number in {node.id for node in cluster.nodes}

    def _format(self, program: str, jars: str) -> None:
        arguments = ("format", "--cluster-id", self._cluster_id, "--config", PROPERTIES_FILE)
        command = java_command(program, jars, "kafka.tools.StorageTool", *arguments)
        told = ask(command, _FORMAT_SECONDS_MAX, self.folder)
        if told.returncode:
            raise StackError(f"{self.daemon.name}: {self.folder} cannot be formatted:\n{told.stdout}{told.stderr}")


class _Layout(NamedTuple):
    """What a folder says of its cluster."""

    id: str
    nodes: list[Node]


class Kafka(Standing):
    """A cluster in a folder, which keeps its records, its ports and its number of brokers.

    `brokers`: 1 or 3; None: as many as the folder holds, else 1. `first_port`: brokers listen there and on the ports
    after it; None: as before, else on free ports. `bound`: the brokers end with the program that started them, even
    when that is killed; otherwise they run until they are stopped.
    """

    name = NAME

    def __init__(
        self,
        folder: Path,
        brokers: int | None = None,
        first_port: int | None = None,
        *,
        bound: bool = True,
        say: Say = silent,
    ) -> None:
        self.folder = folder.absolute()
        self._bound = bound
        self._say = say
        layout = self._read_layout() if is_cluster(self.folder) else None
        if layout is None or first_port not in (None, layout.nodes[0].port):
            layout = self._lay_out(layout, brokers or 1, first_port)
        if brokers not in (None, len(layout.nodes)):
            raise StackError(
                f"{self.folder} holds a cluster of {len(layout.nodes)}, not {brokers}: ask for as many, "
                "take another folder, or remove it (throughline stack down --wipe)"
            )
        self.brokers = self._of(layout)

    @property
    def bootstrap(self) -> str:
        """The addresses for `bootstrap.servers`."""
        return ",".join(broker.address for broker in self.brokers)

    def start(self) -> None:
        """Start every broker that does not run, and wait until all answer.

        Raises:
            StackError: Java or a jar is missing, a port is taken, or a broker ended or did not answer in time.
        """
        try:
            self.launch()
            self.wait()
        except BaseException:
            if self._bound:  # nobody else would end those that run
                self.kill()
            raise

    def launch(self) -> None:
        """Start every broker that does not run, and do not wait."""
        for broker in self.brokers:
            broker.launch()

    def wait(self) -> None:
        """Wait until every broker answers."""
        for broker in self.brokers:
            broker.wait()

    def stop(self) -> None:
        """Stop every broker in good order; the records stay in the folder."""
        self.resume()
        for broker in self.brokers:  # all at once: the last of three would wait for a majority that is gone
            broker.daemon.send(signal.SIGTERM)
        for broker in self.brokers:
            broker.stop()

    def kill(self) -> None:
        """Kill every broker (kill -9)."""
        for broker in self.brokers:
            broker.kill()

    def suspend(self) -> None:
        """Let every broker hang (SIGSTOP)."""
        for broker in self.brokers:
            broker.suspend()

    def resume(self) -> None:
        """Let every broker go on after `suspend`."""
        for broker in self.brokers:
            broker.resume()

    def pids(self) -> list[int | None]:
        """The pid of each broker; None for one that does not run."""
        return [broker.daemon.pid for broker in self.brokers]

    def logs(self) -> list[Path]:
        """The log of each broker."""
        return [broker.daemon.log for broker in self.brokers]

    def lines(self) -> list[Line]:
        """What can be said of each broker."""
        return [broker.line() for broker in self.brokers]

    def _of(self, layout: _Layout) -> list[Broker]:
        return [
            Broker(node, layout.nodes, layout.id, self.folder / str(node.number), bound=self._bound, say=self._say)
            for node in layout.nodes
        ]

    def _read_layout(self) -> _Layout:
        file = self.folder / _LAYOUT
        try:
            layout = json.loads(file.read_text(encoding="utf-8"))
            return _Layout(layout["id"], [Node(*node) for node in layout["nodes"]])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise StackError(f"{file}: says no cluster ({error}); remove the folder {self.folder}") from None

    def _lay_out(self, before: _Layout | None, brokers: int, first_port: int | None) -> _Layout:
        """Write down a new cluster, or other ports for the one before: its records know nothing of ports."""
        if before is not None:
            if any(broker.daemon.pid for broker in self._of(before)):
                raise StackError(f"{self.folder} runs from port {before.nodes[0].port} on: stop it to change that")
            brokers = len(before.nodes)
        layout = _Layout(_cluster_id() if before is None else before.id, _nodes(brokers, first_port))
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / _LAYOUT).write_text(json.dumps(layout._asdict()), encoding="utf-8")
        return layout


def is_cluster(folder: Path) -> bool:
    """Whether a folder holds a cluster, running or not."""
    return (folder / _LAYOUT).is_file()


def _nodes(brokers: int, first_port: int | None) -> list[Node]:
    if first_port is None:
        ports = free_ports(2 * brokers)
    else:
        ports = [first_port + above + number for above in (0, CONTROLLER_PORTS_ABOVE) for number in range(brokers)]
    return [Node(number + 1, ports[number], ports[brokers + number]) for number in range(brokers)]


def _cluster_id() -> str:
    """A cluster id as Kafka makes them: 16 random bytes in base64 for addresses, the first of them no hyphen."""
    made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return made if not made.startswith("-") else _cluster_id()


def _admin(address: str) -> AdminClient:
    # librdkafka reports every refused connection, and while a broker starts there are many.
    return AdminClient({"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.max.ms": 200})
