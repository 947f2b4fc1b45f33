"""A PSA database whose changes Debezium brings into Kafka: the parts on this machine, and what arrives."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from connect.configuration import CONNECTORS_FOLDER, Configuration, read
from schemas.codec import Codec
from stack.connect import Connect
from stack.kafka import Kafka
from stack.postgresql import PostgreSQL
from stack.registry import Registry
from streams.config import Contracts
from streams.engine.wire import registry_of
from tests.stack.conftest import say
from tests.support.kafka import make_topic, read_to_end

SQL = sorted((CONNECTORS_FOLDER.parent / "psa").glob("*.sql"))
PASSWORD = "of-this-test-alone"
PARTITIONS = 4
HEARTBEATS = "__debezium-heartbeat.psa"
THROUGHLINE = Path(sys.executable).with_name("throughline")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ROWS: Mapping[str, tuple[Any, ...]] = {
    "clients": ("CL1", "Acme", "A1", "Active"),
    "resources": ("R1", "E1", "Ada"),
    "projects": (
        "P1", "Rollout", "CL1", "C1", "In Delivery", False, "EMEA", None, None, "EUR", "2026-01-01", None, "100.5",
        None, "0.25",
    ),
    "milestones": ("M1", "P1", "Kick-off", "1250.00", None, None, "Started", None, None),
    "assignments": ("S1", "P1", "R1", "Engineer", "2026-02-02", "2026-02-27", "40", "Confirmed"),
    "time_entries": ("T1", "P1", "R1", "Engineer", "2026-02-03", "7.5", True, "Draft", None),
    "expenses": ("X1", "P1", "R1", "travel", "2026-02-04", "64320", "JPY", True, "Draft", None),
}  # fmt: skip
"""A row of each table, without `updated_at`."""


class Ran(NamedTuple):
    """How a command ended: exit code, lines on standard output, and what it said on standard error."""

    code: int
    out: list[str]
    err: str


class Arrived(NamedTuple):
    """A record of a source topic: its key, and its change in our own envelope."""

    key: str
    change: dict[str, Any]

    @property
    def row(self) -> dict[str, Any]:
        """The row that it is about."""
        found: dict[str, Any] = self.change["after"] or self.change["before"]
        return found


class Psa:
    """The parts, started, with the database made by our own SQL. Whoever makes one closes it."""

    def __init__(self, folder: Path) -> None:
        self.kafka = Kafka(folder / "kafka", say=say)
        self.kafka.start()
        self.databases = PostgreSQL(folder / "postgresql", say=say)
        self.databases.start()
        self.registry = Registry(folder / "registry", self.kafka.bootstrap, say=say)
        self.registry.start()
        self.databases.create_database("psa")
        self.run_sql_files()
        self.databases.psql("-c", f"alter role debezium password '{PASSWORD}'")
        host, port = self.databases.address.split(":")
        self.secrets = {
            "PSA_DATABASE_HOST": host,
            "PSA_DATABASE_PORT": port,
            "PSA_DATABASE_NAME": "psa",
            "PSA_DATABASE_USER": "debezium",
            "PSA_DATABASE_PASSWORD": PASSWORD,
            "REGISTRY_URL": f"http://{self.registry.address}",
        }
        self.connect = Connect(folder / "connect", self.kafka.bootstrap, secrets=self.secrets, say=say)
        self.connect.start()
        contracts = Contracts(registry_url=self.registry.confluent_url)
        self._codec = Codec(registry_of(contracts))
        for topic in [*(f"psa.public.{table}" for table in ROWS), HEARTBEATS]:
            make_topic(self.kafka.bootstrap, topic, PARTITIONS, {"retention.ms": "-1"})

    def close(self) -> None:
        """Stop all parts."""
        for part in (self.connect, self.registry, self.databases, self.kafka):
            part.stop()

    def run_sql_files(self) -> None:
        """Run our SQL as an operator does."""
        for file in SQL:
            self.databases.psql("-f", str(file), database="psa")

    def run(self, *words: str) -> Ran:
        """Run `throughline connect` as a program of its own, in the environment of an operator."""
        surroundings = os.environ | self.secrets
        surroundings["THROUGHLINE_CONNECT_URL"] = self.connect.url
        surroundings["THROUGHLINE_BROKERS"] = self.kafka.bootstrap
        done = subprocess.run(
            [str(THROUGHLINE), "connect", *words], env=surroundings, capture_output=True, text=True, check=False
        )
        return Ran(done.returncode, done.stdout.splitlines(), done.stderr)

    def session(self, user: str | None = None) -> psycopg.Connection[Any]:
        """A connection, each statement committed at once: of the superuser, or of another role."""
        dsn = self.databases.dsn("psa") if user is None else self.databases.dsn("psa", user, PASSWORD)
        return psycopg.connect(dsn, autocommit=True)

    def insert(self, table: str, *values: Any) -> None:
        """Insert one row; `updated_at` is now."""
        places = ", ".join(["%s"] * len(values))
        with self.session() as session:
            session.execute(f"insert into public.{table} values ({places}, now())".encode(), values)

    def arrived(self, table: str) -> list[Arrived]:
        """All committed records of a table's topic, by partition and offset."""
        topic = f"psa.public.{table}"
        return [
            Arrived((message.key() or b"").decode(), self._codec.decode(topic, message.value() or b""))
            for message in read_to_end(self.kafka.bootstrap, topic)
        ]

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        """The rows of a table as the database has them, by id, in the values that a decoded change has."""
        with self.session() as session:
            session.execute("set timezone to 'UTC'")
            cursor = session.execute(f"select * from public.{table}".encode())
            names = [column.name for column in cursor.description or ()]
            return {row[0]: dict(zip(names, row, strict=True)) for row in cursor}

    def in_force(self, table: str) -> dict[str, dict[str, Any]]:
        """The rows as the topic tells them, record by record of each key, by id."""
        alive: dict[tuple[str, str], dict[str, Any]] = {}
        for key, change in self.arrived(table):
            if change["op"] == "d":
                alive.pop((key, change["before"]["id"]), None)
            else:
                alive[key, change["after"]["id"]] = change["after"]
        found = {identity: row for (_, identity), row in alive.items()}
        assert len(found) == len(alive), "a row is alive under two keys"
        return found


def connector() -> Configuration:
    """The connector as it is shipped."""
    return read(CONNECTORS_FOLDER / "psa.json")


def moment(milliseconds: int) -> datetime:
    """An instant, from milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)
