"""What is known of each posting: the open ones with what they wait for, the others by their final receipt.

Owns that a receipt which changed is remembered and told once. Does not own what follows from it (`delivery`), nor how
it is stored (`remembered`).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Generic

from streams.delivery.limits import SKEW_MS_MAX
from streams.delivery.lineup import Open
from streams.delivery.memory import Memory
from streams.delivery.remembered import Remembered
from streams.domain.posting import FINAL, Status, posting_id_of
from streams.sinks.contract import P, Receipt, completed, receipt_of


class Known(Generic[P]):
    """The postings of one system in one partition. Instants are milliseconds since 1970, UTC."""

    def __init__(self, memory: Memory, system: str, posting_type: type[P]) -> None:
        self._memory = Remembered(memory, system, posting_type)
        self._system = system
        self._open: dict[str, Open[P]] = {}
        self._originals: dict[str, Receipt] = {}
        self._changed: list[Receipt] = []
        self._next = 0

    def load(self) -> Iterator[tuple[Open[P], bool]]:
        """Yield what was left open, in order of intent, and whether somebody may have sent it of whom nothing is known.

        That is so of what was intended before this memory began, or soon after, until the target was asked.
        """
        born, asked = self._memory.born, self._memory.asked()
        for sequence, intended_at, posting in self._memory.open_ones():
            receipt = self.receipt(posting.posting_id) or receipt_of(posting, Status.PENDING)
            entry = Open(sequence, posting, intended_at, receipt, receipt.first_sent_at)
            self._open[posting.posting_id] = entry
            self._next = sequence + 1
            yield entry, (born is None or intended_at < born + SKEW_MS_MAX) and sequence not in asked

    def begin(self, now: int) -> int:
        """Return when this memory began: now, if it has not before."""
        return self._memory.begin(now)

    def add(self, posting: P, now: int) -> Open[P]:
        """Know a posting that is intended."""
        entry = Open(self._next, posting, now, receipt_of(posting, Status.PENDING))
        self._next += 1
        self._memory.open(entry.sequence, now, posting)
        self._open[posting.posting_id] = entry
        self._changed.append(entry.receipt)  # not kept: that it is open says as much
        return entry

    def entry(self, posting_id: str) -> Open[P] | None:
        """Return a posting that is open, None if it is not."""
        return self._open.get(posting_id)

    def receipt(self, posting_id: str) -> Receipt | None:
        """Return what is known of a posting, or None if nothing is."""
        entry = self._open.get(posting_id)
        return self._memory.receipt(posting_id) if entry is None else entry.receipt

    def open_receipts(self) -> list[Receipt]:
        """Return the receipts without a final answer, in order of intent."""
        return [entry.receipt for entry in sorted(self._open.values(), key=lambda entry: entry.sequence)]

    def keep(self, entry: Open[P], receipt: Receipt) -> None:
        """Keep the receipt of an open posting, which is open no more once that is final."""
        changed, entry.receipt = receipt != entry.receipt, receipt
        if receipt.status in FINAL:
            self._memory.close(entry.sequence)
            del self._open[receipt.posting_id]
        if changed:
            self.publish(receipt)

    def keep_asked(self, entry: Open[P]) -> None:
        """Keep that the target was asked about a posting that is not sent yet, and had it not."""
        self._memory.put_asked(entry.sequence)

    def publish(self, receipt: Receipt) -> None:
        """Keep a receipt, and have it told."""
        self._memory.put_receipt(receipt)
        self._changed.append(receipt)

    def changes(self) -> list[Receipt]:
        """Return the receipts that changed since the last call."""
        changed, self._changed = self._changed, []
        return changed

    def foreign_original(self, reversal: P) -> str | None:
        """Return the posting id of what a posting reverses, if it is not open and nothing final is known of it."""
        if reversal.reverses is None:
            return None
        original_id = posting_id_of(self._system, reversal.reverses)
        known = self.receipt(original_id)
        if known is not None and (known.status in FINAL or original_id in self._open):
            return None
        like = receipt_of(reversal, Status.PENDING)
        self._originals[original_id] = replace(like, posting_id=original_id, trigger_id=reversal.reverses)
        return original_id

    def adopt(self, found: Receipt) -> bool:
        """Know an original that was delivered before this memory began; return whether it was waited for as one.

        What the target does not tell of it is as in its reversal.
        """
        original = self._originals.pop(found.posting_id, None)
        if original is None or self.receipt(found.posting_id) is not None:
            return False
        self.publish(completed(original, found, max(1, found.attempts), found.first_sent_at))
        return True
