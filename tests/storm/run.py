"""One storm: intents are written, the worker dies and comes back until all have an end, and both sides are compared."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from confluent_kafka import Producer

from schemas.codec import Codec
from schemas.registry import Manifest
from streams.domain.posting import FINAL, intent_of, posting_id_of
from streams.engine.clock import system_clock
from streams.engine.cluster import changelog_of
from streams.partitioning import partition_of
from streams.topics import EXCEPTIONS, POSTINGS, RECEIPTS
from tests.storm.erp import Faults
from tests.storm.worker import GROUP, PARTITIONS, SYSTEM
from tests.storm.workers import Workers
from tests.support.kafka import make_topic, read_to_end

Say = Callable[[str], None]

STORM = Faults()
CALM = Faults(0.0, 0.0, 0.0, 0.0, 0.0)
PROGRAMS = {"plain": "tests.storm.erp", "oracle": "tests.storm.oracle"}
"""The simulated ERPs."""

QUIET_S_MAX = 120.0
"""After so long without one more document the storm is given up."""

_EXAMPLES_MAX = 5


class Asked(NamedTuple):
    """What a storm is like: the postings and their contracts, the ERP, its faults, and how often a worker suffers.

    `target` is a key of `PROGRAMS`. Every so often one worker is killed, and one is stalled until others have its
    partitions; 0: never.
    """

    postings: int
    contracts: int
    seed: int
    latency_ms: float
    at_once: int
    timeout_s: float
    kill_every_s: float
    faults: Faults
    target: str = "plain"
    workers: int = 1
    stall_every_s: float = 0.0


class Verdict(NamedTuple):
    """What came of it. `disordered` are contracts whose postings stand in another order than that of their intents."""

    documents: int
    doubled: int
    unresolved: int
    disordered: int
    kills: int
    stalls: int
    per_second: float
    figures: dict[str, int]
    examples: list[str]

    def is_well(self, asked: Asked) -> bool:
        """Tell whether each posting is one document, in its contract's order, and known to be."""
        return (self.documents, self.doubled, self.unresolved, self.disordered) == (asked.postings, 0, 0, 0)


def intents(asked: Asked) -> Iterator[dict[str, Any]]:
    """Yield the intents, in an order in which contracts take turns."""
    for number in range(asked.postings):
        trigger = {
            "trigger_id": f"storm-{asked.seed}-{number}", "kind": "time", "revision": number, "reverses": None,
            "contract_number": f"C{number % asked.contracts}", "project_id": "P1", "client_id": "A1",
            "legal_entity": "LE1", "erp_customer_id": "CU1", "source_kind": "time_entry", "source_id": f"T{number}",
            "service_date": date(2026, 2, 3), "service_period": "2026-02", "posting_period": "2026-02",
            "quantity": Decimal(1), "rate": Decimal(100), "amount": Decimal(number % 900 + 100).scaleb(-2),
            "currency": "EUR", "tax_code": "TX", "billing_code": "B1", "po_number": None,
        }  # fmt: skip
        yield {**intent_of(trigger, SYSTEM, system_clock()), "systems": [SYSTEM], "because": "a storm"}


def run(asked: Asked, brokers: str, out: Path, say: Say) -> Verdict:
    """Let it come to its end. Raises `AssertionError` if it comes to none."""
    for topic in (POSTINGS, RECEIPTS, EXCEPTIONS):
        make_topic(brokers, topic, PARTITIONS)
    make_topic(brokers, changelog_of(GROUP), PARTITIONS, {"cleanup.policy": "compact"})
    _write(asked, brokers)
    say(f"{asked.postings:,} intents are written")
    with _Erp(asked, out) as erp:
        told = json.dumps({"at_once": asked.at_once, "timeout_s": asked.timeout_s, "target": asked.target})
        workers = Workers(out, asked.workers, [brokers, erp.url, told], asked.kill_every_s, asked.stall_every_s)
        try:
            seconds = _until_all_are_there(asked, erp, workers, say)
            _until_all_are_told(asked, brokers, workers, say)
        finally:
            workers.end()
        return _verdict(asked, brokers, erp, workers, asked.postings / seconds)


