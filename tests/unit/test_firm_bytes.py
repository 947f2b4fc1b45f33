"""The firm's records fit the contracts of their topics: those of the PSA as Debezium writes them, others in our own."""

import pytest

from firm.history import History
from firm.size import FirmSize
from schemas.codec import Codec
from schemas.contracts import load_contracts
from schemas.debezium_writing import DebeziumShape, debezium_subject
from schemas.json_view import JsonView
from schemas.registry import Manifest

pytestmark = pytest.mark.usefixtures("codec_path")

SIZE = FirmSize(600, seed=2, days=120)


def test_every_record_travels_as_its_feed_writes_it_and_comes_back_the_same() -> None:
    contracts, codec = load_contracts(), Codec(Manifest())
    topics = set()
    for record in History(SIZE).records():
        topics.add(record.topic)
        own = JsonView(contracts[record.topic].schema).native(record.value)
        debezium = contracts.get(debezium_subject(record.topic))
        if debezium is None:
            payload = codec.encode(record.topic, own)
        else:
            payload = codec.encode(debezium.subject, DebeziumShape(debezium).envelope(record.value))
        read = codec.decode(record.topic, payload)
        source = {name: read["source"][name] for name in record.value["source"]}
        assert {**read, "source": source} == own
    assert len(topics) == 20
