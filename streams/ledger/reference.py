"""Reference rows of a partition: exchange rates, customers, legal entities, periods, clients.

They are small and reach every partition, so that each joins them from its own state, in the order of its own log.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from streams.domain.calendar import iso_date
from streams.domain.canonical import Account, Client, Customer, FxRate, LegalEntity, Period
from streams.domain.money import divide, multiply
from streams.rules.gates import BillTo
from streams.step import Context

SEP: Final = "\x1f"
_FX_AGE_MAX: Final = timedelta(days=7)

TABLES: Final[dict[str, Any]] = {
    "reference.fx": Decimal,
    "reference.fx_use": bool,
    "reference.customer": Customer,
    "reference.active_customer": bool,
    "reference.legal_entity": LegalEntity,
    "reference.closed_period": bool,
    "reference.client": str,
    "reference.account": Account,
    "reference.contract_of": bool,
}
_CACHED_MAX: Final = 50_000


class Reference:
    """Reads and keeps reference rows; remembers who depends on them, so that a change re-values what it touches."""

    def __init__(self, context: Context) -> None:
        self._fx = context.table("reference.fx")
        self._fx_use = context.table("reference.fx_use")
        self._customer = context.table("reference.customer")
        self._active = context.table("reference.active_customer")
        self._legal_entity = context.table("reference.legal_entity")
        self._closed = context.table("reference.closed_period")
        self._client = context.table("reference.client")
        self._account = context.table("reference.account")
        self._contract_of = context.table("reference.contract_of")
        # Of each pair of currencies the days and their rates, in order of days: read once, then kept up to date.
        self._series: dict[tuple[str, str], tuple[list[date], list[Decimal]]] = {}
        self._bill_to: dict[tuple[str, str | None], BillTo] = {}

    # -- exchange rates

    def put_fx(self, row: FxRate | None, identity: str) -> tuple[str, str, date]:
        """Keep, or with None forget, a rate; return its pair and day."""
        source, target, written = identity.split(":", 2)
        day = date.fromisoformat(written)
        days, rates = self._series.get((source, target)) or self._load_series(source, target)
        place = bisect_left(days, day)
        if place < len(days) and days[place] == day:
            del days[place], rates[place]
        key = SEP.join((source, target, written))
        if row is None:
            self._fx.delete(key)
        else:
            self._fx.put(key, row.rate)
            days.insert(place, day)
            rates.insert(place, row.rate)
        return source, target, day

    def convert(self, amount: Decimal, source: str, target: str, day: date) -> Decimal | None:
        """Return an amount in another currency at the newest rate by that day, not over 7 days old, unrounded."""
        return self._converted(amount, source, target, day, aged=False)

    def convert_any_age(self, amount: Decimal, source: str, target: str, day: date) -> Decimal | None:
        """Return an amount in another currency at the newest rate by that day, however old, unrounded."""
        return self._converted(amount, source, target, day, aged=True)

    def _converted(self, amount: Decimal, source: str, target: str, day: date, aged: bool) -> Decimal | None:
        if source == target:
            return amount
        direct = self._rate(source, target, day, aged)
        if direct is not None:
            return multiply(amount, direct)
        reverse = self._rate(target, source, day, aged)
        return None if not reverse else divide(amount, reverse)

    def _rate(self, source: str, target: str, day: date, aged: bool) -> Decimal | None:
        days, rates = self._series.get((source, target)) or self._load_series(source, target)
        newer = bisect_right(days, day)
        if not newer or not (aged or day - days[newer - 1] <= _FX_AGE_MAX):
            return None
        return rates[newer - 1]

    def _load_series(self, source: str, target: str) -> tuple[list[date], list[Decimal]]:
        found = self._fx.scan(f"{source}{SEP}{target}{SEP}")
        days = [date.fromisoformat(key.rsplit(SEP, 1)[1]) for key, _ in found]
        series = self._series[source, target] = (days, [rate for _, rate in found])
        return series

    def note_fx_use(self, source: str, target: str, day: date, user: str) -> None:
        """Remember that an item or a project's outlook reckons with a pair of currencies on a day."""
        self._fx_use.put(SEP.join((_pair(source, target), iso_date(day), user)), True)

    def users_of_fx(self, source: str, target: str, day: date) -> Iterator[tuple[date, str]]:
        """Yield (day, user) of all that a rate of that day may touch: from that day on."""
        prefix = _pair(source, target) + SEP
        for key, _ in list(self._fx_use.between(prefix + iso_date(day), prefix + "\x7f")):
            used_on, user = key[len(prefix) :].split(SEP, 1)
            yield date.fromisoformat(used_on), user

    # -- who invoices whom

    def put_customer(self, row: Customer | None, identity: str) -> set[str]:
        """Keep or forget a customer; return the accounts it touches."""
        self._bill_to.clear()
        accounts = set()
        before = self._customer.get(identity)
        if before is not None:
            accounts.add(before.account_id)
            self._active.delete(_active_key(before))
        if row is None:
            self._customer.delete(identity)
        else:
            accounts.add(row.account_id)
            self._customer.put(identity, row)
            if row.status == "active":
                self._active.put(_active_key(row), True)
        return accounts

    def put_legal_entity(self, row: LegalEntity | None, identity: str) -> None:
        """Keep or forget a legal entity."""
        self._bill_to.clear()
        if row is None:
            self._legal_entity.delete(identity)
        else:
            self._legal_entity.put(identity, row)

    def bill_to(self, account_id: str, legal_entity: str | None) -> BillTo:
        """Return who invoices a client through a legal entity; of several active customers the lowest id."""
        wanted = (account_id, legal_entity)
        known = self._bill_to.get(wanted)
        if known is None:
            if len(self._bill_to) > _CACHED_MAX:
                self._bill_to.clear()
            known = self._bill_to[wanted] = self._find_bill_to(account_id, legal_entity)
        return known

    def _find_bill_to(self, account_id: str, legal_entity: str | None) -> BillTo:
        entity = self._legal_entity.get(legal_entity) if legal_entity else None
        if entity is None:
            return BillTo(None, None, None)
        prefix = SEP.join((account_id, entity.id, ""))
        first = next(self._active.between(prefix, prefix + "\U0010ffff"), None)
        return BillTo(entity.id, first[0][len(prefix) :] if first else None, entity.tax_code)

    def home_of(self, legal_entity: str) -> str:
        """Return the ERP that keeps a legal entity's books, empty while its row is unknown."""
        row = self._legal_entity.get(legal_entity)
        return "" if row is None else row.erp_system

    # -- periods and clients

    def put_period(self, row: Period | None, identity: str) -> None:
        """Keep or forget whether a period is closed."""
        if row is not None and row.status == "closed":
            self._closed.put(identity, True)
        else:
            self._closed.delete(identity)

    def is_closed(self, legal_entity: str, period: str) -> bool:
        """Tell whether a period of a legal entity is closed; one without a row is open."""
        return bool(self._closed.get(f"{legal_entity}:{period}"))

    def put_client(self, row: Client | None, identity: str) -> None:
        """Keep or forget which account a PSA client is."""
        if row is None:
            self._client.delete(identity)
        else:
            self._client.put(identity, row.account_id)

    def account_of(self, client_id: str) -> str | None:
        """Return the account of a PSA client, None while the client is unknown."""
        account: str | None = self._client.get(client_id)
        return account

    def put_account(self, row: Account | None, identity: str) -> None:
        """Keep or forget an account."""
        if row is None:
            self._account.delete(identity)
        else:
            self._account.put(identity, row)

    def account(self, account_id: str) -> Account | None:
        """Return an account, None while it is unknown."""
        account: Account | None = self._account.get(account_id)
        return account

    # -- who depends on them

    def depend(self, kind: str, identity: str, ledger_key: str) -> None:
        """Remember that a ledger reckons with an account, a legal entity or a client."""
        key = SEP.join((kind, identity, ledger_key))
        if not self._contract_of.get(key):
            self._contract_of.put(key, True)

    def dependants(self, kind: str, identity: str) -> list[str]:
        """Return the keys of the ledgers that reckon with it."""
        prefix = SEP.join((kind, identity, ""))
        return [key[len(prefix) :] for key, _ in self._contract_of.scan(prefix)]


def _pair(source: str, target: str) -> str:
    return f"{source}/{target}" if source < target else f"{target}/{source}"


def _active_key(customer: Customer) -> str:
    return SEP.join((customer.account_id, customer.legal_entity, customer.id))
