"""A database that others designed through the real worker: what Debezium wrote goes in, and triggers come out."""

import base64
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.mapping import load_mappings
from schemas.registry import Manifest
from streams.engine.feeding import SourceBytes
from streams.topics import ASSEMBLY_LOOKUPS
from tests.broker.bench import drain, feed, read_messages, worker
from tests.scenarios.test_tryton import FEED, TRYTON, agreed, expected
from tests.support.command import Json
from tests.support.tryton import SHIPPED

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

PROGRAM = "tests.broker.mapped_worker"


def recorded() -> Iterator[tuple[str, str, bytes]]:
    """What the connector wrote to the topics that the mapping asks for."""
    asked = set(load_mappings(further=[SHIPPED]).native_topics)
    with gzip.open(FEED, "rt", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["topic"] in asked and line.get("value_base64") is not None:
                yield line["topic"], line["key"], base64.b64decode(line["value_base64"])


def agreed_bytes() -> Iterator[tuple[str, str, bytes]]:
    encoder = SourceBytes(Manifest())
    for record in agreed().records:
        yield record["topic"], record["key"], encoder.of(record["topic"], record["value"])


def decoded(brokers: str, topic: str) -> list[Json]:
    codec = Codec(Manifest())
    return [codec.decode(topic, message.value() or b"") for message in read_messages(brokers, topic)]


def nets(triggers: list[Json]) -> dict[tuple[str, str], Decimal]:
    found: dict[tuple[str, str], Decimal] = {}
    for trigger in triggers:
        place = trigger["contract_number"], trigger["source_id"]
        found[place] = found.get(place, Decimal(0)) + trigger["amount"]
    return {place: amount for place, amount in found.items() if amount}


def wanted() -> dict[tuple[str, str], Decimal]:
    told = [
        {"contract_number": contract, "source_id": line, "amount": Decimal(amount)}
        for line, triggers in expected(invoiced_too=False)
        for contract, _, amount in triggers
    ]
    return nets(told)


def test_what_debezium_wrote_is_billed_by_the_worker_also_after_it_was_killed(brokers: str, tmp_path: Path) -> None:
    mappings = load_mappings(further=[SHIPPED])
    read = (*mappings.native_topics, *mappings.assembled, ASSEMBLY_LOOKUPS)
    written = len([*recorded()])
    arguments = (str(SHIPPED), str(TRYTON / "schemas.json"))
    feed(brokers, recorded())
    with worker(brokers, tmp_path, *arguments, program=PROGRAM) as child:
        drain(brokers, written, child, read)
        child.kill()
    feed(brokers, [*agreed_bytes(), *recorded()])
    with worker(brokers, tmp_path, *arguments, program=PROGRAM) as child:
        drain(brokers, 2 * written, child, (*read, "crm.Contract", "facts.contract", "facts.person"))
        assert child.stop() == 0
        assert "Traceback" not in child.messages
    assert nets(decoded(brokers, "billing.triggers")) == wanted()
    assert read_messages(brokers, "dead.letters") == []
