"""Settings in docker-compose.yml are those of the local stack. What is meant to differ is listed, with its reason."""

import re
from collections.abc import Mapping

import pytest

from connect.configuration import CONNECTORS_FOLDER, read_all
from stack import connect, connect_files, kafka_files, postgresql, registry
from stack.kafka_files import Node
from stack.tools import jvm_flags
from tests.support import compose
from tests.tidy.house import ROOT

ONE = compose.services()
THREE = compose.services(compose.MAIN, compose.THREE_BROKERS)
INSIDE = {1: "kafka:9092", 3: "kafka:9092,kafka-2:9092,kafka-3:9092"}

KAFKA_DIFFERS = {
    "controller.quorum.voters": "containers know each other by name",
    "listeners": "one more, for clients on the host; in a container they listen on its own addresses",
    "advertised.listeners": "as above",
    "listener.security.protocol.map": "as above",
    "log.dirs": "the volume of the image",
}
JVM = ("KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS")

CONNECT_NAMES = {
    "BOOTSTRAP_SERVERS": "bootstrap.servers",
    "GROUP_ID": "group.id",
    "CONFIG_STORAGE_TOPIC": "config.storage.topic",
    "OFFSET_STORAGE_TOPIC": "offset.storage.topic",
    "STATUS_STORAGE_TOPIC": "status.storage.topic",
    "KEY_CONVERTER": "key.converter",
    "VALUE_CONVERTER": "value.converter",
    "OFFSET_FLUSH_INTERVAL_MS": "offset.flush.interval.ms",
    "SHUTDOWN_TIMEOUT": "task.shutdown.graceful.timeout.ms",
}
"""Variables for which Debezium's image has names of its own; the others are CONNECT_ and the property."""


def differing(found: Mapping[str, str], wanted: Mapping[str, str]) -> set[str]:
    """The names of settings that are not the same on both sides, or only on one."""
    return {name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)}


def kafka_properties(variables: Mapping[str, str]) -> dict[str, str]:
    """The properties that Kafka's image makes of its environment: three underscores are a hyphen, two are one."""
    signs = {"___": "-", "__": "_", "_": "."}
    return {
        re.sub("_{1,3}", lambda found: signs[found[0]], name.removeprefix("KAFKA_")).lower(): value
        for name, value in variables.items()
        if name.startswith("KAFKA_") and name not in JVM
    }


def flags(*words: str) -> list[str]:
    return sorted(" ".join(words).split())


@pytest.mark.parametrize(("number", "count"), [(1, 1), (1, 3), (2, 3), (3, 3)])
def test_a_broker_is_set_as_one_of_the_local_stack(number: int, count: int) -> None:
    nodes = [Node(one, 0, 0) for one in range(1, count + 1)]
    service = (ONE if count == 1 else THREE)["kafka" if number == 1 else f"kafka-{number}"]
    variables = compose.environment(service)
    found = kafka_properties(variables)
    assert differing(found, kafka_files.properties(nodes[number - 1], nodes)) == KAFKA_DIFFERS.keys()
    assert flags(*(variables[name] for name in JVM)) == sorted(jvm_flags(kafka_files.HEAP_MIB))
    assert variables.keys() - {name for name in variables if name.startswith("KAFKA_")} == {"CLUSTER_ID"}
    assert variables["CLUSTER_ID"] == "${KAFKA_CLUSTER_ID:-dGhyb3VnaGxpbmUtMDAwMQ}"


