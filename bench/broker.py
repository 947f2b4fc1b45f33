"""The broker under a bench: a real Kafka of its own, or the embedded one where no Kafka can be had."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from stack.errors import StackError
from stack.kafka import Kafka
from stack.versions import versions
from streams.engine.embedded import EmbeddedBroker

Say = Callable[[str], None]


class Broker(NamedTuple):
    """Where it listens and what it is. The embedded one keeps little and isolates nothing: it shows throughput only."""

    bootstrap: str
    name: str
    is_real: bool


@contextmanager
def broker(folder: Path, which: str, say: Say) -> Iterator[Broker]:
    """Run a broker for the length of a block: `kafka`, `embedded`, or `auto`, which is the first that can be had.

    Raises `stack.errors.StackError` where Kafka was asked for and cannot be had.
    """
    with ExitStack() as stack:
        if which != "embedded":
            try:
                kafka = stack.enter_context(Kafka(folder / "kafka", say=say))
                yield Broker(kafka.bootstrap, f"Kafka {versions().parts['kafka'].version}", True)
                return
            except StackError as error:
                if which == "kafka":
                    raise
                say(f"no Kafka here, so only throughput is shown, on the embedded broker: {error}")
        embedded = stack.enter_context(EmbeddedBroker())
        yield Broker(embedded.bootstrap, "embedded", False)
