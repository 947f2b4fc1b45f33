"""The codec: microseconds a record, compiled and pure, over a firm's time entries and what becomes of them."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from firm.history import History
from firm.size import FirmSize
from schemas.codec import Codec
from schemas.contracts import load_contracts
from schemas.debezium_writing import DebeziumShape, debezium_subject
from schemas.plan import COMPILED
from schemas.registry import Manifest
from streams.domain.canonical import TimeEntry
from streams.domain.fact import Cause, Employment, Fact
from streams.engine.facts import FactShapes

RESULT = Path(__file__).parent / "results" / "codec.json"
ROUNDS = 25
RECORDS = 1_000
ENTRIES = "psa.public.time_entries"


class Case(NamedTuple):
    """One kind of record: its contract's subject, the topic it is read from, and records to write and read."""

    name: str
    subject: str
    topic: str
    records: list[Any]


class Timed(NamedTuple):
    """Microseconds a record; `decode_change` where it is one."""

    case: str
    path: str
    encode_us: float
    decode_us: float
    decode_change_us: float | None


def cases() -> Iterator[Case]:
    """Yield a small flat record, a connector's envelope and a fact, each with values that vary."""
    flat = [Employment(f"R{n:05}", f"E{n % 97:05}", f"C-{n % 31:04}", n, bool(n % 3))._asdict() for n in range(RECORDS)]
    yield Case("small flat record", "canonical.Employment", "facts", flat)
    changes = list(islice(_entries(), RECORDS))
    subject = debezium_subject(ENTRIES)
    shape = DebeziumShape(load_contracts()[subject])
    yield Case("Debezium envelope", subject, ENTRIES, [shape.envelope(change) for change in changes])
    yield Case("fact, as a tuple", "canonical.Fact", "facts", [_fact(change, n) for n, change in enumerate(changes)])


def _entries() -> Iterator[dict[str, Any]]:
    for record in History(FirmSize(2_000, seed=1, dirty=0)).records():
        if record.topic == ENTRIES and record.value["after"]:
            yield record.value


def _fact(change: dict[str, Any], number: int) -> Fact:
    row, position = change["after"], change["source"]["position"]
    at = change["source"]["ts_ms"]
    entry = TimeEntry(
        row["id"],
        row["project_id"],
        row["resource_id"],
        row["role"],
        date.fromisoformat(row["work_date"]),
        Decimal(row["hours"]),
        row["billable"],
        "approved",
        at,
        at,
    )
    cause = Cause(ENTRIES, number % 8, number, position, 0, at)
    return Fact("time_entry", row["project_id"], row["id"], entry, cause, (0, position))


def best_us(rounds: int, work: Callable[[], object]) -> float:
    """Return the best of some rounds over all records: the machine's other work only ever adds to it."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return round(best / RECORDS * 1e6, 3)


def measure(case: Case, compiled: bool, rounds: int) -> Timed:
    """Time one kind of record on one path."""
    shapes = FactShapes().of_subjects() if isinstance(case.records[0], tuple) else None
    codec = Codec(Manifest(), shapes=shapes, compiled=compiled)
    payloads = [codec.encode(case.subject, record) for record in case.records]
    is_change = case.topic == ENTRIES
    return Timed(
        case.name,
        "compiled" if compiled else "pure",
        best_us(rounds, lambda: [codec.encode(case.subject, record) for record in case.records]),
        best_us(rounds, lambda: [codec.decode(case.topic, payload) for payload in payloads]),
        best_us(rounds, lambda: [codec.decode_change(case.topic, p) for p in payloads]) if is_change else None,
    )


def run(rounds: int) -> list[Timed]:
    """Time all kinds of records on both paths, or on the pure one where there is no other."""
    paths = (True, False) if COMPILED else (False,)
    return [measure(case, compiled, rounds) for case in cases() for compiled in paths]


def report(say: Callable[[str], None]) -> None:
    """Time the codec on both paths, say how it went, and write it to `bench/results/codec.json`."""
    say(f"codec: µs a record, best of {ROUNDS} rounds of {RECORDS:,} records")
    say(f"  {'':<20} {'':<9} {'encode':>7} {'decode':>7} {'change':>7}")
    timed = run(ROUNDS)
    for t in timed:
        change = "" if t.decode_change_us is None else f"{t.decode_change_us:7.2f}"
        say(f"  {t.case:<20} {t.path:<9} {t.encode_us:7.2f} {t.decode_us:7.2f} {change}")
    RESULT.write_text(json.dumps([t._asdict() for t in timed], indent=2) + "\n", encoding="utf-8")
