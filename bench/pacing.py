"""Writes the reference input at a rate: `python -m bench.pacing BROKERS PREFIX RECORDS RECORDS_PER_SECOND`.

A milestone is named by the microsecond at which it is written, so that its trigger tells how old it is.
"""

import sys
import time

from bench.reference.avro import INPUTS, MILESTONES, Framed
from bench.reference.feed import Feed
from bench.topics import producer_of

_TURN_SECONDS = 0.01
_TURN_RECORDS_MAX = 5_000


def main(brokers: str, prefix: str, records: str, per_second: str) -> None:
    """Write all records, never ahead of the rate."""
    writes = {topic: Framed(topic).write for topic in INPUTS}
    # Only what carries a time is encoded as it is written: encoding all of it would take as much as the worker does.
    rows = [
        (topic, row["contract"], row if topic == MILESTONES else writes[topic](row))
        for topic, row in Feed(int(records)).rows()
    ]
    producer, rate, done = producer_of(brokers), float(per_second), 0
    began = time.monotonic()
    print(began, flush=True)
    while done < len(rows):
        due = min(int((time.monotonic() - began) * rate) + 1, len(rows))
        due = min(due, done + _TURN_RECORDS_MAX)
        for topic, contract, row in rows[done:due]:
            value = row if isinstance(row, bytes) else writes[topic](row | {"milestone": str(time.time_ns() // 1_000)})
            producer.produce(f"{prefix}{topic}", value, contract)
        done = due
        producer.poll(0)
        if done >= (time.monotonic() - began) * rate:
            time.sleep(_TURN_SECONDS)
    producer.flush(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
