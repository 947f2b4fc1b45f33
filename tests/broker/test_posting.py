"""Triggers to the file exchange and answers back, step by step with the clock in hand."""

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from firm.erp_simulator import FileErp
from streams.delivery import lease
from streams.delivery.calls import Look
from streams.domain.calendar import moment
from streams.domain.posting import Posting, posting_id_of
from streams.sinks.batch_file import read_batch
from streams.sinks.contract import Fatal, Sink
from streams.sinks.durable_files import LocalFiles
from streams.sinks.file_exchange import FileExchange
from tests.broker.posting_bench import NOON, Bench, Later, intent, told

pytestmark = pytest.mark.broker


def sent(root: Path, system: str) -> list[tuple[Posting, ...]]:
    return [read_batch(path).postings for path in sorted((root / system / "outbound").glob("*.csv"))]


def batches(root: Path, system: str) -> list[list[str]]:
    return [[each.trigger_id for each in batch] for batch in sent(root, system)]


def exchange(root: Path) -> Callable[[str], Sink[Posting]]:
    return lambda system: FileExchange(root, system)


def test_an_intent_waits_for_its_batch_and_each_state_is_told(tmp_path: Path) -> None:
    bench = Bench(exchange(tmp_path))
    assert told(bench.take(intent(1), NOON)) == [("t1", "pending")]
    assert bench.tick(NOON + 1_000) == []
    assert batches(tmp_path, "legacy") == []
    assert told(bench.tick(NOON + 3_000)) == [("t1", "sent")]
    assert batches(tmp_path, "legacy") == [["t1"]]
    assert [each.posting_id for [each] in sent(tmp_path, "legacy")] == [posting_id_of("legacy", "t1")]
    FileErp(tmp_path, "legacy").run(NOON + 4_000)
    [receipt] = bench.tick(NOON + 5_000)
    assert receipt.value == {
        "trigger_id": "t1", "posting_id": posting_id_of("legacy", "t1"), "contract_number": "C1", "project_id": "P1",
        "system": "legacy", "document_id": receipt.value["document_id"], "status": "posted", "attempts": 1,
        "first_sent_at": moment(NOON + 3_000), "answered_at": moment(NOON + 4_000), "error": None,
    }  # fmt: skip
    assert receipt.value["document_id"]


def test_nothing_is_sent_before_it_is_committed_that_it_may_have_been(tmp_path: Path) -> None:
    """Dying before the commit has told nobody anything, and after it the target is asked."""
    bench = Bench(exchange(tmp_path))
    bench.take(intent(1), NOON)
    bench.fire_without_commit(NOON + 3_000)
    assert batches(tmp_path, "legacy") == []
    bench.start()
    assert told(bench.tick(NOON + 3_500)) == [("t1", "sent")]
    assert batches(tmp_path, "legacy") == [["t1"]]
    bench.start()
    assert bench.tick(NOON + 9_000) == []
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_what_was_posted_is_not_posted_again_after_a_restart_nor_when_it_comes_again(tmp_path: Path) -> None:
    bench = Bench(exchange(tmp_path))
    bench.take(intent(1), NOON)
    bench.tick(NOON + 3_000)
    bench.start()
    assert bench.take(intent(1), NOON + 4_000) == []
    assert bench.tick(NOON + 10_000) == []
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_a_memory_that_is_new_sends_nothing_that_a_former_one_has_sent(tmp_path: Path) -> None:
    Bench(exchange(tmp_path)).run(intent(1), NOON)
    again = Bench(exchange(tmp_path))
    assert told(again.run(intent(1), NOON + 90_000_000)) == [("t1", "pending"), ("t1", "sent")]
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_what_was_decided_first_stands_though_a_group_made_anew_decides_otherwise(tmp_path: Path) -> None:
    bench = Bench(exchange(tmp_path))
    bench.run(intent(1, "legacy"), NOON)
    [receipt] = bench.run(intent(1, "s4"), NOON + 4_000)
    assert (receipt.value["system"], receipt.value["status"], receipt.value["attempts"]) == ("s4", "superseded", 0)
    assert receipt.value["error"] == "it was decided before that legacy books it"
    assert (batches(tmp_path, "legacy"), batches(tmp_path, "s4")) == ([["t1"]], [])


