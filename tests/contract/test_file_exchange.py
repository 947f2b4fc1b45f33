"""Batches on the disk: never half visible, each posting in one of them, numbers without gaps."""

import errno
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from streams.domain.posting import Status
from streams.sinks.batch_file import read_batch
from streams.sinks.contract import Fatal, Retriable
from streams.sinks.durable_files import LocalFiles, Stamp, checksum_of, digest_of, locked
from streams.sinks.file_exchange import FileExchange, FileExchanges
from tests.contract.simulators.faults import WHEN, Faults, FaultyFiles, Killed
from tests.contract.station import NOON
from tests.contract.targets import MIXED, SYSTEM, postings

ROOT = Path(__file__).parents[2]
# Never half visible ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", WHEN)
def test_whatever_can_be_seen_after_a_death_is_whole(tmp_path: Path, when: str) -> None:
    for step in range(9):
        faults, root = Faults(), tmp_path / str(step)
        sink = FileExchange(root, SYSTEM, FaultyFiles(faults))
        faults.order(step, when, Killed())
        try:
            sink.post(postings(MIXED[:2]), NOON)
            sink.post(postings(MIXED[2:]), NOON)
        except Killed:
            seen = [read_batch(path) for path in sorted((root / SYSTEM / "outbound").glob("*.csv"))]
        else:
            pytest.fail(f"nobody died at step {step}")
        assert [batch.number for batch in seen] == list(range(1, len(seen) + 1))
        FileExchange(root, SYSTEM).post(postings(MIXED), NOON)
        everything = [read_batch(path) for path in sorted((root / SYSTEM / "outbound").glob("*.csv"))]
        assert everything[: len(seen)] == seen
        assert [p.source_id for batch in everything for p in batch.postings] == ["T1", "T2", "T3", "T4", "T5"]


@pytest.mark.parametrize("when", WHEN)
def test_nothing_is_left_lying_about_after_a_death(tmp_path: Path, when: str) -> None:
    for step in range(8):
        faults, root = Faults(), tmp_path / str(step)
        sink = FileExchange(root, SYSTEM, FaultyFiles(faults))
        faults.order(step, when, Killed())
        with pytest.raises(Killed):
            sink.post(postings(MIXED), NOON)
        FileExchange(root, SYSTEM).find(["another"])
        names = {path.name for path in (root / SYSTEM / "outbound").iterdir()} - {".lock", ".highest"}
        batch = "legacy-erp-00000001.csv"
        assert names in (set(), {batch, f"{batch}.sha256"})


KILLED_WORKER = """
import os, signal, sys
from pathlib import Path
from streams.sinks.file_exchange import FileExchange
from tests.contract.simulators.faults import Faults, FaultyFiles
from tests.contract.station import NOON
from tests.contract.targets import MIXED, SYSTEM, postings

class Killing(Faults):
    def step(self, effect, half=None):
        self.steps += 1
        if self.steps == int(sys.argv[2]):
            (half or effect)()
            os.kill(os.getpid(), signal.SIGKILL)
        return effect()

FileExchange(Path(sys.argv[1]), SYSTEM, FaultyFiles(Killing())).post(postings(MIXED), NOON)
"""


@pytest.mark.parametrize("step", range(1, 9))
def test_a_worker_killed_with_signal_9_leaves_each_posting_in_one_batch(tmp_path: Path, step: int) -> None:
    command = [sys.executable, "-c", KILLED_WORKER, str(tmp_path), str(step)]
    died = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    outbound = tmp_path / SYSTEM / "outbound"
    assert len(list(outbound.glob("*.csv"))) == (1 if step >= 5 else 0)
    sink = FileExchange(tmp_path, SYSTEM)
    found = {receipt.posting_id for receipt in sink.find([posting.posting_id for posting in postings(MIXED)])}
    sink.post([posting for posting in postings(MIXED) if posting.posting_id not in found], NOON)
    [path] = outbound.glob("*.csv")
    assert read_batch(path).postings == tuple(postings(MIXED))
    assert not list(outbound.glob(".*.tmp"))


