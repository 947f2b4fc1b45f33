"""What differs between settings as they should be and as a connector has them, fit to be shown: no secret is in it."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from connect.configuration import CLASS, Configuration, UnusableConfiguration

MASK: Final = "********"
_NAME = "name"
"""Connect adds the connector's name to its settings."""

_NAMES: Final = (
    r"passw|pwd|secret|token|credential|passphrase|private|jaas|api[._-]?key|user[._-]?info|keystore[._-]key"
)
_SECRET: Final = re.compile(_NAMES, re.IGNORECASE)
# What says where a secret is, of which kind, or for how long, is none.
_ABOUT: Final = re.compile(r"[._-](?:url|uri|endpoint|file|path|location|class|type|ms)$", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\$\{[a-z]+:[^}]+\}")
_LOGIN: Final = re.compile(r"(?<=://)[^/\s?#]+(?=@)")
_WRITTEN: Final = (
    re.compile(r"(?<=://)[^/\s?#:@]*:[^\s?#]+(?=@)"),  # user and password of a URL, up to its last @
    re.compile(r"(?<=:)[^/\s:@]+/[^/\s@]+(?=@)"),  # of Oracle's JDBC URL
    re.compile(rf"(?<=[?&;])[\w.-]*(?:{_NAMES})[\w.-]*=[^&;\s]+", re.IGNORECASE),  # a parameter of a URL
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL),
    re.compile(r"\b(?i:Basic|Bearer)\s+(?=\S*[\dA-Z=])[\w.~+/=-]{8,}"),  # a header; no words are written so
)
"""What of a value is a secret, whatever setting it is of."""


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


def shown(key: str, value: str) -> str:
    """Return a value as it may be shown: what may be a secret is masked, a reference to one is not."""
    if is_secret(key) and _REFERENCE.sub("", value).strip():
        return MASK
    for written in (*_WRITTEN, _LOGIN):
        value = written.sub(MASK, value)
    return value


def is_secret(key: str) -> bool:
    """Whether a setting of this name may hold a secret."""
    return bool(_SECRET.search(key)) and not _ABOUT.search(key)


def differences(wanted: Mapping[str, str], running: Mapping[str, str]) -> list[Difference]:
    """Return what differs, by key."""
    return [
        Difference(key, running.get(key), wanted.get(key))
        for key in sorted((wanted.keys() | running.keys()) - {_NAME})
        if wanted.get(key) != running.get(key)
    ]


def refuse_plain_secrets(configuration: Configuration) -> None:
    """Refuse settings with a secret written out: whoever may read the file or ask Connect would have it.

    Raises:
        UnusableConfiguration: There is one; the message names the key, and not the secret.
    """
    for key, value in configuration.config.items():
        bare = _REFERENCE.sub("", value).strip()
        if key != CLASS and bare and (is_secret(key) or any(written.search(bare) for written in _WRITTEN)):
            raise UnusableConfiguration(
                f"{configuration.name}: {key} has its secret written out; write ${{env:NAME}} or ${{file:PATH:KEY}}, "
                "and give the secret to Connect"
            )
