"""The firm's PSA as a database: its rows inserted, updated and deleted by SQL, as the PSA itself would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

from firm.wire import Record

PREFIX: Final = "psa.public."
"""How the topics of the PSA's tables begin."""


class PsaDatabase:
    """A connection to a database with the PSA's tables. What psycopg raises is passed on."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._statements: dict[tuple[str, tuple[str, ...]], sql.Composed] = {}

    def apply(self, records: Iterable[Record]) -> int:
        """Apply changes of the PSA in one transaction, in their order; return how many rows were changed.

        A row is written whole, whether it is there or not: what was applied before a crash can be applied again.
        """
        changed = 0
        with self._connection.transaction(), self._connection.cursor() as cursor, self._connection.pipeline():
            for record in records:
                table, row = record.topic.removeprefix(PREFIX), record.value["after"]
                if row is None:
                    statement = sql.SQL("delete from public.{} where id = %s").format(sql.Identifier(table))
                    cursor.execute(statement, (record.value["before"]["id"],))
                else:
                    cursor.execute(self._written(table, row), tuple(row.values()))
                changed += 1
        return changed

    @property
    def is_broken(self) -> bool:
        """Whether the connection is gone, with whatever was under way."""
        return self._connection.broken or self._connection.closed

    def _written(self, table: str, row: Mapping[str, Any]) -> sql.Composed:
        key = table, tuple(row)
        statement = self._statements.get(key)
        if statement is None:
            statement = self._statements[key] = _upsert(*key)
        return statement

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def is_psa(record: Record) -> bool:
    """Whether a change is one of the PSA's."""
    return record.topic.startswith(PREFIX)


def _upsert(table: str, names: tuple[str, ...]) -> sql.Composed:
    columns = [sql.Identifier(name) for name in names]
    return sql.SQL("insert into public.{} ({}) values ({}) on conflict (id) do update set {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(columns),
        sql.SQL(", ").join(sql.Placeholder() for _ in columns),
        sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(column) for column in columns),
    )
