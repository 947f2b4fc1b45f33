"""What the commands `throughline connect …` ask the topics."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from connect.freshness import Unknown
from schemas.registry import RegistryUnavailable
from streams.config import Settings
from streams.engine.cluster import TopicsError, known_topics
from streams.engine.newest import newest_records, records_since
from streams.engine.notices import Notices
from streams.engine.sink_lag import Behind, behind
from streams.engine.unknown_ids import ForeignIds
from streams.engine.wire import registry_of

Answer = TypeVar("Answer")


class TopicsAsked:
    """Asks brokers and registry as the settings name them; what they do not answer is `connect.freshness.Unknown`."""

    def __init__(self, settings: Settings) -> None:
        """Take the settings. Raises `schemas.lined_yaml.UnusableFile` for a file of schemas that cannot be used."""
        self._settings = settings
        self._brokers = settings.brokers
        self._notices = Notices(settings, registry_of(settings.contracts))

    def newest(self, topics: Iterable[str]) -> Mapping[str, int]:
        """Return when the newest record of each topic came, in milliseconds since 1970. Raises `Unknown`."""
        return _known(lambda: newest_records(self._brokers, topics))

    def absent(self, topics: Iterable[str]) -> Sequence[str]:
        """Return those of the topics that are not there. Raises `Unknown`."""
        known = _known(lambda: known_topics(self._brokers))
        return [topic for topic in topics if topic not in known]

    def notices(self, topic: str) -> Sequence[Mapping[str, Any]]:
        """Return the records of a topic of notices since the last call, in order of time. Raises `Unknown`."""
        return _known(lambda: self._notices.new(topic))

    def count_since(self, topic: str, since_ms: int) -> int:
        """Return about how many records were written to a topic since an instant. Raises `Unknown`."""
        return _known(lambda: records_since(self._brokers, topic, since_ms))

    def behind(self, group: str, chosen: Callable[[str], bool]) -> Behind:
        """Return what a group has still to take of the topics that are chosen. Raises `Unknown`."""
        return _known(lambda: behind(self._settings, group, chosen))


def _known(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except (ForeignIds, RegistryUnavailable, TopicsError) as error:
        raise Unknown(str(error)) from None
