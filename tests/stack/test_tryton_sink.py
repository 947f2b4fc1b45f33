"""The Tryton sink on a real Tryton: what is posted under faults is there once, in the ledger, and equal to the cent.

Connections are cut before requests arrive and before answers come back, Tryton is killed at any moment, and so is the
worker.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from random import Random
from threading import Lock

import pytest
from pydantic import SecretStr

from outside.http import Http, Uncounted
from outside.http_settings import opened
from stack.postgresql import PostgreSQL
from stack.tryton import DATABASE, USER, Tryton as TrytonServer
from streams.delivery.limits import Limits
from streams.domain.posting import Posting, Status
from streams.sinks.contract import Retriable
from streams.sinks.tryton import Tryton
from streams.sinks.tryton_books import TrytonMapping
from streams.sinks.tryton_rpc import logged_in
from tests.contract.simulators.faults import Faults, Killed
from tests.contract.station import NOON, Item, Station, money_posting
from tests.contract.suite import random_items
from tests.contract.tryton_target import settings_of
from tests.stack.conftest import say
from tests.stack.tryton_books import CLOSED, Bookkeeping, Wire

pytestmark = pytest.mark.timeout(300)

POSTINGS = 60
SEED = 8


class RealTryton:
    """A target of the contract suite, as far as a run under faults needs one."""

    system = "tryton"
    posting_type = Posting
    books_money = True

    def __init__(self, url: str, mapping: TrytonMapping, password: str) -> None:
        self.faults = Faults()
        self._settings = settings_of(url, DATABASE, user=USER, password=SecretStr(password))
        self._mapping = mapping
        self._opened: list[Http] = []

    def open(self) -> Tryton:
        self.close()
        http = opened(self._settings, Uncounted(), lambda: NOON, lambda _: None)
        self._opened.append(http)
        return Tryton(self.system, logged_in(http, self._settings), self._mapping)

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()

    def deliverable(self, item: Item) -> Posting:
        posting = money_posting(item, self.system)
        return replace(posting, posting_period=CLOSED) if item.number % 13 == 0 else posting

    def answer(self, now: int) -> None:
        pass

    def arrived(self) -> list[str]:
        raise NotImplementedError

    def refuse(self, item: Item, reason: str) -> None:
        raise NotImplementedError

    def lose_answer(self) -> None:
        raise NotImplementedError

    def be_busy(self) -> None:
        raise NotImplementedError

    def disturb(self, step: int, when: str) -> None:
        raise NotImplementedError


class Killer:
    """Kills Tryton while it works, and starts it again; of two strikes at once, one counts."""

    def __init__(self, server: TrytonServer) -> None:
        self._server = server
        self._lock = Lock()
        self.kills = 0

    def strike(self) -> None:
        with self._lock:
            self.kills += 1
            self._server.kill()
            self._server.start()

    def wait(self) -> None:
        with self._lock:
            assert self._server.answers()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrytonServer]:
    folder = tmp_path_factory.mktemp("erp")
    with (
        PostgreSQL(folder / "databases", say=say) as databases,
        TrytonServer(folder / "erp", databases, say=say) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def books(server: TrytonServer) -> Bookkeeping:
    return Bookkeeping(server.client())


def test_what_is_posted_under_faults_is_in_the_ledger_once_and_to_the_cent(
    server: TrytonServer, books: Bookkeeping
) -> None:
    killer = Killer(server)
    wire = Wire(server.url, SEED, killer.strike)
    target = RealTryton(wire.url, books.mapping(), server.password)
    station = Station(target, Limits(postings_max=6, age_ms_max=0))
    items, chance, now = random_items(Random(SEED), POSTINGS, reversals=True), Random(SEED), NOON
    while len(station.log) < len(items):
        station.log = items[: len(station.log) + chance.randint(1, 6)]
        if chance.random() < 0.3:
            target.faults.order(0, "before", Killed())  # what was sent is not remembered
        station.turn(now)
        killer.wait()
        now += 600_000
    wire.calm = True
    station.settle(now)
    say(f"{wire.fates}, Tryton killed {killer.kills} times, the worker {station.deaths} times")
    judged(station, target, books)
    assert killer.kills
    assert station.deaths
    assert wire.fates["after"]
    assert wire.fates["before"]
    target.close()
    wire.close()


def test_two_workers_that_post_the_same_at_once_post_it_once(server: TrytonServer, books: Bookkeeping) -> None:
    """The second was given the partition of the first, whose calls are still under way."""
    targets = [RealTryton(server.url, books.mapping(), server.password) for _ in range(2)]
    postings = [money_posting(Item(10_000 + number, f"C{number}"), "tryton") for number in range(12)]

    def delivered(target: RealTryton) -> set[str | None]:
        sink, open_ones = target.open(), {one.posting_id: one for one in postings}
        documents: set[str | None] = set()
        while open_ones:
            try:
                told = sink.find(open_ones) or sink.post(list(open_ones.values()), NOON)
            except Retriable:
                continue
            assert {one.status for one in told} == {Status.POSTED}
            documents |= {one.document_id for one in told}
            for one in told:
                del open_ones[one.posting_id]
        return documents

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(delivered, targets)
    assert first == second
    found = Counter(one.reference for one in books.invoices() if one.state in ("posted", "paid"))
    assert [found[one.posting_id] for one in postings] == [1] * len(postings)
    for target in targets:
        target.close()


def judged(station: Station, target: RealTryton, books: Bookkeeping) -> None:
    """Exactly what is told as posted stands in Tryton's ledger, and nothing else of ours in any state."""
    statuses = station.statuses()
    postings = [target.deliverable(item) for item in station.log]
    posted = [one for one in postings if statuses[one.trigger_id] is Status.POSTED]
    wanted = {one.posting_id: (one.amount, one.currency) for one in posted}
    ours = {one.posting_id for one in postings}
    found = [one for one in books.invoices() if one.reference in ours]
    assert [name for name, times in Counter(one.reference for one in found).items() if times > 1] == []
    assert {one.reference: (one.untaxed, one.currency) for one in found} == wanted
    assert {(one.move, one.lines) for one in found} == {("posted", 1)}
    assert {one.state for one in found} <= {"posted", "paid"}
    refused = [receipt for receipt in station.receipts if receipt.status is Status.REJECTED]
    assert refused
    assert all("period" in (receipt.error or "") for receipt in refused)
    totals: dict[str, Decimal] = {}
    for one in found:
        totals[one.currency] = totals.get(one.currency, Decimal(0)) + one.untaxed
    assert set(totals) == {"EUR", "JPY", "KWD"}
    assert len(found) > POSTINGS // 2
    assert station.problems == []
