"""Schema ids that nobody here knows: the settings name another registry than whoever wrote has, or none.

Nothing is wrong with such records, so none is made a dead letter for the want of a setting.
"""

from typing import Final

from schemas.codec import Unknown
from schemas.evolution import RUNBOOK, BrokenSchema
from schemas.registry import Registry, UnknownSchema
from streams.config import Contracts, Settings
from streams.engine.newest_ids import newest_ids
from streams.topics import SOURCES

_NOT_SHIPPED: Final = "is not among the ids shipped with the contracts, and no registry is set"


class ForeignIds(Exception):
    """Topics carry schema ids of a registry that the settings do not name. The text says which, and what to set."""


def of_sources(contracts: Contracts) -> Unknown:
    """Return what holds a source topic whose schema nobody knows, as long as no registry is set.

    A registry that is set has the last word: what it lacks can never be read. So has a person who passes an id.
    """

    def unknown(topic: str, schema_id: int) -> None:
        if contracts.registry_url is None and schema_id not in contracts.passed_schemas:
            raise BrokenSchema(
                topic,
                schema_id,
                (),
                f"{topic}: schema id {schema_id} {_NOT_SHIPPED}: set contracts.registry_url to the registry of whoever "
                f"writes the topic, and restart; or pass schema id {schema_id} by contracts.passed_schemas, and each "
                f"of its records becomes a dead letter: {RUNBOOK}",
            )

    return unknown


def of_own_topics(contracts: Contracts) -> Unknown:
    """Return what raises `ForeignIds` for a topic that workers write, and whose schema nobody knows."""

    def unknown(topic: str, schema_id: int) -> None:
        if contracts.registry_url is None:
            raise ForeignIds(
                f"{topic}: schema id {schema_id} {_NOT_SHIPPED}: workers have written here with one; set "
                "contracts.registry_url to it, for all workers and commands"
            )
        raise ForeignIds(
            f"{topic}: schema id {schema_id} is not in the registry that is set: workers have written here with "
            "another one; set contracts.registry_url to it, for all workers and commands"
        )

    return unknown


def of_notices(contracts: Contracts) -> Unknown:
    """Return what raises `ForeignIds` for notices whose schema nobody knows, as long as no registry is set."""

    def unknown(topic: str, schema_id: int) -> None:
        if contracts.registry_url is None:
            raise ForeignIds(
                f"{topic}: unknown schema id {schema_id}: it {_NOT_SHIPPED}: set contracts.registry_url to the one of "
                "its connector"
            )

    return unknown


def check_ids(settings: Settings, registry: Registry) -> None:
    """Check, where no registry is set, that source topics were written without one.

    What is landed under ids of the contracts beside those of a registry, nobody else who has that registry can read.

    Raises:
        ForeignIds: A source topic was written with a registry.
        TopicsError: The brokers do not answer.
    """
    contracts = settings.contracts
    if contracts.registry_url is not None:
        return
    for topic, schema_id in newest_ids(settings, [source.name for source in SOURCES]):
        if schema_id in contracts.passed_schemas:
            continue
        try:
            registry.schema(schema_id)
        except UnknownSchema:
            raise ForeignIds(
                f"{topic}: schema id {schema_id} {_NOT_SHIPPED}: set contracts.registry_url to the registry of whoever "
                "writes the topic, as the workers have it; nothing is landed without"
            ) from None