def test_a_reversal_waits_for_the_answer_to_its_original_and_other_systems_do_not(tmp_path: Path) -> None:
    bench = Bench(exchange(tmp_path))
    bench.run(intent(1), NOON)
    bench.take(intent(2, amount="-100.00", reverses="t1"), NOON + 4_000)
    bench.take(intent(3, "new-erp"), NOON + 4_000)
    bench.tick(NOON + 10_000)
    assert batches(tmp_path, "new-erp") == [["t3"]]
    assert batches(tmp_path, "legacy") == [["t1"]]
    FileErp(tmp_path, "legacy").run(NOON + 11_000)
    assert told(bench.tick(NOON + 12_000)) == [("t1", "posted"), ("t2", "sent")]
    assert batches(tmp_path, "legacy") == [["t1"], ["t2"]]


def test_a_dual_run_posts_to_both_and_says_where_they_differ(tmp_path: Path) -> None:
    bench = Bench(exchange(tmp_path))
    both = ["legacy", "s4"]
    for number in (1, 2):
        for system in both:
            bench.take(intent(number, system, systems=both, contract_number=f"C{number}"), NOON)
    bench.tick(NOON + 3_000)
    FileErp(tmp_path, "legacy").run(NOON + 4_000)
    FileErp(tmp_path, "s4", lambda row: "no such item" if row["trigger_id"] == "t2" else None).run(NOON + 4_000)
    ends = told(bench.tick(NOON + 5_000))
    assert sorted(ends) == [
        ("billing_trigger", "open"), ("dual_run", "open"), ("t1", "posted"), ("t1", "posted"), ("t2", "posted"),
        ("t2", "rejected"),
    ]  # fmt: skip
    assert (batches(tmp_path, "legacy"), batches(tmp_path, "s4")) == ([["t1", "t2"]], [["t1", "t2"]])


def test_a_freeze_holds_what_it_names_and_then_lets_it_go_in_order(tmp_path: Path) -> None:
    ends = NOON + 3_600_000
    freeze = {"name": "close", "begins": moment(NOON - 1), "ends": moment(ends), "systems": ["legacy"]}
    bench = Bench(exchange(tmp_path), freezes=[freeze])
    for number in (2, 1):
        bench.take(intent(number), NOON)
    bench.take(intent(3, "s4"), NOON)
    assert told(bench.tick(NOON + 60_000)) == [("t3", "sent")]
    assert told(bench.tick(ends - 1)) == []
    assert told(bench.tick(ends)) == [("t2", "sent"), ("t1", "sent")]
    assert (batches(tmp_path, "legacy"), batches(tmp_path, "s4")) == ([["t2", "t1"]], [["t3"]])


def test_what_waits_for_its_call_is_not_sent_once_somebody_else_may_have_asked_for_it(tmp_path: Path) -> None:
    """By the time its turn comes the partition is another worker's, or the lease is over."""
    for begins, lease_s in (("released", 60.0), ("late", 0.0)):
        root = tmp_path / begins
        calls = Later()
        bench = Bench(exchange(root), calls=calls, lease_s=lease_s)
        bench.take(intent(1), NOON)
        calls.run()
        assert told(bench.tick(NOON + 3_000)) == [("t1", "sent")]
        if begins == "released":
            bench.release()
        calls.run()
        assert batches(root, "legacy") == []
        other = Bench(exchange(root))
        assert told(other.run(intent(1), NOON + 4_000)) == [("t1", "pending"), ("t1", "sent")]
        calls.run()
        assert batches(root, "legacy") == [["t1"]]


