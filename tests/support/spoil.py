"""Spoiling a record of a replay file: each returns what changes one part of it in place."""

from collections.abc import Callable
from typing import Any

from tests.support.command import Json

Spoil = Callable[[Json], None]


def row(**fields: Any) -> Spoil:
    """Change fields of the row after the change."""
    return lambda record: record["value"]["after"].update(fields)


def envelope(**fields: Any) -> Spoil:
    """Change fields of the envelope."""
    return lambda record: record["value"].update(fields)


def source(**fields: Any) -> Spoil:
    """Change fields of the envelope's source."""
    return lambda record: record["value"]["source"].update(fields)
