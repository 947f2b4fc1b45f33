"""Every query of the dashboards, asked of a Prometheus that scrapes a worker and Connect at work."""

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from prometheus_client import CollectorRegistry, start_http_server

from firm.database import PREFIX, PsaDatabase
from firm.erp_simulator import FileErp
from firm.history import History
from firm.size import FirmSize
from firm.wire import Record
from live.pipeline import PSA, Pipeline
from schemas.registry import Confluent
from stack.ports import LOOPBACK, free_ports
from stack.prometheus import Prometheus
from streams.engine.feed_metrics import FeedMetrics
from streams.engine.feeding import Feed, SourceBytes
from tests.stack.bench import wait_until
from tests.stack.conftest import say
from tests.support import deployed
from tests.support.metrics import tell_of_a_feed, told_by_connect

EMPTY: dict[str, str] = {
    "Throughline feeds: 35 Held, by topic and column A": "no table is altered here, as one is in test_evolution.py",
}
"""Queries to which nothing is the right answer here, each with the reason."""

SOMETIMES: dict[str, str] = {
    "Throughline: 9 Behind, by topic A": "a quick machine has caught up by the time Prometheus asks",
    "Throughline: 10 Records waiting, by topic A": "the same",
}
"""Queries that may have an answer here, or none, each with the reason: they are asked, and must be sound."""

TIME_ENTRIES = 200
OF_NO_PROJECT = """
    insert into time_entries values ('t-1', 'nobody''s', 'R1', 'x', '2025-01-02', 1, true, 'Draft', null, now())
"""


class Asked(NamedTuple):
    """A query as Grafana would ask it: at one time, or over the time that is shown."""

    text: str
    at_once: bool


