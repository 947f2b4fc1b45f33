"""The legacy ERP at the other end of the file exchange: it reads batches, books them, and writes acknowledgements.

Written from the description of the exchange alone; it shares no code with the sender. What it has booked is what its
acknowledgements say, so it forgets nothing when it is started anew. Instants are milliseconds since 1970, UTC.
"""

import csv
import hashlib
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

Row = Mapping[str, str]
Refuse = Callable[[Row], str | None]


class Booking(NamedTuple):
    """A line that was booked: its document, and what stands on it."""

    document_id: str
    amount: Decimal
    currency: str
    batch: int


class UnreadableBatch(ValueError):
    """A batch cannot be booked. The message says what is wrong with it."""


def accept_all(row: Row) -> str | None:  # noqa: ARG001 - the shape of a refusal rule
    """Refuse no line."""
    return None


class FileErp:
    """An ERP that exchanges files in `root/system`. `refuse` returns why it rejects a line, or None."""

    def __init__(self, root: Path, system: str, refuse: Refuse = accept_all) -> None:
        self.system = system
        self.booked: dict[str, Booking] = {}
        self.doubled: list[str] = []
        self.complaints: list[str] = []
        self._of_trigger: dict[str, str] = {}
        self._outbound = root / system / "outbound"
        self._acknowledged = root / system / "acknowledged"
        self._refuse = refuse
        self._acknowledged.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._acknowledged.glob("*.csv")):
            self._remember(path)

    def run(self, now: int) -> int:
        """Answer every batch that has no acknowledgement yet, in order of numbers; return how many.

        A missing number holds up all that follow, with a complaint. A batch that comes again under its number is not
        booked again; if its content differs, that is a complaint.
        """
        answered = 0
        for expected, path in enumerate(sorted(self._outbound.glob(f"{self.system}-*.csv")), 1):
            if int(path.stem.rsplit("-", 1)[1]) != expected:
                self.complaints.append(f"batch {expected:08d} is missing before {path.name}")
                break
            acknowledgement = self._acknowledged / path.name
            if acknowledgement.exists():
                self._compare(path, acknowledgement)
            else:
                self._write(acknowledgement, self._answer(path, expected, now))
                answered += 1
        return answered

    def booked_by_trigger(self) -> dict[str, Booking]:
        """What was booked, by the trigger that it was booked for."""
        return {trigger: self.booked[posting] for trigger, posting in self._of_trigger.items()}

    def _compare(self, path: Path, acknowledgement: Path) -> None:
        with acknowledgement.open(newline="", encoding="utf-8") as file:
            answered_digest = next(csv.reader(file))[5]
        if _digest(path.read_bytes()) != answered_digest:
            self.complaints.append(f"{path.name} came again with other content; the first one stands")

    def _answer(self, path: Path, number: int, now: int) -> list[list[str]]:
        content = path.read_bytes()
        when = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        header = ["header", "1", self.system, f"{number:08d}", when, _digest(content)]
        trailer = ["trailer", f"{number:08d}"]
        try:
            details = self._read(path, content, number)
        except UnreadableBatch as error:
            self.complaints.append(f"{path.name}: {error}")
            return [[*header, "refused", str(error)], [*trailer, "0", "0"]]
        answers = [self._book(row, number) for row in details]
        totals: dict[str, list[Decimal]] = {}
        for answer in answers:
            if answer[3] == "accepted":
                totals.setdefault(answer[6], []).append(Decimal(answer[5]))
        controls = [["control", key, str(len(some)), str(sum(some))] for key, some in sorted(totals.items())]
        accepted = sum(len(some) for some in totals.values())
        return [[*header, "read", ""], *answers, *controls, [*trailer, str(accepted), str(len(answers) - accepted)]]

    def _read(self, path: Path, content: bytes, number: int) -> list[dict[str, str]]:
        """Return the detail lines of a batch that is whole and adds up. Raises UnreadableBatch."""
        beside = path.with_name(f"{path.name}.sha256")
        if not beside.exists() or beside.read_text().split()[0] != _digest(content):
            raise UnreadableBatch("the checksum beside it is missing or differs")
        rows = list(csv.reader(content.decode("utf-8").splitlines()))
        kinds = [row[0] for row in rows]
        details = [row for row in rows if row[0] == "detail"]
        controls = [row for row in rows if row[0] == "control"]
        if kinds != ["header", "columns", *["detail"] * len(details), *["control"] * len(controls), "trailer"]:
            raise UnreadableBatch("its lines are not in order")
        if rows[0][2:4] != [self.system, f"{number:08d}"]:
            raise UnreadableBatch(f"its header is for batch {rows[0][3]} of {rows[0][2]}")
        if rows[-1][1:] != [f"{number:08d}", str(len(details)), str(len(controls))]:
            raise UnreadableBatch("the trailer counts other lines than there are")
        named = [dict(zip(rows[1][1:], row[1:], strict=True)) for row in details]
        if _sums(named) != {row[1]: (int(row[2]), Decimal(row[3])) for row in controls}:
            raise UnreadableBatch("the control totals are not those of its lines")
        return named

    def _book(self, row: Row, number: int) -> list[str]:
        posting_id, amount, currency = row["posting_id"], row["amount"], row["currency"]
        head = ["answer", row["line"], posting_id]
        booking = self.booked.get(posting_id)
        if booking is None:
            reason = self._refuse(row)
            if reason is None and row["reverses"] and row["reverses"] not in self._of_trigger:
                reason = f"reverses trigger {row['reverses']}, which was never booked"
            if reason is not None:
                return [*head, "rejected", "", amount, currency, reason]
            booking = Booking(f"{self.system}-{number:08d}/{int(row['line'])}", Decimal(amount), currency, number)
            self.booked[posting_id] = booking
            self._of_trigger[row["trigger_id"]] = posting_id
        elif booking.batch != number:
            self.doubled.append(posting_id)
        return [*head, "accepted", booking.document_id, amount, currency, ""]

    def _remember(self, acknowledgement: Path) -> None:
        """Take back into the books what an acknowledgement says was booked."""
        batch = self._outbound / acknowledgement.name
        with batch.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        column = rows[1].index("trigger_id")
        triggers = {row[1]: row[column] for row in rows if row[0] == "detail"}
        with acknowledgement.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if row[0] == "answer" and row[3] == "accepted":
                    number = int(acknowledgement.stem.rsplit("-", 1)[1])
                    self.booked.setdefault(row[2], Booking(row[4], Decimal(row[5]), row[6], number))
                    self._of_trigger[triggers[row[1]]] = row[2]

    def _write(self, path: Path, rows: list[list[str]]) -> None:
        """Make an acknowledgement appear whole: its checksum first, itself last."""
        temporary = path.with_name(f".{path.name}.part")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
            file.flush()
            os.fsync(file.fileno())
        path.with_name(f"{path.name}.sha256").write_text(f"{_digest(temporary.read_bytes())}  {path.name}\n")
        temporary.replace(path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sums(rows: list[dict[str, str]]) -> dict[str, tuple[int, Decimal]]:
    sums: dict[str, tuple[int, Decimal]] = {}
    for row in rows:
        lines, total = sums.get(row["currency"], (0, Decimal(0)))
        sums[row["currency"]] = (lines + 1, total + Decimal(row["amount"]))
    return sums