def test_a_stall_before_its_call_counts_from_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed_s = 0.0
    monkeypatch.setattr(lease, "time", SimpleNamespace(monotonic=lambda: passed_s))
    bench = Bench(exchange(tmp_path), lease_s=4.0)
    bench.take(intent(1), NOON)
    bench.fire_without_commit(NOON + 3_000)
    passed_s = 4.0
    bench.commit()
    assert batches(tmp_path, "legacy") == []
    bench.tick(NOON + 3_001)
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_a_freeze_that_begins_while_a_call_waits_for_its_turn_holds_it(tmp_path: Path) -> None:
    calls = Later()
    freeze = {"name": "close", "begins": moment(NOON + 3_500), "ends": moment(NOON + 9_000), "systems": ["legacy"]}
    bench = Bench(exchange(tmp_path), calls=calls, freezes=[freeze])
    bench.take(intent(1), NOON)
    calls.run()
    assert told(bench.tick(NOON + 3_000)) == [("t1", "sent")]
    bench.now = NOON + 3_500
    calls.run()
    assert batches(tmp_path, "legacy") == []
    assert told(bench.tick(NOON + 3_600)) == [("t1", "pending")]
    assert told(bench.tick(NOON + 9_000)) == [("t1", "sent")]
    calls.run()
    assert batches(tmp_path, "legacy") == [["t1"]]


