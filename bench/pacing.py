"""Writes the reference input at a rate: `python -m bench.pacing BROKERS PREFIX RECORDS RECORDS_PER_SECOND RISING`.

In the first RISING seconds the rate rises evenly from nothing. Rows come again after so many, as further hours and
milestones of the same contracts. A milestone is named by the microsecond at which it is written, so that its trigger
tells how old it is.
"""

import sys
import time

from bench.reference.avro import INPUTS, MILESTONES, Framed
from bench.reference.feed import Feed
from bench.topics import producer_of

_TURN_SECONDS = 0.01
_TURN_RECORDS_MAX = 5_000
_ROWS = 444_000


def due_after(seconds: float, per_second: float, rising_s: float) -> float:
    """Return how many records are due, at a rate that has risen evenly in the first seconds."""
    rising = min(seconds, rising_s)
    risen = per_second * rising * rising / (2 * rising_s) if rising_s else 0.0
    return risen + per_second * (seconds - rising)


def main(brokers: str, prefix: str, records: str, per_second: str, rising_s: str) -> None:
    """Write all records, never ahead of the rate."""
    writes = {topic: Framed(topic).write for topic in INPUTS}
    # Only what carries a time is encoded as it is written: encoding all of it would take as much as the worker does.
    rows = [
        (topic, row["contract"], row if topic == MILESTONES else writes[topic](row))
        for topic, row in Feed(_ROWS).rows()
    ]
    rate, rising = float(per_second), float(rising_s)  # a rate and a time: no amounts
    producer, wanted, done = producer_of(brokers), int(records), 0
    began = time.monotonic()

    def due() -> float:
        return due_after(time.monotonic() - began, rate, rising)

    while done < wanted:
        until = min(int(due()) + 1, wanted, done + _TURN_RECORDS_MAX)
        for number in range(done, until):
            topic, contract, row = rows[number % len(rows)]
            value = row if isinstance(row, bytes) else writes[topic](row | {"milestone": str(time.time_ns() // 1_000)})
            producer.produce(f"{prefix}{topic}", value, contract)
        done = until
        producer.poll(0)
        if done >= due():
            time.sleep(_TURN_SECONDS)
    producer.flush(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
