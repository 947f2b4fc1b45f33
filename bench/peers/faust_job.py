"""The reference job on stock Faust: `python -m bench.peers.faust_job BROKERS GROUP FOLDER MODE PREFIX [embedded]`.

MODE is `events` or `take`; PREFIX stands before the names of its input topics. One agent a topic, one table in RocksDB
with its changelog, at least once, which is Faust's default. With `take`, agents take events in batches and tell margins
once a batch: what its documentation advises for throughput.
"""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faust
from faust.serializers import codecs

from bench.reference.avro import ENTRIES, MARGINS, MILESTONES, TERMS, TRIGGERS, Framed
from bench.reference.job import NEW, TAKE, State, margin_of
from bench.reference.stamp import first_record

PARTITIONS = 4
COMMIT_SECONDS = 1.0
LINGER_MS = 5
BATCH_BYTES = 1_000_000
TAKE_EVENTS, TAKE_SECONDS = 2_000, 0.2


class Avro(codecs.Codec):
    """Faust's codec of one schema."""

    def __init__(self, name: str) -> None:
        framed = Framed(name)
        super().__init__()
        self._loads, self._dumps = framed.read, framed.write  # type: ignore[method-assign, assignment]


def app_of(brokers: str, group: str, folder: str, makes_topics: bool) -> faust.App:
    """Return the app, without agents."""
    for name in (TERMS, ENTRIES, MILESTONES, TRIGGERS, MARGINS):
        codecs.register(name, Avro(name))
    return faust.App(
        group,
        broker=f"kafka://{brokers}",
        store="rocksdb://",
        datadir=Path(folder),
        key_serializer="raw",
        broker_commit_interval=COMMIT_SECONDS,
        producer_linger_ms=LINGER_MS,
        producer_max_batch_size=BATCH_BYTES,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        topic_allow_declare=makes_topics,
        topic_disable_leader=not makes_topics,
        web_enabled=False,
    )


class Job:
    """The table and the outputs that all agents share."""

    def __init__(self, app: faust.App, group: str) -> None:
        self.table = app.Table("contracts", partitions=PARTITIONS, key_type=str, value_type=None)
        self.triggers = app.topic(f"{group}.{TRIGGERS}", key_type=bytes, value_serializer=TRIGGERS)
        self.margins = app.topic(f"{group}.{MARGINS}", key_type=bytes, value_serializer=MARGINS)

    def known(self, contract: str) -> State:
        """Return the state of a contract."""
        stored = self.table.get(contract)
        return NEW if stored is None else State(*stored)

    async def tell(self, triggers: Iterable[Any], states: Iterable[tuple[str, State]]) -> None:
        """Send triggers, and the margins of contracts that have changed."""
        for trigger in triggers:
            await self.triggers.send(key=trigger["contract"].encode(), value=trigger)
        for contract, state in states:
            await self.margins.send(key=contract.encode(), value=margin_of(contract, state))


def one_by_one(job: Job, topic: str) -> Any:
    """Return an agent that takes in one event at a time."""
    take = TAKE[topic]

    async def agent(stream: Any) -> None:
        async for row in stream:
            first_record()
            contract = row["contract"]
            state, triggers = take(job.known(contract), row)
            job.table[contract] = tuple(state)
            await job.tell(triggers, [(contract, state)])

    return agent


def in_batches(job: Job, topic: str) -> Any:
    """Return an agent that takes in events in batches, and writes each contract once a batch."""
    take = TAKE[topic]

    async def agent(stream: Any) -> None:
        async for events in stream.take_events(TAKE_EVENTS, within=TAKE_SECONDS):
            first_record()
            touched: dict[str, tuple[Any, State]] = {}
            told: list[Any] = []
            for event in events:
                contract = event.value["contract"]
                if contract in touched:
                    state = touched[contract][1]
                else:
                    stream._set_current_event(event)  # a table asks which partition is worked on
                    state = job.known(contract)
                state, triggers = take(state, event.value)
                touched[contract] = event, state
                told += triggers
            for contract, (event, state) in touched.items():
                stream._set_current_event(event)
                job.table[contract] = tuple(state)
            await job.tell(told, [(contract, state) for contract, (_, state) in touched.items()])

    return agent


def main(brokers: str, group: str, folder: str, mode: str, prefix: str, broker: str = "real") -> None:
    """Run until stopped."""
    app = app_of(brokers, group, folder, makes_topics=broker == "real")
    job = Job(app, group)
    for topic in (TERMS, ENTRIES, MILESTONES):
        agent = in_batches(job, topic) if mode == "take" else one_by_one(job, topic)
        app.agent(app.topic(f"{prefix}{topic}", key_type=bytes, value_serializer=topic), name=topic)(agent)
    logging.basicConfig(level=logging.ERROR)
    faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
