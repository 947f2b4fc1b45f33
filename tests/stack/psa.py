"""A PSA database whose changes Debezium brings into Kafka: the parts on this machine, and what arrives."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Message
from confluent_kafka.schema_registry import SchemaRegistryClient

from connect.configuration import CONNECTORS_FOLDER
from live.pipeline import PSA, Pipeline
from live.program import command
from schemas.codec import Codec
from schemas.registry import Confluent
from tests.stack.conftest import say
from tests.support.kafka import read_to_end

SQL = sorted((CONNECTORS_FOLDER.parent / "psa").glob("*.sql"))
HEARTBEATS = "__debezium-heartbeat.psa"

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
    """A pipeline whose PSA database is made and not captured yet, and what arrives of it. Who makes one stops it."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = Pipeline(folder, say=say)
        try:
            self.pipeline.start(connectors=())
        except BaseException:
            self.pipeline.stop()
            raise
        self.connect, self.databases = self.pipeline.connect, self.pipeline.postgresql
        self._bootstrap = self.pipeline.kafka.bootstrap
        self._registry = SchemaRegistryClient({"url": self.pipeline.registry.confluent_url})
        self._codec = Codec(Confluent(self._registry))

    def stop(self) -> None:
        """Stop all of it."""
        self._registry.close()
        self.pipeline.stop()

    def run_sql_files(self) -> None:
        """Run our SQL as an operator does."""
        for file in SQL:
            self.databases.psql("-f", str(file), database=PSA)

    def run(self, *words: str) -> Ran:
        """Run `throughline connect` as a program of its own, in the environment of an operator."""
        surroundings = os.environ | self.pipeline.environment
        done = subprocess.run(
            command("connect", *words), env=surroundings, capture_output=True, text=True, check=False, timeout=180
        )
        return Ran(done.returncode, done.stdout.splitlines(), done.stderr)

    def session(self, user: str | None = None) -> psycopg.Connection[Any]:
        """A connection, each statement committed at once: of the superuser, or of another role."""
        secret = self.pipeline.environment["PSA_DATABASE_PASSWORD"]
        dsn = self.pipeline.psa_dsn if user is None else self.databases.dsn(PSA, user, secret)
        return psycopg.connect(dsn, autocommit=True)

    def insert(self, table: str, *values: Any) -> None:
        """Insert one row; `updated_at` is now."""
        places = ", ".join(["%s"] * len(values))
        with self.session() as session:
            session.execute(f"insert into public.{table} values ({places}, now())".encode(), values)

    def messages(self, topic: str) -> list[Message]:
        """All committed records of a topic."""
        return read_to_end(self._bootstrap, topic)

    def arrived(self, table: str) -> list[Arrived]:
        """All committed records of a table's topic, by partition and offset."""
        topic = f"psa.public.{table}"
        return [
            Arrived((message.key() or b"").decode(), self._codec.decode(topic, message.value() or b""))
            for message in self.messages(topic)
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
