"""The crash job on our workers: one run, from its topics to what is left."""

import sys
from pathlib import Path
from typing import NamedTuple

from tests.crash.entries import batch_result
from tests.crash.fates import Fate, plan
from tests.crash.job import Run
from tests.crash.matrix import PARTITIONS, WORKERS, Commands, Matrix, Say, make_topics
from tests.crash.verdict import Verdict, changelog_state, folder_differs, verdict


class Outcome(NamedTuple):
    """What a run has come to."""

    verdict: Verdict
    partitions: int
    unequal: list[int]
    """Partitions of which no database of a worker equals the changelog."""

    zombies: int
    unmet: int

    @property
    def well(self) -> bool:
        """Return whether nothing was lost or doubled, on disk neither."""
        return not (self.verdict.lost or self.verdict.doubled or self.unequal)


def outcome(run: Run, kills: int, say: Say) -> Outcome:
    """Run the matrix over the plan of the run's seed."""
    return outcome_of(run, plan(run.seed, kills, len(WORKERS)), commands(run), say)


def outcome_of(run: Run, fates: list[list[Fate]], how: Commands, say: Say) -> Outcome:
    """Run the matrix over the fates of each worker."""
    make_topics(run)
    matrix = Matrix(run, how, say)
    matrix.run(fates)
    say("comparing outputs, changelog and databases with the batch")
    result = verdict(run, batch_result(run.seed, run.records))
    state = changelog_state(run)
    stale = [folder_differs(slot.folder, state) for slot in matrix.slots]
    return Outcome(result, len(state), sorted(set.intersection(*stale)), matrix.zombies, matrix.unmet)


def commands(run: Run, *how: str) -> Commands:
    """Return how the workers of a run are started; `how` are options of theirs."""

    def words(folder: Path) -> list[str]:
        where = (run.name, run.brokers, str(folder), str(PARTITIONS))
        return [sys.executable, "-m", "tests.crash.worker", *where, *how]

    def worker(folder: Path, fate: Fate | None) -> list[str]:
        dies = ["--dies", fate.point, str(fate.times)] if fate is not None and fate.own_hand else []
        return [*words(folder), *dies]

    return Commands(worker, lambda folder, _fate: [*words(folder), "--guest"])
