"""The systems around a deal, simulated: `python -m tests.contract.doers.world`, a program of its own on a socket.

It prints its port, and ends with its standard input. It shares no code with the doers. Below one port:

    /psa/...        a PSA's API of clients and projects, with ids from outside and conditions in headers
    /netsuite/...   records by external id: PUT makes or changes, 204 and no body
    /oracle/...     projects with a query, answered as a list; POST makes another, whatever there is
    /data/...       Dynamics: entities by natural key in the path; a duplicate is an error
    /sap/...        OData with a token against forged requests and a cookie; without them 403
    /tryton/...     JSON-RPC of project.work, with logins
    /hook/...       a webhook, which takes anything; `/heard/REFERENCE` says whether it did

and for the test `/world`: GET what is there, POST `{"faults": [[kind, times], ...], "reset": true, ...}`. Faults strike
at writes: `lost` does it and hangs up, `dropped` hangs up, `broken` is 500 before it is done, `broken_after` after,
`busy` is 429, `stranger` 401, `refused` 400, `garbled` is half of an answer.
"""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.answering import serve

Answer = tuple[int, Any]
Headers = dict[str, str]

TOKEN = "sesame"
KINDS = ("lost", "dropped", "broken", "broken_after", "busy", "stranger", "refused", "garbled")


