"""Ports on loopback."""

import random
import socket

from stack.errors import StackError

LOOPBACK = "127.0.0.1"
# Below what the system gives to outgoing connections: a port from there could be taken while its server restarts.
_FIRST, _LAST = 20_000, 30_000
_TRIES_MAX = 1_000
_given: set[int] = set()
"""Ports that were chosen here before: whoever was given one may not listen on it yet."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """As many free ports, taken at random so that two programs hardly ever choose the same.

    Raises:
        StackError: There are not that many.
    """
    chosen: set[int] = set()
    for _ in range(_TRIES_MAX):
        port = random.randrange(_FIRST, _LAST)
        if port not in _given and is_free(port):
            chosen.add(port)
        if len(chosen) == count:
            _given.update(chosen)
            return sorted(chosen)
    raise StackError(f"there are no {count} free ports on {LOOPBACK} between {_FIRST} and {_LAST}")
