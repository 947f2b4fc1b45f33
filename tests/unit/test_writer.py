"""What each answer of the brokers does to a round: written whole and once, void, or the end of the worker."""

import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError

from streams.engine.probe import CHECKPOINT_POINTS
from streams.engine.round import Commit, Fenced, MembershipOver, WriteError
from streams.engine.writer import AtLeastOnce, ExactlyOnce
from tests.unit.writer_bench import WRITTEN, FakeProducer, a_round, client, refusal

__all__ = ["client"]

STEPS = ("begin_transaction", "send_offsets_to_transaction", "commit_transaction")
TIMED_OUT = refusal(KafkaError._TIMED_OUT, retriable=True)
LOADING = refusal(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)
UNKNOWN_PRODUCER = refusal(KafkaError.UNKNOWN_PRODUCER_ID, abort=True)


class Run:
    """An `ExactlyOnce` that is open, with what it has counted and passed."""

    def __init__(self, patience_s: float = 60.0) -> None:
        self.aborted = 0
        self.passed: list[str] = []
        self.writer = ExactlyOnce({}, "g.changelog", "g-1", 5_000, patience_s, self.passed.append, self._abort)
        self.writer.open()

    def _abort(self) -> None:
        self.aborted += 1


def test_a_round_is_one_transaction_and_the_changelog_tells_where_it_ends(client: FakeProducer) -> None:
    run, written = Run(), a_round()
    run.writer.write(written)
    assert client.calls == ["init_transactions", *STEPS, "poll"]
    assert client.committed == WRITTEN
    assert client.offsets == [({("facts", 0): 7}, "member")]
    assert written.ends == {0: 104, 2: 105}
    assert run.passed == [point for point in CHECKPOINT_POINTS if point not in ("settled", "stored")]
    assert run.aborted == 0
    assert (client.config["transactional.id"], client.config["transaction.timeout.ms"]) == ("g-1", 5_000)
    assert client.config["partitioner"] == "murmur2_random"


@pytest.mark.parametrize("changed", [{"member": None}, {"offsets": {}}])
def test_a_round_that_brokers_could_not_refuse_is_not_written(client: FakeProducer, changed: dict[str, Any]) -> None:
    with pytest.raises(WriteError, match="a round without offsets is not written"):
        Run().writer.write(a_round(**changed))
    assert (client.committed, client.calls) == ([], ["init_transactions"])


@pytest.mark.parametrize("step", ["init_transactions", *STEPS])
def test_what_may_be_tried_again_is_until_it_is_done(client: FakeProducer, step: str) -> None:
    client.refuse(step, TIMED_OUT, LOADING)
    run = Run()
    run.writer.write(a_round())
    assert client.committed == WRITTEN
    assert client.calls.count(step) == 3
    assert run.aborted == 0


@pytest.mark.parametrize("step", STEPS)
def test_when_patience_is_over_the_round_has_failed_and_the_step_is_named(client: FakeProducer, step: str) -> None:
    client.refuse(step, *[TIMED_OUT] * 3)
    run = Run(patience_s=0.0)
    with pytest.raises(WriteError, match=f"^{step}: .*[Tt]imed out") as failed:
        run.writer.write(a_round())
    assert not isinstance(failed.value, Fenced)
    assert client.committed == []


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_transaction_that_has_to_be_aborted_is_written_again(client: FakeProducer, step: str) -> None:
    client.refuse(step, UNKNOWN_PRODUCER, UNKNOWN_PRODUCER)
    run, written = Run(), a_round()
    run.writer.write(written)
    assert client.committed == WRITTEN
    assert client.offsets == [({("facts", 0): 7}, "member")]
    assert (run.aborted, client.calls.count("abort_transaction")) == (2, 2)
    assert written.ends == {0: 104, 2: 105}


def test_one_that_has_to_be_aborted_again_and_again_is_given_up(client: FakeProducer) -> None:
    client.refuse("commit_transaction", *[UNKNOWN_PRODUCER] * 3)
    with pytest.raises(WriteError, match=r"^commit_transaction: .*; given up after 0 s"):
        Run(patience_s=0.0).writer.write(a_round())
    assert client.committed == []


