"""The reference job on Quix Streams: `python -m bench.peers.quix_job BROKERS GROUP FOLDER GUARANTEE`.

The three topics are concatenated, which is how its documentation joins topics that share state; state in RocksDB with a
changelog. Commits come every half second: its default of five seconds was measured to be no faster.
"""

import logging
import sys
from typing import Any, Literal, cast

from quixstreams import Application, State as Store
from quixstreams.models import Deserializer, Serializer

from bench.reference.avro import ENTRIES, MARGINS, MILESTONES, TERMS, TRIGGERS, Framed
from bench.reference.job import NEW, TAKE, State, margin_of
from bench.reference.stamp import first_record

COMMIT_SECONDS = 0.5
LINGER_MS = 5
BATCH_BYTES = 1_000_000
QUEUED_RECORDS_MAX = 1_000_000


class AvroIn(Deserializer):
    """Quix's deserializer of one schema; the topic goes with the record, since state does not tell topics apart."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._topic = topic
        self._read = Framed(topic).read

    def __call__(self, value: bytes, ctx: Any) -> tuple[str, Any]:  # noqa: ARG002, Quix's signature
        """Return topic and record."""
        return self._topic, self._read(value)


class AvroOut(Serializer):
    """Quix's serializer of one schema."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._write = Framed(kind).write

    def __call__(self, value: Any, ctx: Any) -> bytes:  # noqa: ARG002, Quix's signature
        """Return the bytes."""
        return self._write(value)


def take(value: tuple[str, Any], store: Store) -> tuple[list[Any], dict[str, Any]]:
    """Bring one record into the state; return triggers and margin."""
    first_record()
    topic, row = value
    stored = store.get("contract")
    state, triggers = TAKE[topic](NEW if stored is None else State(*stored), row)
    store.set("contract", list(state))
    return triggers, margin_of(row["contract"], state)


def main(brokers: str, group: str, folder: str, guarantee: str) -> None:
    """Run until stopped."""
    app = Application(
        broker_address=brokers,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_SECONDS,
        processing_guarantee=cast(Literal["at-least-once", "exactly-once"], guarantee),
        state_dir=folder,
        loglevel="ERROR",
        consumer_extra_config={"fetch.wait.max.ms": 10, "queued.min.messages": 50_000},
        producer_extra_config={
            "linger.ms": LINGER_MS,
            "batch.size": BATCH_BYTES,
            "queue.buffering.max.messages": QUEUED_RECORDS_MAX,
        },
    )
    sources = [
        app.dataframe(app.topic(topic, key_deserializer="str", value_deserializer=AvroIn(topic)))
        for topic in (TERMS, ENTRIES, MILESTONES)
    ]
    taken = sources[0].concat(sources[1]).concat(sources[2]).apply(take, stateful=True)
    triggers = app.topic(f"{group}.{TRIGGERS}", key_serializer="str", value_serializer=AvroOut(TRIGGERS))
    margins = app.topic(f"{group}.{MARGINS}", key_serializer="str", value_serializer=AvroOut(MARGINS))
    taken.apply(lambda result: result[0], expand=True).to_topic(triggers)
    taken.apply(lambda result: result[1]).to_topic(margins)
    app.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    main(*sys.argv[1:])
