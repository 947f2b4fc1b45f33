"""`throughline feed` as a program on a real Kafka: killed at any moment, it lands each change once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from connect.feeds.contract import Batch
from schemas.codec import Codec
from schemas.registry import Manifest
from stack.kafka import Kafka
from streams.config import Settings
from streams.engine.feed_bytes import Feed
from streams.engine.landing import KafkaLanding
from tests.contract.feeds.program import Program
from tests.contract.feeds.station import NOON, put
from tests.contract.feeds.subjects import WorkdayRest
from tests.stack.conftest import say
from tests.support.kafka import read_to_end

THROUGHLINE = Path(sys.executable).with_name("throughline")
ROWS = 20_000


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Kafka(tmp_path_factory.mktemp("kafka-of-feeds"), say=say) as kafka:
        yield kafka.bootstrap


class Feeds:
    """Configurations of a test's own, and the programs that run them."""

    def __init__(self, brokers: str, folder: Path) -> None:
        self.brokers = brokers
        self.folder = folder
        self._connectors = folder / "connectors"
        self._connectors.mkdir()
        self._running: list[subprocess.Popen[str]] = []
        self._said: dict[tuple[str, str], int] = {}

    def configure(self, name: str, **config: str) -> None:
        (self._connectors / f"{name}.json").write_text(json.dumps({"name": name, "config": config}))
        done = subprocess.run([THROUGHLINE, "topics", "apply"], env=self._settings(), check=False, capture_output=True)
        assert done.returncode == 0, done.stderr

    def _settings(self) -> dict[str, str]:
        given = {
            "BROKERS": self.brokers,
            "GROUP": "feeds",
            "CONNECTORS_FOLDER": str(self._connectors),
            "PATIENCE_S": "30",
        }
        return {**os.environ, **{f"THROUGHLINE_{key}": value for key, value in given.items()}}

    def begin(self, name: str, *options: str) -> subprocess.Popen[str]:
        log = (self.folder / f"{name}.log").open("a")
        child = subprocess.Popen([THROUGHLINE, "feed", name, *options], env=self._settings(), stderr=log, text=True)
        log.close()
        self._running.append(child)
        return child

    def told(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def says(self, name: str, words: str, child: subprocess.Popen[str]) -> None:
        """Wait until its log says something once more."""
        before, deadline = self._said.get((name, words), 0), time.monotonic() + 60
        while (count := self.told(name).count(words)) <= before:
            assert child.poll() is None, self.told(name)
            assert time.monotonic() < deadline, self.told(name)
            time.sleep(0.02)
        self._said[name, words] = count

    def close(self) -> None:
        for child in self._running:
            if child.poll() is None:
                child.kill()
                child.wait()


@pytest.fixture
def feeds(broker: str, tmp_path: Path) -> Iterator[Feeds]:
    made = Feeds(broker, tmp_path)
    yield made
    made.close()


def landed(brokers: str, topic: str, name: str) -> list[tuple[str, str, int]]:
    """(key, op, position) of every change that a feed has landed, in the order of its topic."""
    codec, found = Codec(Manifest()), []
    for message in read_to_end(brokers, topic):
        value = codec.decode(topic, message.value() or b"")
        if value["source"]["name"] == name:
            found.append(((message.key() or b"").decode(), value["op"], value["source"]["position"]))
    return found


def test_killed_within_a_file_again_and_again_each_row_lands_once(feeds: Feeds) -> None:
    drop = feeds.folder / "drop"
    drop.mkdir()
    feeds.configure(
        "history", **{"connector.class": "throughline.files", "folder": str(drop), "batch.rows": "50"}
    )  # fmt: skip
    lines = [f"X{number},EUR,2026-02-03,1.{number:05d}\n" for number in range(ROWS)]
    lines[777] = "X777,EUR,2026-02-03,one\n"
    put(drop / "erp.FxRate.csv", "FromCurrency,ToCurrency,Date,Rate\n" + "".join(lines))
    chance = random.Random(5)
    for _ in range(3):
        child = feeds.begin("history", "--once")
        feeds.says("history", "is read", child)
        time.sleep(chance.uniform(0.1, 0.4))  # whatever it is at then, it dies
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert "is landed" not in feeds.told("history"), "it was not killed within the file"
    assert feeds.begin("history", "--once").wait(120) == 0, feeds.told("history")
    assert "is read on from line" in feeds.told("history")
    found = landed(feeds.brokers, "erp.FxRate", "history")
    assert len(found) == ROWS - 1
    assert {key for key, _, _ in found} == {f"X{n}:EUR:2026-02-03" for n in range(ROWS) if n != 777}
    (letter,) = [m for m in read_to_end(feeds.brokers, "dead.letters") if (m.value() or b"").startswith(b"X777,")]
    assert letter.value() == b"X777,EUR,2026-02-03,one\n"
    rejects = (drop / "rejects" / "erp.FxRate.csv.rejects.csv").read_text().splitlines()
    assert rejects == [
        "line,reason,content",
        "779,Rate: 'one': no decimal number: write it as 1234.50,\"X777,EUR,2026-02-03,one\"",
    ]
    assert [path.name for path in (drop / "done").iterdir()] == ["erp.FxRate.csv"]
    assert feeds.begin("history", "--once").wait(120) == 0
    assert len(landed(feeds.brokers, "erp.FxRate", "history")) == ROWS - 1


def test_an_api_feed_that_is_killed_lands_each_version_once_and_beats(feeds: Feeds) -> None:
    program = Program("tests.contract.feeds.workday_simulator")
    try:
        subject = WorkdayRest(program)
        subject_config = {**subject.configuration(), "poll.interval.ms": "100", "heartbeat.interval.ms": "200"}
        feeds.configure("workday", **subject_config)
        chance, now = random.Random(9), NOON
        for version in range(1, 6):
            before = beats_of(feeds, "workday")
            child = feeds.begin("workday")
            for number in range(20):
                now += 1_300
                if chance.random() < 0.7:
                    subject.put(number, version, now)
            feeds.says("workday", "lands in", child)
            if version % 2:  # else it may not have landed anything yet
                until(lambda: beats_of(feeds, "workday") > before, "it has landed something")  # noqa: B023
            time.sleep(chance.uniform(0.2, 2.5))  # whatever it is at then, it dies
            child.send_signal(signal.SIGKILL)
            child.wait()
        before, child = beats_of(feeds, "workday"), feeds.begin("workday")
        until(lambda: beats_of(feeds, "workday") > before + 2, "it beats while its source is idle")
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0, feeds.told("workday")
    finally:
        program.stop()
    codec = Codec(Manifest())
    rows: dict[str, str] = {}
    seen: dict[str, int] = {}
    for message in read_to_end(feeds.brokers, "hr.Worker"):
        value = codec.decode("hr.Worker", message.value() or b"")
        after, place = value["after"], value["source"]["position"]
        assert place > seen.get(after["EmployeeId"], -1)
        assert rows.get(after["EmployeeId"]) != after["Name"], "a version has landed twice"
        seen[after["EmployeeId"]], rows[after["EmployeeId"]] = place, after["Name"]
    assert rows == {name: row["Name"] for name, row in subject.rows().items()}


def beats_of(feeds: Feeds, name: str) -> int:
    """How many heartbeats of a feed are committed by now."""
    return len(read_to_end(feeds.brokers, f"__debezium-heartbeat.{name}"))


def test_a_second_program_of_one_feed_ends_the_first(feeds: Feeds) -> None:
    drop = feeds.folder / "rival-drop"
    drop.mkdir()
    # Its topic of heartbeats comes to no end while it beats faster than a fetch waits.
    settings = {"poll.interval.ms": "100", "heartbeat.interval.ms": "10000"}
    feeds.configure("rival", **{"connector.class": "throughline.files", "folder": str(drop), **settings})
    first = feeds.begin("rival", "--linger", "0")
    until(lambda: len(read_to_end(feeds.brokers, "__debezium-heartbeat.rival")) > 0, "the first feed lives")
    second = feeds.begin("rival")
    assert first.wait(60) == 1
    assert "another program runs feed rival in group feeds; run it once" in feeds.told("rival")
    assert "Traceback" not in feeds.told("rival")
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0


def test_what_was_landed_behind_an_open_transaction_of_another_feed_is_remembered(feeds: Feeds) -> None:
    """Readers of committed records are held back by it: what stands behind would seem not landed, and land again."""
    feeds.configure("patient", **{"connector.class": "throughline.files", "folder": str(feeds.folder)})
    settings = Settings(brokers=feeds.brokers, group="feeds", patience_s=30)
    first, second = (KafkaLanding(settings, Feed("patient", "files"), Manifest()) for _ in range(2))
    assert first.open() == {}
    other = Producer({"bootstrap.servers": feeds.brokers, "transactional.id": "other", "transaction.timeout.ms": 4_000})
    other.init_transactions(30)
    other.begin_transaction()
    for partition in range(4):
        other.produce("feed.memory", b"never", b"other:since", partition)
    assert other.flush(30) == 0
    first.land(Batch(memory={"since": b"1"}), NOON, beat=False)
    first.close()
    assert second.open() == {"since": b"1"}  # once brokers have aborted the other one
    second.close()


def until(holds: object, what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"connector.class": "throughline.files"},
            "folder: Field required. Meant is: Folder in which files are dropped",
        ),
        ({"connector.class": "throughline.fax"}, "connector.class: there is no feed throughline.fax; there are"),
        (
            {"connector.class": "throughline.files", "folder": "${env:NOT_THERE}"},
            "folder: ${env:NOT_THERE} refers to nothing",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_told(feeds: Feeds, config: dict[str, str], said: str) -> None:
    (feeds.folder / "connectors" / "wrong.json").write_text(json.dumps({"name": "wrong", "config": config}))
    assert feeds.begin("wrong", "--once").wait(30) == 2
    assert said in feeds.told("wrong")
