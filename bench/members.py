"""Workers of one group: started, and waited for until each has its partitions."""

import time
from collections.abc import Sequence
from contextlib import suppress

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from bench.running import Child, Failed

_SECONDS_MAX = 60.0
_ANSWER_SECONDS_MAX = 5.0
_LOOK_SECONDS = 0.02


def share_out(brokers: str, group: str, workers: Sequence[Child]) -> None:
    """Wait until each worker of a group has some of its partitions, and has opened them. Raises `Failed`."""
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 2})
    deadline = time.monotonic() + _SECONDS_MAX
    while True:
        with suppress(KafkaException, TimeoutError):  # a broker that has just started does not know its groups yet
            members = admin.describe_consumer_groups([group])[group].result(_ANSWER_SECONDS_MAX).members
            held = [len(member.assignment.topic_partitions) for member in members if member.assignment]
            if len(held) == len(workers) and all(held):
                break
        for worker in workers:
            worker.alive()
        if time.monotonic() > deadline:
            raise Failed(f"{group}: the partitions were not shared out within {_SECONDS_MAX:.0f} s")
        time.sleep(_LOOK_SECONDS)  # brokers tell nobody that a group has formed: they are asked
    time.sleep(1.0)  # what was assigned is opened and restored, which the group does not tell
