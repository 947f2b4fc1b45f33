"""What a pipeline came to, held against a batch over the source database: by SQL alone."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import psycopg

from firm.erps import Erps
from firm.final import final_rows
from firm.wire import Record
from live.pipeline import ANALYTICS, PSA, Pipeline
from stack.postgresql import SUPERUSER

_SQL: Final = Path(__file__).parent / "sql"
SETTLE_SECONDS_MAX: Final = 180.0
_LOOK_SECONDS = 0.5

Told = Callable[[int, int], None]
"""Hears how many projects and how many bookings differ still."""


class Batch:
    """The batch beside a pipeline. It plays the ERPs at the other end of the file exchange, too."""

    sql: ClassVar[Sequence[str]] = ("batch.sql", "compare.sql")
    """What says so, in order."""

    def __init__(self, pipeline: Pipeline, others: Iterable[Record]) -> None:
        """`others`: all changes of the systems that have no database here."""
        self._pipeline = pipeline
        self.erps = Erps(pipeline.folder / "exchange")
        postgresql = pipeline.postgresql
        host, port = postgresql.address.split(":")
        variables = (("host", host), ("port", port), ("user", SUPERUSER), ("password", postgresql.password))
        for name in self.sql:
            postgresql.psql("--file", str(_SQL / name), database=PSA, variables=variables)
        self._connection = psycopg.connect(pipeline.psa_dsn, autocommit=True)
        rows = [(topic, identity, json.dumps(row)) for (topic, identity), row in final_rows(others).items()]
        with self._connection.cursor() as cursor:
            cursor.execute("truncate batch.rows")
            cursor.executemany("insert into batch.rows values (%s, %s, %s)", rows)

    def settle(self, told: Told = lambda _projects, _bookings: None) -> None:
        """Wait until everything is as the batch says, for a bounded time; `projects` and `bookings` say what is not."""
        until = time.monotonic() + SETTLE_SECONDS_MAX
        while time.monotonic() < until:
            projects, bookings = len(self.projects()), len(self.bookings())
            told(projects, bookings)
            if not projects and not bookings:
                return
            time.sleep(_LOOK_SECONDS)  # a database tells nobody that rows have arrived

    def projects(self) -> list[Any]:
        """The projects that are not as the final rows have them."""
        return self._connection.execute("select * from batch.projects_that_differ").fetchall()

    def bookings(self) -> list[Any]:
        """The triggers that the ERPs have not booked as analysts have them; the ERPs answer first."""
        if self.erps.answer(time.time_ns() // 1_000_000):
            booked = [(name, each.amount, each.currency) for name, each in self.erps.booked().items()]
            with self._connection.cursor() as cursor:
                cursor.executemany("insert into batch.booked values (%s, %s, %s) on conflict do nothing", booked)
        return self._connection.execute("select * from batch.bookings_that_differ").fetchall()

    def count(self, fact_kind: str) -> int:
        """How many facts of a kind analysts have."""
        told = self._pipeline.postgresql.psql(
            "--command", f"select count(*) from analytics.delivery_facts where fact_kind = '{fact_kind}'",
            database=ANALYTICS,
        )  # fmt: skip
        return int(told)

    def projects_compared(self) -> int:
        """How many projects the source databases have."""
        return int(self._pipeline.postgresql.psql("--command", "select count(*) from batch.projects", database=PSA))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
