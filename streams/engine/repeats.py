"""Lines of a log that come again and again."""

import logging

REPEATED_SECONDS = 30.0
"""How long a line of a Kafka client is not told again."""

_OF_A_CLIENT = "rdkafka#"
_WHEN = " (after "
_KNOWN_MAX = 1_000


class Repeats(logging.Filter):
    """Tells a line of a Kafka client once in a while, and how often it came since.

    Where brokers do not answer, each client says so some ten times a second, and hides what else is to be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is told."""
        text = record.getMessage()
        if _OF_A_CLIENT not in text:
            return True
        what = text.partition(_WHEN)[0]
        told_at, withheld = self._told.get(what, (0.0, 0))
        if record.created - told_at < REPEATED_SECONDS:
            self._told[what] = told_at, withheld + 1
            return False
        if withheld:
            record.msg, record.args = f"{text}, and {withheld} times before", ()
        if len(self._told) >= _KNOWN_MAX:
            self._told.clear()
        self._told[what] = record.created, 0
        return True
