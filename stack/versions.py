"""The versions and coordinates in `versions.toml`, checked."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stack.errors import StackError

PINS = Path(__file__).parent
"""The folder of `versions.toml`, of the checksums of each part, and of the lock of each environment."""

_VERSION = r"([\w.-]+|\{version\})"
Coordinates = Annotated[str, Field(pattern=rf"^[\w.-]+:[\w.-]+:{_VERSION}$")]
"""`group:artifact:version` of a jar; `{version}` stands for the version of the part."""
ArchiveCoordinates = Annotated[str, Field(pattern=rf"^[\w.-]+:[\w.-]+:{_VERSION}:[\w.-]+$")]
"""`group:artifact:version:classifier` of a tar.gz."""
Requirement = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\[[a-z,]+\])?(==\{version\}|>=[\d.]+(,<[\d.]+)?)$")]
"""A package of an index, and which versions of it will do; `{version}` stands for the version of the program."""
Image = Annotated[str, Field(pattern=r"^[\w./-]+:([\w.-]+|\{version\})$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Java(_Strict):
    """The Java that every part runs on."""

    least: int


class Maven(_Strict):
    """Where jars come from, and the plugin that copies them."""

    central: str
    plugin: str


class Archive(NamedTuple):
    """A tar.gz in a Maven repository."""

    group: str
    artifact: str
    version: str
    classifier: str

    @property
    def path(self) -> str:
        """Where it lies in a repository."""
        folder = f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}"
        return f"{folder}/{self.artifact}-{self.version}-{self.classifier}.tar.gz"


class PartVersion(_Strict):
    """The version of one part, and what is fetched for it.

    `jars` come with what they depend on, but for the groups in `without`; `archives` come alone. `image` is what a
    container of the part runs; None: it goes into the image of another.
    """

    version: str
    image: Image | None = None
    jars: tuple[Coordinates, ...] = ()
    archives: tuple[ArchiveCoordinates, ...] = ()
    without: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.jars and not self.archives:
            raise ValueError("jars or archives must name what is fetched")
        return self

    def coordinates(self) -> list[tuple[str, str, str]]:
        """Group, artifact and version of each jar asked for."""
        whole = (jar.format(version=self.version).split(":") for jar in self.jars)
        return [(group, artifact, version) for group, artifact, version in whole]

    def archives_wanted(self) -> list[Archive]:
        """The archives asked for."""
        return [Archive(*archive.format(version=self.version).split(":")) for archive in self.archives]


class EnvironmentVersion(_Strict):
    """A Python program in an environment of its own: its version, and what is installed there."""

    version: str
    requires: tuple[Requirement, ...] = Field(min_length=1)

    def requirements(self) -> list[str]:
        """What is installed, as pip takes it."""
        return [each.format(version=self.version) for each in self.requires]


class ProgramVersion(_Strict):
    """A program of the system's: the least version that will do, the package it comes in, and its image."""

    least: str = Field(pattern=r"^\d+(\.\d+)*$")
    package: str
    image: Image


class Versions(_Strict):
    """All of the file."""

    java: Java
    maven: Maven
    parts: dict[str, PartVersion]
    environments: dict[str, EnvironmentVersion] = {}
    programs: dict[str, ProgramVersion] = {}
    containers: dict[str, Image] = {}
    """What runs only where there are containers: its image, or the one it is built on."""

    def images(self) -> dict[str, str]:
        """The image of each part and program that has one, and of what runs in containers alone, with its version."""
        parts = {name: part.image.format(version=part.version) for name, part in self.parts.items() if part.image}
        return parts | {name: program.image for name, program in self.programs.items()} | self.containers


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
