"""docker-compose.yml as Debian's Compose reads it, and what of it can be run where there is no container engine."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from stack.kafka import Kafka
from stack.postgresql import SUPERUSER, PostgreSQL
from stack.registry import Registry
from stack.tools import docker_compose
from tests.stack.conftest import say
from tests.support import compose
from tests.tidy.house import ROOT


def read(files: Sequence[Path], **told: str) -> dict[str, Any]:
    """What docker-compose makes of files together; what it says is wrong is the failure."""
    words = [word for file in files for word in ("--file", str(file))]
    surroundings = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")} | told
    ran = subprocess.run(
        [docker_compose(), *words, "--project-directory", str(ROOT), "config"],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = yaml.safe_load(ran.stdout)
    return found


def published(service: dict[str, Any]) -> list[str]:
    """Ports of a service, in one form: Compose 1 gives texts, Compose 2 mappings."""
    return [
        port if isinstance(port, str) else f"{port['host_ip']}:{port['published']}:{port['target']}"
        for port in service.get("ports", [])
    ]


@pytest.mark.parametrize(
    "files", [(compose.MAIN,), (compose.MAIN, compose.THREE_BROKERS)], ids=["one broker", "three brokers"]
)
def test_the_files_are_read_as_they_are_meant(files: tuple[Path, ...]) -> None:
    found, meant = read(files)["services"], compose.services(*files)
    assert found.keys() == meant.keys()
    for name, service in meant.items():
        assert found[name].get("depends_on", {}).keys() == service.get("depends_on", {}).keys(), name
        assert [port.removesuffix("/tcp") for port in published(found[name])] == service.get("ports", []), name
        environment = compose.environment(service)
        assert found[name].get("environment", {}).keys() == environment.keys(), name
        for variable, value in environment.items():
            if "$" not in value:
                assert str(found[name]["environment"][variable]) == value, f"{name}: {variable}"


def test_what_is_told_reaches_the_services() -> None:
    services = read([compose.MAIN], THROUGHLINE_PARTITIONS="12", THROUGHLINE_GROUP="billing")["services"]
    for name in ("topics", "connectors", "worker"):
        told = services[name]["environment"]
        assert (str(told["THROUGHLINE_PARTITIONS"]), told["THROUGHLINE_GROUP"]) == ("12", "billing")


# -- what services run, on the servers of the local stack


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    with PostgreSQL(tmp_path_factory.mktemp("postgresql"), say=say) as server:
        yield server


def test_databases_are_made_with_roles_that_can_log_in_by_their_secrets(databases: PostgreSQL, tmp_path: Path) -> None:
    subprocess.run([str(ROOT / "deploy" / "make-secrets"), str(tmp_path)], check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "postgresql-password").write_text(databases.password, encoding="ascii")
    host, port = databases.address.split(":")
    where = {"PGHOST": host, "PGPORT": port, "PGUSER": SUPERUSER}
    folders = {"SQL_FOLDER": str(ROOT / "connect"), "SECRETS_FOLDER": str(tmp_path)}
    for _ in range(2):  # it can be run again
        ran = subprocess.run(
            [str(ROOT / "deploy" / "postgresql" / "apply")],
            env={**os.environ, **where, **folders},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.splitlines() == [
            "psa: as its SQL has it, for the role debezium",
            "analytics: as its SQL has it, for the role analytics_sink",
        ]
    connect = compose.environment(compose.services()["connect"])
    for database, tables in (("psa", 9), ("analytics", 1)):
        role = connect[f"{database.upper()}_DATABASE_USER"]
        password = (tmp_path / f"{database}-password").read_text("ascii")
        with psycopg.connect(databases.dsn(connect[f"{database.upper()}_DATABASE_NAME"], role, password)) as connection:
            listed = connection.execute(
                "select count(*) from pg_catalog.pg_tables where schemaname in ('public', 'analytics')"
            ).fetchone()
        assert listed == (tables,)


def test_a_file_of_sql_that_fails_is_told(databases: PostgreSQL, tmp_path: Path) -> None:
    (tmp_path / "postgresql-password").write_text(databases.password, encoding="ascii")
    (tmp_path / "psa").mkdir()
    (tmp_path / "psa" / "1-schema.sql").write_text("select nothing;\n", encoding="ascii")
    host, port = databases.address.split(":")
    where = {"PGHOST": host, "PGPORT": port, "PGUSER": SUPERUSER}
    ran = subprocess.run(
        [str(ROOT / "deploy" / "postgresql" / "apply")],
        env={**os.environ, **where, "SQL_FOLDER": str(tmp_path), "SECRETS_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert 'column "nothing" does not exist' in ran.stderr


def test_the_registry_is_healthy_once_it_is_ready(kafka: Kafka, tmp_path: Path) -> None:
    word, *command = compose.services()["registry"]["healthcheck"]["test"]
    assert word == "CMD"
    with Registry(tmp_path / "registry", kafka.bootstrap, say=say) as registry:
        here = [part.replace("/127.0.0.1/8080", f"/127.0.0.1/{registry.port}") for part in command]
        assert here != command
        assert subprocess.run(here, check=False, timeout=30).returncode == 0
    assert subprocess.run(here, check=False, timeout=30, stderr=subprocess.DEVNULL).returncode != 0
