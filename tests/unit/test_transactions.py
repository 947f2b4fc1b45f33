"""Records in one transaction, as feeds land them: whole and once, or not at all; who is shut out is told by whom."""

import pytest
from confluent_kafka import KafkaError

from streams.engine.round import Fenced, WriteError
from streams.engine.transport.producer import ANY_PARTITION, Encoded
from streams.engine.writer import Transactions
from tests.unit.writer_bench import FakeProducer, Sent, client, refusal

__all__ = ["client"]

STEPS = ("begin_transaction", "commit_transaction")
RECORDS = [
    Encoded("hr.Worker", b"E1", b"ada", 1_000, ANY_PARTITION, None),
    Encoded("feed.memory", b"hr:since", None, 2_000, 3, None),
]
WRITTEN = [Sent("hr.Worker", b"ada", b"E1", ANY_PARTITION, 1_000), Sent("feed.memory", None, b"hr:since", 3, 2_000)]
UNKNOWN_PRODUCER = refusal(KafkaError.UNKNOWN_PRODUCER_ID, abort=True)
TIMED_OUT = refusal(KafkaError._TIMED_OUT, retriable=True)


def opened(patience_s: float = 60.0) -> Transactions:
    writer = Transactions({}, "g-feed-hr", 5_000, patience_s, lambda: None, "another program runs feed hr")
    writer.open()
    return writer


def test_records_are_written_in_one_transaction(client: FakeProducer) -> None:
    opened().write_records(RECORDS)
    assert client.calls == ["init_transactions", *STEPS]
    assert client.committed == WRITTEN
    assert client.config["transactional.id"] == "g-feed-hr"


@pytest.mark.parametrize("step", STEPS)
def test_what_may_be_tried_again_is(client: FakeProducer, step: str) -> None:
    client.refuse(step, TIMED_OUT, TIMED_OUT)
    opened().write_records(RECORDS)
    assert client.committed == WRITTEN
    assert client.calls.count(step) == 3


def test_what_has_to_be_aborted_is_written_again(client: FakeProducer) -> None:
    client.refuse("commit_transaction", UNKNOWN_PRODUCER)
    client.refuse("produce", refusal(KafkaError._STATE))
    opened().write_records(RECORDS)
    assert client.committed == WRITTEN
    assert client.calls.count("abort_transaction") == 2


def test_when_patience_is_over_nothing_is_written(client: FakeProducer) -> None:
    client.refuse("commit_transaction", *[UNKNOWN_PRODUCER] * 2)
    with pytest.raises(WriteError, match=r"^commit_transaction: .*; given up after 0 s") as failed:
        opened(patience_s=0.0).write_records(RECORDS)
    assert not isinstance(failed.value, Fenced)
    assert client.committed == []


@pytest.mark.parametrize("step", ["init_transactions", *STEPS])
def test_who_is_shut_out_is_told_by_whom(client: FakeProducer, step: str) -> None:
    client.refuse(step, refusal(KafkaError._FENCED, fatal=True))
    with pytest.raises(Fenced, match=f"^{step}: .*; another program runs feed hr$"):
        opened().write_records(RECORDS)
    assert client.committed == []
