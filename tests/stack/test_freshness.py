"""Freshness on the real stack: a connector says RUNNING and brings nothing; it is killed; a snapshot goes on.

What is seen is what operators see: the metrics of the worker and of the watch, the topic of alerts, the table of
`throughline connect status`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
import yaml
from confluent_kafka.schema_registry import SchemaRegistryClient
from prometheus_client.parser import text_string_to_metric_families

from connect.configuration import CONNECTORS_FOLDER
from live.pipeline import Pipeline, Program
from schemas.registry import Confluent
from stack.ports import free_ports
from streams.config import Settings
from streams.engine.notices import Notices
from streams.policy import SHIPPED
from streams.topics import ALERTS
from tests.stack.bench import wait_until
from tests.stack.conftest import say

pytestmark = pytest.mark.timeout(400)

LIMIT_SECONDS = 6.0
ROWS = 60_000

CHUNK = 1_024

# Each chunk begins with a mark that waits, so that a snapshot lasts for nine seconds at least, and notices of it come
# more often than brokers wait for records: whoever reads them until none comes sees nothing before all is over.
SLOW_CHUNKS = """
create function slow_chunk() returns trigger language plpgsql as $$ begin perform pg_sleep(0.15); return new; end $$;
create trigger slow_chunk before insert on public.debezium_signal
  for each row when (new.type = 'snapshot-window-open') execute function slow_chunk();
