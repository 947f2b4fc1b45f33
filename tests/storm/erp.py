"""The simulated ERP: `python -m tests.storm.erp FOLDER SETTINGS`, a program of its own on a socket.

It books documents that name a reference of ours, which it does not keep unique: what is sent twice stands there twice.
It answers after a while, takes only so many requests at once, and fails by chance and seed:

    POST /documents                     {"reference", "contract", "place", "amount"}  201 with a number
    GET  /documents?references=a,b,c    what it holds of them
    GET  /all                           everything, in the order in which it was booked
    GET  /figures                       how much it has been asked, and what for
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

REASONS: Final = {200: "OK", 201: "Created", 404: "Not Found", 429: "Too Many Requests", 500: "Server Error"}
WAKES_LATE_S: Final = 0.0007
"""By how much the loop wakes too late: it counts in whole milliseconds."""

HANGS_S: Final = 30.0
"""How long an answer is kept back that never comes: longer than anybody waits."""


class Faults(NamedTuple):
    """Shares of all postings that end so, from 0 to 1."""

    timeout_after: float = 0.05
    timeout_before: float = 0.05
    busy: float = 0.05
    broken: float = 0.02
    answer_lost: float = 0.01

    def fate(self, draw: float) -> str:
        """Return what becomes of a posting, by a number from 0 to 1 that was drawn for it."""
        for name, share in (
            ("timeout after", self.timeout_after),
            ("timeout before", self.timeout_before),
            ("busy", self.busy),
            ("broken before", self.broken / 2),
            ("broken after", self.broken / 2),
            ("answer lost", self.answer_lost),
        ):
            draw -= share
            if draw < 0:
                return name
        return "well"


class Erp:
    """What it holds, and how it answers."""

    def __init__(self, seed: int, latency_ms: float, at_once: int, faults: Faults) -> None:
        self._chance = random.Random(seed)
        self._latency_s = latency_ms / 1000
        self._at_once = at_once
        self._faults = faults
        self._under_way = 0
        self.booked: list[tuple[str, str, int, str]] = []
        self._numbers: dict[str, list[int]] = {}
        self.told: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is closed, or is to break."""
        try:
            while (request := await _request(reader)) is not None:
                answer = await self._answer(*request)
                if answer is None:
                    break
                writer.write(_response(*answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, method: str, target: str, body: bytes) -> tuple[int, Any] | None:
        parts = urlsplit(target)
        if parts.path in ("/all", "/figures"):
            return 200, self.booked if parts.path == "/all" else dict(self.told)
        self._under_way += 1
        began = time.monotonic()
        self.told["most at once"] = max(self.told["most at once"], self._under_way)
        try:
            if self._under_way > self._at_once:
                self.told["too many at once"] += 1
                return 429, {"message": "too many requests at once"}
            await asyncio.sleep(max(0.0, self._latency_s - WAKES_LATE_S))
            if method == "GET":
                self.told["questions"] += 1
                return 200, self._found(parse_qs(parts.query)["references"][0].split(","))
        finally:
            self._under_way -= 1
            self.told["microseconds"] += round((time.monotonic() - began) * 1e6)
        self.told["postings"] += 1
        return await self._booked(json.loads(body))

    async def _booked(self, document: Mapping[str, Any]) -> tuple[int, Any] | None:
        fate = self._faults.fate(self._chance.random())
        self.told[fate] += 1
        match fate:
            case "timeout after":
                self._book(document)
                await asyncio.sleep(HANGS_S)
                return None
            case "timeout before":
                await asyncio.sleep(HANGS_S)
                return None
            case "busy":
                return 429, {"message": "come again"}
            case "broken before":
                return 500, {"message": "an error"}
            case "broken after":
                self._book(document)
                return 500, {"message": "an error"}
            case "answer lost":
                self._book(document)
                return None
        return 201, {"number": self._book(document), "reference": document["reference"]}

    def _book(self, document: Mapping[str, Any]) -> int:
        number = len(self.booked) + 1
        self.told["booked"] = number
        self.booked.append((document["reference"], document["contract"], document["place"], document["amount"]))
        self._numbers.setdefault(document["reference"], []).append(number)
        return number

    def _found(self, references: list[str]) -> list[dict[str, Any]]:
        return [
            {"reference": reference, "number": number}
            for reference in references
            for number in self._numbers.get(reference, ())
        ]


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, bytes] | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *headers = head.decode("ascii").split("\r\n")
    method, target, _ = first.split(" ")
    length = next((int(line[15:]) for line in headers if line.lower().startswith("content-length:")), 0)
    return method, target, await reader.readexactly(length) if length else b""


def _response(status: int, content: Any) -> bytes:
    body = json.dumps(content).encode()
    told = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return f"HTTP/1.1 {status} {REASONS[status]}\r\n{told}".encode() + body


def tell_port(folder: Path, port: int) -> None:
    """Say where it listens, in a file that is there whole or not at all."""
    written = folder / "port.new"
    written.write_text(str(port))
    written.rename(folder / "port")


async def _run(folder: Path, settings: Mapping[str, Any]) -> None:
    erp = Erp(settings["seed"], settings["latency_ms"], settings["at_once"], Faults(**settings["faults"]))
    server = await asyncio.start_server(erp.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tell_port(folder, port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), json.loads(sys.argv[2])))
