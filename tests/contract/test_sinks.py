"""The contract suite over every target, and a long storm over each."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from streams.delivery.limits import Limits
from tests.contract.call_suite import CallContract
from tests.contract.feeds.program import Program
from tests.contract.station import totals
from tests.contract.suite import Make, MoneyContract, SinkContract, run_storm
from tests.contract.targets import FileTarget, MemoryTarget, TopicTarget
from tests.contract.tryton_target import SERVER, Trytons, TrytonTarget

STORM = Limits(postings_max=100, age_ms_max=5_000, backoff_ms_first=1_000, backoff_ms_max=60_000)


class TestMemorySink(MoneyContract):
    """The suite's own reference: an ERP in memory that answers at once."""

    @pytest.fixture
    def make(self) -> Make:
        return MemoryTarget


class TestFileExchange(CallContract, at="files"):
    search_lags = False
    storm_postings = 300

    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], FileTarget]:
        numbers = count()
        return lambda: FileTarget(tmp_path / str(next(numbers)))


@pytest.fixture(scope="module")
def tryton() -> Iterator[Program]:
    program = Program(SERVER)
    yield program
    program.stop()


class TestTryton(CallContract, at="tryton"):
    search_lags = False
    storm_postings = 300

    @pytest.fixture
    def make(self, tryton: Program) -> Iterator[Callable[[], TrytonTarget]]:
        with Trytons(tryton) as targets:
            yield targets.make


class TestAnalyticsTopic(SinkContract):
    @pytest.fixture
    def make(self) -> Make:
        return TopicTarget


def test_a_storm_over_ten_thousand_postings_by_file_books_each_once_and_to_the_cent(tmp_path: Path) -> None:
    target = FileTarget(tmp_path)
    station = run_storm(target, seed=1, postings=10_000, limits=STORM)
    posted = {receipt.posting_id for receipt in station.receipts if receipt.status == "posted"}
    expected = totals([p for item in station.log if (p := target.deliverable(item)).posting_id in posted])
    booked: dict[str, list[str]] = {}
    for booking in target.erp.booked.values():
        booked.setdefault(booking.currency, []).append(str(booking.amount))
    assert {currency: sum(map(type(expected[currency]), amounts)) for currency, amounts in booked.items()} == expected
    assert set(expected) == {"EUR", "JPY", "KWD"}
    assert (target.erp.doubled, target.erp.complaints) == ([], [])


def test_a_storm_over_ten_thousand_facts_publishes_each_once() -> None:
    target = TopicTarget()
    run_storm(target, seed=2, postings=10_000, limits=STORM)


def test_a_storm_over_ten_thousand_postings_to_an_answering_erp_books_each_once() -> None:
    run_storm(MemoryTarget(), seed=3, postings=10_000, limits=STORM)
