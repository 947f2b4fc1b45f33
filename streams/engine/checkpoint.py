"""The checkpoint: outputs, then state, then acknowledgement.

One round takes in what waits at all seats, in this order:

1. every seat fires its due timers, takes in its records and emits what it emits once per commit;
2. all outputs are written, and the broker has confirmed every one;
3. each seat writes its state and the offsets it has taken in to its database, in one batch;
4. the records are acknowledged, and Faust commits their offsets to the group.

What this guarantees, and what not. Nothing is lost: a record is acknowledged only after its outputs and its state are
written. State applies each record once: the offsets are part of the state, so a record that comes again after a crash
between 3 and 4 is skipped. A crash between 2 and 3 writes outputs twice: they are at the broker, the state is not on
disk, and the records are taken in again. The second writing has the same identities (a trigger's id is a function of
contract, item and revision), so readers that go by identity drop it; but the round that is taken in again may hold more
records than the first, such as a correction, and then say another amount under the same id. Only outputs and state in
one transaction rule that out. A crash of
the machine, as against the process, may also lose the last writes of the database, which are not forced to disk at
every round; their records then come again too, since positions follow the state. There is no changelog: state lives on
this disk alone.
"""

import time
from collections.abc import Callable, Iterable

from streams.engine.metrics import Metrics
from streams.engine.outbox import Outbox
from streams.engine.seat import Seat

Clock = Callable[[], int]
"""The processing clock: milliseconds since 1970, UTC."""


def system_clock() -> int:
    """The machine's clock, in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Checkpoint:
    """Runs rounds over seats. Raises what a step or the outbox raises, with nothing of the round acknowledged."""

    def __init__(self, outbox: Outbox, metrics: Metrics, clock: Clock = system_clock) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._clock = clock

    async def run(self, seats: Iterable[Seat]) -> int:
        """Run one round; return how many records were acknowledged."""
        began = time.monotonic()
        seats = tuple(seats)
        # All seats run before the first output is handed over: an error in any step leaves nothing written.
        outputs = [output for seat in seats for output in seat.run(self._clock())]
        self._outbox.add(outputs)
        await self._outbox.settle()
        acknowledged = 0
        for seat in seats:
            for event in seat.commit():
                event.ack()
                acknowledged += 1
        if acknowledged:
            self._metrics.checkpoint(time.monotonic() - began)
        return acknowledged