class World:
    """What is there, in all systems. One request at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self.clients: dict[str, str] = {"A1": "CL1", "A2": "CL2"}
        self.projects: dict[str, dict[str, Any]] = {}
        self.entities: dict[str, list[dict[str, Any]]] = {}
        self.works: list[dict[str, Any]] = []
        self.said: list[dict[str, Any]] = []
        self.faults: list[list[Any]] = []
        self.refuse = ""

    def shown(self) -> dict[str, Any]:
        return {
            "projects": self.projects, "entities": self.entities, "works": self.works, "said": self.said,
            "faults": self.faults,
        }  # fmt: skip

    def ordered(self, body: dict[str, Any]) -> None:
        if body.get("reset"):
            self.reset()
        self.faults += body.get("faults", [])
        self.refuse = body.get("refuse", self.refuse)
        for identity, fields in body.get("projects", {}).items():
            self.projects.setdefault(identity, {"version": 0, "in_use": False}).update(fields)
        for work in self.works:
            work.update(body.get("works", {}))

    def fault(self) -> str:
        """The fault that strikes now."""
        if not self.faults:
            return ""
        kind, times = self.faults[0]
        self.faults[0][1] = times - 1
        if times <= 1:
            self.faults.pop(0)
        return str(kind)

    # -- systems

    def answer(self, method: str, path: str, query: dict[str, str], headers: Headers, body: Any) -> Answer:
        system, _, rest = path.strip("/").partition("/")
        if method != "GET" and self.refuse and self.refuse in path:
            return 400, {"error": {"code": "INVALID", "message": "this is never taken"}}
        systems: dict[str, Callable[[], Answer]] = {
            "psa": lambda: self._psa(method, rest, query, headers, body),
            "netsuite": lambda: self._netsuite(method, rest, body),
            "oracle": lambda: self._oracle(method, rest, query, body),
            "data": lambda: self._dynamics(method, rest, body),
            "sap": lambda: self._sap(method, rest, query, headers, body),
            "tryton": lambda: self._tryton(body),
            "hook": lambda: self._hook(body),
            "heard": lambda: (200 if any(rest in json.dumps(each) for each in self.said) else 404, {}),
        }
        return systems.get(system, lambda: (404, {"message": "nothing is here"}))()

    def _hook(self, body: Any) -> Answer:
        self.said.append(body)
        return 200, "ok"

    def _psa(self, method: str, rest: str, query: dict[str, str], headers: Headers, body: Any) -> Answer:
        kind, _, identity = rest.partition("/")
        if kind == "clients":
            found = self.clients.get(query["crm_account_id"])
            return 200, {"items": [{"id": found}] if found else []}
        if not identity:
            wanted = query["contract_number"]
            return 200, {
                "items": [{"id": i, **p} for i, p in self.projects.items() if p.get("contract_number") == wanted]
            }
        project = self.projects.get(identity)
        if method == "PUT":
            if project is not None:
                return (412, {}) if headers.get("if-none-match") == "*" else (400, {"message": "no condition"})
            self.projects[identity] = {**body, "version": 1, "in_use": False}
            return 201, {"id": identity}
        if project is None:
            return 404, {"message": "no such project"}
        if method == "PATCH":
            if headers.get("if-match") != str(project["version"]):
                return 412, {"message": "it was changed"}
            project.update(body, version=project["version"] + 1)
        return 200, {"id": identity, **project}

    def _netsuite(self, method: str, rest: str, body: Any) -> Answer:
        matched = re.fullmatch(r"services/rest/record/v1/(\w+)/eid:([A-Za-z0-9_-]+)", rest)
        if matched is None:
            return 404, {"title": "no such record"}
        rows = self.entities.setdefault("netsuite", [])
        row = next((each for each in rows if each["externalId"] == matched[2]), None)
        if method == "GET":
            return (404, {"title": "Not found"}) if row is None else (200, row)
        if row is None:
            rows.append(row := {"id": str(100 + len(rows)), "externalId": matched[2]})
        row.update(body)
        return 204, None

    def _oracle(self, method: str, rest: str, query: dict[str, str], body: Any) -> Answer:
        rows = self.entities.setdefault("oracle", [])
        if method == "GET":
            name, _, value = query["q"].partition("=")
            return 200, {"items": [row for row in rows if row.get(name) == value.strip("'")]}
        if method == "PATCH":
            row = next(each for each in rows if each["ProjectNumber"] == rest.rpartition("/")[2])
            row.update(body)
            return 200, row
        rows.append(dict(body))
        return 201, body

    def _dynamics(self, method: str, rest: str, body: Any) -> Answer:
        name, _, key = rest.partition("(")
        rows = self.entities.setdefault("dynamics", [])

        def is_it(row: dict[str, Any]) -> bool:
            return f"dataAreaId='{row['dataAreaId']}',ProjectID='{row['ProjectID']}')" == key

        if method == "POST":
            if any(row["ProjectID"] == body["ProjectID"] and row["dataAreaId"] == body["dataAreaId"] for row in rows):
                return 409, {"error": {"code": "DuplicateKey", "message": f"{name} exists"}}
            rows.append(dict(body))
            return 201, body
        row = next((each for each in rows if is_it(each)), None)
        if row is None:
            return 404, {"error": {"code": "", "message": "not found"}}
        if method == "PATCH":
            row.update(body)
            return 204, None
        return 200, row

    def _sap(self, method: str, rest: str, query: dict[str, str], headers: Headers, body: Any) -> Answer:
        rows = self.entities.setdefault("sap", [])
        if method == "GET":
            wanted = re.search(r"eq '((?:[^']|'')*)'", query.get("$filter", ""))
            value = wanted[1].replace("''", "'") if wanted else ""
            return 200, {"d": {"results": [row for row in rows if row["Project"] == value]}}
        if headers.get("x-csrf-token") != TOKEN or "session=1" not in headers.get("cookie", ""):
            return 403, {"error": {"message": {"lang": "en", "value": "CSRF token validation failed"}}}
        if method == "PATCH":
            row = next(each for each in rows if f"'{each['Project']}'" in rest)
            row.update(body)
            return 204, None
        rows.append(dict(body))
        return 201, {"d": body}

    def _tryton(self, body: Any) -> Answer:
        method, parameters = body["method"], body["params"]
        if method == "common.db.login":
            return 200, {"id": 0, "result": [7, "token", "bus"]}
        if self.refuse and self.refuse in method:
            return 200, {"id": 1, "error": ["UserError", ["this is never taken", ""]]}
        match method.rpartition(".")[2]:
            case "search":
                words = parameters[0][0][2].strip("%")
                return 200, {"result": [work["id"] for work in self.works if words in work["comment"]]}
            case "read":
                return 200, {"result": [work for work in self.works if work["id"] in parameters[0]]}
            case "create":
                fresh = {"id": 40 + len(self.works), "children": [], "timesheet_duration": None, **parameters[0][0]}
                self.works.append(fresh)
                return 200, {"result": [fresh["id"]]}
            case "write":
                for work in self.works:
                    if work["id"] in parameters[0]:
                        work.update(parameters[1])
                return 200, {"result": None}
        return 200, {"error": ["TypeError", [f"no method {method}"]]}


class Handler(BaseHTTPRequestHandler):
    """Answers, or fails as it was ordered."""

    protocol_version = "HTTP/1.1"
    world: World

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(sent) if sent else None
        path, query = unquote(parts.path), {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.world.lock:
            if path == "/world":
                if method == "POST":
                    self.world.ordered(body or {})
                return self._reply(200, self.world.shown())
            fault = self.world.fault() if _writes(method, body) else ""
            early: dict[str, Answer] = {
                "broken": (500, {"message": "an error"}), "busy": (429, {"message": "come again"}),
                "stranger": (401, {"message": "who are you"}), "refused": (400, {"message": "this is never taken"}),
            }  # fmt: skip
            if fault in early:
                return self._reply(*early[fault])
            answer = None if fault == "dropped" else self.world.answer(method, path, query, headers, body)
        if fault in ("dropped", "lost") or answer is None:
            self.close_connection = True
            return None
        if fault == "broken_after":
            return self._reply(500, {"message": "an error"})
        return self._reply(*answer, cut=fault == "garbled")

    def _reply(self, status: int, content: Any, cut: bool = False) -> None:
        text = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.send_header("x-csrf-token", TOKEN)
        self.send_header("set-cookie", "session=1")
        if status == 429:
            self.send_header("retry-after", "7")
        self.end_headers()
        self.wfile.write(text[: len(text) // 2] if cut else text)
        self.close_connection = self.close_connection or cut


def _writes(method: str, body: Any) -> bool:
    """Tell whether a request changes something; of JSON-RPC, its method does."""
    if isinstance(body, dict) and "method" in body and "params" in body:
        return str(body["method"]).endswith((".create", ".write"))
    return method != "GET"


def main() -> None:
    """Serve until standard input ends."""
    serve(Handler, world=World())


if __name__ == "__main__":
    main()
