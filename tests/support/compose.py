"""The Compose files, as they are read: services, and what two files give together."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.tidy.house import ROOT

MAIN = ROOT / "docker-compose.yml"
THREE_BROKERS = ROOT / "deploy" / "compose.three-brokers.yaml"
Json = dict[str, Any]


def read(file: Path) -> Json:
    """A Compose file, its anchors resolved."""
    found: Json = yaml.safe_load(file.read_text("utf-8"))
    return found


def services(*files: Path) -> dict[str, Json]:
    """The services of the files together; what a later file says of a setting goes before, as Compose has it."""
    found: dict[str, Json] = {}
    for file in files or (MAIN,):
        for name, service in read(file)["services"].items():
            found[name] = _merged(found.get(name, {}), service)
    return found


def environment(service: Json) -> dict[str, str]:
    """The environment of a service."""
    return dict(service.get("environment", {}))


def is_one_shot(service: Json) -> bool:
    """Whether a service ends when it has done its work."""
    return bool(service.get("restart") == "no")


def texts(value: object) -> Iterator[str]:
    """Every text in a piece of a file, keys of mappings included."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


def _merged(under: Json, over: Json) -> Json:
    both = under.keys() & over.keys()
    joined = {key: {**under[key], **over[key]} for key in both if isinstance(under[key], dict)}
    return under | over | joined
