"""Every feed passes the contract suite, against its system as a program of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.feeds.program import Program
from tests.contract.feeds.salesforce_bench import Org
from tests.contract.feeds.salesforce_subject import Orders, SalesforcePolling
from tests.contract.feeds.subjects import (
    ErpList,
    ErpOdata,
    ErpOffset,
    ErpThin,
    ErpUnordered,
    Files,
    Subject,
    WorkdayReport,
    WorkdayRest,
)
from tests.contract.feeds.suite import FeedContract, HttpContract


@pytest.fixture(scope="module")
def workday() -> Iterator[Program]:
    program = Program("tests.contract.feeds.workday_simulator")
    yield program
    program.stop()


@pytest.fixture(scope="module")
def erp() -> Iterator[Program]:
    program = Program("tests.contract.feeds.erp_simulator")
    yield program
    program.stop()


class TestWorkdayRest(HttpContract):
    @pytest.fixture
    def subject(self, workday: Program) -> Subject:
        return WorkdayRest(workday)


class TestWorkdayReport(HttpContract):
    @pytest.fixture
    def subject(self, workday: Program) -> Subject:
        return WorkdayReport(workday)


class TestErpOdata(HttpContract):
    @pytest.fixture
    def subject(self, erp: Program) -> Subject:
        return ErpOdata(erp)


class TestErpOffset(HttpContract):
    @pytest.fixture
    def subject(self, erp: Program) -> Subject:
        return ErpOffset(erp)


class TestErpUnordered(HttpContract):
    @pytest.fixture
    def subject(self, erp: Program) -> Subject:
        return ErpUnordered(erp)


class TestErpThin(HttpContract):
    @pytest.fixture
    def subject(self, erp: Program) -> Subject:
        return ErpThin(erp)


class TestErpList(HttpContract):
    @pytest.fixture
    def subject(self, erp: Program) -> Subject:
        return ErpList(erp)


class TestSalesforcePolling(HttpContract):
    @pytest.fixture
    def subject(self, salesforce: Org) -> Subject:
        return SalesforcePolling(Orders(salesforce))  # type: ignore[arg-type]


class TestFiles(FeedContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Files(tmp_path)
