"""Simulated systems that answer over HTTP: a server on a free port of this machine, which ends with its program."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Serving(NamedTuple):
    """A server that answers, and what ends all waiting in it."""

    server: ThreadingHTTPServer
    released: threading.Event


def started(answering: type[BaseHTTPRequestHandler], **shared: Any) -> Serving:
    """Answer by a class of a request's, to which `shared`, a `lock` and `released` are given as what all share."""
    released = threading.Event()
    members = {**shared, "lock": threading.RLock(), "released": released}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answering", (answering,), members))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Serving(server, released)


def serve(answering: type[BaseHTTPRequestHandler], **shared: Any) -> None:
    """Print the port, and answer until standard input closes."""
    serving = started(answering, **shared)
    print(serving.server.server_address[1], flush=True)
    sys.stdin.read()
    serving.released.set()
    serving.server.shutdown()
