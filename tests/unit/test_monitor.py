"""What a worker answers to those who watch it, over a real socket."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from stack.ports import free_ports
from streams.engine.histogram import CountedHistogram
from streams.engine.monitor import PortError, serve

LOOPBACK = "127.0.0.1"


class Worker:
    """A worker whose state is in the test's hand."""

    def __init__(self) -> None:
        self.histogram = CountedHistogram("throughline_latency_seconds", "Age of records.", (0.5, 1.0))
        self.moves = True
        self.restored = True

    def registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(self.histogram)
        return registry

    def health(self) -> tuple[bool, dict[str, object]]:
        return self.moves, {"without_progress_s": {} if self.moves else {"entries/3": 61.5}}

    def readiness(self) -> tuple[bool, dict[str, object]]:
        return self.restored, {"restored": self.restored, "registry": "ok"}


@pytest.fixture
def watched() -> Iterator[tuple[Worker, int]]:
    worker, port = Worker(), free_ports(1)[0]
    with serve(LOOPBACK, port, worker):
        yield worker, port


def ask(port: int, path: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_metrics_are_what_prometheus_reads(watched: tuple[Worker, int]) -> None:
    worker, port = watched
    worker.histogram.observe(0.2, 40)
    worker.histogram.observe(0.5, 1)
    worker.histogram.observe(0.7, 2)
    worker.histogram.observe(30.0, 3)
    status, kind, body = ask(port, "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    (family,) = text_string_to_metric_families(body)
    assert (family.name, family.type, family.documentation) == (
        "throughline_latency_seconds",
        "histogram",
        "Age of records.",
    )
    assert [(sample.name.removeprefix(family.name), sample.labels, sample.value) for sample in family.samples] == [
        ("_bucket", {"le": "0.5"}, 41),
        ("_bucket", {"le": "1.0"}, 43),
        ("_bucket", {"le": "+Inf"}, 46),
        ("_count", {}, 46),
        ("_sum", {}, pytest.approx(40 * 0.2 + 0.5 + 2 * 0.7 + 3 * 30.0)),
    ]


def test_health_is_that_every_partition_moves(watched: tuple[Worker, int]) -> None:
    worker, port = watched
    status, kind, body = ask(port, "/health")
    assert (status, kind, json.loads(body)) == (200, "application/json", {"ok": True, "without_progress_s": {}})
    worker.moves = False
    status, _, body = ask(port, "/health?verbose=1")
    assert (status, json.loads(body)) == (503, {"ok": False, "without_progress_s": {"entries/3": 61.5}})
    assert ask(port, "/ready")[0] == 200


def test_ready_is_that_it_is_restored_and_reaches_what_it_needs(watched: tuple[Worker, int]) -> None:
    worker, port = watched
    assert ask(port, "/ready")[0] == 200
    worker.restored = False
    status, _, body = ask(port, "/ready")
    assert (status, json.loads(body)) == (503, {"ok": False, "restored": False, "registry": "ok"})
    assert ask(port, "/health")[0] == 200


def test_anything_else_says_what_there_is(watched: tuple[Worker, int]) -> None:
    status, kind, body = ask(watched[1], "/metric")
    assert (status, kind, body) == (404, "text/plain; charset=utf-8", "there are /metrics, /health and /ready\n")


def test_it_answers_on_loopback_only_and_no_longer_than_the_block() -> None:
    port = free_ports(1)[0]
    with serve(LOOPBACK, port, Worker()):
        with socket.socket() as other:
            other.bind(("127.0.0.2", port))  # free: it does not listen everywhere
        assert ask(port, "/ready")[0] == 200
    with pytest.raises(urllib.error.URLError):
        ask(port, "/ready")


def test_it_answers_at_another_address_if_told_to() -> None:
    """As a container has to."""
    port = free_ports(1)[0]
    with serve("127.0.0.2", port, Worker()):
        with urllib.request.urlopen(f"http://127.0.0.2:{port}/ready", timeout=10) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError):
            ask(port, "/ready")


def test_an_address_of_another_machine_is_told_alike() -> None:
    with pytest.raises(PortError, match=r"metrics_host = 192\.0\.2\.1, "), serve("192.0.2.1", 1234, Worker()):
        pass


def test_a_port_that_is_taken_is_told_with_what_to_do(watched: tuple[Worker, int]) -> None:
    port = watched[1]
    with pytest.raises(PortError) as refused, serve(LOOPBACK, port, Worker()):
        pass
    assert str(refused.value) == (
        f"metrics_host = 127.0.0.1, metrics_port = {port}: Address already in use; give an address of this machine, "
        "and a port of it that is free, or 0"
    )


def test_port_0_answers_nothing() -> None:
    with serve(LOOPBACK, 0, Worker()):
        pass
