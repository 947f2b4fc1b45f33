"""The reference job on this engine.

`python -m bench.variants.engine BROKERS GROUP FOLDER CODEC [PREFIX [NAME=VALUE...]]`. CODEC is `fastavro` or
`compiled`; PREFIX stands before the names of its input topics. Settings are as shipped, but for those that are given.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from confluent_kafka import Message

from bench.reference.avro import INPUTS, MARGINS, TRIGGERS
from bench.reference.job import NEW, TAKE, State, margin_of
from bench.reference.stamp import first_record
from bench.variants.codecs import codec_of
from streams.behaviour import Behaviour
from streams.config import load
from streams.domain.made import made
from streams.engine.worker import run_steps
from streams.step import Context, Record, Step


class AvroWire:
    """The values of the job's topics."""

    def __init__(self, codec: str, group: str, prefix: str) -> None:
        self._read = {f"{prefix}{topic}": codec_of(codec, topic).read for topic in INPUTS}
        self._write = {f"{group}.{kind}": codec_of(codec, kind).write for kind in (TRIGGERS, MARGINS)}

    def records(self, topic: str, partition: int, messages: Sequence[Message]) -> list[Record]:
        """Return records with their fields."""
        read, given = self._read[topic], cast("Sequence[Any]", messages)
        return [
            made(Record, (topic, m.key().decode(), read(m.value()), m.timestamp()[1], partition, m.offset(), ()))
            for m in given
        ]

    def read(self, record: Record) -> Any:
        """Return the fields of one record."""
        return self._read[record.topic](record.value)

    def write(self, topic: str, value: Any) -> bytes:
        """Return the bytes of an output."""
        return self._write[topic](value)

    def unavailable(self) -> str | None:
        """There is no registry."""
        return None


class Billing(Behaviour):
    """Keeps the state of every contract; tells triggers at once, and each margin once a commit."""

    def __init__(self, context: Context, group: str, prefix: str) -> None:
        self._context = context
        self._takes = {f"{prefix}{topic}": take for topic, take in TAKE.items()}
        self._contracts = context.table("contracts")
        self._touched: set[str] = set()
        self._triggers, self._margins = f"{group}.{TRIGGERS}", f"{group}.{MARGINS}"

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in records of one topic."""
        first_record()
        contracts, emit, touched, triggers_topic = self._contracts, self._context.emit, self._touched, self._triggers
        take = self._takes[records[0].topic]
        for record in records:
            contract = record.key
            assert contract is not None
            state, triggers = take(contracts.get(contract) or NEW, record.value)
            contracts.put(contract, state)
            touched.add(contract)
            for trigger in triggers:
                emit(triggers_topic, contract, trigger)

    def on_timer(self, key: str) -> None:
        """There are no timers."""

    def before_commit(self) -> None:
        """Tell the margins that have changed."""
        for contract in self._touched:
            state = self._contracts.get(contract)
            assert state is not None
            self._context.emit(self._margins, contract, margin_of(contract, state))
        self._touched.clear()


def billing_step(group: str, prefix: str) -> Step:
    """Return the job as a step that reads topics of a prefix and writes to the topics of a group."""
    inputs = tuple(f"{prefix}{topic}" for topic in INPUTS)
    outputs = (f"{group}.{TRIGGERS}", f"{group}.{MARGINS}")
    return Step("billing", "contract", inputs, outputs, lambda c: Billing(c, group, prefix), {"contracts": State})


def main(brokers: str, group: str, folder: str, codec: str, prefix: str = "", *options: str) -> int:
    """Run until stopped."""
    chosen: dict[str, Any] = dict(option.split("=", 1) for option in options)
    settings = load(None, brokers=brokers, group=group, state_folder=Path(folder), **chosen)
    return run_steps(settings, (billing_step(group, prefix),), AvroWire(codec, group, prefix))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
