"""What tests stand on that need a broker, and no more of it than the embedded one has."""

from collections.abc import Iterator

import pytest

from streams.engine.embedded import EmbeddedBroker


@pytest.fixture
def brokers() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap
