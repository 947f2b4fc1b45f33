"""Feeds as threads of a worker: they land while it works, end with it, and a feed that fails does not end it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from stack.ports import free_ports
from tests.contract.feeds.station import put
from tests.support.kafka import read_to_end

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

THROUGHLINE = Path(sys.executable).with_name("throughline")
WAIT_SECONDS_MAX = 90.0
ERP = {
    "connector.class": "throughline.erp", "url": "https://127.0.0.1:1", "style": "offset", "objects": "FxRate",
    "auth": "client_assertion", "auth.token.url": "https://127.0.0.1:1/token", "auth.client.id": "us",
    "FxRate.path": "/rates", "FxRate.fields": "FromCurrency=from,ToCurrency=to,Date=day,Rate=rate",
}  # fmt: skip


class Worker:
    """A worker with feeds as a program of its own."""

    def __init__(self, brokers: str, folder: Path, feeds: dict[str, dict[str, str]], names: list[str]) -> None:
        connectors = folder / "connectors"
        connectors.mkdir()
        for name, config in feeds.items():
            (connectors / f"{name}.json").write_text(json.dumps({"name": name, "config": config}))
        given = {
            "BROKERS": brokers, "STATE_FOLDER": str(folder / "state"), "SINKS__FOLDER": str(folder / "exchange"),
            "CONNECTORS_FOLDER": str(connectors), "FEEDS": json.dumps(names), "GUARANTEE": "at_least_once",
        }  # fmt: skip
        self._log = folder / "worker.log"
        with self._log.open("w") as log:
            self.child = subprocess.Popen(
                [THROUGHLINE, "worker"],
                env={**os.environ, **{f"THROUGHLINE_{key}": value for key, value in given.items()}},
                stderr=log,
            )

    def told(self) -> str:
        return self._log.read_text()

    def waits(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not holds():
            assert self.child.poll() is None, self.told()
            assert time.monotonic() < deadline, f"never: {what}\n{self.told()}"
            time.sleep(0.1)


def test_feeds_land_beside_the_steps_and_one_that_fails_ends_alone(brokers: str, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    put(drop / "erp.FxRate.csv", "FromCurrency,ToCurrency,Date,Rate\nUSD,EUR,2026-02-03,0.92\n")
    feeds = {
        "history": {"connector.class": "throughline.files", "folder": str(drop), "poll.interval.ms": "100"},
        "broken": {"connector.class": "throughline.files", "folder": str(tmp_path / "nowhere")},
        "keyless": ERP | {"auth.key.file": str(tmp_path / "nothing.pem")},
    }
    worker = Worker(brokers, tmp_path, feeds, ["history", "broken", "keyless"])
    try:
        worker.waits(lambda: "feed broken ends: " in worker.told(), "the broken feed ends")
        worker.waits(lambda: "feed keyless ends: auth.key.file: " in worker.told(), "the feed without its key ends")
        worker.waits((drop / "done" / "erp.FxRate.csv").exists, "the file is landed")
        put(drop / "erp.FxRate.2.csv", "FromCurrency,ToCurrency,Date,Rate\nGBP,EUR,2026-02-03,1.17\n")
        worker.waits((drop / "done" / "erp.FxRate.2.csv").exists, "the next file is landed")
        worker.child.send_signal(signal.SIGTERM)
        assert worker.child.wait(60) == 0, worker.told()
    finally:
        worker.child.kill()
        worker.child.wait()
    assert sorted(message.key() or b"" for message in read_to_end(brokers, "erp.FxRate")) == [
        b"GBP:EUR:2026-02-03", b"USD:EUR:2026-02-03",
    ]  # fmt: skip
    assert "nowhere: there is no such folder; make it, or correct the setting folder" in worker.told()
    assert "Traceback" not in worker.told()


def test_a_feed_that_is_not_configured_ends_the_worker_at_its_start(brokers: str, tmp_path: Path) -> None:
    worker = Worker(brokers, tmp_path, {}, ["history"])
    assert worker.child.wait(WAIT_SECONDS_MAX) == 1
    assert "there is no feed history; feeds there: none" in worker.told().splitlines()[-1]


def alone(brokers: str, folder: Path, name: str, config: dict[str, str]) -> tuple[dict[str, str], int]:
    """The environment in which a feed by itself is found, and the port at which it answers."""
    connectors = folder / "connectors"
    connectors.mkdir()
    (connectors / f"{name}.json").write_text(json.dumps({"name": name, "config": config}))
    (number,) = free_ports(1)
    given = {"BROKERS": brokers, "CONNECTORS_FOLDER": str(connectors), "METRICS_PORT": str(number)}
    return {**os.environ, **{f"THROUGHLINE_{key}": value for key, value in given.items()}}, number


def test_a_feed_by_itself_whose_key_is_not_there_ends_with_2(brokers: str, tmp_path: Path) -> None:
    key = tmp_path / "nothing.pem"
    surroundings, _ = alone(brokers, tmp_path, "erp", ERP | {"auth.key.file": str(key)})
    ran = subprocess.run(
        [THROUGHLINE, "feed", "erp"],
        env=surroundings,
        stderr=subprocess.PIPE,
        text=True,
        timeout=WAIT_SECONDS_MAX,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert f"feed erp ends: auth.key.file: {key} cannot be read: " in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr


def test_a_feed_by_itself_tells_its_metrics(brokers: str, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    put(drop / "erp.FxRate.csv", "FromCurrency,ToCurrency,Date,Rate\nUSD,EUR,2026-02-03,0.92\nUSD,EUR,x,1\n")
    config = {"connector.class": "throughline.files", "folder": str(drop)}
    surroundings, number = alone(brokers, tmp_path, "history", config)
    child = subprocess.Popen([THROUGHLINE, "feed", "history"], env=surroundings, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not (drop / "done" / "erp.FxRate.csv").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with urlopen(f"http://127.0.0.1:{number}/metrics", timeout=10) as answer:
            told = answer.read().decode()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    assert 'throughline_feed_records_total{feed="history",topic="erp.FxRate"} 1.0' in told
    assert 'throughline_feed_rejects_total{feed="history",topic="erp.FxRate"} 1.0' in told
    assert 'throughline_feed_gaps_total{feed="history"} 0.0' in told


def test_a_feed_by_itself_that_fails_tells_why_before_it_is_gone(brokers: str, tmp_path: Path) -> None:
    config = {"connector.class": "throughline.files", "folder": str(tmp_path / "nowhere")}
    surroundings, number = alone(brokers, tmp_path, "history", config)
    command = [str(THROUGHLINE), "feed", "history"]
    lingering = [*command, "--linger", "600"]
    with subprocess.Popen(lingering, env=surroundings, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            assert any("its metrics say so for 600 s more" in line for line in child.stderr)
            with urlopen(f"http://127.0.0.1:{number}/metrics", timeout=10) as answer:
                told = answer.read().decode()
            child.send_signal(signal.SIGTERM)
            assert child.wait(60) == 1
        finally:
            child.kill()
    (failure,) = [line for line in told.splitlines() if line.startswith("throughline_feed_failure{")]
    assert "nowhere: there is no such folder; make it, or correct the setting folder" in failure
    at_once = subprocess.run([*command, "--once"], env=surroundings, capture_output=True, timeout=60, check=False)
    assert at_once.returncode == 1
