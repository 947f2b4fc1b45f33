"""A Kafka Connect worker as its REST API shows it, without Kafka: a program of its own, from Connect's documents.

    python -m tests.contract.simulators.connect_rest

It prints its URL, and serves until its standard input ends. Its quirks are those of the real one: a change is
followed by a rebalance, in which requests are answered with 409; a connector that was just made has no status; after a
change the tasks of before are still shown for a while; settings come back with the connector's name added; validated
values come back with their secrets resolved. Nothing goes by the clock: what takes time takes a number of questions.

`POST /orders` says how it should misbehave: `busy` (so many answers with 409), `starting` (with 503), `faults` (key to
messages, of the validate call), `ends` (connector to trace: its task fails when it next starts), `absent` (classes that
are no plugins here), `unlisted` (keys that it does not know), `lacks` (variables that are not in its environment).
`GET /requests` lists what it was asked that is no question.
"""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
REBALANCE_ANSWERS = 2
"""Requests that are turned away after a change."""
OLD_STATES_SHOWN = 2
"""Questions about status that are answered with what was before."""
CONFLICT = (
    "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)"
)
NOT_STOPPED = (
    "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified "
    "connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
)


class Turned(Exception):
    """A request is refused: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Connector:
    """One connector: its settings, its state as wanted, and what was seen before the last change."""

    def __init__(self, config: Json) -> None:
        self.config = config
        self.target = "RUNNING"
        self.trace: str | None = None
        self.shown_before: Json | None = None
        self.asked = 0
        self.offsets: list[Json] = [{"partition": {"server": config["name"]}, "offset": {"lsn": 100}}]


class Worker:
    """What a worker knows, and how it answers."""

    def __init__(self) -> None:
        self.connectors: dict[str, Connector] = {}
        self.orders: Json = {
            "busy": 0,
            "starting": 0,
            "faults": {},
            "ends": {},
            "absent": [],
            "unlisted": [],
            "lacks": [],
        }
        self.requests: list[str] = []
        self._turned_away = 0
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, query: Json, body: Any) -> tuple[int, Any]:
        """Return status and body."""
        with self._lock:
            if path == "/orders":
                self.orders.update(body)
                return 204, None
            if path == "/requests":
                return 200, self.requests
            if method != "GET":
                self.requests.append(f"{method} {path}" + (f"?{'&'.join(sorted(query))}" if query else ""))
            try:
                return self._route(method, path, query, body)
            except Turned as refusal:
                return refusal.status, {"error_code": refusal.status, "message": str(refusal)}

    def _route(self, method: str, path: str, query: Json, body: Any) -> tuple[int, Any]:
        self._turn_away(method)
        if (method, path) == ("GET", "/connectors"):
            return 200, {name: {"status": self._status(name)} for name in self.connectors}
        if found := re.fullmatch(r"/connector-plugins/([^/]+)/config/validate", path):
            return 200, self._validated(unquote(found[1]), body)
        found = re.fullmatch(r"/connectors/([^/]+)(?:/(\w+))?", path)
        if found is None:
            raise Turned(404, "HTTP 404 Not Found")
        name, part = unquote(found[1]), found[2] or ""
        act = getattr(self, f"_{method.lower()}_{part}", None)
        if act is None:
            raise Turned(405, "HTTP 405 Method Not Allowed")
        status: int
        status, answer = act(name, query, body)
        return status, answer

    def _turn_away(self, method: str) -> None:
        if self.orders["starting"]:
            self.orders["starting"] -= 1
            raise Turned(503, "This worker is still starting up and has not been able to read from the config topic")
        if method != "GET" and self.orders["busy"]:
            self.orders["busy"] -= 1
            raise Turned(409, CONFLICT)
        if method != "GET" and self._turned_away:
            self._turned_away -= 1
            raise Turned(409, CONFLICT)

    def _known(self, name: str) -> Connector:
        if name not in self.connectors:
            raise Turned(404, f"Connector {name} not found")
        return self.connectors[name]

    def _changed(self, name: str) -> None:
        """A rebalance follows, and what was before is shown for a while."""
        connector = self.connectors[name]
        connector.shown_before, connector.asked = self._states(name), 0
        connector.trace = self.orders["ends"].pop(name, None)
        self._turned_away = REBALANCE_ANSWERS

    def _states(self, name: str) -> Json:
        connector = self.connectors[name]
        task: Json = {"id": 0, "state": connector.target, "worker_id": "127.0.0.1:8083", "version": "1"}
        if connector.trace is not None and connector.target == "RUNNING":
            task |= {"state": "FAILED", "trace": connector.trace}
        own = {"state": connector.target, "worker_id": "127.0.0.1:8083", "version": "1"}
        tasks = [] if connector.target == "STOPPED" else [task]
        return {"name": name, "connector": own, "tasks": tasks, "type": _type_of(connector.config)}

    def _status(self, name: str) -> Json:
        connector = self._known(name)
        connector.asked += 1
        if connector.asked > OLD_STATES_SHOWN:
            connector.shown_before = None
        return connector.shown_before or self._states(name)

    def _validated(self, kind: str, config: Json) -> Json:
        if kind in self.orders["absent"]:
            raise Turned(500, f"Failed to find any class that implements Connector and which name matches {kind}")
        found = []
        for key in sorted((config.keys() | self.orders["faults"].keys()) - {*self.orders["unlisted"]}):
            errors = self.orders["faults"].get(key, [])
            # Values come back as the worker has resolved them: with the secrets in them.
            value = self._resolved(config[key]) if key in config else None
            found.append({"definition": {"name": key}, "value": {"name": key, "value": value, "errors": errors}})
        count = sum(bool(entry["value"]["errors"]) for entry in found)
        return {"name": kind, "error_count": count, "groups": [], "configs": found}

    def _resolved(self, value: str) -> str:
        """What stands in place of references; one to a variable that it lacks stays as it is."""
        return re.sub(
            r"\$\{env:(\w+)\}", lambda to: to[0] if to[1] in self.orders["lacks"] else f"resolved-{to[1]}", value
        )

    def _get_status(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        connector = self._known(name)
        if connector.shown_before == {} and connector.asked < OLD_STATES_SHOWN:  # it was just made
            connector.asked += 1
            raise Turned(404, f"No status found for connector {name}")
        return 200, self._status(name)

    def _get_config(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        return 200, self._known(name).config

    def _put_config(self, name: str, _query: Json, body: Json) -> tuple[int, Any]:
        made = name not in self.connectors
        config = {**body, "name": name}
        if made:
            self.connectors[name] = Connector(config)
            self.connectors[name].trace = self.orders["ends"].pop(name, None)
            self.connectors[name].shown_before = {}
            self._turned_away = REBALANCE_ANSWERS
        else:
            self._changed(name)
            self.connectors[name].config = config
        return 201 if made else 200, {"name": name, "config": config, "tasks": [], "type": _type_of(config)}

    def _delete_(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        self._known(name)
        del self.connectors[name]
        self._turned_away = REBALANCE_ANSWERS
        return 204, None

    def _post_restart(self, name: str, query: Json, _body: Any) -> tuple[int, Any]:
        connector = self._known(name)
        if query.get("onlyFailed") == ["true"] and connector.trace is None:
            return 202, self._states(name)
        self._changed(name)
        return 202, self._states(name)

    def _turned(self, name: str, target: str) -> tuple[int, Any]:
        self._known(name)
        self._changed(name)
        self.connectors[name].target = target
        return 202, None

    def _put_pause(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        return self._turned(name, "PAUSED")

    def _put_resume(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        return self._turned(name, "RUNNING")

    def _put_stop(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        return self._turned(name, "STOPPED")

    def _get_offsets(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        return 200, {"offsets": self._known(name).offsets}

    def _delete_offsets(self, name: str, _query: Json, _body: Any) -> tuple[int, Any]:
        connector = self._known(name)
        if connector.target != "STOPPED":
            raise Turned(400, NOT_STOPPED.format(name=name))
        connector.offsets = []
        return 200, {"message": "The offsets for this connector have been reset successfully"}


def _type_of(config: Json) -> str:
    return "sink" if "topics" in config else "source"


class _Answer(BaseHTTPRequestHandler):
    worker = Worker()
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, answer = self.worker.answer(self.command, parts.path, parse_qs(parts.query), body)
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
