"""The real broker does what everything above it counts on."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from stack.errors import StackError
from stack.kafka import Kafka
from stack.ports import free_ports, is_free
from tests.stack.conftest import say
from tests.support.kafka import ANSWER_SECONDS_MAX, make_topic, values_to_end

STARTER = """
import sys
from pathlib import Path
from stack.kafka import Kafka
kafka = Kafka(Path(sys.argv[1]))
kafka.start()
print(kafka.brokers[0].daemon.pid, flush=True)
sys.stdin.read()
"""


def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Send records and wait until all of them are acknowledged by every copy."""
    refused: list[KafkaError] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: refused.append(error) if error else None)
    assert producer.flush(ANSWER_SECONDS_MAX) == 0
    assert refused == []


def transactional(bootstrap: str, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
    producer.init_transactions(ANSWER_SECONDS_MAX)
    return producer


def test_only_what_was_committed_is_read(kafka: Kafka, topic: str, fresh: Callable[[str], str]) -> None:
    producer = transactional(kafka.bootstrap, fresh("writer"))
    producer.begin_transaction()
    producer.produce(topic, b"aborted")
    producer.flush(ANSWER_SECONDS_MAX)
    producer.abort_transaction(ANSWER_SECONDS_MAX)
    producer.begin_transaction()
    producer.produce(topic, b"committed")
    producer.commit_transaction(ANSWER_SECONDS_MAX)
    producer.begin_transaction()
    producer.produce(topic, b"open")
    producer.flush(ANSWER_SECONDS_MAX)
    assert values_to_end(kafka.bootstrap, topic) == [b"committed"]
    assert values_to_end(kafka.bootstrap, topic, "read_uncommitted") == [b"aborted", b"committed", b"open"]
    producer.abort_transaction(ANSWER_SECONDS_MAX)


def test_a_second_producer_of_one_name_fences_the_first(kafka: Kafka, topic: str, fresh: Callable[[str], str]) -> None:
    name = fresh("writer")
    first = transactional(kafka.bootstrap, name)
    first.begin_transaction()
    first.produce(topic, b"of the first")
    second = transactional(kafka.bootstrap, name)
    with pytest.raises(KafkaException) as refused:
        first.commit_transaction(ANSWER_SECONDS_MAX)
    assert refused.value.args[0].fatal()
    second.begin_transaction()
    second.produce(topic, b"of the second")
    second.commit_transaction(ANSWER_SECONDS_MAX)
    assert values_to_end(kafka.bootstrap, topic) == [b"of the second"]


def test_a_topic_that_nobody_made_does_not_appear(kafka: Kafka, fresh: Callable[[str], str]) -> None:
    name = fresh("nowhere")
    refused: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "topic.metadata.propagation.max.ms": 100})
    producer.produce(name, b"lost", on_delivery=lambda error, _: refused.append(error))
    assert producer.flush(ANSWER_SECONDS_MAX) == 0
    assert [error and error.code() for error in refused] == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    assert name not in admin.list_topics(timeout=ANSWER_SECONDS_MAX).topics


def test_acknowledged_records_survive_kill_9(tmp_path: Path) -> None:
    with Kafka(tmp_path, say=say) as kafka:
        bootstrap, pid = kafka.bootstrap, kafka.brokers[0].daemon.pid
        topic = make_topic(bootstrap, "entries")
        values = [b"%d" % number for number in range(1_000)]
        send(bootstrap, topic, values)
        kafka.kill()
        assert kafka.brokers[0].daemon.pid is None
        assert is_free(kafka.brokers[0].node.port)
        kafka.start()
        assert kafka.bootstrap == bootstrap
        assert kafka.brokers[0].daemon.pid != pid
        assert values_to_end(bootstrap, topic) == values


def test_a_folder_keeps_its_cluster(tmp_path: Path) -> None:
    with Kafka(tmp_path, say=say) as kafka:
        bootstrap = kafka.bootstrap
        topic = make_topic(bootstrap, "entries")
        send(bootstrap, topic, [b"one"])
    with Kafka(tmp_path) as again:
        assert again.bootstrap == bootstrap
        assert values_to_end(bootstrap, topic) == [b"one"]
    port = free_ports(1)[0]
    with Kafka(tmp_path, first_port=port) as elsewhere:
        assert elsewhere.bootstrap == f"127.0.0.1:{port}"
        assert values_to_end(elsewhere.bootstrap, topic) == [b"one"]
        with pytest.raises(StackError, match=f"runs from port {port} on: stop it to change that"):
            Kafka(tmp_path, first_port=port + 1)


def test_a_suspended_broker_does_not_answer_until_it_goes_on(tmp_path: Path) -> None:
    with Kafka(tmp_path, say=say) as kafka:
        broker = kafka.brokers[0]
        assert broker.answers()
        kafka.suspend()
        assert not broker.answers()
        assert broker.daemon.pid is not None
        kafka.resume()
        broker.wait()
        kafka.suspend()  # a broker that hangs can be stopped, too


def answering(kafka: Kafka, brokers: list[bool]) -> None:
    """Wait until these brokers answer, and those do not: others may have to choose a controller first."""
    until = time.monotonic() + ANSWER_SECONDS_MAX
    while (found := [line.answers for line in kafka.lines()]) != brokers:
        assert time.monotonic() < until, found


def test_of_three_brokers_one_may_die(tmp_path: Path) -> None:
    with Kafka(tmp_path, brokers=3, say=say) as kafka:
        topic = make_topic(kafka.bootstrap, "entries", partitions=3)
        send(kafka.bootstrap, topic, [b"before"] * 300)
        kafka.brokers[0].kill()
        answering(kafka, [False, True, True])
        send(kafka.bootstrap, topic, [b"without"] * 300)
        kafka.brokers[0].start()
        answering(kafka, [True, True, True])
        assert sorted(values_to_end(kafka.bootstrap, topic)) == [b"before"] * 300 + [b"without"] * 300  # type: ignore[type-var]


def test_a_broker_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        broker = os.pidfd_open(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([broker], [], [], ANSWER_SECONDS_MAX)
        os.close(broker)
    assert ended


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with Kafka(tmp_path, say=say):
        pass
    (tmp_path / "1" / "records" / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=2\n")
    with pytest.raises(
        StackError, match=r"kafka 1 ended while it started:[\s\S]*node id 2[\s\S]*The whole log is .*log\.txt"
    ):
        Kafka(tmp_path).start()
