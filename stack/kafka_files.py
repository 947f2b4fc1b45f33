"""What a broker reads: its properties, its log settings, its command line."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stack.ports import LOOPBACK
from stack.tools import jvm_flags

PROPERTIES_FILE = "server.properties"
LOG_SETTINGS_FILE = "log4j2.properties"
RECORDS_FOLDER = "records"
HEAP_MIB = 384
LOG_SETTINGS = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = OUT
# It would list every property five times, three quarters of the log.
logger.values.name = org.apache.kafka.common.config.AbstractConfig
logger.values.level = WARN
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


def properties(node: Node, nodes: Sequence[Node]) -> Mapping[str, str]:
    """The properties of one broker of a cluster. Paths are relative: it is started in its folder."""
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
        "log.dirs": RECORDS_FOLDER,
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
        # Consumers start without waiting for others and may be given up soon; what a dead producer left open ends soon
        # after its timeout.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    }


def as_text(settings: Mapping[str, str]) -> str:
    """Properties as Java reads them; ours hold neither backslashes nor line breaks, and no paths of the user's."""
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def java_command(java: str, class_path: str, main: str, *arguments: str, heap_mib: int = HEAP_MIB) -> list[str]:
    """The command that runs a class of Kafka's in a folder that has its log settings."""
    flags = (*jvm_flags(heap_mib), f"-Dlog4j2.configurationFile={LOG_SETTINGS_FILE}")
    return [java, *flags, "-cp", class_path, main, *arguments]
