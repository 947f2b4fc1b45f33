"""An ERP as a program of its own over HTTP: documents that it booked, faults on order, searches that lag behind.

A subclass of `FarSide` answers requests as its ERP's documents say. It is run by `python -m MODULE`, prints its port,
and ends when its standard input closes. Tests speak to it by `POST /_control`.
"""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support import answering
from tests.support.answering import Serving

Json = dict[str, Any]
APPLIED = ("none", "lost", "cut", "slow")
"""What is answered, or not, once it was carried out."""


class Asked(NamedTuple):
    """A request; names of headers in small letters."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Json:
        found: Json = json.loads(self.body, parse_float=Decimal)
        return found

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


class Said(NamedTuple):
    """An answer."""

    status: int
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    def content(self) -> bytes:
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        return json.dumps(self.body, default=str).encode()


class Refusal(Exception):
    """A request is answered with an error."""

    def __init__(self, said: Said) -> None:
        super().__init__(said.status)
        self.said = said


class FarSide:
    """What a simulated ERP is. `documents` are in the order they were booked, each with reference, id and booked_at."""

    def __init__(self, **settings: Any) -> None:
        self.settings: Json = settings
        self.documents: list[Json] = []
        self.refused: dict[str, str] = {}
        self.locked: set[str] = set()
        self.closed: set[str] = set()
        self.clock = self.stale_ms = 0
        self.requests_left = -1
        self.tokens: set[str] = set()
        self.tokens_ended = 0
        self.faults: list[Json] = []
        self.late: list[Asked] = []
        """Requests that nobody waits for any more, and that are carried out once time passes."""
        self.asked: list[str] = []

    # -- what an ERP says for itself

    def answer(self, asked: Asked) -> Said:
        """Answer a request; raise Refusal."""
        raise NotImplementedError

    def is_booking(self, asked: Asked) -> bool:
        """Whether a request would book something: faults are ordered for these, unless they say otherwise."""
        raise NotImplementedError

    def busy(self) -> Said:
        """What it says when it is asked too much."""
        return Said(429, {"error": {"code": "TooManyRequests", "message": "Too many requests"}})

    def broken(self) -> Said:
        """What it says when something broke."""
        return Said(500, {"error": {"code": "InternalError", "message": "An unexpected error has occurred"}})

    def own(self, kind: str) -> Said:
        """What it says by a fault of its own kind."""
        raise AssertionError(kind)

    def latency_s(self) -> float:
        """How long a request takes before it is answered."""
        return 0.0

    def begin(self) -> bool:
        """Let a request in, or refuse it, since there are too many."""
        return True

    def end(self, seconds: float) -> None:
        """One that was let in has waited for its turn."""

    # -- what they share

    def held(self, references: set[str]) -> list[Json]:
        """The documents of these references that a search sees."""
        return [each for each in self.seen() if each["reference"] in references]

    def seen(self) -> list[Json]:
        """The documents that a search sees: it may lag behind what was booked."""
        return [
            each for each in self.documents if self.stale_ms == 0 or each["booked_at"] + self.stale_ms <= self.clock
        ]

    def book(self, reference: str, **document: Any) -> Json:
        """Book a document under the next number."""
        booked = {"reference": reference, "id": str(1000 + len(self.documents)), "booked_at": self.clock, **document}
        self.documents.append(booked)
        return booked

    def copied(self, document: Json) -> Json:
        """The same document under another number."""
        return {**document, "id": document["id"] + "9"}

    def new_token(self) -> str:
        """Give a token; those given before stay good."""
        token = f"token-{len(self.tokens) + 1}-{self.tokens_ended}"
        self.tokens.add(token)
        return token

    def token_is_good(self, asked: Asked) -> bool:
        self.pass_request()
        return asked.headers.get("authorization", "").removeprefix("Bearer ") in self.tokens

    def pass_request(self) -> None:
        """End every login so far, once as many requests as were ordered have passed."""
        if self.requests_left == 0:
            self.tokens.clear()
            self.tokens_ended += 1
        self.requests_left -= 1

    # -- what tests order

    def control(self, order: Json) -> Any:
        match order.pop("do"):
            case "reset":
                self.__init__(**order)  # type: ignore[misc]
            case "fault":
                self.faults.append(order)
            case "clear":
                self.faults.clear()
            case "refuse":
                self.refused[order["reference"]] = order["reason"]
            case "lock":
                self.locked.add(order["reference"])
            case "unlock":
                self.locked.clear()
            case "close":
                self.closed.add(order["period"])
            case "stale":
                self.stale_ms = order["ms"]
            case "pass":
                self.clock += order["ms"]
                for asked in self.late:
                    self.answer(asked)
                self.late.clear()
            case "expire":
                self.requests_left = order["after"]
            case "documents":
                return [{**each, "amount": str(each["amount"])} for each in self.documents]
            case "again":
                # Somebody else books the same once more, under another number.
                self.documents += [self.copied(each) for each in self.documents]
            case "undo":
                self.documents.pop()
            case "asked":
                return self.asked
        return None

    def fault(self, asked: Asked) -> Json | None:
        """The fault that this request meets, if one was ordered for it."""
        for fault in self.faults:
            if fault.get("on", "booking") == "booking" and not self.is_booking(asked):
                continue
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
                return None
            self.faults.remove(fault)
            return fault
        return None


class Answering(BaseHTTPRequestHandler):
    """Answers for one ERP, one request at a time, but for those that hang."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together: sent one by one, the second waits for the first to be confirmed
    far: FarSide
    lock: threading.RLock
    released: threading.Event

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        parts = urlsplit(self.path)
        if parts.path == "/_control":
            with self.lock:
                self._send(Said(200, json.dumps(self.far.control(json.loads(body)), default=str).encode()))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        asked = Asked(self.command, unquote(parts.path), params, headers, body)
        with self.lock:
            self.far.asked.append(f"{asked.method} {asked.path}")
            is_let_in = self.far.begin()
        if not is_let_in:
            self._send(self.far.busy())
            return
        began = time.monotonic()
        self.released.wait(self.far.latency_s())
        with self.lock:
            self.far.end(time.monotonic() - began)
            fault = self.far.fault(asked)
        self._meet(asked, fault or {"kind": "none"})

    do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = _serve  # noqa: N815

    def _meet(self, asked: Asked, fault: Json) -> None:
        kind: str = fault["kind"]
        said = self._answered(asked) if kind.endswith("_after") or kind in APPLIED else None
        match kind.removesuffix("_before").removesuffix("_after"):
            case "none":
                assert said is not None
                self._send(said)
            case "busy":
                busy = self.far.busy()
                wait = {"retry-after": fault["retry_after"]} if fault.get("retry_after") else {}
                self._send(busy._replace(headers={**busy.headers, **wait}))
            case "error":
                self._send(self.far.broken())
            case "timeout" | "late":
                if kind == "late":
                    self.far.late.append(asked)
                self.released.wait(30)
                self.close_connection = True
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())
                self.close_connection = True
            case "lost":
                self.close_connection = True
            case "cut":
                assert said is not None
                self._write(said, lambda whole: [whole[: len(whole) - max(1, len(said.content()) // 2)]])
                self.close_connection = True
            case "slow":
                assert said is not None
                self._write(said, lambda whole: [whole[at : at + 40] for at in range(0, len(whole), 40)])
            case own:
                self._send(self.far.own(own))

    def _answered(self, asked: Asked) -> Said:
        with self.lock:
            try:
                return self.far.answer(asked)
            except Refusal as refusal:
                return refusal.said

    def _send(self, said: Said) -> None:
        self._write(said, lambda whole: [whole])

    def _write(self, said: Said, pieces: Callable[[bytes], list[bytes]]) -> None:
        content = said.content()
        headers = {"content-type": "application/json", "content-length": str(len(content)), **said.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        # An answer without a body is cut within its head.
        whole = f"HTTP/1.1 {said.status} Said\r\n{head}\r\n".encode() + (b"" if self.command == "HEAD" else content)
        for piece in pieces(whole):
            self.wfile.write(piece)
            self.wfile.flush()
            self.released.wait(0.001 if len(piece) < len(whole) else 0)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: tests say what went wrong."""


def started(far: FarSide) -> Serving:
    """A server that answers for an ERP, and what ends all waiting in it."""
    return answering.started(Answering, far=far)


def serve(far: FarSide) -> None:
    """Run until standard input closes."""
    answering.serve(Answering, far=far)
