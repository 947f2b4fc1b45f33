"""Schema ids that nobody here knows: a source topic is held, and a topic of our own ends the worker, in one line."""

import pytest

from schemas.codec import Codec, Undecodable
from schemas.evolution import BrokenSchema
from schemas.registry import Manifest
from streams.config import Contracts
from streams.engine.unknown_ids import ForeignIds, of_own_topics, of_sources

URL = "http://registry:8081"
UNKNOWN = b"\x00\x00\x00\x00\x19abc"


def test_without_a_registry_a_source_topic_is_held_and_the_setting_is_named() -> None:
    codec = Codec(Manifest(), unknown=of_sources(Contracts()))
    for decode in (codec.decode, codec.decode_change):
        with pytest.raises(BrokenSchema) as held:
            decode("psa.public.clients", UNKNOWN)
        assert (held.value.topic, held.value.schema_id, held.value.columns) == ("psa.public.clients", 25, ())
        assert str(held.value) == (
            "psa.public.clients: schema id 25 is not among the ids shipped with the contracts, and no registry is set: "
            "set contracts.registry_url to the registry of whoever writes the topic, and restart; or pass schema id "
            "25 by contracts.passed_schemas, and each of its records becomes a dead letter: "
            "docs/operating.md#a-feed-is-held"
        )


@pytest.mark.parametrize("contracts", [Contracts(registry_url=URL), Contracts(passed_schemas=(25,))])
def test_a_record_whose_id_is_passed_or_that_the_registry_lacks_is_a_dead_letter(contracts: Contracts) -> None:
    codec = Codec(Manifest(), unknown=of_sources(contracts))
    with pytest.raises(Undecodable, match="unknown schema id 25"):
        codec.decode("psa.public.clients", UNKNOWN)


@pytest.mark.parametrize(
    ("contracts", "said"),
    [
        (
            Contracts(passed_schemas=(25,)),
            "facts.contract: schema id 25 is not among the ids shipped with the contracts, and no registry is set: "
            "workers have written here with one; set contracts.registry_url to it, for all workers and commands",
        ),
        (
            Contracts(registry_url=URL),
            "facts.contract: schema id 25 is not in the registry that is set: workers have written here with another "
            "one; set contracts.registry_url to it, for all workers and commands",
        ),
    ],
)
def test_a_topic_of_our_own_that_was_written_with_another_registry_is_told(contracts: Contracts, said: str) -> None:
    codec = Codec(Manifest(), unknown=of_own_topics(contracts))
    with pytest.raises(ForeignIds) as told:
        codec.decode("facts.contract", UNKNOWN)
    assert str(told.value) == said
