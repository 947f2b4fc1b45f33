"""A schema registry that comes and goes, over HTTP, on a port that stays: the ids of the manifest, or its own."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from schemas.contracts import Schema, fingerprint
from schemas.registry import FIRST_ID, Manifest, UnknownSchema
from stack.ports import free_ports


class Numbered(Manifest):
    """The released schemas under ids from `first` on, as a registry gives them."""

    def __init__(self, first: int = 1) -> None:
        super().__init__()
        self._less = FIRST_ID - first

    def schema(self, schema_id: int) -> Schema:
        """Return the schema of an id."""
        return super().schema(schema_id + self._less)

    def id_of(self, subject: str, schema: Schema) -> int:
        """Return the id of a schema."""
        return super().id_of(subject, schema) - self._less

    def id_by_schema(self, schema: Schema) -> int:
        """Return the newest id of a schema, whatever its subject."""
        wanted = fingerprint(schema)
        ids = [int(number) for number, entry in self.entries.items() if entry["fingerprint"] == wanted]
        return ids[-1] - self._less


class ComingAndGoing:
    """The registry. It is away until `comes`. Its ids begin at `first`."""

    def __init__(self, first: int = FIRST_ID) -> None:
        (self._port,) = free_ports(1)
        self._answers = type("Answers", (_Answer,), {"schemas": Numbered(first)})
        self.url = f"http://127.0.0.1:{self._port}"
        self._server: ThreadingHTTPServer | None = None

    def comes(self) -> None:
        """Answer from now on."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._answers)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def goes(self) -> None:
        """Answer nobody from now on, as if it had been stopped."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


class _Answer(BaseHTTPRequestHandler):
    schemas: Numbered

    def do_GET(self) -> None:
        if self.path.startswith("/schemas/ids/"):
            number = self.path.removeprefix("/schemas/ids/").partition("?")[0]
            try:
                self._say({"schema": json.dumps(self.schemas.schema(int(number)))})
            except UnknownSchema:
                self._say({"error_code": 40403, "message": "Schema not found"}, 404)
        else:
            self._say({"compatibilityLevel": "FULL_TRANSITIVE"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._say({"id": self.schemas.id_by_schema(json.loads(body["schema"]))})

    def _say(self, answer: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""
