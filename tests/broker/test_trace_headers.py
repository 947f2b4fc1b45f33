"""Trace context on the broker: from a record that came in to what two steps make of it, and no further."""

from pathlib import Path
from typing import Any

import pytest

from tests.broker.bench import drain, feed, read_messages, worker

pytestmark = pytest.mark.broker

STATE = b"vendor=1"


def parent(number: int) -> bytes:
    return f"00-{number:032x}-{number:016x}-01".encode()


def headers_of(brokers: str, topic: str) -> dict[str, list[dict[str, Any]]]:
    """The headers of each record of a topic, by key."""
    found: dict[str, list[dict[str, Any]]] = {}
    for message in read_messages(brokers, topic):
        headers: dict[str, Any] = dict(message.headers() or [])
        found.setdefault((message.key() or b"").decode(), []).append(headers)
    return found


def test_the_outputs_of_two_steps_carry_the_context_of_what_came_in(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [("toy.orders", "c1", b"5")], {"traceparent": parent(1), "tracestate": STATE, "other": b"x"})
    feed(brokers, [("toy.orders", "c2", b"7")], {"traceparent": parent(2)})
    with worker(brokers, tmp_path) as child:
        drain(brokers, 4, child)
        feed(brokers, [("toy.orders", "c3", b"9")])
        drain(brokers, 6, child)
        assert child.stop() == 0
    first = {"traceparent": parent(1), "tracestate": STATE}
    carried = {"c1": [first], "c2": [{"traceparent": parent(2)}], "c3": [{}]}
    assert headers_of(brokers, "toy.moves") == carried
    assert headers_of(brokers, "toy.journal") == carried