def test_what_the_client_refuses_within_a_broken_transaction_aborts_it(client: FakeProducer) -> None:
    """Brokers have refused it meanwhile, and the client takes no more records until it is aborted."""
    client.refuse("produce", refusal(KafkaError._STATE))
    run = Run()
    run.writer.write(a_round())
    assert client.committed == WRITTEN
    assert (run.aborted, client.calls.count("abort_transaction")) == (1, 1)


def test_a_client_that_does_not_come_back_from_sending_offsets_is_replaced(client: FakeProducer) -> None:
    """It would wait for ever for a coordinator whose broker was restarted; nothing can have been committed yet."""
    client.stuck = released = threading.Event()
    run = Run()
    run.writer.write(a_round())
    released.set()
    begun = ["init_transactions", "begin_transaction", "send_offsets_to_transaction"]
    assert client.calls == [*begun, *begun, "commit_transaction", "poll"]
    assert client.committed == WRITTEN
    assert client.offsets == [({("facts", 0): 7}, "member")]
    assert run.aborted == 1


@pytest.mark.parametrize("code", [KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID])
def test_when_the_group_has_given_the_partitions_to_others_the_round_is_void(client: FakeProducer, code: int) -> None:
    client.refuse("send_offsets_to_transaction", refusal(code, abort=True))
    run = Run()
    with pytest.raises(MembershipOver, match=r"^send_offsets_to_transaction: "):
        run.writer.write(a_round())
    assert (client.committed, client.calls[-1], run.aborted) == ([], "abort_transaction", 0)


@pytest.mark.parametrize("step", ["init_transactions", *STEPS])
@pytest.mark.parametrize(
    "error",
    [
        refusal(KafkaError._FENCED, fatal=True),
        refusal(KafkaError.INVALID_PRODUCER_EPOCH, fatal=True),
        refusal(KafkaError.PRODUCER_FENCED, fatal=True),
    ],
)
def test_who_is_fenced_is_told_by_whom(client: FakeProducer, step: str, error: Exception) -> None:
    client.refuse(step, error)
    with pytest.raises(Fenced, match=f"^{step}: .*another worker goes by the identity g-1"):
        Run().writer.write(a_round())
    assert client.committed == []


def test_who_is_fenced_while_it_produces_is_told_the_same(client: FakeProducer) -> None:
    client.refuse("produce", refusal(KafkaError._FATAL, fatal=True))
    client.refuse("abort_transaction", refusal(KafkaError._FENCED, fatal=True))
    with pytest.raises(Fenced, match="another worker goes by the identity g-1"):
        Run().writer.write(a_round())
    assert client.committed == []


def test_a_static_member_that_another_has_replaced_is_fenced(client: FakeProducer) -> None:
    client.refuse("send_offsets_to_transaction", refusal(KafkaError.FENCED_INSTANCE_ID, abort=True))
    with pytest.raises(Fenced, match=r"^send_offsets_to_transaction: "):
        Run().writer.write(a_round())
    assert (client.committed, client.calls[-1]) == ([], "abort_transaction")


