"""`throughline stack` as an operator uses it: every command is a program of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.kafka import Kafka
from stack.room import Room
from tests.stack.conftest import say
from tests.support.kafka import make_topic, values_to_end

UP_SECONDS_MAX, MEMORY_MIB_MAX = 60.0, 4_096
THROUGHLINE = Path(sys.executable).with_name("throughline")
Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Callable[..., Ran]]:
    def run(*words: str) -> Ran:
        command = [str(THROUGHLINE), "stack", *words, "--folder", str(tmp_path / "room")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    yield run
    assert run("down", "--wipe").returncode == 0
    assert [*tmp_path.iterdir()] == []


def pid_of(folder: Path) -> int | None:
    return Kafka(folder / "room" / "kafka", bound=False).brokers[0].daemon.pid


def test_up_status_logs_and_down(stack: Callable[..., Ran], tmp_path: Path) -> None:
    up = stack("up", "kafka", "--port", "0")
    assert up.returncode == 0, up.stderr
    kafka = Kafka(tmp_path / "room" / "kafka", bound=False)
    pid, log = kafka.brokers[0].daemon.pid, kafka.brokers[0].daemon.log
    title, row = up.stdout.splitlines()
    assert title.split() == ["part", "version", "address", "pid", "memory", "state", "log"]
    name, number, version, address, shown_pid, memory, unit, state, shown_log = row.split()
    assert (name, number, version, address) == ("kafka", "1", "4.3.1", kafka.bootstrap)
    assert (shown_pid, unit, state, shown_log) == (str(pid), "MiB", "up", str(log))
    assert 100 < int(memory) < 600

    again, status = stack("up", "kafka"), stack("status")
    assert (again.returncode, status.returncode) == (0, 0)
    assert again.stdout.split()[:12] == status.stdout.split()[:12] == up.stdout.split()[:12]  # the same pid

    logs = stack("logs", "kafka", "--tail", "1")
    assert logs.returncode == 0
    assert logs.stdout.splitlines()[0] == f"== {log}"
    assert len(logs.stdout.splitlines()) == 2

    assert stack("down").returncode == 0
    assert kafka.brokers[0].daemon.pid is None
    assert stack("status").returncode == 1
    assert stack("down").returncode == 0


def test_what_died_is_seen_and_started_again_with_its_records(stack: Callable[..., Ran], tmp_path: Path) -> None:
    assert stack("up", "kafka", "--port", "0").returncode == 0
    kafka = Kafka(tmp_path / "room" / "kafka", bound=False)
    make_topic(kafka.bootstrap, "entries")
    pid = pid_of(tmp_path)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    kafka.kill()  # waits until it is gone
    status = stack("status")
    assert status.returncode == 1
    assert " down " in status.stdout
    assert stack("up", "kafka").returncode == 0
    assert pid_of(tmp_path) not in (None, pid)
    assert values_to_end(kafka.bootstrap, "entries") == []


def test_a_port_that_is_taken_is_an_error(stack: Callable[..., Ran], kafka: Kafka) -> None:
    port = kafka.brokers[0].node.port
    up = stack("up", "kafka", "--port", str(port))
    assert up.returncode == 2
    refusal = f"throughline: kafka 1: port {port} is taken; stop what listens there, or choose another\n"
    assert up.stderr == f"starting kafka\n{refusal}"
    assert stack("status").returncode == 1


def test_the_whole_stack_is_up_within_a_minute_and_in_4_gib(stack: Callable[..., Ran]) -> None:
    assert stack("up", "kafka", "--port", "0").returncode == 0  # fetches what the cache lacks; the rest is timed
    for part in ("registry", "connect"):
        assert stack("up", part).returncode == 0
    assert stack("down").returncode == 0
    began = time.monotonic()
    up = stack("up")
    took = time.monotonic() - began
    assert up.returncode == 0, up.stderr
    rows = [line.split() for line in up.stdout.splitlines()[1:]]
    memory = sum(int(row[row.index("MiB") - 1]) for row in rows)
    say(f"the whole stack: up in {took:.1f} s, {memory} MiB")
    assert [row[0] for row in rows] == ["kafka", "postgresql", "registry", "connect", "prometheus"]
    assert all("up" in row for row in rows)
    assert took < UP_SECONDS_MAX
    assert memory < MEMORY_MIB_MAX


def test_tryton_is_up_with_its_database_where_it_is_named(stack: Callable[..., Ran], tmp_path: Path) -> None:
    up = stack("up", "tryton", "--port", "0")
    assert up.returncode == 0, up.stderr
    rows = [line.split() for line in up.stdout.splitlines()[1:]]
    assert [(row[0], row[6]) for row in rows] == [("postgresql", "up"), ("tryton", "up")]
    assert stack("status").stdout.split()[:20] == up.stdout.split()[:20]

    tryton = Room(tmp_path / "room", say).tryton()
    client = tryton.client()
    (hafen,) = client.create("party.party", {"name": "Hafen"})
    tryton.kill()
    assert stack("status").returncode == 1
    again = stack("up", "tryton")
    assert again.returncode == 0, again.stderr
    assert client.read("party.party", [hafen], "name") == [{"id": hafen, "name": "Hafen"}]
    for secret in ("password", "database-password"):
        assert (tmp_path / "room" / "tryton" / secret).stat().st_mode & 0o777 == 0o600
    assert str(tryton.daemon.log) in stack("logs", "tryton").stdout
    assert stack("down").returncode == 0
    assert (tryton.daemon.pid, tryton.answers()) == (None, False)