class _Erp:
    """The simulated ERP, a program of its own."""

    def __init__(self, asked: Asked, out: Path) -> None:
        settings = {"seed": asked.seed, "latency_ms": asked.latency_ms, "at_once": asked.at_once}
        told = json.dumps({**settings, "faults": asked.faults._asdict()})
        self._out = out
        self._program = subprocess.Popen([sys.executable, "-m", PROGRAMS[asked.target], str(out), told])

    def __enter__(self) -> "_Erp":
        port, deadline = self._out / "port", time.monotonic() + 30
        while not port.exists():
            assert time.monotonic() < deadline, "the simulated ERP does not start"
            assert self._program.poll() is None, "the simulated ERP has ended"
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{port.read_text()}"
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()
        self._program.wait()

    def ask(self, what: str) -> Any:
        """Return its documents, or how it was asked."""
        return httpx2.get(f"{self.url}/{what}", timeout=60).json()


def _write(asked: Asked, brokers: str) -> None:
    codec, producer = Codec(Manifest()), Producer({"bootstrap.servers": brokers, "linger.ms": 50})
    for number, intent in enumerate(intents(asked)):
        key = intent["contract_number"]
        producer.produce(POSTINGS, codec.encode(POSTINGS, intent), key.encode(), partition_of(key, PARTITIONS))
        if number % 1_000 == 0:
            producer.poll(0.05)
    assert producer.flush(60) == 0


def _until_all_are_there(asked: Asked, erp: _Erp, workers: Workers, say: Say) -> float:
    """Kill and stall workers now and then until the ERP holds all; return the seconds from the first document on."""
    began, first, grown = time.monotonic(), 0.0, (0, time.monotonic())
    told = began
    while True:
        time.sleep(0.25)
        now, booked = time.monotonic(), erp.ask("figures").get("booked", 0)
        workers.look()
        if booked > grown[0]:
            first = first or now
            grown = (booked, now)
        if booked >= asked.postings:
            return max(now - first, 0.001)
        assert now - grown[1] < QUIET_S_MAX, f"{booked:,} documents, and no more for {QUIET_S_MAX:g} s"
        if now - told >= 10:
            told, rate = now, booked / (now - (first or now) or 1)
            left = (asked.postings - booked) / rate if rate else 0
            say(f"{booked:,} documents, {rate:,.0f} a second, {left:,.0f} s left, {_suffered(workers)}")


def _suffered(workers: Workers) -> str:
    return f"{workers.kills} kills" + (f", {workers.stalls} stalls" if workers.stalls else "")


def _until_all_are_told(asked: Asked, brokers: str, workers: Workers, say: Say) -> None:
    deadline = time.monotonic() + QUIET_S_MAX
    while (open_ := asked.postings - len(_ends(brokers))) > 0:
        assert time.monotonic() < deadline, f"{open_:,} postings have no final receipt"
        workers.look()
        say(f"{open_:,} postings are in doubt still")
        time.sleep(1)


def _ends(brokers: str) -> dict[str, str]:
    """The final receipt of each posting: its status."""
    codec, ends = Codec(Manifest()), {}
    for message in read_to_end(brokers, RECEIPTS):
        receipt = codec.decode(RECEIPTS, message.value() or b"")
        if receipt["status"] in FINAL:
            ends[receipt["posting_id"]] = receipt["status"]
    return ends


def _verdict(asked: Asked, brokers: str, erp: _Erp, workers: Workers, per_second: float) -> Verdict:
    documents: list[list[Any]] = erp.ask("all")
    wanted = {posting_id_of(SYSTEM, intent["trigger_id"]): str(intent["amount"]) for intent in intents(asked)}
    times = Counter(reference for reference, *_ in documents)
    doubled = {reference: number for reference, number in times.items() if number > 1}
    amounts = {reference: amount for reference, _, _, amount in documents}
    wrong = [each for each, amount in amounts.items() if Decimal(wanted.get(each, "NaN")) != Decimal(amount)]
    ends = _ends(brokers)
    unresolved = [reference for reference in wanted if ends.get(reference) != "posted"]
    places: dict[str, list[int]] = {}
    for _, contract, place, _ in documents:
        places.setdefault(contract, []).append(place)
    disordered = [contract for contract, each in places.items() if each != sorted(each)]
    examples = [f"{reference} stands there {number} times" for reference, number in doubled.items()]
    examples += [f"{reference}: another amount" for reference in wrong]
    examples += [f"{reference}: {ends.get(reference, 'no final receipt')}" for reference in unresolved]
    examples += [f"contract {contract}: in the order {places[contract]}" for contract in disordered]
    return Verdict(
        documents=len(times) - len(wrong),
        doubled=sum(doubled.values()) - len(doubled),
        unresolved=len(unresolved),
        disordered=len(disordered),
        kills=workers.kills,
        stalls=workers.stalls,
        per_second=per_second,
        figures=erp.ask("figures"),
        examples=examples[:_EXAMPLES_MAX],
    )
