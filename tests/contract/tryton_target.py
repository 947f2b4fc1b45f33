"""A simulated Tryton as the contract suite sees it, each in a database of its own, and who counts its requests."""

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from typing import Any

from pydantic import SecretStr

from outside.errors import Retriable
from outside.http import Answer, Http, Limits
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
    version=1, legal_entities={"LE1": BOOKS}, customers={"CU1": 11}, currencies={"EUR": 1, "JPY": 2, "KWD": 3}
)
_numbers = count()


class Uncounted:
    """Nobody counts requests here."""

    def requested(self, status: str) -> None:
        pass

    def held(self, seconds: float) -> None:
        pass


class FaultyHttp(Http):
    """A client each of whose changes is a step at which the worker may die, or the answer get lost."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(Limits(timeout_s=10.0), Uncounted(), lambda: NOON, lambda _: None)
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

    def __init__(self, program: Program, mapping: TrytonMapping = MAPPING) -> None:
        self.program = program
        self.mapping = mapping
        self.faults = Faults()
        self.database = f"erp{next(_numbers)}"
        self._http = FaultyHttp(self.faults)
        self._opened: list[Http] = [self._http]

    def open(self) -> Tryton:
        settings = settings_of(self.program.url, self.database)
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
