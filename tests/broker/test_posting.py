"""Triggers to the file exchange and answers back, step by step with the clock in hand."""

import errno
import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from firm.erp_simulator import FileErp
from state import MemoryStore, State
from streams.domain.canonical import LegalEntity
from streams.domain.fact import Cause, Fact
from streams.domain.posting import Posting, posting_id_of
from streams.engine.posting import posting_step
from streams.sinks.batch_file import read_batch
from streams.sinks.contract import Fatal, Sink
from streams.sinks.delivery import Limits
from streams.sinks.durable_files import LocalFiles
from streams.sinks.file_exchange import FileExchange
from streams.step import Output, Record, Task

pytestmark = pytest.mark.broker

NOON = 1_750_000_000_000
POLL_MS = 500
LIMITS = Limits(postings_max=10, age_ms_max=2_000)
CAUSE = Cause("erp.LegalEntity", 0, 0, 1, 0, NOON)


class Bench:
    """One partition's posting task over a store that outlives it."""

    def __init__(self, connect: Callable[[str], Sink[Posting]]) -> None:
        self._step = posting_step(connect, LIMITS, POLL_MS)
        self._store = MemoryStore()
        self._offset = 0
        self.start()

    def start(self) -> None:
        self._task = Task(self._step, 0, 1, State(self._store))

    def take(self, topic: str, key: str, value: Any, now: int) -> list[Output]:
        self._task.receive([Record(topic, key, value, now, 0, self._offset)], now)
        self._offset += 1
        return self._commit(now)

    def tick(self, now: int) -> list[Output]:
        self._task.fire(now)
        return self._commit(now)

    def counts(self) -> dict[str, int]:
        """What it has counted since it was started."""
        return dict(self._task.context.counts)

    def _commit(self, now: int) -> list[Output]:
        self._task.before_commit(now)
        outputs = self._task.take_outputs()
        self._task.commit()
        return outputs


def trigger(number: int, amount: str = "100.00", reverses: str | None = None) -> dict[str, Any]:
    return {
        "trigger_id": f"t{number}", "kind": "time", "revision": 0, "reverses": reverses, "contract_number": "C1",
        "contract_version": 0, "project_id": "P1", "client_id": "A1", "legal_entity": "LE1", "erp_customer_id": "CU1",
        "source_kind": "time_entry", "source_id": "e1", "employee_id": "W1", "service_date": date(2025, 6, 2),
        "service_period": "2025-06", "posting_period": "2025-06", "quantity": Decimal("1"), "rate": Decimal("100"),
        "amount": Decimal(amount), "currency": "EUR", "tax_code": "TX", "billing_code": "B1", "po_number": None,
        "cause": None, "occurred_at": datetime(2025, 6, 2, tzinfo=UTC), "emitted_at": datetime(2025, 6, 2, tzinfo=UTC),
    }  # fmt: skip


def entity(system: str) -> Fact:
    return Fact("legal_entity", "LE1", "LE1", LegalEntity("LE1", "One", "EUR", "DE", "TX", system), CAUSE, (0, 1))


def sent(root: Path, system: str) -> list[tuple[Posting, ...]]:
    return [read_batch(path).postings for path in sorted((root / system / "outbound").glob("*.csv"))]


def batches(root: Path, system: str) -> list[list[str]]:
    return [[posting.trigger_id for posting in batch] for batch in sent(root, system)]


def test_a_trigger_waits_for_its_legal_entity_and_then_for_its_batch(tmp_path: Path) -> None:
    bench = Bench(lambda system: FileExchange(tmp_path, system))
    assert bench.take("billing.triggers", "C1", trigger(1), NOON) == []
    assert bench.take("facts.contract", "LE1", entity("legacy"), NOON + 1) == []
    assert batches(tmp_path, "legacy") == []
    assert bench.tick(NOON + 1_000) == []
    assert batches(tmp_path, "legacy") == []
    assert bench.tick(NOON + 3_000) == []
    assert batches(tmp_path, "legacy") == [["t1"]]
    assert [posting.posting_id for [posting] in sent(tmp_path, "legacy")] == [posting_id_of("legacy", "t1")]


