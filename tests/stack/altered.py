"""A small firm whose PSA tables are altered while rows flow: pipeline, worker, and what is billed in the end."""

import json
import os
import shutil
import subprocess
import threading
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka.schema_registry import SchemaRegistryClient
from prometheus_client.parser import text_string_to_metric_families

from firm.wire import Record
from live.firm import FirmAtWork
from live.pipeline import PSA, Pipeline
from live.program import Program, command
from schemas.codec import Codec
from schemas.mapping import MAPPINGS_FOLDER
from schemas.registry import Confluent
from stack.ports import free_ports
from streams.topics import DEAD_LETTERS, EXCEPTIONS, TRIGGERS
from tests.stack.conftest import say
from tests.stack.waiting import eventually
from tests.support import feed
from tests.support.kafka import read_to_end, values_to_end

HOURS_RATE = 100

WORTH = """
select 'T' || id, hours::numeric * %s from public.time_entries
union all select id, {column} from public.milestones where {column} is not null
"""


class Entries:
    """Writes time entries of two hours, one every 100 ms, until it is stopped."""

    def __init__(self, dsn: str) -> None:
        self.written = 0
        self.error: Exception | None = None
        self._dsn = dsn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        assert self.error is None

    def _write(self) -> None:
        insert = (
            "insert into public.time_entries "
            "(id, project_id, resource_id, role, work_date, hours, billable, status, approved_at, updated_at) "
            "values (%s, 'P1', 'R1', 'Engineer', '2026-02-03', '2', true, 'Approved', now(), now())"
        )
        try:
            with psycopg.connect(self._dsn, autocommit=True) as session:
                while not self._stopping.wait(0.1):
                    session.execute(insert, [f"E{self.written}"])
                    self.written += 1
        except psycopg.Error as error:
            self.error = error


