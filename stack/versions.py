"""The versions and coordinates in `versions.toml`, checked."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stack.errors import StackError

PINS = Path(__file__).parent
"""The folder of `versions.toml` and of the checksums of each part."""

Coordinates = Annotated[str, Field(pattern=r"^[\w.-]+:[\w.-]+:([\w.-]+|\{version\})$")]
"""`group:artifact:version`; `{version}` stands for the version of the part."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Java(_Strict):
    """The Java that every part runs on."""

    least: int


class Maven(_Strict):
    """Where jars come from, and the plugin that copies them."""

    central: str
    plugin: str


class PartVersion(_Strict):
    """The version of one part, and the coordinates of its jars: what they depend on comes with them."""

    version: str
    jars: tuple[Coordinates, ...] = Field(min_length=1)

    def coordinates(self) -> list[tuple[str, str, str]]:
        """Group, artifact and version of each jar asked for."""
        whole = (jar.format(version=self.version).split(":") for jar in self.jars)
        return [(group, artifact, version) for group, artifact, version in whole]


class Versions(_Strict):
    """All of the file."""

    java: Java
    maven: Maven
    parts: dict[str, PartVersion]


@cache
def versions(pins: Path = PINS) -> Versions:
    """Read the versions.

    Raises:
        StackError: The file is missing, is no TOML, or says something that nobody reads.
    """
    file = pins / "versions.toml"
    try:
        return Versions.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise StackError(f"{file}: cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise StackError(f"{file}: {error}; it must be TOML") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise StackError(f"{file}: {faults}") from None