@pytest.mark.parametrize("step", STEPS)
def test_what_cannot_be_tried_again_ends_the_worker(client: FakeProducer, step: str) -> None:
    client.refuse(step, refusal(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    with pytest.raises(WriteError, match=f"^{step}: .*uthorization"):
        Run().writer.write(a_round())
    assert client.committed == []


def test_an_abort_that_times_out_is_tried_again_and_one_that_is_fatal_is_told(client: FakeProducer) -> None:
    client.refuse("commit_transaction", UNKNOWN_PRODUCER, UNKNOWN_PRODUCER)
    client.refuse("abort_transaction", TIMED_OUT)
    run = Run()
    client.refuse("begin_transaction")
    run.writer.write(a_round())
    assert client.committed == WRITTEN
    client.refuse("commit_transaction", UNKNOWN_PRODUCER)
    client.refuse("abort_transaction", refusal(KafkaError._FENCED, fatal=True))
    with pytest.raises(Fenced, match=r"^abort_transaction: "):
        run.writer.write(a_round())


def test_a_record_that_is_too_large_is_told_with_its_topic(client: FakeProducer) -> None:
    client.refuse("produce", refusal(KafkaError.MSG_SIZE_TOO_LARGE))
    with pytest.raises(WriteError, match=r"^topic triggers: .*too large"):
        Run().writer.write(a_round())
    assert client.committed == []


def test_a_full_queue_is_waited_for(client: FakeProducer) -> None:
    client.refuse("produce", BufferError("queue full"), BufferError("queue full"))
    Run().writer.write(a_round())
    assert client.committed == WRITTEN


def test_a_round_whose_place_in_the_changelog_is_not_told_has_failed(client: FakeProducer) -> None:
    client.tells_positions = False
    with pytest.raises(WriteError, match=r"g\.changelog: no position was told for partitions \[0, 2\]"):
        Run().writer.write(a_round())


def test_who_cannot_get_ready_is_told_why(client: FakeProducer) -> None:
    client.refuse("init_transactions", refusal(KafkaError._TIMED_OUT, retriable=True))
    with pytest.raises(WriteError, match=r"^init_transactions: .*[Tt]imed out"):
        Run(patience_s=0.0)


def test_closing_drops_what_is_queued_and_may_be_repeated(client: FakeProducer) -> None:
    run = Run()
    run.writer.close()
    run.writer.close()
    assert client.calls[-1] == "purge"
    assert client.calls.count("purge") == 1


class Plain:
    """An `AtLeastOnce` that is open, and whose acknowledgements are kept or refused."""

    def __init__(self, refused: Exception | None = None) -> None:
        self.acknowledged: list[Any] = []
        self._refused = refused
        self.writer = AtLeastOnce({}, "g.changelog", 60.0, self._acknowledge)
        self.writer.open()

    def _acknowledge(self, offsets: Any) -> None:
        if self._refused is not None:
            raise self._refused
        self.acknowledged.append(offsets)

    def write(self, written: Commit) -> None:
        self.writer.write(written)


def test_at_least_once_a_round_is_written_and_then_acknowledged(client: FakeProducer) -> None:
    plain, written = Plain(), a_round()
    plain.write(written)
    assert client.committed == WRITTEN
    assert plain.acknowledged == [{("facts", 0): 7}]
    assert written.ends == {0: 104, 2: 105}
    assert "transactional.id" not in client.config


def test_at_least_once_what_is_not_written_is_not_acknowledged(client: FakeProducer) -> None:
    client.undelivered = {"g.changelog": KafkaError(KafkaError._MSG_TIMED_OUT)}
    plain = Plain()
    with pytest.raises(
        WriteError, match=r"3 records were not written, first: topic g\.changelog, key b'a': .*timed out"
    ):
        plain.write(a_round())
    assert plain.acknowledged == []
    client.undelivered = {}
    plain.write(a_round())
    assert len(plain.acknowledged) == 1


def test_at_least_once_what_is_not_answered_is_not_acknowledged(client: FakeProducer) -> None:
    client.unanswered = 2
    plain = Plain()
    with pytest.raises(WriteError, match="2 records were not written, first: 2 unanswered after 60 s"):
        plain.write(a_round())
    assert plain.acknowledged == []


@pytest.mark.parametrize(
    ("refused", "raised", "told"),
    [
        (refusal(KafkaError.ILLEGAL_GENERATION), MembershipOver, "^commit: "),
        (refusal(KafkaError.UNKNOWN_MEMBER_ID), MembershipOver, "^commit: "),
        (refusal(KafkaError.REBALANCE_IN_PROGRESS), MembershipOver, "^commit: "),
        (refusal(KafkaError.FENCED_INSTANCE_ID), Fenced, "^commit: .*another worker uses this one's state folder"),
        (refusal(KafkaError._TIMED_OUT), WriteError, "^commit: .*[Tt]imed out"),
        (TimeoutError(), WriteError, "^commit: no answer"),
    ],
)
def test_at_least_once_an_acknowledgement_that_fails_is_told(
    client: FakeProducer, refused: Exception, raised: type[Exception], told: str
) -> None:
    with pytest.raises(raised, match=told) as failed:
        Plain(refused).write(a_round())
    assert type(failed.value) is raised
