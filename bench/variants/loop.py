"""The reference job as a bare loop over the Kafka client and RocksDB, exactly once: the floor under every framework.

`python -m bench.variants.loop BROKERS GROUP FOLDER CODEC [at-least-once]`

One consumer, one transactional producer, one database, a dict of
what has changed; nothing that a service needs beside: no rebalance, no restore, no metrics, no failure dealt with.
"""

import gc
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from rocksdict import Options, Rdict, WriteBatch

from bench.reference.avro import INPUTS, MARGINS, TRIGGERS
from bench.reference.job import NEW, TAKE, State, margin_of
from bench.reference.stamp import first_record
from bench.variants.codecs import codec_of

COMMIT_SECONDS = 0.1
COMMIT_RECORDS = 20_000
_FETCHED_RECORDS_MAX = 5_000
_WAIT_SECONDS = 0.01
_ANSWER_SECONDS_MAX = 30.0


class Loop:
    """The job. State is read through a dict; what has changed goes into each transaction, then to the database."""

    def __init__(self, brokers: str, group: str, folder: str, codec: str, guarantee: str = "exactly-once") -> None:
        self._group = group
        self._exactly_once = guarantee == "exactly-once"
        self._database = Rdict(str(Path(folder, "database")), Options(raw_mode=True))
        self._states: dict[bytes, State] = {}
        self._changed: dict[bytes, int] = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._takes = {topic: (codec_of(codec, topic).read, TAKE[topic]) for topic in INPUTS}
        self._write_trigger, self._write_margin = codec_of(codec, TRIGGERS).write, codec_of(codec, MARGINS).write
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(State).decode
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "fetch.queue.backoff.ms": 5,
                "queued.min.messages": 50_000,
                "log_level": 2,
            }
        )
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                **({"transactional.id": group} if self._exactly_once else {}),
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 2_000_000,
                "linger.ms": 5,
                "batch.size": 1_000_000,
                "log_level": 2,
            }
        )

    def run(self) -> None:
        """Run until killed."""
        if self._exactly_once:
            self._producer.init_transactions(_ANSWER_SECONDS_MAX)
            self._producer.begin_transaction()
        self._consumer.subscribe(list(INPUTS))
        gc.collect()
        gc.freeze()
        taken, due = 0, time.monotonic() + COMMIT_SECONDS
        while True:
            first = self._consumer.poll(_WAIT_SECONDS)
            if first is not None:
                first_record()
                messages = [first, *self._consumer.consume(_FETCHED_RECORDS_MAX - 1, 0)]
                for (topic, partition), run in groupby(messages, lambda m: (m.topic(), m.partition())):
                    self._take(str(topic), partition or 0, list(run))
                taken += len(messages)
            if taken and (taken >= COMMIT_RECORDS or time.monotonic() >= due):
                self._commit()
                taken, due = 0, time.monotonic() + COMMIT_SECONDS

    def _take(self, topic: str, partition: int, messages: list[Message]) -> None:
        read, take = self._takes[topic]
        states, changed, produce, write = self._states, self._changed, self._producer.produce, self._write_trigger
        triggers_topic = f"{self._group}.{TRIGGERS}"
        for message in messages:
            key: Any = message.key()
            state = states.get(key)
            if state is None:
                stored = self._database.get(key)
                state = NEW if stored is None else self._decode(stored)
            value: Any = message.value()
            states[key], triggers = take(state, read(value))
            changed[key] = partition
            for trigger in triggers:
                produce(triggers_topic, write(trigger), key)
        self._positions[topic, partition] = (messages[-1].offset() or 0) + 1

    def _commit(self) -> None:
        batch = WriteBatch(raw_mode=True)
        produce, changelog, margins = self._producer.produce, f"{self._group}.changelog", f"{self._group}.{MARGINS}"
        for key, partition in self._changed.items():
            state = self._states[key]
            stored = self._encode(state)
            batch.put(key, stored)
            produce(changelog, stored, key, partition)
            produce(margins, self._write_margin(margin_of(key.decode(), state)), key)
        places = [TopicPartition(topic, number, offset) for (topic, number), offset in self._positions.items()]
        if self._exactly_once:
            self._producer.send_offsets_to_transaction(places, self._consumer.consumer_group_metadata())
            self._producer.commit_transaction(_ANSWER_SECONDS_MAX)
            self._producer.begin_transaction()
        else:
            self._producer.flush(_ANSWER_SECONDS_MAX)
            self._consumer.commit(offsets=places, asynchronous=False)
        self._database.write(batch)
        self._changed.clear()
        self._positions.clear()


if __name__ == "__main__":
    Loop(*sys.argv[1:]).run()
