"""What a delivery remembers of one system: intents without a final answer, and the receipt of every posting.

Owns keys and bytes in the `Memory` given in. What is put counts once the caller commits it.
"""

from collections.abc import Iterator
from typing import Generic

import msgspec

from streams.delivery.memory import Memory
from streams.sinks.contract import P, Receipt

_encode = msgspec.json.Encoder(decimal_format="string").encode
_receipts = msgspec.json.Decoder(Receipt)
_instants = msgspec.json.Decoder(int)


class Remembered(Generic[P]):
    """The memory of one system in one partition. Instants are milliseconds since 1970, UTC."""

    def __init__(self, memory: Memory, system: str, posting_type: type[P]) -> None:
        self._memory = memory
        self._system = system
        self._intents: msgspec.json.Decoder[tuple[int, P]] = msgspec.json.Decoder(tuple[int, posting_type])  # type: ignore[valid-type]
        stored = memory.get(f"{system}/born")
        self.born: int | None = None if stored is None else _instants.decode(stored)
        """When this memory began, None if it has not yet."""

    def begin(self, now: int) -> int:
        """Return when this memory began: now, if it has not before."""
        if self.born is None:
            self.born = now
            self._memory.put(f"{self._system}/born", _encode(now))
        return self.born

    def open_ones(self) -> Iterator[tuple[int, int, P]]:
        """Yield (sequence, instant of intent, posting) of all without a final answer, in order."""
        prefix = f"{self._system}/open/"
        for key, stored in self._memory.scan(prefix):
            intended_at, posting = self._intents.decode(stored)
            yield int(key.removeprefix(prefix)), intended_at, posting

    def asked(self) -> set[int]:
        """Return the sequences of those that a target was asked about, and had not: nobody else has sent them."""
        prefix = f"{self._system}/asked/"
        return {int(key.removeprefix(prefix)) for key, _ in self._memory.scan(prefix)}

    def put_asked(self, sequence: int) -> None:
        """Keep that a target was asked about an open posting, and had it not."""
        self._memory.put(f"{self._system}/asked/{sequence:020d}", b"")

    def open(self, sequence: int, intended_at: int, posting: P) -> None:
        """Keep a posting as open."""
        self._memory.put(self._open_key(sequence), _encode((intended_at, posting)))

    def close(self, sequence: int) -> None:
        """Keep it as open no more."""
        self._memory.delete(self._open_key(sequence))
        self._memory.delete(f"{self._system}/asked/{sequence:020d}")

    def receipt(self, posting_id: str) -> Receipt | None:
        """Return the receipt that was kept last of a posting, None if none was."""
        stored = self._memory.get(self._receipt_key(posting_id))
        return None if stored is None else _receipts.decode(stored)

    def put_receipt(self, receipt: Receipt) -> None:
        """Keep a receipt."""
        self._memory.put(self._receipt_key(receipt.posting_id), _encode(receipt))

    def _open_key(self, sequence: int) -> str:
        return f"{self._system}/open/{sequence:020d}"

    def _receipt_key(self, posting_id: str) -> str:
        return f"{self._system}/receipt/{posting_id}"
