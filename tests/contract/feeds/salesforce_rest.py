"""The simulated organisation over HTTP: tokens, queries, descriptions, and a test's orders under /control."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from tests.contract.feeds.salesforce_objects import moment
from tests.contract.feeds.salesforce_org import Org, Record
from tests.contract.feeds.salesforce_soql import Malformed, Query, read

VERSION = "/services/data/v62.0"
CLIENT, SECRET, USER, TENANT = "a-client", "a-secret", "feed@example.com", "00D000000000001EAA"


class Refused(Exception):
    """An error as REST has it: a list of one."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Front:
    """What is the organisation's own at the door: tokens, limits, open queries, and the faults that a test orders."""

    def __init__(self, org: Org, key: RSAPublicKey) -> None:
        self.key = key
        self.url = ""
        self.reset(org)

    def reset(self, org: Org) -> None:
        """Be the door of another organisation, as at its first day."""
        self.org = org
        self.tokens: set[str] = set()
        self.issued = 0
        self.calls: list[str] = []
        self.used, self.limit = 0, 15_000
        self.rows, self.child_rows = 2_000, 200
        self.faults: list[dict[str, Any]] = []
        self.meanwhile: list[dict[str, Any]] = []  # what happens once so many pages were read
        self.token_requests = 10**9  # that a token is good for
        self._left: dict[str, int] = {}
        self._open: dict[str, tuple[Query | None, list[Any]]] = {}
        self._lock = threading.Lock()

    def issue(self) -> dict[str, Any]:
        """A new token. The answer has no expires_in, as there."""
        with self._lock:
            self.issued += 1
            token = f"00D!{self.issued:04d}"
            self.tokens.add(token)
            self._left[token] = self.token_requests
        return {"access_token": token, "instance_url": self.url, "id": f"{self.url}/id/{TENANT}/005000000000001AAA",
                "token_type": "Bearer", "scope": "api"}  # fmt: skip

    def takes(self, token: str) -> bool:
        """Whether a token is good for one more request."""
        self._left[token] = self._left.get(token, 0) - 1
        return token in self.tokens and self._left[token] >= 0

    def served(self) -> None:
        """A page was read."""
        for order in self.meanwhile:
            order["pages"] -= 1
            if not order["pages"]:
                self.org.commit(order)

    def query(self, soql: str, *, deleted: bool) -> dict[str, Any]:
        """The first page of a query."""
        try:
            found = read(soql)
        except Malformed as error:
            raise Refused(400, "MALFORMED_QUERY", str(error)) from error
        kind = self.org.kinds.get(found.source)
        if kind is None:
            raise Refused(400, "INVALID_TYPE", f"sObject type '{found.source}' is not supported.")
        with self.org.lock:
            self._check(found.source, found)
            records = [record for record in self.org.there(found.source, deleted=deleted) if found.test(record)]
            if found.order:
                records.sort(key=lambda record: [record[name] for name in found.order])
            rows = [(found.source, record["Id"], deleted) for record in records[: found.limit]]
            return self._page(found, rows, self.rows)

    def more(self, locator: str) -> dict[str, Any]:
        """The next page of an open query."""
        if locator not in self._open:
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        found, rows = self._open.pop(locator)
        assert found is not None
        with self.org.lock:
            return self._page(found, rows, self.rows)

    def describe(self, name: str) -> dict[str, Any]:
        """The fields of an object."""
        if name not in self.org.kinds:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
        names = ["Id", "IsDeleted", "SystemModstamp", "LastModifiedDate", "CreatedDate", *self.org.kinds[name].fields]
        return {"name": name, "fields": [{"name": each} for each in names]}

    def _page(self, found: Query, rows: list[Any], size: int) -> dict[str, Any]:
        """Rows are fetched when their page is: what changed meanwhile is in it."""
        now, later = rows[:size], rows[size:]
        answer: dict[str, Any] = {"totalSize": len(rows), "done": not later}
        if later:
            locator = f"0r8{len(self.calls):06d}{len(self._open):04d}-{size}"
            self._open[locator] = (found, later)
            answer["nextRecordsUrl"] = f"{VERSION}/query/{locator}"
        there = [(name, self.org.records[name].get(record_id), deleted) for name, record_id, deleted in now]
        answer["records"] = [self._shown(found, name, record, deleted) for name, record, deleted in there if record]
        return answer

    def _shown(self, found: Query, name: str, record: Record, deleted: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {"attributes": {"type": name, "url": f"{VERSION}/sobjects/{name}/{record['Id']}"}}
        for column in found.columns:
            if isinstance(column, Query):
                kind = next(kind for kind in self.org.kinds.values()
                            if kind.relation == column.source and kind.parent_object == name)  # fmt: skip
                assert kind.parent is not None
                children = [child for child in self.org.there(kind.name, deleted=deleted)
                            if child[kind.parent] == record["Id"] and column.test(child)]  # fmt: skip
                children.sort(key=lambda child: [child[key] for key in column.order])
                rows = [(kind.name, child["Id"], deleted) for child in children]
                shown[column.source] = self._page(column, rows, self.child_rows) if rows else None
            elif "." in column:
                lookup, path = column.split(".")
                other_id = record[lookup.removesuffix("__r") + "__c" if lookup.endswith("__r") else lookup + "Id"]
                other = next((each[other_id] for each in self.org.records.values() if other_id in each), None)
                shown[lookup] = None if other is None else {"attributes": {}, path: other[path]}
            else:
                shown[column] = self._value(name, column, record[column])
        return shown

    def _value(self, name: str, column: str, value: Any) -> Any:
        if column in {"SystemModstamp", "LastModifiedDate", "CreatedDate"}:
            return moment(value)
        if self.org.kinds[name].fields.get(column) in {"currency", "percent", "number"} and value is not None:
            return float(value)
        return value

    def _check(self, name: str, found: Query) -> None:
        kind = self.org.kinds[name]
        known = {"Id", "IsDeleted", "SystemModstamp", "LastModifiedDate", "CreatedDate", *kind.fields}
        for column in [*found.columns, *found.fields]:
            if isinstance(column, Query):
                child = next((each for each in self.org.kinds.values()
                              if each.relation == column.source and each.parent_object == name), None)  # fmt: skip
                if child is None:
                    raise Refused(400, "INVALID_FIELD", f"Didn't understand relationship '{column.source}'")
                self._check(child.name, column)
            elif "." not in column and column not in known:
                raise Refused(400, "INVALID_FIELD", f"No such column '{column}' on entity '{name}'.")


def serve(front: Front, control: Callable[[str, Mapping[str, Any]], Any]) -> ThreadingHTTPServer:
    """Serve on a free port of this machine."""

    class Door(_Door):
        door = front
        orders = staticmethod(control)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    front.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class _Door(BaseHTTPRequestHandler):
    door: Front
    orders: Callable[[str, Mapping[str, Any]], Any]
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = urlsplit(self.path).path
        if path.startswith("/control/"):
            self._say(200, self.orders(path.removeprefix("/control/"), json.loads(body)))
            return
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if self._faulty(path):
            return
        fault = self._refusal(form)
        if fault is not None:
            status = 401 if fault[0] == "invalid_client" else 400
            self._say(status, {"error": fault[0], "error_description": fault[1]})
        else:
            self._say(200, self.door.issue())

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.door.calls.append(self.path)
        if self._faulty(parts.path):
            return
        try:
            if not self.door.takes(self.headers.get("Authorization", "").removeprefix("Bearer ")):
                raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")
            if self.door.used >= self.door.limit:
                raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self.door.used += 1
            self._say(200, self._found(parts.path, parse_qs(parts.query)))
            self.door.served()
        except Refused as error:
            self._say(error.status, [{"message": str(error), "errorCode": error.code}])

    def _found(self, path: str, params: Mapping[str, list[str]]) -> Any:
        if path in {f"{VERSION}/query", f"{VERSION}/queryAll"}:
            return self.door.query(params["q"][0], deleted=path.endswith("All"))
        if path.startswith(f"{VERSION}/query/"):
            return self.door.more(path.rpartition("/")[2])
        if path.startswith(f"{VERSION}/sobjects/") and path.endswith("/describe"):
            return self.door.describe(path.split("/")[-2])
        if path == f"{VERSION}/limits":
            left = self.door.limit - self.door.used
            return {"DailyApiRequests": {"Max": self.door.limit, "Remaining": left}}
        raise Refused(404, "NOT_FOUND", "The requested resource does not exist")

    def _faulty(self, path: str) -> bool:
        """Whether a fault that was ordered struck."""
        waiting = [each for each in self.door.faults if each["times"] > 0 and each["match"] in path]
        if not waiting:
            return False
        fault = waiting[0]
        if fault["after"] > 0:
            fault["after"] -= 1
            return False
        fault["times"] -= 1
        match fault["kind"]:
            case "cut":
                self._send(200, b'{"totalSize": 3, "rec', {"Content-Length": "1000"})
                self.close_connection = True
            case "hang":
                threading.Event().wait(fault["seconds"])
                self.close_connection = True
            case "page":
                self._send(200, b"<html>We are down for maintenance.</html>")
            case "large":
                self._send(200, b"[" + b"0," * fault["bytes"] + b"0]")
            case _:
                headers = {"Retry-After": str(fault["retry_after"])} if "retry_after" in fault else {}
                error = {"message": "ordered by the test", "errorCode": fault.get("code", "SERVER_UNAVAILABLE")}
                self._send(fault["status"], json.dumps(fault.get("body", [error])).encode(), headers)
        return True

    def _refusal(self, form: Mapping[str, str]) -> tuple[str, str] | None:
        if form.get("grant_type") == "client_credentials":
            basic = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            given = (form.get("client_id"), form.get("client_secret")) if not basic else tuple(basic.split(":"))
            return None if given == (CLIENT, SECRET) else ("invalid_client", "no such client")
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return "unsupported_grant_type", "grant type not supported"
        signed, _, signature = form["assertion"].rpartition(".")
        header, claims = (json.loads(part) for part in _parts(signed))
        try:
            self.door.key.verify(_bytes(signature), signed.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return "invalid_grant", "invalid assertion"
        wanted = {"iss": CLIENT, "sub": USER, "aud": self.door.url}
        if claims["exp"] - claims["iat"] > 180:
            return "invalid_grant", "expired authorization code"
        if header["alg"] != "RS256" or any(claims[name] != value for name, value in wanted.items()):
            return "invalid_grant", "user hasn't approved this consumer"
        return None

    def _say(self, status: int, answer: Any) -> None:
        self._send(status, json.dumps(answer).encode())

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        own = {
            "Content-Type": "application/json;charset=UTF-8",
            "Content-Length": str(len(body)),
            "Sforce-Limit-Info": f"api-usage={self.door.used}/{self.door.limit}",
        }
        for name, value in {**own, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


def _parts(signed: str) -> Iterator[bytes]:
    yield from map(_bytes, signed.split("."))


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
