"""The database behind a connector: what it keeps for the slot, and requests to the connector in its signal table.

It is reached as the connector reaches it, with the settings of the connector's file; their references are resolved in
the environment of whoever asks. Or by a DSN of one's own, for whoever may not be the connector.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import sql

from connect.configuration import PREFIX, Configuration, UnusableConfiguration, resolved
from connect.freshness import Freshness, Unknown

_CONNECT_SECONDS_MAX = 5
_STATEMENT_MS_MAX = 10_000
_PARTS: Final[Mapping[str, str]] = {
    "database.hostname": "host",
    "database.port": "port",
    "database.dbname": "dbname",
    "database.user": "user",
    "database.password": "password",
    "database.sslmode": "sslmode",
}
"""Settings of Debezium's PostgreSQL connector, and what they are called in a DSN."""

SIGNAL_TABLE: Final = "signal.data.collection"
_SLOT: Final = "slot.name"
MISSING: Final = "missing"
SLOT_STATES: Final = ("reserved", "extended", "unreserved", "lost", MISSING)
"""PostgreSQL's `wal_status`, and what there is in place of one where there is no slot."""


class DatabaseError(Exception):
    """The database cannot be asked, or refuses; the message says which connector's, and why."""


class SlotLook:
    """What the database keeps of its log for the slot of a connector."""

    def __init__(self, dsn: str | None = None) -> None:
        self._dsn = dsn

    def look(self, configuration: Configuration) -> Freshness:
        """Return the slot's lag in bytes, and whether it may be lost. Raises `Unknown`."""
        if configuration.is_feed or _SLOT not in configuration.config:
            return Freshness()
        try:
            with connected(configuration, self._dsn) as connection:
                row = connection.execute(
                    "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint, wal_status, "
                    "safe_wal_size, active from pg_replication_slots where slot_name = %s",
                    [configuration.config[_SLOT]],
                ).fetchone()
        except (DatabaseError, UnusableConfiguration) as error:
            raise Unknown(str(error)) from None
        if row is None:
            return Freshness(slot_state=MISSING)
        lag_bytes, state, left_bytes, is_read = row
        return Freshness(slot_lag_bytes=lag_bytes, slot_state=state, slot_left_bytes=left_bytes, slot_is_read=is_read)


def request_snapshot(configuration: Configuration, tables: Sequence[str], dsn: str | None = None) -> str:
    """Ask a connector to read tables anew while changes go on; return the id of the request.

    The request is a row of the signal table, and travels with the changes: a connector that is down finds it when it is
    back. Tables are named as `table_named` has them.

    Raises:
        UnusableConfiguration: The connector takes no such requests, or does not capture one of the tables.
        DatabaseError: The database cannot be asked, or refuses.
    """
    signal_table = configuration.config.get(SIGNAL_TABLE, "")
    if not signal_table:
        raise UnusableConfiguration(f"{configuration.name}: it has no {SIGNAL_TABLE}, and takes no requests")
    captured = configuration.captured_tables
    named = [table_named(configuration, table) for table in tables]
    if unknown := [table for table in named if table not in captured]:
        raise UnusableConfiguration(
            f"{configuration.name}: it does not capture {', '.join(unknown)}; its tables are {', '.join(captured)}"
        )
    # Each table by its whole name as a pattern: a dot stands for itself.
    patterns = [table.replace(".", r"\.") for table in named]
    identity = f"throughline-{uuid.uuid4().hex[:12]}"
    insert = sql.SQL("insert into {} (id, type, data) values (%s, 'execute-snapshot', %s)").format(
        sql.Identifier(*signal_table.split("."))
    )
    with connected(configuration, dsn) as connection:
        connection.execute(insert, [identity, json.dumps({"type": "incremental", "data-collections": patterns})])
    return identity


def table_named(configuration: Configuration, name: str) -> str:
    """Return what the database calls a table, given also without a schema (then of `public`), or as its topic."""
    table = name.removeprefix(f"{configuration.config.get(PREFIX)}.")
    if table == name or "." not in table:
        return name if "." in name else f"public.{name}"
    return table


@contextmanager
def connected(configuration: Configuration, dsn: str | None) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a connector's database; what is done in it is committed at its end.

    Raises:
        UnusableConfiguration: A reference of its settings is to nothing here.
        DatabaseError: The database does not answer, or refuses what is done.
    """
    parts = {} if dsn else _parts(configuration)
    try:
        # A setting of libpq's own environment, such as PGPASSWORD or a service file, fills in what a DSN leaves out.
        with psycopg.connect(
            dsn or "",
            connect_timeout=_CONNECT_SECONDS_MAX,
            options=f"-c statement_timeout={_STATEMENT_MS_MAX}",
            **parts,
        ) as connection:
            yield connection
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        raise DatabaseError(f"{configuration.name}: its database: {said}") from None


def _parts(configuration: Configuration) -> dict[str, Any]:
    settings = {key: value for key, value in configuration.config.items() if key in _PARTS}
    if "database.hostname" not in settings:
        raise UnusableConfiguration(f"{configuration.name}: it has no database.hostname; give a DSN with --dsn")
    found = resolved(Configuration(name=configuration.name, config=settings))
    return {_PARTS[key]: value for key, value in found.items()}
