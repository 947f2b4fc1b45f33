"""A registry that does not answer is given up soon: it is asked on the event loop, where others wait for their turn."""

import socket
import threading
from collections.abc import Iterator

import pytest

from schemas.registry import RegistryUnavailable
from streams.config import Contracts
from streams.engine import wire


class Listener:
    """Takes connections in and answers each of them alike, or not at all."""

    def __init__(self, answer: bytes) -> None:
        self.asked = 0
        self._answer = answer
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            self._open.append(connection)
            if self._answer:
                connection.recv(65_536)
                connection.sendall(self._answer)

    def close(self) -> None:
        for connection in (self._socket, *self._open):
            connection.close()


@pytest.fixture
def hanging() -> Iterator[Listener]:
    listener = Listener(b"")
    yield listener
    listener.close()


@pytest.fixture
def overloaded() -> Iterator[Listener]:
    listener = Listener(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    yield listener
    listener.close()


def test_one_that_hangs_is_given_up(hanging: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_REGISTRY_SECONDS_MAX", 0.3)
    registry = wire.registry_of(Contracts(registry_url=hanging.url))
    with pytest.raises(RegistryUnavailable, match="timed out"):
        registry.schema(7)
    assert registry.unavailable() is not None


def test_one_that_is_overloaded_is_asked_once_and_whoever_asks_decides_when_again(overloaded: Listener) -> None:
    registry = wire.registry_of(Contracts(registry_url=overloaded.url))
    with pytest.raises(RegistryUnavailable, match="503"):
        registry.schema(7)
    assert overloaded.asked == 1


def test_one_that_is_not_there_is_given_up_at_once() -> None:
    registry = wire.registry_of(Contracts(registry_url="http://127.0.0.1:1"))
    with pytest.raises(RegistryUnavailable, match="refused"):
        registry.schema(7)
