"""The embedded broker: librdkafka's in-process cluster, run in an operating system process of its own.

It comes with the confluent-kafka wheel, needs no Java and listens on loopback only. It shows the flow, not the
guarantees: topics appear on first use with `PARTITIONS` partitions, records vanish once a partition holds more than
about `RETAINED_BYTES`, nothing is kept on disk, and transactions isolate nothing. For demos and tests.
"""

import signal
import subprocess
import sys
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

from confluent_kafka import Producer

PARTITIONS = 4
"""Partitions of every topic of the embedded broker; librdkafka's wheel has no setting for it."""

RETAINED_BYTES = 5 * 1024 * 1024
"""Bytes a partition keeps before its oldest records vanish."""

_ANSWER_SECONDS_MAX = 10.0


class BrokerError(Exception):
    """The embedded broker did not start or did not say where it listens."""


class EmbeddedBroker:
    """The embedded broker as a child: started, found by its address, stopped.

    It ends with the process that started it, also when that one is killed: its standard input closes then.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None
        self.bootstrap = ""

    def start(self) -> str:
        """Start the broker and return its bootstrap address, `host:port`.

        Raises `BrokerError` if it ends before it says its address.
        """
        self._child = subprocess.Popen(
            [sys.executable, "-m", "streams.engine.embedded"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C on the terminal must reach the worker while the broker still answers
        )
        assert self._child.stdout is not None
        self.bootstrap = self._child.stdout.readline().strip()
        if not self.bootstrap:
            code = self._child.wait()
            raise BrokerError(f"the embedded broker ended with exit code {code}; its message is above")
        return self.bootstrap

    def stop(self) -> None:
        """Stop the broker and wait until it is gone; all its records are gone with it."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            child.wait(_ANSWER_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main() -> int:
    """Run the broker until standard input closes or SIGTERM arrives; print its address first."""
    signal.signal(signal.SIGTERM, _leave)
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 4})
    brokers = cluster.list_topics(timeout=_ANSWER_SECONDS_MAX).brokers.values()
    print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
    with suppress(KeyboardInterrupt):
        sys.stdin.read()
    return 0


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
