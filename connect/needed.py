"""What a connector needs to be there in Kafka before it runs: topics that neither it nor Connect makes."""

import re
from typing import Final

from connect.configuration import NOTICES, PREFIX, Configuration
from connect.freshness import brings, topics_of

_DEAD_LETTERS: Final = "errors.deadletterqueue.topic.name"
_BY_PATTERN: Final = re.compile(r"[^\w$.-]")
"""A name of a table with such a character is a pattern, and names no topic."""


def topics_needed(configuration: Configuration) -> list[str]:
    """Return the topics that a connector reads or writes, as far as its settings say which they are.

    Where it is Connect that makes them, or a transform that names them, nobody can say.
    """
    config = configuration.config
    if any(key.startswith("topic.creation.") for key in config):
        return []
    listed = [*configuration.listed("topics"), config.get(NOTICES, ""), config.get(_DEAD_LETTERS, "")]
    if brings(configuration) and PREFIX in config and not _routed(configuration):
        listed += [topic for topic in topics_of(configuration) if not _BY_PATTERN.search(topic)]
    return [*dict.fromkeys(name for name in listed if name)]


def _routed(configuration: Configuration) -> bool:
    """Whether a transform sends records elsewhere."""
    kinds = [value for key, value in configuration.config.items() if re.fullmatch(r"transforms\.[^.]+\.type", key)]
    return any("Router" in kind for kind in kinds)
