"""What differs between settings as they should be and as a connector has them, fit to be shown: no secret is in it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from connect.masking import shown

_NAME: Final = "name"
"""Connect adds the connector's name to its settings."""


class Difference(NamedTuple):
    """One setting that differs; None: it is not there."""

    key: str
    is_now: str | None
    should_be: str | None

    def __str__(self) -> str:
        if self.is_now is None:
            return f"+ {self.key} = {shown(self.key, self.should_be or '')}"
        if self.should_be is None:
            return f"- {self.key} = {shown(self.key, self.is_now)}"
        return f"~ {self.key} = {shown(self.key, self.is_now)} → {shown(self.key, self.should_be)}"


def differences(wanted: Mapping[str, str], running: Mapping[str, str]) -> list[Difference]:
    """Return what differs, by key."""
    return [
        Difference(key, running.get(key), wanted.get(key))
        for key in sorted((wanted.keys() | running.keys()) - {_NAME})
        if wanted.get(key) != running.get(key)
    ]
