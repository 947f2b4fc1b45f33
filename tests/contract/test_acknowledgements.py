"""Answers of the ERP: taken over line by line when they can be believed, a problem when not."""

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.domain.posting import Status
from streams.sinks.contract import Retriable
from streams.sinks.durable_files import LocalFiles, checksum_of
from streams.sinks.file_exchange import FileExchange
from tests.contract.station import NOON, Item, Station
from tests.contract.targets import SYSTEM, FileTarget


@pytest.fixture
def target(tmp_path: Path) -> FileTarget:
    return FileTarget(tmp_path)


@pytest.fixture
def answered(target: FileTarget) -> Station:
    """Two batches of two, sent, and answered by the ERP; nothing polled yet."""
    station = Station(target)
    station.log = [Item(1, "C1"), Item(2, "C2")]
    station.turn(NOON)
    station.log += [Item(3, "C3"), Item(4, "C4")]
    station.turn(NOON)
    target.answer(NOON + 60_000)
    return station


def replace_acknowledgement(target: FileTarget, number: int, change: Callable[[str], str]) -> None:
    """Write an acknowledgement anew, with a checksum that is right."""
    path = target.acknowledged / f"{SYSTEM}-{number:08d}.csv"
    content = change(path.read_text()).encode()
    path.with_name(f"{path.name}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    path.write_bytes(content)


# Acknowledgements -------------------------------------------------------------------------------------------------


def test_answers_come_by_line(target: FileTarget) -> None:
    station = Station(target)
    station.log = [Item(1, "C1"), Item(2, "C2")]
    target.refuse(station.log[1], "closed period 2026-02")
    station.turn(NOON)
    target.answer(NOON + 60_000)
    station.turn(NOON + 90_000)
    taken, refused = (station.last(item) for item in station.log)
    assert (taken.status, taken.document_id, taken.error) == (Status.POSTED, "legacy-erp-00000001/1", None)
    assert (refused.status, refused.document_id, refused.error) == (Status.REJECTED, None, "closed period 2026-02")
    assert (taken.attempts, taken.first_sent_at, taken.answered_at) == (1, NOON, NOON + 60_000)


def test_an_acknowledgement_is_read_once(answered: Station, target: FileTarget) -> None:
    sink = target.open()
    assert len(sink.poll(NOON).receipts) == 4
    assert sink.poll(NOON).receipts == ()


def test_an_acknowledgement_that_comes_again_changes_nothing(answered: Station, target: FileTarget) -> None:
    answered.turn(NOON + 90_000)
    receipts = list(answered.receipts)
    replace_acknowledgement(target, 1, lambda text: text)
    answered.turn(NOON + 91_000)
    answered.restart()
    answered.turn(NOON + 92_000)
    assert answered.receipts == receipts
    assert answered.problems == []


WRONG = [
    ("control,EUR,2,200.00", "control,EUR,2,300.00", "EUR 300.00 in 2, the lines add up to EUR 200.00 in 2"),
    ("trailer,00000001,2,0", "trailer,00000001,1,1", "the trailer says 00000001,1,1, the lines 00000001,2,0"),
    ("trailer,00000001,2,0\n", "", "expected a trailer line, found 'nothing'"),
    ("header,1,legacy-erp", "header,1,other-erp", "answers batch 1 of other-erp, not what its name says"),
    ("legacy-erp,00000001", "legacy-erp,00000002", "the trailer says 00000001,2,0, the lines 00000002,2,0"),
    (",read,", ",maybe,", "verdict 'maybe' must be read or refused"),
    (",read,", ",refused,no space", "a refused batch has no answers"),
    ("answer,2,", "answer,3,", "is not line (2, "),
    (",accepted,legacy-erp-00000001/1,", ",accepted,,", "an accepted line needs a document id"),
    (",accepted,legacy-erp-00000001/1,", ",perhaps,,", "verdict 'perhaps' must be accepted or rejected"),
    ("\n", "\n\n", "expected a trailer line, found 'an empty line'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "reason"), WRONG)
def test_a_wrong_acknowledgement_is_one_problem_and_the_rest_unharmed(
    answered: Station, target: FileTarget, old: str, new: str, reason: str
) -> None:
    replace_acknowledgement(target, 1, lambda text: text.replace(old, new, 1))
    for now in (NOON + 90_000, NOON + 91_000):
        answered.turn(now)
    assert [problem.subject for problem in answered.problems] == ["acknowledgement legacy-erp-00000001.csv"]
    assert reason in answered.problems[0].reason
    assert answered.problems[0].reason.endswith("no line of it was taken over: have it corrected and written again")
    statuses = [answered.last(item).status for item in answered.log]
    assert statuses == [Status.SENT, Status.SENT, Status.POSTED, Status.POSTED]
    replace_acknowledgement(target, 1, lambda text: text.replace(new, old, 1) if new else text + old)
    answered.turn(NOON + 92_000)
    assert [answered.last(item).status for item in answered.log] == [Status.POSTED] * 4
    assert len(answered.problems) == 1


def test_an_acknowledgement_of_half_the_lines_is_a_problem(answered: Station, target: FileTarget) -> None:
    def shorten(text: str) -> str:
        lines = [line for line in text.splitlines(keepends=True) if not line.startswith("answer,2")]
        return "".join(lines).replace("EUR,2,200.00", "EUR,1,100.00").replace("00000001,2,0", "00000001,1,0")

    replace_acknowledgement(target, 1, shorten)
    answered.turn(NOON + 90_000)
    assert "1 answers for 2 lines of the batch" in answered.problems[0].reason


def test_an_acknowledgement_of_an_unknown_batch_is_a_problem(answered: Station, target: FileTarget) -> None:
    text = (target.acknowledged / "legacy-erp-00000001.csv").read_text().replace("00000001", "00000099")
    path = target.acknowledged / "legacy-erp-00000099.csv"
    path.write_text(text)
    checksum_of(path).write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  {path.name}\n")
    answered.turn(NOON + 90_000)
    assert [(problem.system, problem.subject) for problem in answered.problems] == [
        (SYSTEM, "acknowledgement legacy-erp-00000099.csv")
    ]
    assert "batch 00000099 was never written" in answered.problems[0].reason
    assert [answered.last(item).status for item in answered.log] == [Status.POSTED] * 4


def test_an_acknowledgement_of_other_content_is_a_problem(answered: Station, target: FileTarget) -> None:
    digest = hashlib.sha256((target.outbound / "legacy-erp-00000001.csv").read_bytes()).hexdigest()
    replace_acknowledgement(target, 1, lambda text: text.replace(digest, "0" * 64))
    answered.turn(NOON + 90_000)
    assert f"answers a batch with checksum {'0' * 64}, ours has {digest}" in answered.problems[0].reason


def test_an_acknowledgement_without_checksum_waits_for_it(answered: Station, target: FileTarget) -> None:
    checksum = checksum_of(target.acknowledged / "legacy-erp-00000001.csv")
    content = checksum.read_text()
    checksum.unlink()
    answered.turn(NOON + 90_000)
    assert "its checksum legacy-erp-00000001.csv.sha256 is missing" in answered.problems[0].reason
    assert answered.last(Item(1, "C1")).status is Status.SENT
    checksum.write_text(content)
    answered.turn(NOON + 91_000)
    assert answered.last(Item(1, "C1")).status is Status.POSTED


def test_a_batch_that_the_erp_refuses_is_a_problem(target: FileTarget) -> None:
    station = Station(target)
    station.log = [Item(1)]
    station.turn(NOON)
    checksum = checksum_of(target.outbound / "legacy-erp-00000001.csv")
    right = checksum.read_text()
    checksum.write_text("0" * 64 + "\n")
    target.answer(NOON)
    checksum.write_text(right)
    station.turn(NOON + 1)
    assert (
        "legacy-erp refused the whole batch: the checksum beside it is missing or differs" in station.problems[0].reason
    )
    assert station.last(Item(1)).status is Status.SENT


def test_a_changed_answer_is_a_problem_and_the_first_one_stands(answered: Station, target: FileTarget) -> None:
    answered.turn(NOON + 90_000)
    receipts = list(answered.receipts)
    replace_acknowledgement(target, 1, lambda text: text.replace("00000001/2", "00000001/7777"))
    answered.turn(NOON + 91_000)
    assert answered.receipts == receipts
    [problem] = answered.problems
    assert problem.subject.endswith("of trigger 00000000-0000-5000-8000-000000000002")
    assert problem.reason == (
        "answered as posted with document legacy-erp-00000001/7777, but it stands as posted with document "
        "legacy-erp-00000001/2; the first answer is kept: correct the document in legacy-erp"
    )


def test_a_rejected_line_that_was_booked_after_all_is_posted(target: FileTarget) -> None:
    station = Station(target)
    station.log = [Item(1)]
    target.refuse(Item(1), "closed period")
    station.turn(NOON)
    target.answer(NOON)
    station.turn(NOON + 1)
    target.reasons.clear()
    (target.acknowledged / "legacy-erp-00000001.csv").unlink()
    target.answer(NOON + 2)
    station.turn(NOON + 3)
    assert station.history(Item(1)) == ["pending", "sent", "rejected", "posted"]
    assert station.problems == []


class Unreadable(LocalFiles):
    """A disk that gives a file or not, as told."""

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}

    def read(self, path: Path) -> bytes:
        number = self.errors.get(path.name)
        if number is not None:
            raise OSError(number, "the disk says no", str(path))
        return super().read(path)


def test_answers_read_before_the_disk_failed_are_handed_over_and_the_rest_later(
    answered: Station, target: FileTarget
) -> None:
    disk = Unreadable()
    sink = FileExchange(target.root, SYSTEM, disk)
    disk.errors["legacy-erp-00000002.csv"] = errno.EIO
    assert [receipt.document_id for receipt in sink.poll(NOON).receipts] == [
        "legacy-erp-00000001/1", "legacy-erp-00000001/2",
    ]  # fmt: skip
    with pytest.raises(Retriable, match="the disk says no"):
        sink.poll(NOON)
    disk.errors.clear()
    assert [receipt.document_id for receipt in sink.poll(NOON).receipts] == [
        "legacy-erp-00000002/1", "legacy-erp-00000002/2",
    ]  # fmt: skip


def test_an_acknowledgement_taken_away_while_the_folder_is_read_stops_nothing(
    answered: Station, target: FileTarget
) -> None:
    disk = Unreadable()
    sink = FileExchange(target.root, SYSTEM, disk)
    # It was listed, and is gone when it is opened.
    disk.errors["legacy-erp-00000001.csv"] = errno.ENOENT
    assert [receipt.document_id for receipt in sink.poll(NOON).receipts] == [
        "legacy-erp-00000002/1", "legacy-erp-00000002/2",
    ]  # fmt: skip
    assert sink.poll(NOON).receipts == ()
    disk.errors.clear()
    assert [receipt.document_id for receipt in sink.poll(NOON).receipts] == [
        "legacy-erp-00000001/1", "legacy-erp-00000001/2",
    ]  # fmt: skip


class Watched(LocalFiles):
    """A disk that counts how often the stamp of a file in a folder is asked for."""

    def __init__(self) -> None:
        self.looks = 0

    def stamp(self, path: Path) -> tuple[int, int, int]:
        self.looks += path.suffix == ".csv"
        return super().stamp(path)


def test_a_folder_that_stays_as_it_was_costs_no_look_at_its_files(answered: Station, target: FileTarget) -> None:
    disk = Watched()
    sink = FileExchange(target.root, SYSTEM, disk)
    new = target.acknowledged.stat().st_mtime_ns // 1_000_000

    def looks(now: int) -> int:
        disk.looks = 0
        sink.poll(now)
        return disk.looks

    # Just changed: another change would not show in the folder's time, so all of it is looked at.
    assert [looks(new + 1), looks(new + 2)] == [2, 2]
    assert [looks(new + 5_000), looks(new + 5_500), looks(new + 6_000)] == [2, 0, 0]
    # Replaced in place: the folder does not show it, the full look does.
    path = target.acknowledged / "legacy-erp-00000001.csv"
    path.write_bytes(path.read_bytes().replace(b"trailer", b"tailor"))
    assert looks(new + 6_500) == 0
    [problem] = sink.poll(new + 65_000).problems
    assert problem.subject == "acknowledgement legacy-erp-00000001.csv"
    # What was wrong is looked at each time.
    assert looks(new + 65_500) == 1


def test_a_corrected_acknowledgement_is_said_to_be_sound(answered: Station, target: FileTarget) -> None:
    right = (target.acknowledged / "legacy-erp-00000001.csv").read_text()
    sink = target.open()
    replace_acknowledgement(target, 1, lambda text: text.replace("trailer", "tailor"))
    answers = sink.poll(NOON)
    assert [problem.subject for problem in answers.problems] == ["acknowledgement legacy-erp-00000001.csv"]
    assert answers.sound == ("acknowledgement legacy-erp-00000002.csv",)
    replace_acknowledgement(target, 1, lambda _text: right)
    assert sink.poll(NOON).sound == ("acknowledgement legacy-erp-00000001.csv",)


# The ERP at the other end -----------------------------------------------------------------------------------------


def test_a_reversal_waits_for_the_answer_to_an_original_from_before_its_memory(target: FileTarget) -> None:
    before = Station(target)
    before.log = [Item(1)]
    before.turn(NOON)
    station = Station(target)
    station.log = [Item(2, reverses=1, amount="-100.00")]
    station.turn(NOON + 1)
    assert len(target.arrived()) == 1
    target.answer(NOON + 2)
    station.restart()
    station.turn(NOON + 3)
    station.turn(NOON + 4)
    assert station.problems == []
    assert len(target.arrived()) == 2


def test_a_batch_that_comes_again_is_recognised_by_its_number(answered: Station, target: FileTarget) -> None:
    path = target.outbound / "legacy-erp-00000001.csv"
    path.write_bytes(path.read_bytes())
    before = dict(target.erp.booked)
    assert (target.erp.run(NOON), target.new_erp().run(NOON)) == (0, 0)
    assert (target.erp.booked, target.erp.doubled, target.erp.complaints) == (before, [], [])
    path.write_text(path.read_text().replace("senior", "junior"))
    assert target.erp.run(NOON) == 0
    assert target.erp.complaints == ["legacy-erp-00000001.csv came again with other content; the first one stands"]


def test_an_erp_that_starts_anew_knows_its_books(answered: Station, target: FileTarget) -> None:
    anew = target.new_erp()
    assert anew.booked == target.erp.booked
    assert len(anew.booked) == 4


def test_an_answer_that_got_lost_is_given_again_alike(answered: Station, target: FileTarget) -> None:
    path = target.acknowledged / "legacy-erp-00000001.csv"
    before = path.read_bytes()
    path.unlink()
    target.erp.run(NOON + 60_000)
    assert path.read_bytes() == before
    assert target.erp.doubled == []


def test_a_gap_holds_up_what_follows_it(answered: Station, target: FileTarget) -> None:
    anew_root = target.root / "elsewhere"
    (anew_root / SYSTEM / "outbound").mkdir(parents=True)
    for path in (target.outbound / "legacy-erp-00000002.csv", target.outbound / "legacy-erp-00000002.csv.sha256"):
        (anew_root / SYSTEM / "outbound" / path.name).write_bytes(path.read_bytes())
    erp = FileTarget(anew_root).erp
    assert erp.run(NOON) == 0
    assert erp.complaints == ["batch 00000001 is missing before legacy-erp-00000002.csv"]
