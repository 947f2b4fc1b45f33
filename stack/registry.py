"""The schema registry: Apicurio, which keeps its schemas in a topic of Kafka's, and speaks Confluent's API, too."""

from pathlib import Path

from stack.errors import Say, silent
from stack.http import is_ok
from stack.jars import fetched
from stack.server import ServerPart
from stack.tools import java, jvm_flags
from stack.versions import versions

NAME = "registry"
HEAP_MIB = 256
_ARTIFACT = "apicurio-registry-app"
CONFLUENT_PATH = "/apis/ccompat/v7"
CONVERTER_PATH = "/apis/registry/v2"
"""The path for the converter of version 2.6."""


class Registry(ServerPart):
    """The registry of a Kafka cluster. Its folder holds nothing but its log: the schemas are in Kafka."""

    name = NAME

    def __init__(
        self, folder: Path, bootstrap: str, port: int | None = None, *, bound: bool = True, say: Say = silent
    ) -> None:
        super().__init__(folder, versions().parts[NAME].version, port, bound=bound, say=say)
        self._bootstrap = bootstrap

    @property
    def confluent_url(self) -> str:
        """The address for clients of Confluent's registry, such as a worker."""
        return f"http://{self.address}{CONFLUENT_PATH}"

    @property
    def converter_url(self) -> str:
        """The address for Apicurio's converter in Kafka Connect."""
        return f"http://{self.address}{CONVERTER_PATH}"

    def command(self) -> list[str]:
        """Fetch it; return the command. Raises `StackError`."""
        folder = fetched(NAME, self._say) / _ARTIFACT
        jar = folder / f"{_ARTIFACT}-{versions().parts[NAME].version}-runner.jar"
        settings = properties(self._bootstrap) | {
            "quarkus.http.host": self.address.split(":", maxsplit=1)[0],
            "quarkus.http.port": str(self.port),
        }
        flags = [f"-D{name}={value}" for name, value in settings.items()]
        return [java(), *jvm_flags(HEAP_MIB), *flags, "-jar", str(jar)]

    def answers(self) -> bool:
        """Whether it is ready: it has read its topic, and lists its subjects."""
        return is_ok(f"http://{self.address}/health/ready") and is_ok(f"{self.confluent_url}/subjects")


def properties(bootstrap: str) -> dict[str, str]:
    """What a registry goes by, beside where it listens."""
    return {
        "apicurio.storage.kind": "kafkasql",
        "apicurio.kafkasql.bootstrap.servers": bootstrap,
        # Names in its own API and in Confluent's are the same number: what a converter writes, every client finds.
        "apicurio.ccompat.legacy-id-mode.enabled": "false",
        "quarkus.log.level": "INFO",
        "quarkus.banner.enabled": "false",
    }
