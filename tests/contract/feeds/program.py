"""A system outside as a program of its own over HTTP: answers, faults on order, and a way for tests to change it.

A subclass of `System` holds the records and answers requests. It is run by `python -m MODULE`, prints its port, and
ends when its standard input closes. Tests speak to it by `POST /_control`.
"""

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.support import answering

Json = dict[str, Any]


class Asked(NamedTuple):
    """A request: its path, its parameters, and its headers by their names in small letters."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]


class Refusal(Exception):
    """A request is answered with an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class System:
    """What a simulator is."""

    def __init__(self) -> None:
        self.records: dict[str, Json] = {}
        self.asked: list[Json] = []
        self._faults: list[Json] = []
        self._meanwhile: list[tuple[int, list[Json]]] = []
        self._tokens_given = 0
        self._token_life = self._token_left = 10**9
        self._pages = 0

    def answer(self, asked: Asked) -> Any:
        """Answer a request with JSON; raise Refusal."""
        raise NotImplementedError

    # -- what tests order

    def control(self, order: Json) -> Any:
        match order["do"]:
            case "reset":
                self.__init__()  # type: ignore[misc]
            case "put":
                # What was changed last stands last, as after a new index.
                self.records.pop(order["id"], None)
                self.records[order["id"]] = order["record"]
            case "remove":
                self.records.pop(order["id"], None)
            case "fault":
                self._faults.append(order)
            case "many":
                for each in order["orders"]:
                    self.control(each)
            case "meanwhile":
                self._meanwhile.append((self._pages + order["pages"], order["orders"]))
            case "token":
                self._token_life = order["requests"]
            case "asked":
                return self.asked
        return None

    # -- what a request meets

    def fault(self) -> Json | None:
        """The fault that the next request meets, if one was ordered."""
        if self._faults and self._faults[0].get("after", 0) <= 0:
            return self._faults.pop(0)
        if self._faults:
            self._faults[0]["after"] -= 1
        return None

    def page_served(self) -> None:
        """A page was read: what was ordered to happen meanwhile happens."""
        self._pages += 1
        due = [orders for at, orders in self._meanwhile if at <= self._pages]
        self._meanwhile = [(at, orders) for at, orders in self._meanwhile if at > self._pages]
        for orders in due:
            for order in orders:
                self.control(order)

    def token(self, form: dict[str, str], headers: dict[str, str]) -> Json:
        """Answer the token endpoint."""
        if form.get("grant_type") == "client_credentials" and headers.get("authorization") != "Basic aWQ6c2VjcmV0":
            raise Refusal(401, {"error": "invalid_client", "error_description": "no such client"})
        self._tokens_given += 1
        self._token_left = self._token_life
        return {"access_token": f"token-{self._tokens_given}", "token_type": "Bearer", "expires_in": 3600}

    def authorize(self, headers: dict[str, str]) -> None:
        """Refuse a request without the newest token, or with one that has been used up."""
        if headers.get("authorization") != f"Bearer token-{self._tokens_given}" or self._token_left <= 0:
            raise Refusal(401, {"error": "invalid_token"})
        self._token_left -= 1


class Answering(BaseHTTPRequestHandler):
    """Answers for one system, one request at a time, but for those that hang."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together: sent one by one, the second waits for the first to be confirmed
    system: System
    lock: threading.RLock
    released: threading.Event

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query, keep_blank_values=True))

        def answer(headers: dict[str, str]) -> Any:
            self.system.authorize(headers)
            return self.system.answer(Asked(parts.path, params, headers))

        with self.lock:
            self.system.asked.append({"path": parts.path, "params": params})
            fault = self.system.fault()
        if fault is None:
            self._guarded(answer)
        else:
            self._meet(fault, answer)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path == "/_control":
            with self.lock:
                self._send(200, json.dumps(self.system.control(json.loads(body))).encode())
        else:
            self._guarded(lambda headers: self.system.token(dict(parse_qsl(body.decode())), headers))

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _guarded(self, answer: Callable[[dict[str, str]], Any]) -> None:
        try:
            with self.lock:
                told = json.dumps(answer(self._headers())).encode()
            self._send(200, told)
        except Refusal as refusal:
            self._send(refusal.status, json.dumps(refusal.body).encode())

    def _meet(self, fault: Json, answer: Callable[[dict[str, str]], Any]) -> None:
        match fault["kind"]:
            case "status":
                more = {"retry-after": fault["retry_after"]} if fault.get("retry_after") else {}
                self._send(fault["status"], json.dumps(fault.get("body", {"error": "no"})).encode(), more)
            case "cut":
                with self.lock:
                    whole = json.dumps(answer(self._headers())).encode()
                self._send(200, whole[: len(whole) // 2], {"content-length": str(len(whole))})
                self.close_connection = True
            case "hang":
                self.released.wait(fault["seconds"])
                self.close_connection = True
            case "page":
                self._send(200, b"<html>We are working on it.</html>")
            case "large":
                self._send(200, b"[" + b"0," * fault["bytes"] + b"0]")

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_arguments: object) -> None:
        """Nothing: tests say what went wrong."""


def serve(system: System) -> None:
    """Run until standard input closes."""
    answering.serve(Answering, system=system)


class Program:
    """A simulator that runs, as tests see it."""

    def __init__(self, module: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._child.stdout.readline())}"

    def order(self, do: str, **order: Any) -> Any:
        """Order something; return what it says."""
        body = json.dumps({"do": do, **order}).encode()
        request = urllib.request.Request(f"{self.url}/_control", body, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()
