"""The file exchange over a real sshd: the contract suite, and what SFTP is short of, such as locks."""

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from threading import Event

import pytest
from pydantic import SecretStr, ValidationError

from streams.delivery.limits import Limits
from streams.domain.posting import Status
from streams.sinks.contract import Fatal, Retriable, Trouble
from streams.sinks.durable_files import checksum_of, locked, prepare, publish, read_checked
from streams.sinks.file_exchange import FileExchange, FileExchanges
from streams.sinks.outbound import Outbound
from streams.sinks.sftp_files import SftpFiles
from tests.contract.call_suite import CallContract
from tests.contract.simulators.faults import FaultyFiles, Killed
from tests.contract.station import NOON, Item, Station, money_posting
from tests.contract.suite import random_items
from tests.contract.targets import FileTarget
from tests.stack.sshd import Sshd

LOCK_SECONDS = 60


class Clock:
    """Seconds that a test lets go by."""

    def __init__(self) -> None:
        self.now = 100

    def __call__(self) -> int:
        return self.now


class SftpTarget(FileTarget):
    """A file exchange whose worker comes over SFTP, and whose ERP has the folder at hand."""

    def __init__(self, root: Path, files: SftpFiles) -> None:
        super().__init__(root)
        self._sftp = files

    def open(self) -> FileExchange:
        return FileExchange(self.root, self.system, FaultyFiles(self.faults, self._sftp))


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    made = Sshd(tmp_path_factory.mktemp("sshd"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def files(sshd: Sshd) -> Iterator[SftpFiles]:
    made = SftpFiles(sshd.settings())
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def others(sshd: Sshd, clock: Clock) -> Iterator[Callable[[], SftpFiles]]:
    """Makes further writers, each of a program of its own as far as the server knows."""
    made: list[SftpFiles] = []

    def another() -> SftpFiles:
        made.append(SftpFiles(sshd.settings(lock_seconds_max=LOCK_SECONDS), clock))
        return made[-1]

    yield another
    for one in made:
        one.close()


@pytest.fixture
def folder(files: SftpFiles, tmp_path: Path) -> Path:
    made = tmp_path / "exchange" / "outbound"
    files.make_folder(made)
    files.make_folder(made)
    return made


class TestFileExchangeOverSftp(CallContract, at="files"):
    search_lags = False

    @pytest.fixture
    def make(self, tmp_path: Path, files: SftpFiles) -> Callable[[], SftpTarget]:
        numbers = count()
        return lambda: SftpTarget(tmp_path / str(next(numbers)), files)


def test_files_are_written_read_listed_and_removed(files: SftpFiles, folder: Path) -> None:
    content = bytes(range(256)) * 4_000
    files.write(folder / "a.csv", content)
    files.write(folder / "a.csv", content[1:])
    assert (folder / "a.csv").read_bytes() == content[1:] == files.read(folder / "a.csv")
    files.write(folder / "empty", b"")
    assert files.read(folder / "empty") == b""
    assert files.names(folder) == ["a.csv", "empty"]
    assert files.stamp(folder / "a.csv") == files.stamp(folder / "a.csv")
    assert files.stamp(folder / "a.csv")[1] == len(content) - 1
    files.remove(folder / "a.csv")
    for missing in (lambda: files.stamp(folder / "a.csv"), lambda: files.remove(folder / "a.csv")):
        with pytest.raises(FileNotFoundError):
            missing()
    with pytest.raises(FileNotFoundError):
        files.names(folder / "nowhere")
    files.sync_folder(folder)


def test_a_rename_replaces_and_what_appears_does_not(files: SftpFiles, folder: Path) -> None:
    for name in ("new", "old", "seen"):
        files.write(folder / name, name.encode())
    files.rename(folder / "new", folder / "old")
    assert files.read(folder / "old") == b"new"
    with pytest.raises(BlockingIOError):
        files.appear(folder / "old", folder / "seen")
    assert files.read(folder / "seen") == b"seen"
    files.appear(folder / "old", folder / "first")
    files.sync_folder(folder)
    assert files.names(folder) == ["first", "seen"]
    with pytest.raises(BlockingIOError):
        files.appear(folder / "gone", folder / "second")
    with pytest.raises(FileNotFoundError):
        files.rename(folder / "gone", folder / "nowhere" / "second")


def test_one_writer_at_a_time_and_a_lock_that_was_given_back_is_free(
    folder: Path, others: Callable[[], SftpFiles]
) -> None:
    first, second = others(), others()
    with locked(first, folder):
        for writer in (second, first):
            with pytest.raises(BlockingIOError), locked(writer, folder):
                pass
    with locked(second, folder):
        pass
    assert list(folder.parent.iterdir()) == [folder]
    with pytest.raises(FileNotFoundError), locked(first, folder / "no" / "folder"):
        pass


def test_the_lock_of_a_writer_that_died_ends_by_itself(
    folder: Path, others: Callable[[], SftpFiles], clock: Clock
) -> None:
    dead, living = others(), others()
    dead.lock(folder / ".lock")
    dead.close()
    for seconds in (0, LOCK_SECONDS // 2, LOCK_SECONDS // 2):
        clock.now += seconds
        with pytest.raises(BlockingIOError), locked(living, folder):
            pass
    clock.now += 1
    with locked(living, folder), pytest.raises(BlockingIOError), locked(dead, folder):
        pass


def test_a_writer_whose_connection_broke_takes_its_own_lock_again_at_once(
    sshd: Sshd, folder: Path, others: Callable[[], SftpFiles]
) -> None:
    writer, other = others(), others()
    with locked(writer, folder):
        sshd.kill()
    sshd.start()
    with pytest.raises(BlockingIOError), locked(other, folder):
        pass
    with locked(writer, folder):
        pass


def test_a_writer_that_slept_longer_than_its_lock_publishes_nothing(
    folder: Path, others: Callable[[], SftpFiles], clock: Clock
) -> None:
    sleeper, other = others(), others()
    token = sleeper.lock(folder / ".lock")
    prepare(sleeper, folder / "1.csv", b"of the sleeper")
    clock.now += LOCK_SECONDS // 2 + 1
    with pytest.raises(BlockingIOError):
        publish(sleeper, folder / "1.csv")
    with pytest.raises(BlockingIOError):
        other.lock(folder / ".lock")
    clock.now += LOCK_SECONDS + 1
    with locked(other, folder):
        prepare(other, folder / "1.csv", b"of the other")
        with pytest.raises(BlockingIOError):
            publish(sleeper, folder / "1.csv")
        publish(other, folder / "1.csv")
        sleeper.unlock(token)
        with pytest.raises(BlockingIOError):
            sleeper.lock(folder / ".lock")
    assert read_checked(other, folder / "1.csv") == b"of the other"


def test_two_writers_at_once_lose_and_double_nothing_even_without_a_lock(
    folder: Path, others: Callable[[], SftpFiles]
) -> None:
    """As when a holder wakes in the very moment between being seen as dead and its last step."""
    posting = money_posting(Item(1), "legacy")
    one, two = (Outbound(folder, "legacy", others()) for _ in range(2))
    for number, (faster, slower) in enumerate(((one, two), (two, one)), 1):
        for outbound in (one, two):
            outbound.catch_up()
        batches = {
            outbound: outbound.prepare([replace(posting, posting_id=f"{name} {number}")], NOON)
            for name, outbound in (("one", one), ("two", two))
        }
        faster.publish(batches[faster])
        with pytest.raises(BlockingIOError):
            slower.publish(batches[slower])
    for outbound in (one, two):
        outbound.catch_up()
        assert outbound.batch_of == {"one 1": 1, "two 2": 2}
        assert [outbound.read(number).postings[0].posting_id for number in (1, 2)] == ["one 1", "two 2"]


def test_what_a_dead_writer_left_is_cleared_by_the_next(folder: Path, others: Callable[[], SftpFiles]) -> None:
    others().write(folder / ".legacy-00000001.csv.tmp", b"half")
    batches = Outbound(folder, "legacy", others())
    with batches.locked():
        batches.catch_up()
    assert list(folder.iterdir()) == []


def test_a_session_that_was_dropped_is_replaced_and_what_was_under_way_is_looked_up(
    sshd: Sshd, tmp_path: Path, files: SftpFiles
) -> None:
    station = Station(SftpTarget(tmp_path, files))
    station.log = [Item(number, f"C{number % 3}") for number in range(1, 9)]
    station.turn(NOON)
    sshd.kill_sessions()
    station.log += [Item(number, f"C{number % 3}") for number in range(9, 12)]
    station.turn(NOON + 1_000)
    sshd.kill()
    look = station.delivery.look()
    assert look.run().trouble is Trouble.DOWN
    assert "127.0.0.1" in str(look.failure)
    sshd.start()
    station.target.faults.order(3, "after", Killed())
    station.settle(NOON + 3_000)
    station.verify()
    assert set(station.statuses().values()) == {Status.POSTED}


def test_sessions_that_are_killed_at_any_moment_lose_and_double_nothing(
    sshd: Sshd, tmp_path: Path, files: SftpFiles
) -> None:
    station = Station(SftpTarget(tmp_path, files), Limits(postings_max=4, age_ms_max=0))
    items, chance, now, calm = random_items(Random(3), 120, reversals=True), Random(3), NOON, Event()

    def strike() -> int:
        killed = 0
        while not calm.wait(chance.uniform(0.0, 0.25)):
            killed += sshd.kill_sessions()
        return killed

    with ThreadPoolExecutor(1) as pool:
        striking = pool.submit(strike)
        while len(station.log) < len(items):
            station.log = items[: len(station.log) + 3]
            station.turn(now)
            station.target.answer(now)
            now += 20_000
        calm.set()
        assert striking.result() > 5, "a calm storm"
    station.settle(now)
    station.verify()


def test_sinks_of_one_program_share_a_connection(tmp_path: Path, files: SftpFiles) -> None:
    exchanges = FileExchanges(tmp_path, files)
    first, second = exchanges.open("legacy"), exchanges.open("legacy")
    first.post([money_posting(Item(1), "legacy")], NOON)
    assert second.find([money_posting(Item(1), "legacy").posting_id])[0].status is Status.SENT
    assert checksum_of(first.batch_path(1)).is_file()


@pytest.mark.parametrize(("wrong", "said"), [
    ("unknown", "which known_hosts does not have"),
    ("changed", "Host key for server"),
    ("no-file", "known_hosts cannot be read"),
    ("stranger", "is not let in"),
    ("password", "is not let in"),
    ("no-key", "is no private key that can be read"),
])  # fmt: skip
def test_a_server_or_a_key_that_is_not_trusted_is_for_a_person(
    sshd: Sshd, tmp_path: Path, wrong: str, said: str
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    settings = {
        "unknown": lambda: sshd.settings(known_hosts=empty),
        "changed": lambda: sshd.settings(known_hosts=sshd.know("stranger")),
        "no-file": lambda: sshd.settings(known_hosts=tmp_path / "none"),
        "stranger": lambda: sshd.settings(key_file=sshd.folder / "stranger"),
        "password": lambda: sshd.settings(password=SecretStr("se-cret")),
        "no-key": lambda: sshd.settings(key_file=empty),
    }[wrong]()
    with pytest.raises(Fatal, match=said) as refused:
        FileExchange(tmp_path, "legacy", SftpFiles(settings))
    assert "se-cret" not in str(refused.value)


def test_a_server_that_is_not_there_is_waited_for(sshd: Sshd, tmp_path: Path) -> None:
    for host in ("127.0.0.1", "no-such-host.invalid"):
        with pytest.raises(Retriable):
            FileExchange(tmp_path, "legacy", SftpFiles(sshd.settings(host=host, port=1)))


def test_a_folder_that_may_not_be_written_is_for_a_person_and_a_failure_without_reason_passes(
    files: SftpFiles, folder: Path
) -> None:
    files.write(folder / "file", b"")
    with pytest.raises(OSError, match=r"Failure|No such file"):
        files.write(folder / "file" / "below", b"")
    with pytest.raises(OSError, match="Failure") as unclear:
        files.remove(folder.parent)
    assert unclear.value.errno == errno.EIO


def test_settings_take_one_credential(sshd: Sshd) -> None:
    with pytest.raises(ValidationError, match="either key_file or password"):
        sshd.settings(key_file=None)
    with pytest.raises(ValidationError, match="either key_file or password"):
        sshd.settings(password=SecretStr("x"), key_file=sshd.folder / "client")
    assert "x-y-z" not in repr(sshd.settings(password=SecretStr("x-y-z")))
