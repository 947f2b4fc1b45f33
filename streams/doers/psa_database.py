"""Project shells in a PSA database of the reference schema, by SQL as a role that may do this and no more.

`connect/psa/3-activation.sql` makes the role. What is made has an id that follows from the deal, so that it is there
once however often it is asked for. Each call is one transaction over a connection of its own: calls are few.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import errors

from outside.errors import Fatal, Retriable, Skippable
from streams.doers.contract import Made, Undone
from streams.domain.undertaking import Order

_CONNECT_SECONDS_MAX: Final = 5
_STATEMENT_MS_MAX: Final = 10_000
_PERSONS_BUSINESS: Final = (
    errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn, errors.ReadOnlySqlTransaction,
    errors.SyntaxError,
)  # fmt: skip
_NOT_LET_IN: Final = ("authentication failed", "does not exist", "no pg_hba.conf entry", "no password supplied")
"""What libpq says of a login that will never do; it gives no code for it."""

PROPOSED: Final = "Proposed"
CANCELLED: Final = "Cancelled"

_CLIENT: Final = "select id from public.clients where crm_account_id = %(client)s order by id limit 1"
_OTHERS: Final = "select id from public.projects where contract_number = %(contract)s and id <> %(id)s order by id"
_INSERT: Final = """
insert into public.projects
  (id, name, client_id, contract_number, stage, region, legal_entity, currency, start_date, end_date, updated_at)
values
  (%(id)s, %(name)s, %(psa_client)s, %(contract)s, %(proposed)s, %(region)s, %(legal_entity)s, %(currency)s,
   %(start)s, %(end)s, now())
on conflict (id) do nothing
"""
_OWN: Final = "select contract_number, stage from public.projects where id = %(id)s"
_REVIVE: Final = """
update public.projects set stage = %(proposed)s, updated_at = now() where id = %(id)s and stage = %(cancelled)s
"""
# Whoever has changed a value, or has put something under it, works with it.
_CANCEL: Final = """
update public.projects set stage = %(cancelled)s, updated_at = now()
where id = %(id)s and stage = %(proposed)s and name = %(name)s and contract_number = %(contract)s
  and region = %(region)s and start_date = %(start)s and end_date is not distinct from %(end)s
  and not billing_hold and budget_hours is null and budget_cost is null and baseline_margin_pct is null
  and not exists (select from public.milestones where project_id = %(id)s)
  and not exists (select from public.assignments where project_id = %(id)s)
  and not exists (select from public.time_entries where project_id = %(id)s)
  and not exists (select from public.expenses where project_id = %(id)s)
"""


class PsaDatabase:
    """Makes projects in stage Proposed. `dsn` is never told."""

    def __init__(self, name: str, dsn: str) -> None:
        self.name = name
        self._dsn = dsn

    def make(self, order: Order, in_doubt: bool) -> Made:  # noqa: ARG002, the id settles all doubt
        """Make the project, find it, or find another that names the contract. Raises as the contract says."""
        values = values_of(order)
        with self._connected() as connection:
            other = connection.execute(_OTHERS, values).fetchone()
            if other is not None and connection.execute(_OWN, values).fetchone() is None:
                return Made(other[0], own=False, results=(("project_id", other[0]),))
            client = connection.execute(_CLIENT, values).fetchone()
            if client is None:
                raise Skippable(
                    f"{self.name}: the PSA has no client with crm_account_id {order.client_id}; make it there first"
                )
            if connection.execute(_INSERT, {**values, "psa_client": client[0]}).rowcount == 0:
                contract, stage = connection.execute(_OWN, values).fetchone() or ("", "")
                if contract != order.contract_number:
                    raise Skippable(
                        f"{self.name}: project {order.shell_id} was made for contract {contract}; give it contract "
                        f"{order.contract_number} there, or close it and set the deal up by hand"
                    )
                if stage == CANCELLED:
                    connection.execute(_REVIVE, values)
        return Made(order.shell_id, results=(("project_id", order.shell_id),))

    def undo(self, order: Order) -> Undone:
        """Cancel the project if nobody has touched it. Raises as the contract says."""
        values = values_of(order)
        with self._connected() as connection:
            if connection.execute(_CANCEL, values).rowcount:
                return Undone.CLOSED
            row = connection.execute(_OWN, values).fetchone()
        if row is None:
            return Undone.NOT_THERE
        return Undone.CLOSED if row[1] == CANCELLED else Undone.IN_USE

    def close(self) -> None:
        """Nothing is kept open."""

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(
                self._dsn,
                connect_timeout=_CONNECT_SECONDS_MAX,
                options=f"-c statement_timeout={_STATEMENT_MS_MAX} -c lock_timeout={_STATEMENT_MS_MAX}",
            ) as connection:
                yield connection
        except psycopg.Error as error:
            raise meant(self.name, error) from None


def values_of(order: Order) -> dict[str, str | None]:
    """Return what statements are given. Raises `Skippable` for an order that lacks something."""
    needed = {"currency": order.argument("currency"), "start": order.argument("start_on")}
    needed["region"] = order.argument("region")
    if missing := [name for name, value in needed.items() if not value]:
        raise Skippable(f"the command for deal {order.opportunity_id} does not say {', '.join(missing)}")
    return {
        **needed,
        "id": order.shell_id,
        "name": order.argument("name") or order.contract_number,
        "client": order.client_id,
        "contract": order.contract_number,
        "legal_entity": order.legal_entity or None,
        "end": order.argument("end_on") or None,
        "proposed": PROPOSED,
        "cancelled": CANCELLED,
    }


def meant(name: str, error: psycopg.Error) -> Exception:
    """Return what an error of the database means for an order."""
    text = f"{name}: the PSA database: {' '.join(str(error).split())}"
    if isinstance(error, _PERSONS_BUSINESS) or any(words in text for words in _NOT_LET_IN):
        return Fatal(f"{text}; connect/psa/3-activation.sql makes the role that is needed")
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        return Skippable(text)
    return Retriable(text)
