"""Programs that run on beside us: only what we started is believed, signalled and ended."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.daemon import Daemon, Running, is_running, stat, tail_of
from stack.errors import StackError

SLEEP = ("/bin/sleep", "600")
ANSWER_SECONDS_MAX = 30.0
STARTER = """
import sys
from pathlib import Path
from stack.daemon import Daemon
daemon = Daemon("sleeper", "1.0", Path(sys.argv[1]), bound=sys.argv[2] == "bound")
daemon.start(["/bin/sleep", "600"])
print(daemon.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon("sleeper", "1.0", tmp_path, bound=True)
    yield daemon
    daemon.end(signal.SIGKILL, ANSWER_SECONDS_MAX)


def running(daemon: Daemon) -> int:
    pid = daemon.pid
    assert pid is not None
    return pid


def runs(daemon: Daemon) -> bool:
    return daemon.pid is not None


def test_it_is_started_once_and_ended(daemon: Daemon) -> None:
    assert not runs(daemon)
    assert daemon.rss_mib() is None
    daemon.start(SLEEP)
    pid = running(daemon)
    daemon.start(SLEEP)
    assert daemon.pid == pid
    assert daemon.rss_mib() is not None
    daemon.end(signal.SIGTERM, ANSWER_SECONDS_MAX)
    assert not runs(daemon)
    assert stat(pid) is None
    assert not (daemon.folder / "running.json").exists()
    daemon.end(signal.SIGTERM, ANSWER_SECONDS_MAX)
    daemon.start(SLEEP)
    assert running(daemon) != pid


def test_a_later_command_finds_what_an_earlier_one_started(daemon: Daemon) -> None:
    daemon.start(SLEEP)
    raised = Daemon("sleeper", "2.0", daemon.folder, bound=False)
    assert raised.pid == daemon.pid
    assert raised.version == "1.0"  # what runs, not what would be started
    raised.end(signal.SIGTERM, ANSWER_SECONDS_MAX)
    assert not runs(daemon)
    assert raised.version == "2.0"


@pytest.mark.parametrize("change", [{"started_ticks": 1}, {"boot": "another"}])
def test_another_program_by_the_same_pid_is_left_alone(daemon: Daemon, change: dict[str, object]) -> None:
    with subprocess.Popen(SLEEP) as stranger:
        seen = stat(stranger.pid)
        assert seen is not None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        ours = Running("1.0", stranger.pid, seen.started_ticks, boot)
        assert is_running(ours)
        (daemon.folder / "running.json").write_text(json.dumps(ours._asdict() | change), encoding="utf-8")
        assert not runs(daemon)
        assert not daemon.send(signal.SIGKILL)
        daemon.end(signal.SIGKILL, ANSWER_SECONDS_MAX)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"pid": 1'])
def test_a_record_that_was_cut_short_is_none(daemon: Daemon, text: str) -> None:
    (daemon.folder / "running.json").write_text(text, encoding="utf-8")
    assert not runs(daemon)
    daemon.start(SLEEP)
    assert runs(daemon)


def test_a_dead_one_that_nobody_collected_does_not_run(daemon: Daemon) -> None:
    daemon.start(SLEEP)
    pid = running(daemon)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it is dead, and stays a zombie
    zombie = stat(pid)
    assert zombie is not None
    assert zombie.state == "Z"
    assert not runs(daemon)
    daemon.start(SLEEP)
    assert running(daemon) != pid
    assert stat(pid) is None


def test_it_is_suspended_and_goes_on(daemon: Daemon) -> None:
    daemon.start(SLEEP)
    pid = running(daemon)
    assert daemon.send(signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    assert daemon.pid == pid
    assert daemon.send(signal.SIGCONT)
    os.waitid(os.P_PID, pid, os.WCONTINUED | os.WNOWAIT)
    daemon.send(signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    daemon.end(signal.SIGTERM, ANSWER_SECONDS_MAX)
    assert not runs(daemon)


def test_one_that_does_not_listen_is_killed(daemon: Daemon) -> None:
    daemon.start(["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 600; done"])
    pid = running(daemon)
    with daemon.log.open(encoding="utf-8") as log:
        while not log.readline():
            assert daemon.pid == pid
    daemon.end(signal.SIGTERM, 0.01)
    assert stat(pid) is None


def test_its_output_goes_to_the_end_of_its_log(daemon: Daemon) -> None:
    for word in ("one", "two"):
        daemon.start(["/bin/sh", "-c", f"echo {word}; echo {word} >&2"])
        assert daemon._child is not None
        daemon._child.wait(ANSWER_SECONDS_MAX)
    assert tail_of(daemon.log, 100) == "one\none\ntwo\ntwo"
    assert tail_of(daemon.log, 3) == "one\ntwo\ntwo"
    assert tail_of(daemon.folder / "nowhere", 3) == ""


def test_a_program_that_is_not_there_is_an_error(daemon: Daemon) -> None:
    with pytest.raises(StackError, match=r"^sleeper: nothing cannot be started: No such file or directory$"):
        daemon.start(["nothing"])


@pytest.mark.parametrize("how", ["bound", "left"])
def test_it_ends_with_its_starter_only_if_it_is_bound(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        pidfd = os.pidfd_open(pid)
        starter.send_signal(signal.SIGKILL)
    left = Daemon("sleeper", "1.0", tmp_path, bound=False)
    if how == "left":
        assert left.pid == pid
        left.end(signal.SIGTERM, ANSWER_SECONDS_MAX)
    ended, _, _ = select.select([pidfd], [], [], ANSWER_SECONDS_MAX)
    os.close(pidfd)
    assert ended
    assert not runs(left)
