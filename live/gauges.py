"""Prometheus beside a pipeline, and what it knows of how fresh each feed is."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import httpx2

from live.errors import PipelineError
from live.outside import Outside
from live.pipeline import PSA, Pipeline
from live.program import Program
from stack.errors import Say, silent
from stack.ports import LOOPBACK, free_ports
from stack.prometheus import Prometheus
from stack.standing import Standing

_SCRAPE: Final = "1s"
_LOOK_SECONDS: Final = "1"
_ANSWER_SECONDS_MAX: Final = 15.0
_AGAIN_SECONDS: Final = 0.25
_HEARD_SECONDS_MAX: Final = 60.0


class Fresh(NamedTuple):
    """How fresh a feed is; None: not known, or there is no such thing.

    `newest_s`: since when no record or heartbeat of it came to its topics; `taken_in_s`: since when workers took
    nothing of it in. `slot_lag_bytes`: log that its database keeps. `changes`: how many it has brought, `gaps`: how
    often it said that something was missing.
    """

    feed: str
    newest_s: float | None
    taken_in_s: float | None
    slot_lag_bytes: float | None
    changes: float | None
    gaps: float | None


class Gauges(Standing):
    """A Prometheus over worker, feeds and Connect, and the watch over connectors and feeds."""

    def __init__(self, pipeline: Pipeline, outside: Outside, worker_port: int, say: Say = silent) -> None:
        """Take the feeds, which must run, and where the worker tells what it does."""
        (watch_port,) = free_ports(1)
        words = ("connect", "watch", "--port", str(watch_port), "--every", _LOOK_SECONDS)
        self._watch: Program = pipeline.program("watch", *words, "--folder", str(outside.connectors))
        folder = pipeline.folder / "prometheus"
        folder.mkdir(parents=True, exist_ok=True)
        jobs = {
            "throughline": [f"{LOOPBACK}:{worker_port}"],
            "throughline-feeds": [f"{LOOPBACK}:{port}" for port in outside.ports],
            "throughline-connect": [f"{LOOPBACK}:{watch_port}"],
            "connect": [pipeline.connect.metrics_address],
        }
        config = folder / "prometheus.json"  # JSON is YAML
        config.write_text(json.dumps(_configuration(jobs), indent=2), "utf-8")
        self.prometheus = Prometheus(folder, config, say=say)

    def start(self) -> None:
        """Have both run. Raises `StackError`."""
        self._watch.start()
        self.prometheus.start()

    def stop(self) -> None:
        """Stop Prometheus; the watch is stopped with the pipeline."""
        self.prometheus.stop()

    def wait(self, feeds: Sequence[str], lives: Callable[[], None]) -> None:
        """Wait until all feeds were heard; `lives` raises if one has ended.

        Raises:
            PipelineError: One was not, after a bounded time.
        """
        until = time.monotonic() + _HEARD_SECONDS_MAX
        while unheard := [each.feed for each in self.fresh(feeds) if each.newest_s is None]:
            lives()
            if time.monotonic() > until:
                raise PipelineError(f"{', '.join(unheard)}: not heard for {_HEARD_SECONDS_MAX:.0f} s; see its log")
            time.sleep(_AGAIN_SECONDS)  # Prometheus tells nobody what it has learnt

    def fresh(self, feeds: Sequence[str]) -> list[Fresh]:
        """Return what is known now of each feed. Raises `PipelineError` if Prometheus does not answer."""
        newest = self._by_feed("max by (feed) (throughline_feed_topics_age_seconds)")
        taken = self._by_feed("max by (feed) (throughline_feed_age_seconds)")
        lag = self._by_feed("max by (feed) (throughline_feed_slot_lag_bytes)")
        gaps = self._by_feed("sum by (feed) (throughline_feed_gaps_total)")
        changes = self._by_feed("sum by (feed) (throughline_feed_records_total)")
        of_database = f'sum(throughline_records_in_total{{topic=~"{PSA}[.].*"}})'
        changes[PSA] = self._by_feed(of_database).get("", 0)
        columns = (newest, taken, lag, changes, gaps)
        return [Fresh(feed, *(column.get(feed) for column in columns)) for feed in feeds]

    def _by_feed(self, expression: str) -> dict[str, float]:
        url = f"{self.prometheus.url}/api/v1/query"
        try:
            told = httpx2.get(url, params={"query": expression}, timeout=_ANSWER_SECONDS_MAX).raise_for_status()
        except httpx2.HTTPError as error:
            raise PipelineError(f"Prometheus does not answer {expression} at {url}: {error}") from error
        answer = told.json()
        return {each["metric"].get("feed", ""): float(each["value"][1]) for each in answer["data"]["result"]}


def _configuration(jobs: dict[str, list[str]]) -> dict[str, object]:
    scrapes = [{"job_name": name, "static_configs": [{"targets": targets}]} for name, targets in jobs.items()]
    alerts = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yaml"
    intervals = {"scrape_interval": _SCRAPE, "evaluation_interval": "5s"}
    return {"global": intervals, "rule_files": [str(alerts)], "scrape_configs": scrapes}
