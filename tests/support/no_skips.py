"""A pytest plugin for runs in which nothing may be skipped: a skip is a failure that says why it was one."""

from collections.abc import Generator

import pytest


def _failed(reason: object) -> str:
    why = reason[2] if isinstance(reason, tuple) else reason
    return f"{why}\nNothing is skipped in this run: what a test needs must be there."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = _failed(report.longrepr)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = _failed(report.longrepr)
    return report
