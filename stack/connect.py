"""Kafka Connect with Debezium's connectors and Apicurio's converter: one distributed worker."""

from collections.abc import Mapping
from pathlib import Path

from stack.connect_files import properties
from stack.errors import Say, silent
from stack.http import is_ok
from stack.jars import JARS, class_path, fetched
from stack.kafka import NAME as KAFKA
from stack.kafka_files import LOG_SETTINGS, LOG_SETTINGS_FILE, as_text, java_command
from stack.ports import LOOPBACK
from stack.server import ServerPart, kept_port
from stack.tools import java
from stack.versions import versions

NAME = "connect"
PLUGINS = ("debezium", "converter")
"""The parts that are its plugins."""

JMX_EXPORTER = "jmx-exporter"
METRICS_RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "connect.rules.yaml"
"""What Prometheus is told of it, and by which names."""

HEAP_MIB = 512
_PROPERTIES_FILE = "connect.properties"
_METRICS_PORT_FILE = "metrics-port.json"


class Connect(ServerPart):
    """A worker of Connect. Connectors and where they read to are in topics of Kafka's; its folder holds its log.

    `metrics_port`: Prometheus asks it there; None: as before, else a free one.
    `variables` of its environment, secrets among them: configurations of connectors refer to them as `${env:NAME}`.
    """

    name = NAME

    def __init__(
        self,
        folder: Path,
        bootstrap: str,
        port: int | None = None,
        *,
        metrics_port: int | None = None,
        variables: Mapping[str, str] | None = None,
        bound: bool = True,
        say: Say = silent,
    ) -> None:
        super().__init__(folder, versions().parts[KAFKA].version, port, bound=bound, say=say)
        metrics_port = kept_port(self.folder, metrics_port, _METRICS_PORT_FILE, taken=self.ports)
        self.ports = (self.port, metrics_port)
        self._bootstrap = bootstrap
        self._variables = dict(variables or {})

    @property
    def url(self) -> str:
        """The address of its REST API."""
        return f"http://{self.address}"

    @property
    def metrics_address(self) -> str:
        """Where Prometheus asks it, `host:port`."""
        return f"{LOOPBACK}:{self.ports[1]}"

    def environment(self) -> Mapping[str, str]:
        """What configurations of connectors refer to."""
        return self._variables

    def launch(self) -> None:
        """Start it, unless it runs. One that was started with other variables is started anew. Raises `StackError`."""
        if self.daemon.pid is not None and self._variables.items() - self.daemon.variables().items():
            self._say(f"{NAME}: it was started before what its connectors come to, and is started anew")
            self.stop()
        super().launch()

    def command(self) -> list[str]:
        """Fetch it and write its settings; return the command. Raises `StackError`."""
        program, jars = java(), class_path(KAFKA, self._say)
        plugins = ",".join(str(fetched(part, self._say)) for part in PLUGINS)
        (agent,) = (fetched(JMX_EXPORTER, self._say) / JARS).glob("*.jar")
        copies = min(len(self._bootstrap.split(",")), 3)
        settings = properties(self._bootstrap, copies) | {"listeners": self.url, "plugin.path": plugins}
        (self.folder / _PROPERTIES_FILE).write_text(as_text(settings), encoding="utf-8")
        (self.folder / LOG_SETTINGS_FILE).write_text(LOG_SETTINGS, encoding="ascii")
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        start, *words = java_command(program, jars, main, _PROPERTIES_FILE, heap_mib=HEAP_MIB)
        return [start, f"-javaagent:{agent}={self.metrics_address}:{METRICS_RULES}", *words]

    def answers(self) -> bool:
        """Whether it lists its connectors: it does so once it is a member of its group."""
        return is_ok(f"{self.url}/connectors")
