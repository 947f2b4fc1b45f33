"""Latency of the whole wire: from a commit in the PSA's PostgreSQL to its trigger readable, Debezium included.

Database, Connect, registry, broker, worker, writer and reader share the machine. A generated firm is there first; then
new time entries are submitted and approved at a rate, each change a transaction of its own, and every approval is worth
a trigger.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka.schema_registry import SchemaRegistryClient

from bench.broker import Say
from bench.latency import percentiles
from bench.running import Failed
from bench.topics import reader_from_now
from firm.database import PREFIX
from firm.final import final_rows
from firm.history import History
from firm.size import FirmSize
from live.firm import FirmAtWork
from live.pipeline import Pipeline
from live.program import Program
from schemas.codec import Codec
from schemas.registry import Confluent
from streams.topics import TRIGGERS

RESULT = Path(__file__).parent / "results" / "capture.json"
CHANGES_PER_SECOND, SECONDS = 500, 300
FIRM = FirmSize(time_entries=2_000, seed=1, start=date(2025, 1, 1), months=6)
QUIET_SECONDS = 5.0
STRAGGLERS_SECONDS_MAX = 30.0
WARM_UP_SECONDS = 5.0


Rows = Mapping[tuple[str, str], Mapping[str, Any]]
"""Rows by topic and identity."""


class Found(NamedTuple):
    """Sorted latencies in milliseconds of what was committed after the first seconds, and MiB of memory by part."""

    latencies_ms: list[float]
    memory_mib: dict[str, int]


def capture(folder: Path, say: Say, per_second: int = CHANGES_PER_SECOND, seconds: int = SECONDS) -> Found:
    """Measure. Raises `Failed` if a trigger does not come."""
    with Pipeline(folder, say=say) as pipeline:
        worker = pipeline.worker("worker")
        worker.start()
        with _reader(pipeline) as read:
            templates = folder / "templates.json"
            templates.write_text(json.dumps(_templates(pipeline, worker, read)), encoding="utf-8")
            say(f"{per_second} row changes a second for {seconds} s, each a transaction of its own")
            seen = _timed(pipeline, worker, read, (str(templates), str(per_second), str(seconds)))
        memory = {line.name: line.rss_mib or 0 for part in pipeline.parts for line in part.lines()}
    return Found(seen, memory)


class _Reader:
    """Reads triggers as they become readable."""

    def __init__(self, pipeline: Pipeline, codec: Codec) -> None:
        self._consumer = reader_from_now(pipeline.kafka.bootstrap, TRIGGERS)
        self._codec = codec

    def next(self) -> Iterator[tuple[dict[str, Any], float]]:
        """Yield the triggers that can be read now, with the moment in seconds; wait a little if there are none."""
        messages = self._consumer.consume(1_000, 0.02)
        now = time.time()
        for message in messages:
            yield self._codec.decode(TRIGGERS, message.value() or b""), now

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


@contextmanager
def _reader(pipeline: Pipeline) -> Iterator[_Reader]:
    with SchemaRegistryClient({"url": pipeline.registry.confluent_url}) as client:
        reader = _Reader(pipeline, Codec(Confluent(client)))
        yield reader
        reader.close()


def _templates(pipeline: Pipeline, worker: Program, reader: _Reader) -> list[dict[str, Any]]:
    """Let the firm's history flow in; return entries that billed by the hour, without a cap, and would do so now."""
    changes = list(History(FIRM).records())
    firm = FirmAtWork(pipeline)
    firm.write(changes)
    firm.close()
    rows = final_rows(changes)
    open_projects = _open_projects(rows)
    billed: set[str] = set()
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS or not billed:
        worker.lives()
        for trigger, _ in reader.next():
            quiet_since = time.monotonic()
            if trigger["kind"] == "time" and trigger["project_id"] in open_projects and trigger["amount"] > 0:
                billed.add(trigger["source_id"])
    entries = ((name, row) for (topic, name), row in rows.items() if topic == f"{PREFIX}time_entries")
    return [dict(row) for name, row in entries if name in billed and row["status"] == "Approved"]


def _open_projects(rows: Rows) -> set[str]:
    """The projects of which every hour bills now: by the hour, without a cap, and no gate shut."""
    of = {name: [row for (topic, _), row in rows.items() if topic == name] for name, _ in rows}
    customers = {(row["CrmAccountId"], row["LegalEntity"]) for row in of["erp.Customer"] if row["Status"] == "Active"}
    entities = {row["ProjectId"]: row["LegalEntity"] for row in of["erp.Project"]}
    contracts = {
        row["ContractNumber"]: row
        for row in of["crm.Contract"]
        if row["BillingType"] == "T&M" and row["Status"] == "Activated" and (row["PoNumber"] or not row["PoRequired"])
    }
    return {
        row["id"]
        for row in of[f"{PREFIX}projects"]
        if (contract := contracts.get(row["contract_number"])) and not row["billing_hold"]
        and (contract["AccountId"], entities.get(row["id"], contract["LegalEntity"])) in customers
    }  # fmt: skip


def _timed(pipeline: Pipeline, worker: Program, reader: _Reader, how: Sequence[str]) -> list[float]:
    committed_at: dict[str, float] = {}
    readable_at: dict[str, float] = {}
    log = pipeline.folder / "committed.txt"
    with log.open("wb") as lines:
        command = [sys.executable, "-m", "bench.committing", pipeline.psa_dsn, *how]
        writer = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=lines)
        ended_at: float | None = None
        while ended_at is None or (
            len(readable_at) < len(committed_at) and time.monotonic() - ended_at < STRAGGLERS_SECONDS_MAX
        ):
            worker.lives()
            for trigger, now in reader.next():
                readable_at.setdefault(trigger["source_id"], now)
            if ended_at is None and writer.poll() is not None:
                ended_at = time.monotonic()
                for line in log.read_text(encoding="ascii").splitlines():
                    name, at_us = line.split()
                    committed_at[name] = int(at_us) / 1e6
    missing = committed_at.keys() - readable_at.keys()
    if writer.returncode or missing or not committed_at:
        raise Failed(f"{len(missing)} of {len(committed_at)} approvals have no trigger; see {pipeline.folder}")
    from_on = min(committed_at.values()) + WARM_UP_SECONDS
    return sorted((readable_at[name] - at) * 1_000 for name, at in committed_at.items() if at >= from_on)


def report(folder: Path, say: Say, seconds: int = SECONDS) -> dict[str, Any]:
    """Measure, and write what came of it."""
    found = capture(folder, say, seconds=seconds)
    figures = {
        "row_changes_per_s": CHANGES_PER_SECOND,
        "seconds": seconds,
        "triggers": len(found.latencies_ms),
        "latency_ms": percentiles(found.latencies_ms),
        "memory_mib": found.memory_mib,
    }
    say(f"commit to trigger readable: {figures['latency_ms']}")
    if seconds == SECONDS:
        RESULT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures
