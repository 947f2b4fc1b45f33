"""References to secrets in settings, in the syntax of Kafka's config providers: no secret stands in a file of settings.

`${env:NAME}` is an environment variable, `${file:PATH:KEY}` a key of a properties file.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_REFERENCE: Final = re.compile(r"\$\{(env|file):([^}]+)\}")


def resolved(text: str, environment: Mapping[str, str]) -> str:
    """Return a setting with every reference replaced by what it refers to.

    Raises:
        LookupError: A variable, file or key is not there. What is said never holds a secret.
    """
    return _REFERENCE.sub(lambda match: _referred(match, environment), text)


def _referred(match: re.Match[str], environment: Mapping[str, str]) -> str:
    try:
        return _looked_up(match[1], match[2], environment)
    except (OSError, KeyError) as error:
        raise LookupError(f"{match[0]} refers to nothing: {error}") from None


def _looked_up(provider: str, place: str, environment: Mapping[str, str]) -> str:
    if provider == "env":
        if place not in environment:
            raise KeyError(f"there is no environment variable {place}")
        return environment[place]
    path, _, key = place.rpartition(":")
    for name, value in _properties(Path(path)):
        if name == key:
            return value
    raise KeyError(f"{path} has no {key}")


def _properties(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.lstrip().startswith(("#", "!")):
            yield name.strip(), value.strip()
