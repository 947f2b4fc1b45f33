"""An ERP that may book what a call brought long after the caller has given up on it, and shows it only then."""

from collections.abc import Callable, Collection, Sequence
from heapq import heappop, heappush

from streams.domain.posting import Posting
from streams.sinks.contract import Receipt, Retriable
from tests.contract.simulators.faults import Faults
from tests.contract.simulators.memory_erp import MemoryErp, MemorySink


class LateErp(MemoryErp):
    """Books what is late when its time has come. `late_ms`: by how much the next call is; None: not at all."""

    def __init__(self, faults: Faults, clock: Callable[[], int]) -> None:
        super().__init__(faults)
        self.clock = clock
        self.late_ms: int | None = None
        self._late: list[tuple[int, int, Posting]] = []
        self._came = 0

    def book_later(self, postings: Sequence[Posting], late_ms: int) -> None:
        for posting in postings:
            self._came += 1
            heappush(self._late, (self.clock() + late_ms, self._came, posting))

    def catch_up(self) -> None:
        """Book what is due by now."""
        while self._late and self._late[0][0] <= self.clock():
            self.book(heappop(self._late)[2])


class LateSink(MemorySink):
    """The sink of a LateErp, which promises how late it is at most."""

    def __init__(self, system: str, erp: LateErp) -> None:
        super().__init__(system, erp)
        self._late = erp

    def post(self, postings: Sequence[Posting], now: int) -> list[Receipt]:
        self._late.catch_up()
        late_ms, self._late.late_ms = self._late.late_ms, None
        if late_ms is None:
            return super().post(postings, now)
        self._late.book_later(postings, late_ms)
        raise Retriable("no answer in time")

    def find(self, posting_ids: Collection[str]) -> list[Receipt]:
        self._late.catch_up()
        return super().find(posting_ids)
