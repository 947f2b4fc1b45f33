"""One real broker for the whole session; whoever kills or suspends one starts a broker of their own."""

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.kafka import Kafka
from tests.crash.job import Run
from tests.stack.bench import Bench
from tests.support.kafka import make_topic


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("kafka"), say=say) as broker:
        yield broker


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """A name that no other test uses, for topics, groups and transactional ids: `fresh("entries")`."""
    return lambda stem: f"{stem}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topic(kafka: Kafka, fresh: Callable[[str], str]) -> str:
    """A topic of this test's own, with one partition."""
    return make_topic(kafka.bootstrap, fresh("topic"))


@pytest.fixture
def bench(kafka: Kafka, fresh: Callable[[str], str], tmp_path: Path) -> Iterator[Bench]:
    """A run of the crash job of this test's own."""
    made = Bench(Run(fresh("job"), kafka.bootstrap, tmp_path, seed=3, records=0))
    yield made
    made.close()
