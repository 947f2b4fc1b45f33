"""Dead letters: what cannot be read goes on as it came, with Kafka Connect's headers saying why and where from."""

from typing import Any, Final

from streams.intake.change import Unreadable
from streams.step import Headers, Record

_PREFIX: Final = "__connect.errors."


def dead_letter(record: Record, unreadable: Unreadable) -> tuple[Any, Headers]:
    """Return the original value, and its headers with the error's added."""
    said = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "exception.class.name": unreadable.error,
        "exception.message": unreadable.message,
        "stage": unreadable.stage,
    }
    return unreadable.original, (*record.headers, *[(_PREFIX + name, text.encode()) for name, text in said.items()])
