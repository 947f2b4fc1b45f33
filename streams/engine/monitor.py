"""What a worker answers to those who watch it: `/metrics`, `/health` and `/ready`."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


class PortError(Exception):
    """The port for /metrics cannot be had."""


class Watched(Protocol):
    """A worker as its watchers see it."""

    def registry(self) -> CollectorRegistry:
        """Return its metrics."""

    def health(self) -> tuple[bool, dict[str, object]]:
        """Return whether every partition moves, and what there is to say of it."""

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Return whether it works on all its partitions and reaches what it needs, and what is missing."""


@contextmanager
def serve(host: str, port: int, watched: Watched) -> Iterator[None]:
    """Answer at a port of an address of this machine while the block runs; 0 answers nothing. Raises `PortError`."""
    if not port:
        yield
        return
    try:
        server = ThreadingHTTPServer((host, port), _answering(watched))
    except OSError as error:
        raise PortError(
            f"metrics_host = {host}, metrics_port = {port}: {error.strerror}; give an address of this machine, and a "
            "port of it that is free, or 0"
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="monitor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answering(watched: Watched) -> type[BaseHTTPRequestHandler]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(watched.registry()))
            elif path in ("/health", "/ready"):
                well, said = watched.health() if path == "/health" else watched.readiness()
                body = json.dumps({"ok": well, **said}, indent=2).encode() + b"\n"
                self._answer(200 if well else 503, "application/json", body)
            else:
                self._answer(404, "text/plain; charset=utf-8", b"there are /metrics, /health and /ready\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Nothing: a scrape every few seconds is no event."""

    return Answer
