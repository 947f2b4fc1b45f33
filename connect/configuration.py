"""Configuration files of connectors and feeds: `{"name": …, "config": {key: text, …}}`, one a file.

Values may hold references to secrets in the syntax of Kafka's config providers: `${env:NAME}` is an environment
variable, `${file:PATH:KEY}` a key of a properties file. Connect resolves those of its connectors itself; `resolved`
does it for feeds. No secret is ever written in a file of this folder.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from outside import references
from schemas.history import is_history

CONNECTORS_FOLDER: Final = Path(__file__).parent / "connectors"
FEED_CLASS_PREFIX: Final = "throughline."
CLASS: Final = "connector.class"
NOTICES: Final = "notification.sink.topic.name"
"""The setting of Debezium's connectors that names the topic of their notices."""

PREFIX: Final = "topic.prefix"
"""The setting of Debezium's connectors under which their changes and heartbeats come."""


class UnusableConfiguration(Exception):
    """A configuration cannot be used; the message names the file, the key, what is wrong and what to do."""


class Configuration(BaseModel):
    """One connector or feed: its name, and its settings as Kafka Connect has them, all text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    config: Mapping[str, str]

    @property
    def is_feed(self) -> bool:
        """Whether it is run by `throughline feed`, and not by Connect."""
        return self.config.get(CLASS, "").startswith(FEED_CLASS_PREFIX)

    @property
    def captured_tables(self) -> list[str]:
        """The tables that a connector of Debezium captures, as it names them."""
        return self.listed("table.include.list")

    def listed(self, key: str) -> list[str]:
        """Return what a setting lists, with commas between; nothing if it is not there."""
        return [item.strip() for item in self.config.get(key, "").split(",") if item.strip()]

    @property
    def is_on_demand(self) -> bool:
        """Whether it is a feed that brings what somebody drops, now and then: its silence says nothing."""
        return self.config.get(CLASS) == f"{FEED_CLASS_PREFIX}files"


def read(file: Path) -> Configuration:
    """Read one file.

    Raises:
        UnusableConfiguration: It cannot be read, or is no configuration.
    """
    try:
        found = Configuration.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UnusableConfiguration(f"{file}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise UnusableConfiguration(f"{file}: {faults}; it must be {{name, config}}, all settings text") from None
    if CLASS not in found.config:
        raise UnusableConfiguration(f"{file}: config has no {CLASS}; it names the connector or the feed")
    if is_history(found.config.get(PREFIX)):
        raise UnusableConfiguration(
            f"{file}: this {PREFIX} is reserved for histories, which everything live goes before; give it another"
        )
    return found


def read_all(folder: Path = CONNECTORS_FOLDER) -> dict[str, Configuration]:
    """Read all files of a folder, by name.

    Raises:
        UnusableConfiguration: One cannot be used, or two have the same name.
    """
    found: dict[str, Configuration] = {}
    for file in sorted(folder.glob("*.json")):
        configuration = read(file)
        if configuration.name in found:
            raise UnusableConfiguration(f"{file}: another file is named {configuration.name}, too; rename one")
        found[configuration.name] = configuration
    return found


def resolved(configuration: Configuration, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the settings with every reference replaced by what it refers to.

    Raises:
        UnusableConfiguration: A variable, file or key is not there. What is said never holds a secret.
    """

    found = {}
    for key, value in configuration.config.items():
        try:
            found[key] = references.resolved(value, environment)
        except LookupError as error:
            raise UnusableConfiguration(f"{configuration.name}: {key}: {error.args[0]}") from None
    return found