@pytest.mark.parametrize("count", [1, 3])
def test_brokers_find_each_other_and_their_clients_find_them(count: int) -> None:
    services = ONE if count == 1 else THREE
    brokers = {int(one.partition("-")[2] or 1): one for one in services if one.startswith("kafka")}
    assert len(brokers) == count
    for number, name in brokers.items():
        found = kafka_properties(compose.environment(services[name]))
        port = 19_091 + number
        assert found["controller.quorum.voters"] == ",".join(f"{one}@{host}:9093" for one, host in brokers.items())
        assert found["advertised.listeners"] == f"BROKER://{name}:9092,HOST://127.0.0.1:{port}"
        assert found["listeners"] == f"BROKER://:9092,CONTROLLER://:9093,HOST://:{port}"
        assert services[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
        assert f"127.0.0.1:{port} " in services[name]["healthcheck"]["test"][1]
        (volume,) = services[name]["volumes"]
        assert volume.partition(":")[2] == found["log.dirs"]
    for name in ("topics", "connectors", "watch", "worker"):
        assert compose.environment(services[name])["THROUGHLINE_BROKERS"] == INSIDE[count]


@pytest.mark.parametrize("count", [1, 3])
def test_connect_is_set_as_that_of_the_local_stack(count: int) -> None:
    variables = compose.environment((ONE if count == 1 else THREE)["connect"])
    found = {CONNECT_NAMES[name]: value for name, value in variables.items() if name in CONNECT_NAMES} | {
        name.removeprefix("CONNECT_").lower().replace("_", "."): value
        for name, value in variables.items()
        if name.startswith("CONNECT_")
    }
    assert differing(found, connect_files.properties(INSIDE[count], count)) == set()
    assert flags(variables["HEAP_OPTS"], variables["KAFKA_JVM_PERFORMANCE_OPTS"]) == sorted(jvm_flags(connect.HEAP_MIB))
    agent, port, rules = re.fullmatch(r"-javaagent:(\S+)=(\d+):(\S+)", variables["KAFKA_OPTS"]).groups()  # type: ignore[union-attr]
    image = (ROOT / "deploy/connect.Dockerfile").read_text("utf-8")
    assert re.findall(r"^COPY .* (/opt/\S+)$", image, re.MULTILINE) == [agent, rules]
    assert f"EXPOSE {port}\n" in image
    assert f"COPY {connect.METRICS_RULES.relative_to(ROOT)} " in image


@pytest.mark.parametrize("name", ["connect", "connectors", "watch"])
def test_whoever_has_to_do_with_connectors_finds_all_that_their_files_refer_to(name: str) -> None:
    service = ONE[name]
    told = compose.environment(service).keys() | set(re.findall(r"(\w+)=\$\$\(cat ", service["entrypoint"][-1]))
    files, words = read_all(CONNECTORS_FOLDER), ONE["connectors"]["command"]
    assert words[:2] == ["connect", "apply"]
    connectors = [files[word] for word in words[2:] if word.isalpha()]
    assert connectors
    wanted = {
        name
        for connector in connectors
        for value in connector.config.values()
        for name in re.findall(r"\$\{env:(\w+)\}", value)
    }
    assert wanted - told == set()


@pytest.mark.parametrize("count", [1, 3])
def test_the_registry_is_set_as_that_of_the_local_stack(count: int) -> None:
    variables = compose.environment((ONE if count == 1 else THREE)["registry"])
    of_java = {name: variables.pop(name) for name in ("GC_CONTAINER_OPTIONS", "JAVA_TOOL_OPTIONS")}
    wanted = {re.sub(r"\W", "_", name).upper(): value for name, value in registry.properties(INSIDE[count]).items()}
    assert differing(variables, wanted) == set()
    assert flags(*of_java.values()) == sorted(jvm_flags(registry.HEAP_MIB))
    assert registry.CONFLUENT_PATH in compose.environment(ONE["worker"])["THROUGHLINE_CONTRACTS__REGISTRY_URL"]


def test_postgresql_is_set_as_that_of_the_local_stack() -> None:
    service = ONE["postgresql"]
    program, *words = service["command"]
    found = dict(word.removeprefix("-c").split("=", maxsplit=1) for word in words)
    assert program == "postgres"
    assert all(word.startswith("-c") for word in words)
    assert differing(found, postgresql.SETTINGS) == set()
    variables = compose.environment(service)
    assert tuple(variables["POSTGRES_INITDB_ARGS"].split()) == postgresql.CLUSTER_OPTIONS
    assert variables["POSTGRES_USER"] == postgresql.SUPERUSER
    assert service["stop_signal"] == postgresql.PostgreSQL.stop_signal.name


def test_what_differs_is_found_whichever_side_it_is_on() -> None:
    assert differing({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {"b", "c"}
    assert differing({"a": "1"}, {}) == {"a"}
    variables = {"KAFKA_A_B": "1", "KAFKA_A__B___C": "2", "KAFKA_HEAP_OPTS": "-Xmx1m", "CLUSTER_ID": "x"}
    assert kafka_properties(variables) == {"a.b": "1", "a_b-c": "2"}
