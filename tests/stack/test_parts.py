"""The parts beside Kafka: each answers, keeps what it was given over kill -9, and is stopped."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import psycopg
import pytest

from stack.connect import Connect
from stack.errors import StackError
from stack.kafka import Kafka
from stack.postgresql import PostgreSQL
from stack.prometheus import Prometheus
from stack.registry import Registry
from tests.stack.conftest import say

SCHEMA = json.dumps({"type": "record", "name": "Entry", "fields": [{"name": "hours", "type": "string"}]})


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("kafka"), say=say) as broker:
        yield broker


def asked(url: str, body: dict[str, object] | None = None, kind: str = "application/json") -> object:
    content = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, content, {"Content-Type": kind}), timeout=30) as answer:
        return json.load(answer)


def test_postgresql_keeps_what_was_committed_and_writes_a_logical_log(tmp_path: Path) -> None:
    with PostgreSQL(tmp_path / "databases", say=say) as databases:
        databases.create_database("psa")
        databases.create_database("psa")
        databases.psql(
            "-c", "create table entries (id int primary key)", "-c", "insert into entries values (7)", database="psa"
        )
        pid, port = databases.daemon.pid, databases.port
        databases.kill()
        assert databases.lines()[0].pid is None
        databases.start()
        assert databases.daemon.pid not in (None, pid)
        assert databases.port == port
        assert databases.psql("-c", "select id from entries", database="psa") == "7"
        assert databases.psql("-c", "show wal_level") == "logical"
        with pytest.raises(StackError, match=r"^psql on psa: .*relation \"nothing\" does not exist"):
            databases.psql("-c", "select * from nothing", database="psa")
        databases.psql("-c", "create role ann")
        databases.set_password("ann", "it's-hers")
        with psycopg.connect(databases.dsn(user="ann", password="it's-hers")) as session:
            assert session.info.user == "ann"
        assert (tmp_path / "databases" / "password").stat().st_mode & 0o777 == 0o600
        line = databases.lines()[0]
        assert (line.name, line.answers) == ("postgresql", True)
    assert databases.daemon.pid is None


def test_the_registry_keeps_schemas_in_kafka(own_kafka: Kafka, tmp_path: Path) -> None:
    with Registry(tmp_path / "registry", own_kafka.bootstrap, say=say) as registry:
        answer = asked(f"{registry.confluent_url}/subjects/entries-value/versions", {"schema": SCHEMA})
        assert isinstance(answer, dict)
        registry.kill()
        registry.start()
        assert asked(f"{registry.confluent_url}/subjects") == ["entries-value"]
        kept = asked(f"{registry.confluent_url}/schemas/ids/{answer['id']}")
        assert isinstance(kept, dict)
        assert json.loads(kept["schema"]) == json.loads(SCHEMA)
    assert registry.daemon.pid is None


def test_connect_has_the_connectors_and_the_converter(own_kafka: Kafka, tmp_path: Path) -> None:
    with Connect(tmp_path / "connect", own_kafka.bootstrap, say=say) as connect:
        plugins = asked(f"{connect.url}/connector-plugins?connectorsOnly=false")
        assert isinstance(plugins, list)
        there = {plugin["class"]: plugin.get("version") for plugin in plugins}
        assert there["io.debezium.connector.postgresql.PostgresConnector"] == "3.6.0.Final"
        assert there["io.debezium.connector.jdbc.JdbcSinkConnector"] == "3.6.0.Final"
        assert "io.apicurio.registry.utils.converter.AvroConverter" in there
        pid = connect.daemon.pid
        connect.kill()
        connect.start()
        assert connect.daemon.pid not in (None, pid)
    assert connect.daemon.pid is None


def test_prometheus_goes_by_the_configuration_it_is_given(tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("scrape_configs: [{job_name: nobody}]", encoding="utf-8")
    with Prometheus(tmp_path / "prometheus", config, say=say) as prometheus:
        answer = asked(f"{prometheus.url}/api/v1/status/config")
        assert isinstance(answer, dict)
        assert "job_name: nobody" in answer["data"]["yaml"]
    config.write_text("no: such key", encoding="utf-8")
    with pytest.raises(StackError, match=r"(?s)^prometheus ended while it started:.*field no not found"):
        prometheus.start()
