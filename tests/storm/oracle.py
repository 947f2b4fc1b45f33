"""The storm over Oracle Fusion: `python -m tests.storm.oracle FOLDER SETTINGS`, a program of its own on a socket.

It is the simulator of the contract suite, which fails by chance and seed in place of on order, and besides answers as
`erp` does: `GET /all` and `GET /figures`. It is called by the sink that is shipped, as a file of targets says.
"""

import json
import random
import re
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.contract.simulators.far_side import Asked, Json, Said, started
from tests.contract.simulators.oracle import Oracle
from tests.storm.erp import Faults, tell_port

KINDS: Final = {
    "timeout after": "timeout_after", "timeout before": "timeout_before", "busy": "busy",
    "broken before": "error_before", "broken after": "error_after", "answer lost": "lost",
}  # fmt: skip
"""What becomes of a posting, as the simulator calls it."""

TARGETS: Final = """\
version: 1
targets:
  erp:
    kind: oracle
    url: {url}
    auth: client_credentials
    auth.token.url: {url}/oauth2/v1/token
    auth.client.id: client-1
    auth.client.secret: s3cret
    auth.scope: urn:opc:resource:fusion
    mapping: mapping.yaml
    calls_at_once: {at_once}
    timeout.ms: {timeout_ms}
    late.ms.max: {timeout_ms}
"""
MAPPING: Final = """\
version: 1
company: {LE1: Vision Operations}
item: {B1: Consulting}
project: {P1: P-C1}
contract_type: "Sell : Project lines"
"""


def targets_file(folder: Path, url: str, at_once: int, timeout_s: float) -> Path:
    """Write a file of targets, and return where it is."""
    (folder / "mapping.yaml").write_text(MAPPING)
    file = folder / "targets.yaml"
    file.write_text(TARGETS.format(url=url, at_once=at_once, timeout_ms=round(timeout_s * 1000)))
    return file


class StormyOracle(Oracle):
    """Oracle Fusion, in a storm."""

    def __init__(self, seed: int, latency_ms: float, at_once: int, faults: Faults) -> None:
        super().__init__()
        self.told: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._latency_s = latency_ms / 1000
        self._at_once = at_once
        self._faults = faults
        self._under_way = 0
        self._held: dict[str, list[Json]] = {}

    def latency_s(self) -> float:
        return self._latency_s

    def begin(self) -> bool:
        self.told["most at once"] = max(self.told["most at once"], self._under_way + 1)
        if self._under_way >= self._at_once:
            self.told["too many at once"] += 1
            return False
        self._under_way += 1
        return True

    def end(self, seconds: float) -> None:
        self._under_way -= 1
        self.told["microseconds"] += round(seconds * 1e6)

    def fault(self, asked: Asked) -> Json | None:
        if not self.is_booking(asked):
            return None
        self.told["postings"] += 1
        fate = self._faults.fate(self._chance.random())
        self.told[fate] += 1
        return {"kind": KINDS[fate]} if fate in KINDS else None

    def answer(self, asked: Asked) -> Said:
        if asked.path == "/figures":
            return Said(200, dict(self.told))
        if asked.path == "/all":
            return Said(200, [_plain(each) for each in self.documents])
        self.told["questions"] += asked.method == "GET"
        return super().answer(asked)

    def book(self, reference: str, **document: Any) -> Json:
        booked = super().book(reference, **document)
        self._held.setdefault(reference, []).append(booked)
        self.told["booked"] = len(self.documents)
        return booked

    def held(self, references: set[str]) -> list[Json]:
        """By an index: there are many."""
        return [each for reference in sorted(references) for each in self._held.get(reference, ())]


def _plain(event: Json) -> list[Any]:
    """Reference, contract, place in its contract's order, and amount."""
    number = re.search(r" T(\d+) of ", event["EventDescription"])
    assert number is not None
    return [event["reference"], event["ContractNumber"], int(number[1]), str(event["amount"])]


def main() -> None:
    """Run until it is killed."""
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    faults = Faults(**settings["faults"])
    server, _ = started(StormyOracle(settings["seed"], settings["latency_ms"], settings["at_once"], faults))
    tell_port(folder, int(server.server_address[1]))
    threading.Event().wait()


if __name__ == "__main__":
    main()