"""


class Stage:
    """A pipeline whose worker expects the PSA every few seconds, with a watch over its connector."""

    def __init__(self, folder: Path) -> None:
        self.worker_port, self.watch_port = free_ports(2)
        policy = yaml.safe_load(SHIPPED.read_text("utf-8"))
        policy["alerts"]["feed_stalled"]["limits"]["after_minutes"] = LIMIT_SECONDS / 60
        (folder / "policy.yaml").write_text(yaml.safe_dump(policy), "utf-8")
        self.connectors = folder / "connectors"
        self.connectors.mkdir()
        shipped = json.loads((CONNECTORS_FOLDER / "psa.json").read_text("utf-8"))
        shipped["config"]["heartbeat.interval.ms"] = "500"
        shipped["config"]["incremental.snapshot.chunk.size"] = str(CHUNK)
        (self.connectors / "psa.json").write_text(json.dumps(shipped), "utf-8")
        settings = {
            "THROUGHLINE_FEEDS_EXPECTED": '["psa"]',
            "THROUGHLINE_POLICY_FILE": str(folder / "policy.yaml"),
            "THROUGHLINE_CONNECTORS_FOLDER": str(self.connectors),
        }
        self.pipeline = Pipeline(folder, settings, say=say)
        self.registry = SchemaRegistryClient({"url": self.pipeline.registry.confluent_url})
        self.topics = Notices(Settings(brokers=self.pipeline.kafka.bootstrap), Confluent(self.registry))
        self.alerts: list[Any] = []
        self.worker: Program = self.pipeline.worker("worker", metrics_port=self.worker_port)
        words = ("connect", "watch", "--port", str(self.watch_port), "--every", "0.5", "--folder", str(self.connectors))
        self.watch: Program = self.pipeline.program("watch", *words)

    def start(self) -> None:
        self.pipeline.start(connectors=())
        self.watch.start()
        self.worker.start()

    def stop(self) -> None:
        self.registry.close()
        self.pipeline.stop()

    def apply(self) -> None:
        self.pipeline.run("connect", "apply", "--folder", str(self.connectors))

    def rows(self, statement: str) -> None:
        with psycopg.connect(self.pipeline.psa_dsn) as connection:
            connection.execute(statement.encode())

    def figure(self, port: int, name: str, **labels: str) -> float:
        """A figure of a program, NaN where it tells none."""
        wanted = labels or {"feed": "psa"}
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                families = [*text_string_to_metric_families(answer.read().decode())]
        except OSError:  # it is not there, or not yet
            return float("nan")
        samples = (s for f in families for s in f.samples if s.name == f"throughline_feed_{name}")
        return next((s.value for s in samples if s.labels.items() >= wanted.items()), float("nan"))

    def age_s(self) -> float:
        return self.figure(self.worker_port, "age_seconds")

    def seen(self, name: str, **labels: str) -> float:
        return self.figure(self.watch_port, name, **labels)

    def is_in(self, state: str) -> bool:
        return self.seen("connector_state", state=state) == 1

    def stories(self) -> list[tuple[str, str]]:
        self.alerts += self.topics.new(ALERTS)
        return [(alert["alert_id"], alert["state"]) for alert in self.alerts]

    def told(self) -> str:
        logs = [program.log.read_text("utf-8")[-2_000:] for program in (self.worker, self.watch)]
        return f"{self.stories()}, age {self.age_s()} s\n" + "\n".join(logs)

    def until(self, *stories: str) -> None:
        """Wait until exactly these have been told of the alert of the PSA's feed."""
        wanted = [("feed_stalled:psa", state) for state in stories]

        def reached() -> bool:
            self.worker.lives()
            self.watch.lives()
            return len(self.stories()) >= len(wanted)

        wait_until(reached, self.told)
        assert self.stories() == wanted

    def status(self) -> list[str]:
        (_, *rows) = self.pipeline.run("connect", "status", "--folder", str(self.connectors)).strip().splitlines()
        return rows


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("freshness"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_feed_that_does_not_come_is_missed_and_forgiven_at_its_first_heartbeat(stage: Stage) -> None:
    stage.until("open")
    wait_until(lambda: stage.age_s() > LIMIT_SECONDS and stage.is_in("missing"), stage.told)
    stage.apply()
    stage.until("open", "resolved")
    wait_until(lambda: stage.age_s() < 2 and stage.is_in("running"), stage.told)
    wait_until(lambda: stage.seen("slot_state", state="reserved") == 1, stage.told)
    wait_until(lambda: stage.seen("topics_age_seconds") < 2, stage.told)
    (row,) = stage.status()
    assert row.split()[:4] == ["psa", "RUNNING", "1", "RUNNING"]
    assert "reserved" in row


def test_a_connector_may_say_that_it_runs_while_nothing_comes(stage: Stage) -> None:
    with psycopg.connect(stage.pipeline.psa_dsn) as blocker:
        # Its heartbeat waits for this lock, and with it all that it would bring.
        blocker.execute("lock table public.debezium_heartbeat in access exclusive mode")
        stage.until("open", "resolved", "open")
        wait_until(lambda: min(stage.age_s(), stage.seen("topics_age_seconds")) > LIMIT_SECONDS, stage.told)
        assert stage.is_in("running")
        assert stage.status()[0].split()[:4] == ["psa", "RUNNING", "1", "RUNNING"]
    stage.until("open", "resolved", "open", "resolved")
    wait_until(lambda: stage.age_s() < 2, stage.told)


def test_the_slot_of_a_connector_that_is_down_keeps_log_and_lets_it_go_when_it_is_back(stage: Stage) -> None:
    before = stage.seen("slot_lag_bytes")
    stage.pipeline.connect.kill()
    stage.rows(
        "insert into public.clients select 'CL' || n, 'A client', 'A' || n, 'Active', now()"
        f" from generate_series(1, {ROWS}) n"
    )
    wait_until(lambda: stage.seen("slot_lag_bytes") > before + 100 * ROWS, stage.told)
    wait_until(lambda: stage.seen("watch_unknown", place="connect") == 1, stage.told)
    stage.until("open", "resolved", "open", "resolved", "open")
    stage.pipeline.connect.start()
    stage.until("open", "resolved", "open", "resolved", "open", "resolved")
    wait_until(lambda: stage.seen("slot_lag_bytes") < 1_000_000 and stage.is_in("running"), stage.told)


def test_a_snapshot_is_seen_half_way_and_to_end(stage: Stage) -> None:
    stage.rows(SLOW_CHUNKS)
    stage.pipeline.run("connect", "snapshot", "clients", "projects", "--folder", str(stage.connectors))
    seen: list[tuple[float, float]] = []

    def is_over() -> bool:
        now = stage.seen("snapshot_rows"), stage.seen("snapshot_left_tables")
        if now not in seen[-1:]:
            seen.append(now)
        return now == (ROWS, 0.0)

    wait_until(is_over, lambda: f"{seen}\n{stage.told()}")
    under_way = [rows for rows, left in seen if left > 0]
    assert under_way == sorted(under_way)
    assert any(0 < rows < ROWS for rows in under_way), seen
    assert stage.status()[0].split()[-1] == "-"


def test_a_worker_that_was_killed_goes_on_and_accuses_nobody(stage: Stage) -> None:
    before = stage.stories()
    for _ in range(2):
        stage.worker.kill()
        stage.worker.start()
        wait_until(lambda: stage.age_s() < 1, stage.told)
    assert stage.stories() == before
