"""The targets that the contract suite is run over, each with the far side that survives the worker."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from firm.erp_simulator import FileErp
from streams.domain.posting import Posting
from streams.sinks.analytics_topic import AnalyticsTopic, FactPosting, fact_posting
from streams.sinks.file_exchange import FileExchange
from tests.contract.simulators.faults import Faults, FaultyFiles, disk_full
from tests.contract.simulators.memory_erp import Busy, LostAnswer, MemoryErp, MemorySink
from tests.contract.simulators.memory_log import MemoryLog
from tests.contract.station import Item, money_posting, trigger_id

SYSTEM = "legacy-erp"
MIXED = [
    Item(1, "C1", None, "1250.50", "EUR"),
    Item(2, "C2", None, "180000", "JPY"),
    Item(3, "C1", 1, "-1250.50", "EUR"),
    Item(4, "C3", None, "12.345", "KWD"),
    Item(5, "C3", None, "0.10", "EUR"),
]


def postings(items: list[Item]) -> list[Posting]:
    return [money_posting(item, SYSTEM) for item in items]


class MemoryTarget:
    system = "fake-erp"
    posting_type = Posting
    books_money = True

    def __init__(self) -> None:
        self.faults = Faults()
        self.erp = MemoryErp(self.faults)

    def open(self) -> MemorySink:
        return MemorySink(self.system, self.erp)

    def deliverable(self, item: Item) -> Posting:
        return money_posting(item, self.system)

    def answer(self, now: int) -> None:
        """It has answered already."""

    def arrived(self) -> list[str]:
        return [posting.trigger_id for posting in self.erp.booked]

    def refuse(self, item: Item, reason: str) -> None:
        self.erp.refused[trigger_id(item.number)] = reason

    def lose_answer(self) -> None:
        self.faults.order(0, "after", LostAnswer())

    def be_busy(self) -> None:
        self.faults.order(0, "before", Busy())

    def disturb(self, step: int, when: str) -> None:
        self.faults.order(step, when, LostAnswer())


class FileTarget:
    system = SYSTEM
    posting_type = Posting
    books_money = True
    closed = "is closed"

    def __init__(self, root: Path) -> None:
        self.root = root
        self._closed: set[str] = set()
        self.faults = Faults()
        self.reasons: dict[str, str] = {}
        self.outbound = root / self.system / "outbound"
        self.acknowledged = root / self.system / "acknowledged"
        self.erp = self.new_erp()

    def new_erp(self) -> FileErp:
        return FileErp(self.root, self.system, self._refuses)

    def _refuses(self, row: Mapping[str, str]) -> str | None:
        if row["posting_period"] in self._closed:
            return f"period {row['posting_period']} is closed"
        if row["legal_entity"] != "LE1":
            return f"unknown company {row['legal_entity']}"
        return self.reasons.get(row["trigger_id"])

    def open(self) -> FileExchange:
        return FileExchange(self.root, self.system, FaultyFiles(self.faults))

    def deliverable(self, item: Item) -> Posting:
        return money_posting(item, self.system)

    def answer(self, now: int) -> None:
        self.erp.run(now)

    def arrived(self) -> list[str]:
        """What stands in the batches that can be seen, read without the product."""
        rows: list[list[str]] = []
        for path in sorted(self.outbound.glob("*.csv")):
            with path.open(newline="", encoding="utf-8") as file:
                rows += [row for row in csv.reader(file) if row[0] == "detail"]
        return [row[3] for row in rows]

    def refuse(self, item: Item, reason: str) -> None:
        self.reasons[trigger_id(item.number)] = reason

    def lose_answer(self) -> None:
        """The write of the batch ends in an error after its effect: its fifth step, the rename, after two commits."""
        self.faults.order(7, "after", disk_full())

    def be_busy(self) -> None:
        self.faults.order(0, "before", disk_full())

    def disturb(self, step: int, when: str) -> None:
        self.faults.order(step, when, disk_full())

    # -- what happens on the way: the step that is met is the rename by which a batch is seen

    def impatient(self) -> None:
        """Nobody waits for a disk in vain."""

    def trouble(self, kind: str, after: int = 0, **more: Any) -> None:  # noqa: ARG002
        if kind != "slow":  # answers of an ERP with files always take their time
            # An acknowledgement that is cut in half is seen by its checksum: test_acknowledgements has it.
            self.faults.order(
                7 + after, "after" if kind in ("lost", "cut") or "_after" in kind else "before", disk_full()
            )

    def expire_login(self, after: int) -> None:
        raise NotImplementedError

    def spoil_login(self) -> None:
        raise NotImplementedError

    def lock(self, item: Item) -> None:
        raise NotImplementedError

    def unlock(self) -> None:
        raise NotImplementedError

    def close_period(self, period: str) -> None:
        self._closed.add(period)

    def lag(self, ms: int) -> None:
        assert ms == 0, "what is renamed is there"

    def pass_time(self, ms: int) -> None:
        assert ms == 0, "there is nothing to wait for"

    def booked(self) -> list[tuple[str, Decimal, str]]:
        """What the ERP has on its books, by what its own acknowledgements say."""
        return [(posting_id, one.amount, one.currency) for posting_id, one in self.erp.booked.items()]

    def unmapped(self, item: Item) -> tuple[Any, str]:
        raise NotImplementedError

    def unknown_there(self, item: Item) -> tuple[Any, str]:
        return replace(self.deliverable(item), legal_entity="LE9"), "unknown company LE9"


class TopicTarget:
    system = "analytics.delivery"
    posting_type: type[Any] = FactPosting
    books_money = False

    def __init__(self) -> None:
        self.faults = Faults()
        self.log = MemoryLog(self.system, self.faults)

    def open(self) -> AnalyticsTopic:
        return AnalyticsTopic(self.system, self.log.publish, self.log.lookup)

    def deliverable(self, item: Item) -> FactPosting:
        value = f"fact {item.number}".encode() + b"\xff"
        return fact_posting(
            self.system, trigger_id(item.number), "billing", item.contract, value, contract_number=item.contract
        )

    def answer(self, now: int) -> None:  # noqa: ARG002 - a log has no clock
        self.log.answer()

    def arrived(self) -> list[str]:
        return [headers["fact_id"].decode() for records in self.log.records for _, _, headers in records]

    def refuse(self, item: Item, reason: str) -> None:
        self.log.refused[self.deliverable(item).value] = reason

    def lose_answer(self) -> None:
        self.log.answers_lost.append(True)

    def be_busy(self) -> None:
        self.log.queue_full = 1

    def disturb(self, step: int, when: str) -> None:  # noqa: ARG002 - it is the next publication
        self.log.answers_lost.append(when == "after")
