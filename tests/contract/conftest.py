"""One simulated Salesforce a module."""

from collections.abc import Iterator

import pytest

from tests.contract.feeds.salesforce_bench import Feed, Org, simulated


@pytest.fixture(scope="module")
def salesforce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    """A simulated organisation, as a program of its own."""
    with simulated(tmp_path_factory.mktemp("salesforce")) as found:
        yield found


@pytest.fixture
def org(salesforce: Org) -> Org:
    """The organisation, without any record."""
    salesforce.order("reset", seed=0)
    return salesforce


@pytest.fixture
def salesforce_feed(org: Org) -> Feed:
    """The feed over it."""
    return Feed(org)
