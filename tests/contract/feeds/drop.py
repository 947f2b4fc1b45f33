"""A drop folder under test: its feed, and what lies in it."""

from pathlib import Path

from tests.contract.feeds.station import Station

ENTRY = "psa.public.time_entries"
ENTRIES = "id,project_id,hours,updated_at\n"


def station(folder: Path, **settings: str) -> Station:
    config = {name.replace("_", "."): value for name, value in settings.items()}
    return Station({"connector.class": "throughline.files", "folder": str(folder), **config})


def lying(folder: Path) -> list[str]:
    """The files in the folder and below it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
