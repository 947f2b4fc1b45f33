"""A simulated Tryton as the contract suite sees it, each in a database of its own, and who counts its requests."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from pydantic import SecretStr

from outside.errors import Retriable
from outside.http import Answer, Http, Limits, Uncounted
from outside.http_settings import opened
from streams.domain.posting import Posting
from streams.sinks.tryton import Tryton
from streams.sinks.tryton_books import Books, TrytonMapping
from streams.sinks.tryton_rpc import TrytonSettings, logged_in
from tests.contract.feeds.program import Program
from tests.contract.simulators.faults import Faults
from tests.contract.station import NOON, Item, money_posting, trigger_id

SERVER = "tests.contract.simulators.tryton_server"
CHANGES = ("create", "validate_invoice", "post", "draft", "delete")
BOOKS = Books(company=1, journal=2, receivable=3, revenue={"*": 4}, taxes={"DE-19": (5,)})
MAPPING = TrytonMapping(
    version=1,
    legal_entities={"LE1": BOOKS},
    customers={"CU1": 11, "CU8": 14},
    currencies={"EUR": 1, "JPY": 2, "KWD": 3},
)
_numbers = count()


class FaultyHttp(Http):
    """A client each of whose changes is a step at which the worker may die, or the answer get lost."""

    def __init__(self, faults: Faults, timeout_s: float = 10.0) -> None:
        super().__init__(Limits(timeout_s=timeout_s), Uncounted(), lambda: NOON, lambda _: None)
        self._faults = faults

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        def once() -> Answer:
            return Http.request(self, method, url, params=params, content=content, headers=headers)

        changes = any(f'invoice.{name}"'.encode() in (content or b"") for name in CHANGES)
        return self._faults.step(once) if changes else once()


def settings_of(url: str, database: str, **more: Any) -> TrytonSettings:
    given = {"url": url, "database": database, "user": "clerk", "password": SecretStr("secret"), **more}
    return TrytonSettings.model_validate(given)


class TrytonTarget:
    system = "tryton"
    posting_type = Posting
    books_money = True
    closed = "you must reopen the period"

    def __init__(self, program: Program, mapping: TrytonMapping = MAPPING) -> None:
        self.program = program
        self.mapping = mapping
        self.faults: Faults = FarFaults(self)
        self._password = "secret"
        self.database = f"erp{next(_numbers)}"
        self._http = FaultyHttp(self.faults)
        self._opened: list[Http] = [self._http]

    def open(self) -> Tryton:
        settings = settings_of(self.program.url, self.database, password=SecretStr(self._password))
        return Tryton(self.system, logged_in(self._http, settings), self.mapping)

    def plain(self, **more: Any) -> Tryton:
        """A sink over a client as it is shipped, whose faults are the server's."""
        settings = settings_of(**{"url": self.program.url, "database": self.database, **more})
        http = opened(settings, Uncounted(), lambda: NOON, lambda _: None)
        self._opened.append(http)
        return Tryton(self.system, logged_in(http, settings), self.mapping)

    def close(self) -> None:
        for http in self._opened:
            http.close()

    def order(self, do: str, **order: Any) -> Any:
        return self.program.order(do, database=self.database, **order)

    def deliverable(self, item: Item) -> Posting:
        return money_posting(item, self.system)

    def answer(self, now: int) -> None:
        """It has answered already."""

    def arrived(self) -> list[str]:
        return [invoice["line"]["note"].split()[1] for invoice in self.order("posted")]

    def refuse(self, item: Item, reason: str) -> None:
        stage = ("create", "validate", "post")[item.number % 3]
        self.order("refuse", reference=self.deliverable(item).posting_id, stage=stage, words=[reason])

    def lose_answer(self) -> None:
        self.faults.order(0, "after", Retriable("no answer"))

    def be_busy(self) -> None:
        self.faults.order(0, "before", Retriable("too many requests", status=429, nothing_sent=True))

    def disturb(self, step: int, when: str) -> None:
        self.faults.order(step, when, Retriable("no answer"))

    # -- what calls over a network add

    def impatient(self) -> None:
        self._http = FaultyHttp(self.faults, timeout_s=0.4)
        self._opened.append(self._http)

    def trouble(self, kind: str, after: int = 0, **more: Any) -> None:
        self.order("fault", method="any change", kind=kind, after=after, **more)

    def expire_login(self, after: int) -> None:
        self.order("end", after=after)

    def spoil_login(self) -> None:
        self._password = "wrong"

    def lock(self, item: Item) -> None:
        self.order("lock", reference=self.deliverable(item).posting_id)

    def unlock(self) -> None:
        self.order("unlock")

    def close_period(self, period: str) -> None:
        self.order("close", period=period)

    def lag(self, ms: int) -> None:
        assert ms == 0, "what is committed in a database is found"

    def pass_time(self, ms: int) -> None:  # noqa: ARG002 - its clock decides on nothing but what comes late
        self.order("pass")

    def booked(self) -> list[tuple[str, Decimal, str]]:
        codes = {number: code for code, number in self.mapping.currencies.items()}
        return [
            (one["reference"], Decimal(one["untaxed"]), codes[one["line"]["currency"]]) for one in self.order("posted")
        ]

    def unmapped(self, item: Item) -> tuple[Any, str]:
        return replace(
            self.deliverable(item), tax_code="GOLD"
        ), "the mapping has no legal_entities.LE1.taxes for 'GOLD'"

    def unknown_there(self, item: Item) -> tuple[Any, str]:
        posting = replace(self.deliverable(item), erp_customer_id="CU8")
        return posting, 'The value "14" for field "Party" .* does not exist'


class FarFaults(Faults):
    """The faults of a worker, and of the program that it calls."""

    def __init__(self, target: TrytonTarget) -> None:
        super().__init__()
        self._target = target

    def clear(self) -> None:
        super().clear()
        self._target.order("clear")


class Trytons(ExitStack):
    """Makes targets and closes their connections in the end."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program

    def make(self, mapping: TrytonMapping = MAPPING) -> TrytonTarget:
        target = TrytonTarget(self._program, mapping)
        self.callback(target.close)
        return target


__all__ = ["MAPPING", "TrytonTarget", "Trytons", "settings_of", "trigger_id"]
