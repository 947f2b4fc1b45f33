"""What a pipeline came to, held against a batch over the source database: by SQL alone."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from firm.erp_simulator import FileErp
from firm.final import final_rows
from firm.wire import Record
from live.pipeline import ANALYTICS, PSA, Pipeline
from stack.postgresql import SUPERUSER

_SQL = Path(__file__).parent / "sql"
SETTLE_SECONDS_MAX = 120.0
_LOOK_SECONDS = 0.5


class Batch:
    """The batch beside a pipeline. `erps` play the ERPs at the other end of the file exchange."""

    def __init__(self, pipeline: Pipeline, others: Iterable[Record]) -> None:
        """`others`: all changes of the systems that have no database here."""
        self._pipeline = pipeline
        postgresql = pipeline.postgresql
        host, port = postgresql.address.split(":")
        variables = (("host", host), ("port", port), ("user", SUPERUSER), ("password", postgresql.password))
        for name in ("batch.sql", "compare.sql"):
            postgresql.psql("--file", str(_SQL / name), database=PSA, variables=variables)
        self._connection = psycopg.connect(pipeline.psa_dsn, autocommit=True)
        rows = [(topic, identity, json.dumps(row)) for (topic, identity), row in final_rows(others).items()]
        with self._connection.cursor() as cursor:
            cursor.executemany("insert into batch.rows values (%s, %s, %s)", rows)
        self._erps: dict[str, FileErp] = {}

    def settle(self) -> None:
        """Wait until everything is as the batch says, for a bounded time; `projects` and `bookings` say what is not."""
        until = time.monotonic() + SETTLE_SECONDS_MAX
        while (self.projects() or self.bookings()) and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)  # a database tells nobody that rows have arrived

    def projects(self) -> list[Any]:
        """The projects that are not as the final rows have them."""
        return self._connection.execute("select * from batch.projects_that_differ").fetchall()

    def bookings(self) -> list[Any]:
        """The triggers that the ERPs have not booked as analysts have them; the ERPs answer first."""
        self._answer()
        return self._connection.execute("select * from batch.bookings_that_differ").fetchall()

    def count(self, fact_kind: str) -> int:
        """How many facts of a kind analysts have."""
        told = self._pipeline.postgresql.psql(
            "--command", f"select count(*) from analytics.delivery_facts where fact_kind = '{fact_kind}'",
            database=ANALYTICS,
        )  # fmt: skip
        return int(told)

    @property
    def doubled(self) -> list[str]:
        """Postings that came to an ERP twice, and what the ERPs complain of."""
        return [said for erp in self._erps.values() for said in (*erp.doubled, *erp.complaints)]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _answer(self) -> None:
        exchange = self._pipeline.folder / "exchange"
        for folder in sorted(exchange.iterdir()) if exchange.is_dir() else ():
            erp = self._erps.setdefault(folder.name, FileErp(exchange, folder.name))
            if erp.run(round(datetime.now(UTC).timestamp() * 1000)):
                booked = [(name, each.amount, each.currency) for name, each in erp.booked_by_trigger().items()]
                with self._connection.cursor() as cursor:
                    cursor.executemany("insert into batch.booked values (%s, %s, %s) on conflict do nothing", booked)
