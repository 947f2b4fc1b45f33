"""The classes of feeds: what `connector.class` names, with the settings of each and how its source is opened.

A feed's module is loaded when it is asked for: each brings libraries that others do not need.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple, Protocol

from connect.configuration import CLASS, NOTICES, PREFIX, Configuration, UnusableConfiguration, read_all, resolved
from connect.feeds.contract import Source
from connect.settings import FeedSettings, checked
from schemas.history import is_history

CLASSES: Final[Mapping[str, str]] = {
    "throughline.erp": "connect.feeds.erp",
    "throughline.files": "connect.feeds.files",
    "throughline.salesforce": "connect.feeds.salesforce.opening",
    "throughline.workday": "connect.feeds.workday",
}
"""The classes, each with the module of its feed, which has `KIND`."""


class Requests(Protocol):
    """Who counts what is asked of a source over a network."""

    def requested(self, status: str) -> None:
        """A request was answered with a status, or not (`timeout`, `broken`)."""

    def held(self, seconds: float) -> None:
        """A request was held back to keep to a rate."""


class Outside(NamedTuple):
    """What a source is given: the feed's name, the clock (milliseconds since 1970), who counts, and what ends it."""

    name: str
    clock: Callable[[], int]
    requests: Requests
    stop: Event


class Kind(NamedTuple):
    """A class of feeds: what `source.connector` says, the model of its settings, and what opens a source."""

    connector: str
    settings: type[FeedSettings]
    open: Callable[[Any, Outside], Source]


class Configured(NamedTuple):
    """A feed that can be run."""

    name: str
    kind: Kind
    settings: FeedSettings


def kind_of(configuration: Configuration) -> Kind:
    """Return the class of a feed. Raises `UnusableConfiguration` if there is none of that name."""
    module = CLASSES.get(configuration.config[CLASS])
    if module is None:
        known = ", ".join(sorted(CLASSES))
        raise UnusableConfiguration(
            f"{configuration.name}: {CLASS}: there is no feed {configuration.config[CLASS]}; there are {known}"
        )
    kind: Kind = import_module(module).KIND
    return kind


def configured(name: str, folder: Path) -> Configured:
    """Return a feed as the files of a folder have it, its settings checked and its secrets looked up.

    Raises:
        UnusableConfiguration: There is none of that name, it is Connect's, or one of its settings cannot be used.
    """
    found = read_all(folder)
    configuration = found.get(name)
    if configuration is None:
        feeds = ", ".join(sorted(each.name for each in found.values() if each.is_feed)) or "none"
        raise UnusableConfiguration(f"{folder}: there is no feed {name}; feeds there: {feeds}")
    if not configuration.is_feed:
        raise UnusableConfiguration(f"{name} is run by Kafka Connect: see `throughline connect`")
    kind = kind_of(configuration)
    settings = checked(kind.settings, configuration, resolved(configuration))
    if is_history(name) and not settings.lands_history:
        raise UnusableConfiguration(
            f"{configuration.name}: the name is reserved for histories, which everything live goes before; rename it"
        )
    return Configured(name, kind, settings)


def names_of(folder: Path) -> list[str]:
    """Return the names under which the connectors and feeds of a folder send heartbeats.

    Those of Debezium go by their `topic.prefix`; what has none, such as a sink, sends nothing.
    """
    return [
        found.name if found.is_feed else found.config[PREFIX]
        for found in read_all(folder).values()
        if found.is_feed or PREFIX in found.config
    ]


def notice_topics_of(folder: Path) -> list[str]:
    """Return the topics to which the connectors of a folder write notices, such as how far a snapshot is."""
    topics = (found.config.get(NOTICES) for found in read_all(folder).values())
    return [topic for topic in topics if topic]
