"""A small run of the crash matrix, and what shows that the matrix would find out."""

from collections.abc import Callable
from pathlib import Path

from stack.kafka import Kafka
from tests.crash.entries import batch_result
from tests.crash.fates import AT_ONCE, Fate
from tests.crash.job import Run
from tests.crash.ours import commands, outcome, outcome_of
from tests.crash.verdict import verdict
from tests.stack.conftest import say

KILLS = 8
RECORDS = 40_000
SEED = 7
"""Of its eight fates one is a zombie, one is met at a rebalance, and two come back without their databases."""


def test_nothing_is_lost_or_doubled_wherever_workers_die(
    kafka: Kafka, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    run = Run(fresh("crash"), kafka.bootstrap, tmp_path, SEED, RECORDS)
    found = outcome(run, KILLS, say)
    assert found.verdict == (0, 0, ())
    assert (found.partitions, found.unequal, found.zombies) == (8, [], 1)
    other_input = verdict(run, batch_result(SEED + 1, RECORDS))
    assert other_input.lost > RECORDS
    assert other_input.doubled > RECORDS


def test_a_writer_that_sends_outside_of_its_transaction_is_found_out(
    kafka: Kafka, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    run = Run(fresh("careless"), kafka.bootstrap, tmp_path, SEED, 2_000)
    fates = [[Fate("offsets sent", 1, AT_ONCE)] * 2, []]
    found = outcome_of(run, fates, commands(run, "--careless"), say)
    assert found.verdict.doubled > 0  # and what reckons with facts that came twice is wrong, which counts as lost