def test_a_missing_checksum_comes_back_for_a_whole_batch_only(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    sink.post(postings(MIXED), NOON)
    checksum = checksum_of(sink.batch_path(1)).read_text()
    checksum_of(sink.batch_path(1)).unlink()
    assert FileExchange(tmp_path, SYSTEM).find(["another"]) == []
    assert checksum_of(sink.batch_path(1)).read_text() == checksum
    checksum_of(sink.batch_path(1)).unlink()
    sink.batch_path(1).write_bytes(sink.batch_path(1).read_bytes()[:-30])
    with pytest.raises(Fatal, match="the batch has no checksum either: put back both files"):
        FileExchange(tmp_path, SYSTEM).find(["another"])


# Numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gone", "named"), [([1], "00000001"), ([3], "00000003"), ([1, 2, 3], "00000001, 00000002")])
def test_batches_that_were_taken_away_stop_the_sink(tmp_path: Path, gone: list[int], named: str) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    for posting in postings(MIXED[:3]):
        sink.post([posting], NOON)
    for number in gone:
        sink.batch_path(number).unlink()
    for same in (sink, FileExchange(tmp_path, SYSTEM)):
        with pytest.raises(Fatal, match=f"batches {named}.* are gone; put them back, so that nothing is sent twice"):
            same.post(postings(MIXED[3:]), NOON)


def test_sinks_of_one_program_go_on_once_a_batch_is_put_back(tmp_path: Path) -> None:
    exchanges = FileExchanges(tmp_path)
    one, two = exchanges.open(SYSTEM), exchanges.open(SYSTEM)
    one.post(postings(MIXED[:1]), NOON)
    batch = one.batch_path(1).read_bytes()
    one.batch_path(1).unlink()
    for sink in (one, two):
        with pytest.raises(Fatal, match="batches 00000001 "):
            sink.post(postings(MIXED[1:2]), NOON)
    checksum_of(one.batch_path(1)).write_text(f"{digest_of(batch)}  {one.batch_path(1).name}\n")
    one.batch_path(1).write_bytes(batch)
    assert [receipt.status for receipt in two.post(postings(MIXED[:2]), NOON)] == [Status.SENT, Status.SENT]
    assert [p.source_id for p in read_batch(two.batch_path(2)).postings] == ["T2"]


def test_a_number_is_not_used_again_though_its_writer_died_before_noting_it(tmp_path: Path) -> None:
    faults = Faults()
    sink = FileExchange(tmp_path, SYSTEM, FaultyFiles(faults))
    faults.order(6, "before", Killed())
    with pytest.raises(Killed):
        sink.post(postings(MIXED), NOON)
    FileExchange(tmp_path, SYSTEM).find(["another"])
    sink.batch_path(1).unlink()
    with pytest.raises(Fatal, match="batches 00000001 "):
        FileExchange(tmp_path, SYSTEM).find(["another"])


def test_a_batch_that_was_changed_stops_the_sink(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    sink.post(postings(MIXED), NOON)
    sink.batch_path(1).write_text(sink.batch_path(1).read_text().replace("senior", "junior"))
    with pytest.raises(Fatal, match="put back the batch as it was written"):
        FileExchange(tmp_path, SYSTEM).find(["another"])


def test_a_batch_under_the_number_of_another_stops_the_sink(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    sink.post(postings(MIXED), NOON)
    sink.batch_path(2).write_bytes(sink.batch_path(1).read_bytes())
    checksum_of(sink.batch_path(2)).write_bytes(checksum_of(sink.batch_path(1)).read_bytes())
    with pytest.raises(Fatal, match=r"00000002\.csv: holds batch 1 of legacy-erp"):
        sink.find(["another"])


@pytest.mark.parametrize("programs", [1, 2])
def test_two_writers_share_a_folder_without_gaps_or_doubles(tmp_path: Path, programs: int) -> None:
    exchanges = [FileExchanges(tmp_path) for _ in range(programs)]
    one, two = exchanges[0].open(SYSTEM), exchanges[-1].open(SYSTEM)
    one.post(postings(MIXED[:1]), NOON)
    two.post(postings(MIXED[1:3]), NOON)
    receipts = one.post(postings(MIXED[1:4]), NOON + 1)
    assert [(receipt.status, receipt.first_sent_at) for receipt in receipts] == [
        (Status.SENT, NOON), (Status.SENT, NOON), (Status.SENT, NOON + 1),
    ]  # fmt: skip
    batches = [read_batch(path) for path in sorted(one.outbound.glob("*.csv"))]
    assert [[p.source_id for p in batch.postings] for batch in batches] == [["T1"], ["T2", "T3"], ["T4"]]


@pytest.mark.parametrize("dies", [True, False])
def test_a_number_taken_by_another_writer_is_seen_though_the_folder_tells_the_same_time(
    tmp_path: Path, dies: bool
) -> None:
    class Still(LocalFiles):
        """Files of a disk whose clock stands."""

        def stamp(self, path: Path) -> Stamp:
            return (*super().stamp(path)[:2], 0)

    faults = Faults()
    if dies:
        faults.order(5, "after", Killed())  # its batch can be seen, and its number is not noted
    one, two = FileExchange(tmp_path, SYSTEM, Still()), FileExchange(tmp_path, SYSTEM, FaultyFiles(faults))
    one.post(postings(MIXED[:1]), NOON)
    with pytest.raises(Killed) if dies else nullcontext():
        two.post(postings(MIXED[1:2]), NOON)
    one.post(postings(MIXED[1:3]), NOON)
    batches = [read_batch(path) for path in sorted(one.outbound.glob("*.csv"))]
    assert [[p.source_id for p in batch.postings] for batch in batches] == [["T1"], ["T2"], ["T3"]]


def test_what_fails_after_a_batch_can_be_seen_does_not_say_that_nothing_was_sent(tmp_path: Path) -> None:
    class Failing(LocalFiles):
        """Files of a disk that tells nothing of a folder once a batch lies there."""

        def stamp(self, path: Path) -> Stamp:
            if path.is_dir() and list(path.glob("*.csv")):
                raise OSError(errno.EIO, "Input/output error")
            return super().stamp(path)

    with pytest.raises(Retriable) as raised:
        FileExchange(tmp_path, SYSTEM, Failing()).post(postings(MIXED), NOON)
    assert not raised.value.nothing_sent


def test_a_call_looks_at_the_folder_only_where_others_have_written(tmp_path: Path) -> None:
    class Counting(LocalFiles):
        """Files that count how often a folder is listed."""

        listed = 0

        def names(self, folder: Path) -> list[str]:
            self.listed += 1
            return super().names(folder)

    files = Counting()
    one, two = FileExchange(tmp_path, SYSTEM, files), FileExchange(tmp_path, SYSTEM)
    one.post(postings(MIXED[:1]), NOON)
    files.listed = 0
    one.find(["another"])
    one.post(postings(MIXED[1:2]), NOON)
    one.find(["another"])
    assert files.listed == 0
    two.post(postings(MIXED[2:3]), NOON)
    [receipt] = one.find([postings(MIXED)[2].posting_id])
    assert (receipt.status, files.listed > 0) == (Status.SENT, True)


def test_while_another_writer_is_at_work_nothing_is_sent(tmp_path: Path) -> None:
    sink = FileExchange(tmp_path, SYSTEM)
    with locked(LocalFiles(), sink.outbound), pytest.raises(Retriable, match="another writer is at work") as raised:
        sink.post(postings(MIXED), NOON)
    assert raised.value.nothing_sent
    assert len(sink.post(postings(MIXED), NOON)) == 5


@pytest.mark.parametrize(
    ("number", "step", "expected", "nothing_sent"),
    [
        (errno.ENOSPC, 0, Retriable, True),
        (errno.EDQUOT, 1, Retriable, True),
        (errno.EIO, 3, Retriable, True),
        (errno.EIO, 4, Retriable, False),
        (errno.ENOSPC, 6, Retriable, False),
        (errno.EACCES, 0, Fatal, None),
        (errno.EROFS, 4, Fatal, None),
    ],
)
def test_an_error_of_the_disk_says_whether_time_or_a_person_helps(
    tmp_path: Path, number: int, step: int, expected: type[Exception], nothing_sent: bool | None
) -> None:
    faults = Faults()
    sink = FileExchange(tmp_path, SYSTEM, FaultyFiles(faults))
    faults.order(step, "before", OSError(number, "the disk says no", "some/file"))
    with pytest.raises(expected, match="some/file: the disk says no") as raised:
        sink.post(postings(MIXED), NOON)
    assert getattr(raised.value, "nothing_sent", None) is nothing_sent
