"""Sources: readers of source topics, with the registry that their bytes need."""

from pathlib import Path

from schemas.codec import Codec
from schemas.registry import Layered, Manifest, Recorded, Registry
from streams.intake.reading import Reader
from streams.topology import Rulebook


def recorded_reader(rulebook: Rulebook, schemas: Path | None = None) -> Reader:
    """Return a reader of JSON values, and of Avro bytes by recorded ids before those of the shipped manifest.

    Raises `schemas.lined_yaml.UnusableFile` if the file of recorded schemas cannot be used.
    """
    registry: Registry = Manifest()
    if schemas is not None:
        registry = Layered(Recorded.read(schemas), registry)
    return Reader(rulebook.mappings, Codec(registry).decode)