def test_what_was_posted_is_not_posted_again_after_a_restart_nor_when_it_comes_again(tmp_path: Path) -> None:
    bench = Bench(lambda system: FileExchange(tmp_path, system))
    bench.take("facts.contract", "LE1", entity("legacy"), NOON)
    bench.take("billing.triggers", "C1", trigger(1), NOON)
    bench.tick(NOON + 3_000)
    bench.start()
    bench.take("billing.triggers", "C1", trigger(1), NOON + 4_000)
    bench.tick(NOON + 10_000)
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_a_reversal_goes_where_its_original_went_though_the_books_moved(tmp_path: Path) -> None:
    bench = Bench(lambda system: FileExchange(tmp_path, system))
    bench.take("facts.contract", "LE1", entity("legacy"), NOON)
    bench.take("billing.triggers", "C1", trigger(1), NOON)
    bench.tick(NOON + 3_000)
    bench.take("facts.contract", "LE1", entity("new-erp"), NOON + 4_000)
    bench.take("billing.triggers", "C1", trigger(2, "-100.00", "t1"), NOON + 4_000)
    bench.take("billing.triggers", "C1", trigger(3), NOON + 4_000)
    bench.tick(NOON + 10_000)
    assert batches(tmp_path, "new-erp") == [["t3"]]
    # The original is unanswered yet, so its reversal waits for the answer.
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_a_sink_that_gives_up_is_an_exception_and_posts_once_it_is_back(tmp_path: Path) -> None:
    broken = True

    def connect(system: str) -> Sink[Posting]:
        if broken:
            raise Fatal("no folder")
        return FileExchange(tmp_path, system)

    bench = Bench(connect)
    bench.take("facts.contract", "LE1", entity("legacy"), NOON)
    opened = bench.take("billing.triggers", "C1", trigger(1), NOON)
    assert [(output.topic, output.value["kind"], output.value["state"]) for output in opened] == [
        ("exceptions", "delivery_failed", "open")
    ]
    assert bench.counts() == {"sink/legacy/fatal": 1}
    broken = False
    assert bench.tick(NOON + 5_000) == []
    closed = bench.tick(NOON + 61_000) + bench.tick(NOON + 64_000)
    assert bench.counts() == {"sink/legacy/fatal": 1, "sink/legacy/ok": 2}
    assert [(output.key, output.value["state"]) for output in closed] == [(opened[0].key, "resolved")]
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_a_reversal_cancels_its_original_where_that_waits_though_the_books_moved(tmp_path: Path) -> None:
    broken = {"legacy"}

    def connect(system: str) -> Sink[Posting]:
        if system in broken:
            raise Fatal("no folder")
        return FileExchange(tmp_path, system)

    bench = Bench(connect)
    bench.take("facts.contract", "LE1", entity("legacy"), NOON)
    bench.take("billing.triggers", "C1", trigger(1), NOON)
    bench.take("facts.contract", "LE1", entity("new-erp"), NOON + 4_000)
    bench.take("billing.triggers", "C1", trigger(2, "-100.00", "t1"), NOON + 4_000)
    broken.clear()
    outputs = [output for seconds in range(60, 90) for output in bench.tick(NOON + seconds * 1_000)]
    # Neither was sent, so they cancel each other.
    receipts = [output.value for output in outputs if output.topic == "erp.receipts"]
    assert [(r["trigger_id"], r["system"], r["status"]) for r in receipts] == [
        ("t2", "legacy", "superseded"),
        ("t1", "legacy", "superseded"),
    ]
    assert (batches(tmp_path, "legacy"), batches(tmp_path, "new-erp")) == ([], [])


def test_a_system_that_cannot_be_named_is_unroutable_until_it_can(tmp_path: Path) -> None:
    bench = Bench(lambda system: FileExchange(tmp_path, system))
    opened = bench.take("facts.contract", "LE1", entity("No Such!"), NOON)
    assert [(output.value["kind"], output.value["state"]) for output in opened] == [("unroutable", "open")]
    bench.take("billing.triggers", "C1", trigger(1), NOON)
    closed = bench.take("facts.contract", "LE1", entity("legacy"), NOON + 1)
    assert [(output.value["kind"], output.value["state"]) for output in closed] == [("unroutable", "resolved")]
    bench.tick(NOON + 3_000)
    assert batches(tmp_path, "legacy") == [["t1"]]


def test_triggers_that_wait_for_a_sink_are_sent_in_their_order(tmp_path: Path) -> None:
    broken = True

    def connect(system: str) -> Sink[Posting]:
        if broken:
            raise Fatal("no folder")
        return FileExchange(tmp_path, system)

    bench = Bench(connect)
    bench.take("facts.contract", "LE1", entity("legacy"), NOON)
    for number in (9, 3, 7, 1):
        bench.take("billing.triggers", "C1", trigger(number), NOON)
    broken = False
    bench.tick(NOON + 61_000)
    bench.tick(NOON + 64_000)
    assert batches(tmp_path, "legacy") == [["t9", "t3", "t7", "t1"]]


def test_a_wrong_answer_is_an_exception_until_it_is_corrected(tmp_path: Path) -> None:
    bench = Bench(lambda system: FileExchange(tmp_path, system))
    bench.take("facts.contract", "LE1", entity("legacy"), NOON)
    bench.take("billing.triggers", "C1", trigger(1), NOON)
    bench.tick(NOON + 3_000)
    FileErp(tmp_path, "legacy").run(NOON + 4_000)
    path = tmp_path / "legacy" / "acknowledged" / "legacy-00000001.csv"
    right = path.read_bytes()
    write_answer(path, right.replace(b"100.00", b"100.10"))
    opened = bench.tick(NOON + 5_000)
    assert [(output.topic, output.value["entity_kind"], output.value["state"]) for output in opened] == [
        ("exceptions", "erp_answer", "open")
    ]
    assert bench.tick(NOON + 6_000) == []
    write_answer(path, right)
    closed = bench.tick(NOON + 7_000)
    assert [(output.topic, output.key) for output in closed] == [
        ("erp.receipts", "C1"), ("exceptions", opened[0].key),
    ]  # fmt: skip
    assert (closed[0].value["status"], closed[1].value["state"]) == ("posted", "resolved")


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
    bench.take("facts.contract", "LE1", entity("legacy"), NOON)
    bench.take("billing.triggers", "C1", trigger(1), NOON)
    for after in range(3_000, 63_000, 500):
        assert bench.tick(NOON + after) == []
    opened = bench.tick(NOON + 63_000)
    assert [(output.value["kind"], output.value["entity_kind"], output.value["state"]) for output in opened] == [
        ("delivery_failed", "erp_system", "open")
    ]
    assert "No space left on device" in opened[0].value["message"]
    assert bench.tick(NOON + 64_000) == []
    disk.full = False
    closed = bench.tick(NOON + 200_000)
    assert [(output.key, output.value["state"]) for output in closed] == [(opened[0].key, "resolved")]
    assert batches(tmp_path, "legacy") == [["t1"]]
