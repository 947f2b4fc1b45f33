"""Sources: readers of source topics, with the registry that their bytes need."""

from pathlib import Path

from schemas.codec import Codec, Fields, Undecodable
from schemas.evolution import BrokenSchema, SchemaJudge
from schemas.registry import Layered, Manifest, Recorded, Registry
from streams.intake.reading import Reader
from streams.topology import Rulebook


def recorded_reader(rulebook: Rulebook, schemas: Path | None = None) -> Reader:
    """Return a reader of JSON values, and of Avro bytes by recorded ids before those of the shipped manifest.

    A file run never stops: rows of a table that is not what its mapping reads become dead letters.

    Raises `schemas.lined_yaml.UnusableFile` if the file of recorded schemas cannot be used.
    """
    registry: Registry = Manifest()
    if schemas is not None:
        registry = Layered(Recorded.read(schemas), registry)
    codec = Codec(registry, judge=SchemaJudge(rulebook.mappings))

    def decode(topic: str, payload: bytes) -> Fields:
        try:
            fields: Fields = codec.decode(topic, payload)
        except BrokenSchema as error:
            raise Undecodable(str(error)) from error
        return fields

    return Reader(rulebook.mappings, decode)