class Altered:
    """The pipeline with its worker and its writer. Who makes one stops it."""

    def __init__(self, folder: Path) -> None:
        self.pipeline = Pipeline(folder, {"THROUGHLINE_SINKS__POLL_SECONDS": "1"}, say=say)
        (self._port,) = free_ports(1)
        self._worker: Program | None = None
        self._mappings = folder / "mappings"
        try:
            self.pipeline.start(connectors=[PSA])
            self._registry = SchemaRegistryClient({"url": self.pipeline.registry.confluent_url})
            self._codec = Codec(Confluent(self._registry))
            self._session = psycopg.connect(self.pipeline.psa_dsn, autocommit=True)
            self._masters()
            self.start_worker()
            self.entries = Entries(self.pipeline.psa_dsn)
        except BaseException:
            self.pipeline.stop()
            raise

    def stop(self) -> None:
        """Stop all of it."""
        self.entries.stop()
        self._session.close()
        self._registry.close()
        self.pipeline.stop()

    def _masters(self) -> None:
        at_work = FirmAtWork(self.pipeline)
        at_work.write(Record(r["topic"], r["key"], r["value"], r["timestamp"]) for r in feed.firm().records)
        at_work.close()

    # -- what somebody does

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement on the PSA's database; return the rows, if it has any."""
        cursor = self._session.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def milestone(self, identity: str, **columns: Any) -> None:
        """Insert a milestone that is completed, with further columns."""
        names = ", ".join(["id", *columns])
        places = ", ".join(["%s"] * (len(columns) + 1))
        self.sql(
            f"insert into public.milestones ({names}, project_id, name, status, completed_at, updated_at) "
            f"values ({places}, 'P1', 'm', 'Done', '2026-02-03 10:00+00', now())",
            identity, *columns.values(),
        )  # fmt: skip

    def map_anew(self, old: str, new: str) -> None:
        """Change the mapping of the PSA."""
        if not self._mappings.exists():
            shutil.copytree(MAPPINGS_FOLDER, self._mappings)
        file = self._mappings / "psa.yaml"
        text = file.read_text("utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), "utf-8")

    def start_worker(self, **settings: Any) -> None:
        """Start the worker, or start it again under other settings."""
        if self._worker is not None:
            self._worker.stop()
        if self._mappings.exists():
            settings["contracts__mappings_folder"] = self._mappings
        self._worker = self.pipeline.worker("worker", metrics_port=self._port, **settings)
        self._worker.start()

    def compatibility(self, level: str | None) -> None:
        """Have the registry refuse what is not compatible in a way, or whatever it is."""
        rules = f"{self.pipeline.registry.converter_url}/admin/rules"
        method, place, body = "POST", rules, json.dumps({"type": "COMPATIBILITY", "config": level})
        if level is None:
            method, place, body = "DELETE", f"{rules}/COMPATIBILITY", ""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(place, body.encode() or None, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 204

    # -- what there is to see

    def status(self) -> tuple[int, str, str]:
        """How `throughline connect status psa` ends, and what it says on standard output and standard error."""
        ran = subprocess.run(
            command("connect", "status", PSA),
            env=os.environ | self.pipeline.environment, capture_output=True, text=True, check=False, timeout=180,
        )  # fmt: skip
        return ran.returncode, ran.stdout, ran.stderr

    def held(self) -> dict[str, str]:
        """What the worker says is held, by topic and partition, with the reason."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=10) as answer:
                found: dict[str, str] = json.load(answer)["held"]
        except OSError:  # it is not up yet
            return {}
        return found

    def held_columns(self) -> dict[tuple[str, str], float]:
        """Partitions that are held, by topic and column, as the metric says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            families = [*text_string_to_metric_families(answer.read().decode())]
        return {
            (sample.labels["topic"], sample.labels["column"]): sample.value
            for family in families
            for sample in family.samples
            if sample.name == "throughline_held_partitions"
        }

    def log(self) -> str:
        """The log of the worker."""
        assert self._worker is not None
        return self._worker.log.read_text("utf-8")

    def billed(self) -> dict[str, Decimal]:
        """What is billed net, by item; the ids of entries have a T before."""
        nets: dict[str, Decimal] = {}
        for value in values_to_end(self.pipeline.kafka.bootstrap, TRIGGERS):
            trigger = self._codec.decode(TRIGGERS, value or b"")
            item = ("T" if trigger["source_kind"] == "time_entry" else "") + trigger["source_id"]
            nets[item] = nets.get(item, Decimal(0)) + trigger["amount"]
        return {item: amount for item, amount in nets.items() if amount}

    def worth(self, column: str = "amount") -> dict[str, Decimal]:
        """What a batch over the database would bill; milestones have their amount in `column`."""
        return dict(self.sql(WORTH.format(column=column), HOURS_RATE))

    def entries_bill(self) -> None:
        """Wait until an entry that is written from now on is billed."""
        eventually(lambda known=self.entries.written: self.entries.written > known)  # type: ignore[misc]
        newest = f"TE{self.entries.written - 1}"
        eventually(lambda: newest in self.billed())

    def schema_ids(self, table: str) -> set[int]:
        """The ids of the schemas of all records of a table's topic."""
        messages = read_to_end(self.pipeline.kafka.bootstrap, f"psa.public.{table}")
        return {int.from_bytes((message.value() or b"")[1:5]) for message in messages}

    def refused(self) -> dict[str, list[str]]:
        """The reasons of open exceptions about rows, by row."""
        found: dict[str, list[str]] = {}
        for value in values_to_end(self.pipeline.kafka.bootstrap, EXCEPTIONS):
            told = self._codec.decode(EXCEPTIONS, value or b"")
            if told["kind"] in ("validation_failed", "unmapped_value"):
                found[told["entity_id"]] = told["reasons"] if told["state"] == "open" else []
        return {row: reasons for row, reasons in found.items() if reasons}

    def dead_letters(self) -> list[Any]:
        """All dead letters."""
        return [*values_to_end(self.pipeline.kafka.bootstrap, DEAD_LETTERS)]
