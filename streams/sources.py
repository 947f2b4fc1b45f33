"""Sources: readers of source topics, with the registry that their bytes need."""

from pathlib import Path

from schemas.codec import Codec
from schemas.contracts import Schema
from schemas.evolution import BrokenSchema, Reading, SchemaJudge
from schemas.registry import Layered, Manifest, Recorded, Registry
from streams.intake.reading import Reader
from streams.topology import Rulebook


def recorded_reader(rulebook: Rulebook, schemas: Path | None = None) -> Reader:
    """Return a reader of JSON values, and of Avro bytes by recorded ids before those of the shipped manifest.

    A file run holds nothing back: rows of a table that is not what its mapping reads any more are read as they are, and
    what is wrong with one is said of it.

    Raises `schemas.lined_yaml.UnusableFile` if the file of recorded schemas cannot be used.
    """
    registry: Registry = Manifest()
    if schemas is not None:
        registry = Layered(Recorded.read(schemas), registry)
    judged = SchemaJudge(rulebook.mappings)

    def as_it_is(topic: str, schema_id: int, writer: Schema) -> Reading:
        try:
            return judged(topic, schema_id, writer)
        except BrokenSchema:
            return Reading(writer, {})

    return Reader(rulebook.mappings, Codec(registry, judge=as_it_is).decode)
