"""What a broker reads: its properties, its log settings, its command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stack.ports import LOOPBACK

JVM_FLAGS = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
LOG_SETTINGS = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = OUT
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %-5p %c{1} %m%n
"""


class Node(NamedTuple):
    """One broker, which is a controller, too: its number from 1, and its ports."""

    number: int
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        """Where clients connect to, `host:port`."""
        return f"{LOOPBACK}:{self.port}"


def properties(node: Node, nodes: Sequence[Node], folder: Path) -> Mapping[str, str]:
    """The properties of one broker of a cluster."""
    copies = min(len(nodes), 3)
    in_sync = max(1, copies - 1)
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.number),
        "controller.quorum.voters": ",".join(f"{one.number}@{LOOPBACK}:{one.controller_port}" for one in nodes),
        "listeners": f"BROKER://{node.address},CONTROLLER://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"BROKER://{node.address}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "records"),
        # A topic has the partitions that whoever makes it says; one that nobody made is a mistake worth an error.
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(in_sync),
        # Records of a generated history are years old by their own time, and would be deleted at once.
        "log.retention.ms": "-1",
        "log.cleaner.enable": "true",
        "log.cleaner.dedupe.buffer.size": "16777216",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        # A killed broker may come back once its session ran out: 9 s by default, most of what a restart takes.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # Consumers start without waiting for others, and what a dead producer left open ends soon after its timeout.
        "group.initial.rebalance.delay.ms": "0",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    }


def as_properties(values: Mapping[str, str]) -> str:
    """The text of a Java properties file."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in values.items())


def _escaped(value: str) -> str:
    """A value as Java reads it back: backslashes doubled, and what is not ASCII by its code."""
    return "".join(
        "\\\\" if sign == "\\" else sign if sign.isascii() else f"\\u{unit:04x}"
        for sign in value
        for unit in _utf16(sign)
    )


def _utf16(sign: str) -> list[int]:
    raw = sign.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def java_command(java: str, class_path: str, folder: Path, main: str, *arguments: str) -> list[str]:
    """The command that runs a class of Kafka's for the broker in this folder."""
    settings = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    return [java, *JVM_FLAGS, settings, "-cp", class_path, main, *arguments]
