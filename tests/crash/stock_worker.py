"""The crash job on stock Faust: `python -m tests.crash.stock_worker RUN BROKERS FOLDER PARTITIONS`.

Plain agents with tables, as its documentation has it: RocksDB, `exactly_once`, aiokafka below. There are no timers by
key, so that a contract is reminded of when it is first seen.
"""

import sys
from typing import Any

import faust
from faust.worker import Worker

from tests.crash.job import PORTION, topics_of

SESSION_SECONDS = 8.0
HEARTBEAT_SECONDS = 2.0
ASSIGNED = "has partitions"


def app_of(run: str, brokers: str, folder: str, partitions: int) -> faust.App:
    """Return the app of a worker."""
    names = topics_of(run)
    app = faust.App(
        run,
        broker=f"kafka://{brokers}",
        store="rocksdb://",
        processing_guarantee="exactly_once",
        datadir=folder,
        topic_partitions=partitions,
        topic_replication_factor=1,
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        web_enabled=False,
    )
    plain: dict[str, Any] = {"key_type": str, "key_serializer": "raw", "value_serializer": "json"}
    inputs = app.topic(names.time, names.milestones, **plain)
    facts, triggers = app.topic(names.facts, **plain), app.topic(names.triggers, **plain)
    margins, reminders = app.topic(names.margins, **plain), app.topic(names.reminders, **plain)
    entries = app.Table("entries", partitions=partitions, options={"driver": "rocksdict"})
    reminded = app.Table("reminded", partitions=partitions, options={"driver": "rocksdict"})
    totals = app.Table("totals", partitions=partitions, options={"driver": "rocksdict"})

    @app.agent(inputs)
    async def notes(stream: Any) -> None:
        async for contract, (entry, hours) in stream.items():
            entries[f"{contract}|{entry:09d}"] = hours
            await facts.send(key=contract, value=[entry, hours])
            if contract not in reminded:
                reminded[contract] = True
                await reminders.send(key=contract, value=[])

    @app.agent(facts)
    async def ledger(stream: Any) -> None:
        async for contract, (_, hours) in stream.items():
            before, count, portions = totals.get(contract) or (0, 0, 0)
            total = before + hours
            while total >= (portions + 1) * PORTION:
                portions += 1
                await triggers.send(key=contract, value=[f"{contract}:{portions}", PORTION])
            totals[contract] = [total, count + 1, portions]
            await margins.send(key=contract, value=[total, count + 1])

    async def tell(_app: Any, *assigned: Any, **_: Any) -> None:
        if any(assigned):
            print(ASSIGNED, flush=True)

    told: Any = tell
    app.on_partitions_assigned.connect(told, weak=False)

    return app


if __name__ == "__main__":
    run, brokers, folder, partitions = sys.argv[1:]
    worker = Worker(app_of(run, brokers, folder, int(partitions)), loglevel="WARNING", redirect_stdouts=False)
    worker.execute_from_commandline()
