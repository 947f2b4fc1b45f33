"""Reading the routing file, with errors that name file, line and value."""

from collections.abc import Collection, Iterator
from pathlib import Path

from schemas.lined_yaml import LinedFile, UnusableFile, load
from streams.domain.routes import Routes

SHIPPED = Path(__file__).parent / "routing.yaml"


def load_routes(path: Path | None = None, systems: Collection[str] | None = None) -> Routes:
    """Return the routes of a file (default: the one shipped), all of whose systems must be among those given, if any.

    Raises `schemas.lined_yaml.UnusableFile`.
    """
    file = load(path or SHIPPED, Routes)
    if systems is not None and (faults := [*_strangers(file, systems)]):
        raise UnusableFile(faults)
    return file.content


def _strangers(file: LinedFile[Routes], systems: Collection[str]) -> Iterator[str]:
    known = ", ".join(systems)
    for at, wave in enumerate(file.content.waves):
        if wave.system not in systems:
            said = f"wave {wave.name}: there is no target {wave.system}; there are: {known}"
            yield file.fault(("waves", at, "system"), said)
    for at, freeze in enumerate(file.content.freezes):
        for system in sorted(freeze.systems or ()):
            if system not in systems:
                said = f"freeze {freeze.name}: there is no target {system}; there are: {known}"
                yield file.fault(("freezes", at, "systems"), said)