class Feeds:
    """Tells of an API feed what a program of feeds tells; none of those there are can run without its system."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._serving: ExitStack = ExitStack()

    def start(self) -> None:
        """Answer to Prometheus from now on."""
        registry = CollectorRegistry()
        tell_of_a_feed(FeedMetrics(registry))
        server, thread = start_http_server(self._port, LOOPBACK, registry)
        self._serving.callback(server.server_close)  # the last: they are called in reverse order
        self._serving.callback(thread.join)
        self._serving.callback(server.shutdown)

    def stop(self) -> None:
        """Answer no more."""
        self._serving.close()


class Site:
    """The pipeline at work, and the Prometheus that watches it."""

    def __init__(self, folder: Path) -> None:
        self.began = time.time()
        self.pipeline = Pipeline(folder / "pipeline", {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "0.5"}, say=say)
        self._worker_port, self._feeds_port, self._watch_port = free_ports(3)
        self._state = folder / "state"
        self.worker = self.pipeline.worker(
            "worker", metrics_port=self._worker_port, state_folder=self._state, feeds_expected='["psa"]'
        )
        watch = ("connect", "watch", "--port", str(self._watch_port), "--every", "0.5")
        self._watch = self.pipeline.program("watch", *watch)
        self._feeds = Feeds(self._feeds_port)
        self._producer = Producer({"bootstrap.servers": self.pipeline.kafka.bootstrap, "log_level": 0})
        self._erps: dict[str, FileErp] = {}
        self.prometheus = Prometheus(folder / "prometheus", self._config(folder), say=say)

    def _config(self, folder: Path) -> Path:
        """The configuration that is deployed, with the addresses of this site, and less time between two scrapes."""
        config = yaml.safe_load((deployed.DEPLOY / "prometheus" / "prometheus.yaml").read_text("utf-8"))
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
        config["rule_files"] = [str(deployed.RULES)]
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] != "prometheus"]
        addresses = {
            "throughline": [f"127.0.0.1:{self._worker_port}", f"127.0.0.1:{self._feeds_port}"],
            "throughline-connect": [f"127.0.0.1:{self._watch_port}"],
            "connect": [self.pipeline.connect.metrics_address],
            "registry": [self.pipeline.registry.address],
        }
        for job in config["scrape_configs"]:
            job["static_configs"] = [{"targets": addresses.pop(job["job_name"])}]
        assert addresses == {}
        file = folder / "prometheus.yaml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return file

    def ask(self, asked: Asked) -> list[dict[str, Any]]:
        """Ask Prometheus; what it says is wrong is the failure."""
        words: dict[str, Any] = {"query": asked.text}
        if not asked.at_once:
            words |= {"start": self.began, "end": time.time(), "step": "1s"}
        path = "query" if asked.at_once else "query_range"
        url = f"{self.prometheus.url}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{asked.text}: {error.read().decode()}") from None
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def waits_for(self, *texts: str) -> None:
        """Wait until expressions have an answer."""
        self.waits_for_all({text: Asked(text, at_once=True) for text in texts})

    def waits_for_all(self, queries: Mapping[str, Asked]) -> None:
        """Wait until every query has been answered once, while things go on happening."""
        left = dict(queries)

        def all_answered() -> bool:
            self.worker.lives()
            self._watch.lives()
            self._something_happens()
            for place in [place for place, asked in left.items() if self.ask(asked)]:
                del left[place]
            return not left

        wait_until(all_answered, lambda: f"Prometheus never had an answer to {left}")

    def start(self) -> None:
        """Start all, let a firm's changes in by database and topics, and let the worker restore what it has lost."""
        self._feeds.start()
        self.pipeline.start()
        self.worker.start()
        self._watch.start()
        self.prometheus.start()
        self.waits_for("throughline_ready == 1 and on () sum(debezium_snapshot_completed) == 1")
        self._let_in_the_firm()
        self.waits_for('sum(throughline_receipts_total{status="posted"}) > 0')
        self.worker.kill()
        shutil.rmtree(self._state)
        self.worker.start()

    def _let_in_the_firm(self) -> None:
        """Let a firm's whole history in: the PSA's by SQL, that of all others by their topics, and some of it twice."""
        psa: list[Record] = []
        others: list[Record] = []
        for record in History(FirmSize(TIME_ENTRIES, seed=7, dirty=0.05)).records():
            (psa if record.topic.startswith(PREFIX) else others).append(record)
        with SchemaRegistryClient({"url": self.pipeline.registry.confluent_url}) as registry:
            feed = Feed(self.pipeline.kafka.bootstrap, SourceBytes(Confluent(registry)))
            assert feed.write([*others, *others[:10]], lambda *_: None) == len(others) + 10
        with closing(PsaDatabase(self.pipeline.psa_dsn)) as database:
            assert database.apply(psa) == len(psa)
        self.pipeline.postgresql.psql("--command", OF_NO_PROJECT, database=PSA)

    def _something_happens(self) -> None:
        """A row changes, somebody writes what nobody can read, and the ERPs answer."""
        self.pipeline.postgresql.psql("--command", "update clients set updated_at = now()", database=PSA)
        self._producer.produce("hr.Worker", b"in nobody's format", b"E-1")
        assert self._producer.flush(30) == 0
        for folder in (self.pipeline.folder / "exchange").glob("*/outbound"):
            name = folder.parent.name
            erp = self._erps.setdefault(name, FileErp(folder.parents[1], name))
            erp.run(time.time_ns() // 1_000_000)

    def stop(self) -> None:
        """Stop all."""
        self.prometheus.stop()
        self._feeds.stop()
        self.pipeline.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def queries_of(file: Path) -> Iterator[tuple[str, Asked]]:
    """The queries of a dashboard with its variables at what they are at first: all."""
    at_once = {
        f"{deployed.dashboard(file)['title']}: {panel['id']} {panel['title']} {target['refId']}": target.get(
            "instant", False
        )
        for panel in deployed.panels(file)
        for target in panel["targets"]
    }
    for place, text in deployed.queries(file).items():
        chosen = text.replace("$job", "throughline").replace("$instance", ".+").replace("$feed", ".+")
        assert "$" not in chosen, place
        yield place, Asked(chosen, at_once.get(place, False))


@pytest.mark.parametrize("file", deployed.DASHBOARDS, ids=lambda file: file.stem)
def test_every_query_has_an_answer(site: Site, file: Path) -> None:
    queries = dict(queries_of(file))
    site.waits_for_all({place: asked for place, asked in queries.items() if place not in {*EMPTY, *SOMETIMES}})
    for place in SOMETIMES.keys() & queries.keys():
        site.ask(queries[place])
    assert {place for place, asked in queries.items() if place in EMPTY and site.ask(asked)} == set()


def test_what_is_listed_as_empty_is_a_query() -> None:
    assert {*EMPTY, *SOMETIMES} - {place for file in deployed.DASHBOARDS for place, _ in queries_of(file)} == set()


def test_connect_tells_all_that_its_rules_name(site: Site) -> None:
    site.waits_for(*told_by_connect().types)


def test_a_query_that_cannot_be_answered_is_found(site: Site) -> None:
    with pytest.raises(AssertionError, match="parse error"):
        site.ask(Asked("sum by (", at_once=True))
    assert site.ask(Asked("nobody_tells_this", at_once=False)) == []
