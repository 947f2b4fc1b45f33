"""The Salesforce feed over a simulated organisation: exactly these landings and no others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.feeds.salesforce_bench import Feed, Org, simulated


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    with simulated(tmp_path) as found:
        yield found


@pytest.fixture
def feed(org: Org) -> Feed:
    return Feed(org)


def account(org: Org, name: str = "Acme") -> str:
    return org.create("Account", Name=name, Status__c="Active", BillingCountry="DE")


def contract(org: Org, number: str = "C1", **fields: object) -> str:
    return org.create("Contract", ContractNumber=number, Status="Draft", CurrencyIsoCode="EUR", **fields)


def test_a_first_reading_then_events(org: Org, feed: Feed) -> None:
    first = account(org)
    assert feed.run() == [("Account", first, "r")]
    org.update("Account", first, Name="Acme Ltd")
    assert feed.run() == [("Account", first, "u")]
    assert feed.landing.rows == org.rows()
