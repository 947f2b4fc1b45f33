"""What a broker is told, and what its folder remembers; nothing is started here."""

import json
import socket
from pathlib import Path

import pytest

from stack.errors import StackError
from stack.kafka import Kafka, is_cluster
from stack.kafka_files import Node, as_text, java_command, properties
from stack.ports import free_ports, is_free
from stack.room import Room

ONE = [Node(1, 19092, 19192)]
THREE = [Node(1, 19092, 19192), Node(2, 19093, 19193), Node(3, 19094, 19194)]
ALONE = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:19192
listeners=BROKER://127.0.0.1:19092,CONTROLLER://127.0.0.1:19192
advertised.listeners=BROKER://127.0.0.1:19092
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs=records
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
log.retention.ms=-1
log.cleaner.enable=true
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
"""
OF_THREE = {
    "controller.quorum.voters": "1@127.0.0.1:19192,2@127.0.0.1:19193,3@127.0.0.1:19194",
    "node.id": "2",
    "listeners": "BROKER://127.0.0.1:19093,CONTROLLER://127.0.0.1:19193",
    "advertised.listeners": "BROKER://127.0.0.1:19093",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}


def test_the_properties_of_a_broker() -> None:
    assert as_text(properties(ONE[0], ONE)) == ALONE


def test_three_brokers_keep_three_copies_and_need_two() -> None:
    alone, second = properties(ONE[0], ONE), properties(THREE[1], THREE)
    assert {key: value for key, value in second.items() if value != alone[key]} == OF_THREE


def test_the_command_of_a_broker() -> None:
    assert java_command("/jdk/bin/java", "a.jar:b.jar", "kafka.Kafka", "server.properties") == [
        "/jdk/bin/java",
        "-Xms128m",
        "-Xmx384m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.awt.headless=true",
        "-Dlog4j2.configurationFile=log4j2.properties",
        "-cp",
        "a.jar:b.jar",
        "kafka.Kafka",
        "server.properties",
    ]


def test_a_folder_remembers_its_cluster(tmp_path: Path) -> None:
    assert not is_cluster(tmp_path)
    first = Kafka(tmp_path, brokers=3)
    assert is_cluster(tmp_path)
    assert len({node for broker in first.brokers for node in broker.node}) == 9  # three numbers, six ports
    assert Kafka(tmp_path).bootstrap == Kafka(tmp_path, brokers=3).bootstrap == first.bootstrap
    with pytest.raises(StackError, match=r"holds a cluster of 3, not 1: ask for as many, take another folder"):
        Kafka(tmp_path, brokers=1)


def test_ports_that_are_given_follow_each_other(tmp_path: Path) -> None:
    kafka = Kafka(tmp_path, brokers=3, first_port=19092)
    assert [broker.node for broker in kafka.brokers] == THREE
    assert kafka.bootstrap == "127.0.0.1:19092,127.0.0.1:19093,127.0.0.1:19094"


def test_a_cluster_that_does_not_run_can_move_to_other_ports(tmp_path: Path) -> None:
    before = json.loads((Kafka(tmp_path, brokers=3, first_port=19092).folder / "cluster.json").read_text())
    assert Kafka(tmp_path, first_port=19500).bootstrap == "127.0.0.1:19500,127.0.0.1:19501,127.0.0.1:19502"
    after = json.loads((tmp_path / "cluster.json").read_text())
    assert after["id"] == before["id"]


@pytest.mark.parametrize("text", ["", "{}", '{"id": "x", "nodes": [[1]]}', "[]"])
def test_a_folder_that_says_nothing_readable_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.json").write_text(text, encoding="utf-8")
    with pytest.raises(StackError, match=r"cluster\.json: says no cluster .* remove the folder"):
        Kafka(tmp_path)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        with pytest.raises(StackError, match=rf"^kafka 1: port {port} is taken; stop what listens there, or choose"):
            Kafka(tmp_path, first_port=port).start()


def test_free_ports_are_below_those_of_outgoing_connections() -> None:
    ports = free_ports(6)
    assert len({*ports}) == 6
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])
    assert max(ports) < first_outgoing


def test_an_empty_room(tmp_path: Path) -> None:
    room = Room(tmp_path / "room", lambda _: None)
    assert room.lines() == []
    assert room.logs(None) == []
    room.down(wipe=True)
    with pytest.raises(StackError, match=r"^no part kafka was started in .*; nothing was$"):
        room.logs("kafka")
    assert not (tmp_path / "room").exists()


def test_a_room_is_wiped_of_what_is_its_own(tmp_path: Path) -> None:
    Kafka(tmp_path / "kafka", bound=False)
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    room = Room(tmp_path, lambda _: None)
    assert [(line.name, line.pid, line.answers) for line in room.lines()] == [("kafka 1", None, False)]
    room.down(wipe=False)
    assert is_cluster(tmp_path / "kafka")
    room.down(wipe=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
