"""A schema registry that comes and goes: the ids of the manifest, over HTTP, on a port that stays."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from schemas.contracts import fingerprint
from schemas.registry import Manifest
from stack.ports import free_ports


class ComingAndGoing:
    """The registry. It is away until `comes`."""

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self._server: ThreadingHTTPServer | None = None

    def comes(self) -> None:
        """Answer from now on."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _Answer)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def goes(self) -> None:
        """Answer nobody from now on, as if it had been stopped."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


class _Answer(BaseHTTPRequestHandler):
    manifest = Manifest()

    def do_GET(self) -> None:
        if self.path.startswith("/schemas/ids/"):
            number = self.path.removeprefix("/schemas/ids/").partition("?")[0]
            self._say({"schema": json.dumps(self.manifest.schema(int(number)))})
        else:
            self._say({"compatibilityLevel": "FULL_TRANSITIVE"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wanted = fingerprint(json.loads(body["schema"]))
        ids = [number for number, entry in self.manifest.entries.items() if entry["fingerprint"] == wanted]
        self._say({"id": int(ids[-1])})

    def _say(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""