class Closable(FileExchange):
    """A file exchange that says when it is closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_sink_is_closed_once_its_partition_is_given_up_and_its_last_call_has_ended(tmp_path: Path) -> None:
    calls, sink = Later(), Closable(tmp_path, "legacy")
    bench = Bench(lambda _: sink, calls=calls)
    bench.take(intent(1), NOON)
    bench.release()
    bench.release()
    assert sink.closed == 0
    calls.run()
    assert sink.closed == 1
    assert calls.left == 1


def test_a_sink_that_nobody_calls_is_closed_at_once(tmp_path: Path) -> None:
    sink = Closable(tmp_path, "legacy")
    bench = Bench(lambda _: sink)
    bench.run(intent(1), NOON)
    bench.release()
    assert sink.closed == 1


def test_a_sink_that_gives_up_is_an_exception_and_posts_once_it_is_back(tmp_path: Path) -> None:
    broken = True

    def connect(system: str) -> Sink[Posting]:
        if broken:
            raise Fatal("no folder")
        return FileExchange(tmp_path, system)

    bench = Bench(connect)
    opened = bench.take(intent(1), NOON)
    assert [(output.topic, output.value["kind"], output.value["state"]) for output in opened] == [
        ("exceptions", "delivery_failed", "open")
    ]
    assert bench.counts() == {"sink/legacy/fatal": 1}
    broken = False
    assert bench.tick(NOON + 5_000) == []
    closed = bench.tick(NOON + 61_000) + bench.tick(NOON + 64_000)
    assert told(closed) == [("t1", "pending"), ("erp_system", "resolved"), ("t1", "sent")]
    assert closed[1].key == opened[0].key
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_a_system_that_nobody_knows_holds_its_postings_until_somebody_does(tmp_path: Path) -> None:
    known = {"legacy"}

    def connect(system: str) -> Sink[Posting]:
        if system not in known:
            raise ValueError(f"there is no target {system}; name it in the targets file")
        return FileExchange(tmp_path, system)

    bench = Bench(connect)
    [opened] = bench.take(intent(1, "s4"), NOON)
    assert opened.value["message"] == "s4: there is no target s4; name it in the targets file"
    assert told(bench.run(intent(2), NOON)) == [("t2", "pending"), ("t2", "sent")]
    known.add("s4")
    assert told(bench.tick(NOON + 61_000)) == [("t1", "pending"), ("erp_system", "resolved")]


def test_a_reversal_cancels_its_original_where_both_wait_for_a_sink(tmp_path: Path) -> None:
    broken = {"legacy"}

    def connect(system: str) -> Sink[Posting]:
        if system in broken:
            raise Fatal("no folder")
        return FileExchange(tmp_path, system)

    bench = Bench(connect)
    bench.take(intent(1), NOON)
    bench.take(intent(2, amount="-100.00", reverses="t1"), NOON + 4_000)
    broken.clear()
    outputs = [output for seconds in range(60, 90) for output in bench.tick(NOON + seconds * 1_000)]
    # Neither was sent, so they cancel each other.
    receipts = [output.value for output in outputs if output.topic == "erp.receipts"]
    assert [(r["trigger_id"], r["system"], r["status"]) for r in receipts] == [
        ("t1", "legacy", "pending"),
        ("t2", "legacy", "pending"),
        ("t2", "legacy", "superseded"),
        ("t1", "legacy", "superseded"),
    ]
    assert batches(tmp_path, "legacy") == []


def test_postings_that_wait_for_a_sink_are_sent_in_their_order(tmp_path: Path) -> None:
    broken = True

    def connect(system: str) -> Sink[Posting]:
        if broken:
            raise Fatal("no folder")
        return FileExchange(tmp_path, system)

    bench = Bench(connect)
    for number in (9, 3, 7, 1, *range(20, 28)):
        bench.take(intent(number), NOON)
    broken = False
    bench.tick(NOON + 61_000)
    bench.tick(NOON + 64_000)
    assert [each for batch in batches(tmp_path, "legacy") for each in batch] == [
        "t9", "t3", "t7", "t1", *(f"t{number}" for number in range(20, 28)),
    ]  # fmt: skip
    bench.start()  # nothing waits any more that would be taken up again
    assert bench.tick(NOON + 70_000) == []


def test_a_wrong_answer_is_an_exception_until_it_is_corrected(tmp_path: Path) -> None:
    bench = Bench(exchange(tmp_path))
    bench.run(intent(1), NOON)
    FileErp(tmp_path, "legacy").run(NOON + 4_000)
    path = tmp_path / "legacy" / "acknowledged" / "legacy-00000001.csv"
    right = path.read_bytes()
    write_answer(path, right.replace(b"100.00", b"100.10"))
    opened = bench.tick(NOON + 5_000)
    assert told(opened) == [("erp_answer", "open")]
    assert bench.tick(NOON + 6_000) == []
    write_answer(path, right)
    closed = bench.tick(NOON + 7_000)
    assert told(closed) == [("erp_answer", "resolved"), ("t1", "posted")]
    assert closed[0].key == opened[0].key


def write_answer(path: Path, content: bytes) -> None:
    path.with_name(f"{path.name}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    path.write_bytes(content)


def test_a_disk_that_stays_full_is_an_exception_until_there_is_room(tmp_path: Path) -> None:
    class FullDisk(LocalFiles):
        full = True

        def write(self, path: Path, content: bytes) -> None:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            super().write(path, content)

    disk = FullDisk()
    bench = Bench(lambda system: FileExchange(tmp_path, system, disk))
    bench.take(intent(1), NOON)
    for after in range(3_000, 63_000, 500):
        assert {end[0] for end in told(bench.tick(NOON + after))} <= {"t1"}
    opened = [o for after in range(63_000, 200_000, 500) for o in bench.tick(NOON + after) if o.topic == "exceptions"]
    assert [(output.value["kind"], output.value["entity_kind"], output.value["state"]) for output in opened] == [
        ("delivery_failed", "erp_system", "open")
    ]
    assert "No space left on device" in opened[0].value["message"]
    disk.full = False
    closed = [output for output in bench.tick(NOON + 600_000) if output.topic == "exceptions"]
    assert [(output.key, output.value["state"]) for output in closed] == [(opened[0].key, "resolved")]
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_what_comes_back_without_a_call_says_nothing_of_whether_the_target_can_be_called(tmp_path: Path) -> None:
    class Full(LocalFiles):
        def write(self, path: Path, content: bytes) -> None:  # noqa: ARG002 - it writes nothing
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    calls = Later()
    bench = Bench(lambda system: FileExchange(tmp_path, system, Full()), calls=calls)
    bench.take(intent(1), NOON)
    opened = 0
    for after in range(3_000, 200_000, 500):
        calls.run(only=None if after % 3_000 else Look)  # most calls are made, and fail; the others find no time
        calls.come_back()
        told_of = [o.value["state"] for o in bench.tick(NOON + after) if o.topic == "exceptions"]
        assert "resolved" not in told_of
        opened += told_of.count("open")
    assert opened == 1
