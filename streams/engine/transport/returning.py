"""What a member that is back asks the group for: the group gives it what it had, whatever it reads now."""

import logging
from collections.abc import Iterable

log = logging.getLogger("throughline.worker")


class Returning:
    """How a member gets from what it was given at first to the topics that it reads.

    The group knows a static member that is back in time by its name, and gives it the partitions that it had, without
    sharing anew: nothing of topics added meanwhile. It shares anew as soon as a member in it names other topics than
    before. So this one names those that it was given, and then its own. It names them, and not just any, as the others
    keep their partitions of them so. This is done once: what is missing then, other workers have.
    """

    def __init__(self, topics: Iterable[str], static: bool) -> None:
        self.over = False
        """Whether what the group gives is taken over from now on."""
        self._topics = frozenset(topics)
        self._static = static
        self._named: frozenset[str] | None = None

    def names(self, given: Iterable[str]) -> frozenset[str] | None:
        """Return the topics to subscribe to now, or None where what was given of some topics is to be taken over."""
        if self.over:
            return None
        topics = frozenset(given)
        missing = self._topics - topics
        if self._named is None and self._static and topics and missing:
            log.info(
                "the group has given this worker what it had before it was restarted, and nothing of topics that were "
                "added since: %s; it asks the group to share them out", ", ".join(sorted(missing)),
            )  # fmt: skip
            self._named = (topics & self._topics) or topics
            return self._named
        named, self._named = self._named, self._topics
        if named not in (None, self._topics):
            return self._topics
        self.over = True
        return None
