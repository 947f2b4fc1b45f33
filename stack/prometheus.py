"""Prometheus, with a configuration that it is given."""

from pathlib import Path

from stack.errors import Say, silent
from stack.http import is_ok
from stack.server import ServerPart
from stack.tools import prometheus, version_or_none

NAME = "prometheus"


class Prometheus(ServerPart):
    """A Prometheus that goes by `config`, the path of its configuration; what it keeps lies in its folder."""

    name = NAME

    def __init__(
        self, folder: Path, config: Path, port: int | None = None, *, bound: bool = True, say: Say = silent
    ) -> None:
        super().__init__(folder, version_or_none(prometheus), port, bound=bound, say=say)
        self._config = config.absolute()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.address}"

    def command(self) -> list[str]:
        """Return the command. Raises `StackError`."""
        flags = {
            "config.file": self._config,
            "storage.tsdb.path": "metrics",
            "web.listen-address": self.address,
            "log.level": "warn",
        }
        return [prometheus()[0], *(f"--{name}={value}" for name, value in flags.items())]

    def answers(self) -> bool:
        """Whether it is ready."""
        return is_ok(f"{self.url}/-/ready")
