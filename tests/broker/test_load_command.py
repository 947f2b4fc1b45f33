"""`throughline load` as a program of its own on the embedded broker: what it says, how it ends, what is landed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connect.feeds.contract import position
from schemas.codec import Codec
from schemas.registry import Manifest
from streams.engine.embedded import EmbeddedBroker
from streams.engine.feeding import SourceBytes
from streams.topics import DEAD_LETTERS
from tests.broker.bench import feed
from tests.support.feed import Feed
from tests.support.kafka import read_to_end
from tests.support.registry import Numbered

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

THROUGHLINE = Path(sys.executable).with_name("throughline")
WAIT_SECONDS_MAX = 90.0
ENTRIES = "psa.public.time_entries"
COLUMNS = "id,project_id,resource_id,role,work_date,hours,billable,status,approved_at,updated_at\n"
CHANGED = 1_706_954_400_000


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


def entries(path: Path, stem: str, count: int) -> Path:
    rows = (
        f"{stem}{number},P1,R1,Engineer,2024-02-03,7.5,true,Approved,,2024-02-03T10:00:00Z\n" for number in range(count)
    )
    path.write_text(COLUMNS + "".join(rows))
    return path


def started(brokers: str, group: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "THROUGHLINE_BROKERS": brokers, "THROUGHLINE_GROUP": group}
    return subprocess.Popen([THROUGHLINE, "load", *words], env=environment, stderr=subprocess.PIPE, text=True)


def load(brokers: str, group: str, *words: str) -> tuple[int, list[str]]:
    """Run a load to its end; return its exit code and what it said."""
    child = started(brokers, group, *words)
    _, said = child.communicate(timeout=WAIT_SECONDS_MAX)
    return child.returncode, said.splitlines()


def landed(brokers: str, topic: str, name: str) -> list[dict[str, Any]]:
    """The envelopes in a topic that a load of that name has landed."""
    codec = Codec(Manifest())
    values = [codec.decode(topic, message.value() or b"") for message in read_to_end(brokers, topic)]
    return [value for value in values if value["source"]["name"] == name]


def test_rows_land_as_their_feed_writes_them_and_once(brokers: str, tmp_path: Path) -> None:
    path = entries(tmp_path / f"{ENTRIES}.csv", "T", 3)
    code, said = load(brokers, "once", str(path), "--name", "once")
    assert code == 0, said
    assert said[-1].startswith("load: 3 rows in ")
    first, *_ = found = landed(brokers, ENTRIES, "history.once")
    assert [each["after"]["id"] for each in found] == ["T0", "T1", "T2"]
    assert (first["op"], first["source"]["snapshot"], first["source"]["ts_ms"]) == ("r", True, CHANGED)
    assert first["source"]["position"] == position(CHANGED, 1)
    code, said = load(brokers, "once", str(path), "--name", "once")
    assert (code, len(landed(brokers, ENTRIES, "history.once"))) == (0, 3)
    assert any("which was loaded before: it is not loaded again" in line for line in said)


def test_rejects_are_told_in_the_exit_code_beside_the_file_and_in_dead_letters(brokers: str, tmp_path: Path) -> None:
    path = tmp_path / "erp.FxRate.csv"
    path.write_text("FromCurrency,ToCurrency,Date,Rate\nUSD,EUR,2026-02-03,0.92\nUSD,EUR,3.2.2026,0.92\n")
    code, said = load(brokers, "rejects", str(path), "--quiet")
    assert code == 1
    assert said[-1] == "throughline: rejects: 1; they are in dead.letters, and in FILE.rejects.csv beside each file"
    assert path.with_name("erp.FxRate.csv.rejects.csv").read_text().splitlines()[1].startswith("3,Date: '3.2.2026'")
    (letter,) = read_to_end(brokers, DEAD_LETTERS)
    assert letter.value() == b"USD,EUR,3.2.2026,0.92\n"


def test_ctrl_c_stops_it_between_two_transactions_and_the_same_command_goes_on(brokers: str, tmp_path: Path) -> None:
    path = entries(tmp_path / f"{ENTRIES}.csv", "S", 400)
    child = started(brokers, "slow", str(path), "--name", "slow", "--rate", "40")
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not landed(brokers, ENTRIES, "history.slow"):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)  # topics tell nobody
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=WAIT_SECONDS_MAX)
    assert child.returncode == 130, said
    assert said.splitlines()[-1] == "throughline: stopped; the same command goes on from here"
    before = len(landed(brokers, ENTRIES, "history.slow"))
    assert 0 < before < 400
    code, lines = load(brokers, "slow", str(path), "--name", "slow")
    assert code == 0, lines
    assert any(f"is gone on with behind line {before + 1}: {before} of its rows are landed" in line for line in lines)
    assert [each["after"]["id"] for each in landed(brokers, ENTRIES, "history.slow")] == [f"S{n}" for n in range(400)]


def test_it_waits_while_the_group_has_too_much_to_do(brokers: str, tmp_path: Path) -> None:
    first, second = entries(tmp_path / f"{ENTRIES}.1.csv", "A", 50), entries(tmp_path / f"{ENTRIES}.2.csv", "B", 50)
    assert load(brokers, "lag", str(first), "--name", "lag")[0] == 0
    child = started(brokers, "lag", str(second), "--name", "lag", "--lag-max", "10")
    assert child.stderr is not None
    line = ""
    while "waits for group: " not in line:
        line = child.stderr.readline()
        assert line, "it has ended"
    child.send_signal(signal.SIGTERM)
    assert child.wait(WAIT_SECONDS_MAX) == 130
    child.stderr.close()
    assert len(landed(brokers, ENTRIES, "history.lag")) == 50


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.csv", None, "missing.csv: No such file or directory"),
        ("strange.csv", "a,b\n", "strange.csv: its name is no topic: name the file as hr.Worker.csv"),
    ],
)
def test_what_cannot_be_used_ends_it_with_2(
    brokers: str, tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    code, lines = load(brokers, "unusable", str(tmp_path / name))
    assert code == 2
    assert said in lines[-1]


def test_brokers_that_do_not_answer_are_said_at_once(tmp_path: Path) -> None:
    path = entries(tmp_path / f"{ENTRIES}.csv", "T", 3)
    code, (line,) = load("127.0.0.1:1", "nobody", str(path), "--quiet")
    assert code == 2
    assert line.startswith("throughline: brokers 127.0.0.1:1: no answer within 15 s (")
    assert line.endswith("); check the setting brokers, and that Kafka runs")


def test_without_the_registry_of_the_other_writers_nothing_is_loaded(tmp_path: Path) -> None:
    path = entries(tmp_path / f"{ENTRIES}.csv", "T", 3)
    project = Feed().project()
    value = SourceBytes(Numbered()).of(project["topic"], project["value"])
    with EmbeddedBroker() as broker:
        feed(broker.bootstrap, [(project["topic"], project["key"], value)])
        code, (line,) = load(broker.bootstrap, "unset", str(path), "--quiet")
        assert code == 2
        assert "no registry is set: set contracts.registry_url to the registry of whoever writes the topic" in line
        assert [read_to_end(broker.bootstrap, topic) for topic in (ENTRIES, DEAD_LETTERS)] == [[], []]


def test_a_firm_that_was_generated_is_loaded_as_it_was_written(brokers: str, tmp_path: Path) -> None:
    path = tmp_path / "firm.jsonl.gz"
    subprocess.run([THROUGHLINE, "generate", "--time-entries", "60", "--out", path, "--quiet"], check=True)
    code, said = load(brokers, "firm", str(path), "--name", "firm")
    assert code == 0, said
    assert json.dumps(said).count("rejects") == 0
    assert len(landed(brokers, ENTRIES, "history.firm")) > 60
