"""Reading the routing file, with errors that name file, line and value."""

from pathlib import Path

from schemas.lined_yaml import load
from streams.domain.routes import Routes

SHIPPED = Path(__file__).parent / "routing.yaml"


def load_routes(path: Path | None = None) -> Routes:
    """Return the routes of a file (default: the one shipped). Raises `schemas.lined_yaml.UnusableFile`."""
    return load(path or SHIPPED, Routes).content
