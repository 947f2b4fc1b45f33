"""A worker of the whole topology with doers: `python -m tests.broker.activation_worker BROKERS FOLDER [HOW] [DEATH]`.

FOLDER has an `activation.yaml`. HOW `exactly_once` is for a real broker. DEATH is POINT COUNT: it kills itself the
COUNT-th time it passes POINT, which is one of `streams.engine.probe`, or `NAME before` or `NAME after` a call of the
doer NAME.
"""

import sys
from pathlib import Path

from schemas.registry import Manifest
from streams.config import load
from streams.delivery.limits import LEASE_MS
from streams.doers.contract import Doer, Made, Undone
from streams.doers.opening import load_plan
from streams.domain.undertaking import Order
from streams.engine.activating import activation_step
from streams.engine.clock import system_clock
from streams.engine.doing import DoerLanes, Doers, Reached
from streams.engine.unknown_ids import of_own_topics
from streams.engine.wire import ContractWire
from streams.engine.worker import run_steps
from streams.sources import recorded_reader
from streams.topology import load_rulebook, topology
from tests.crash.worker import Fate

CALLS = tuple(f"{name} {when}" for name in ("psa", "erp", "hook") for when in ("before", "after"))


class Mortal:
    """A doer whose worker may die before a call, or when its effect is there and nobody knows."""

    def __init__(self, doer: Doer, fate: Fate) -> None:
        self.name = doer.name
        self._doer = doer
        self._fate = fate

    def make(self, order: Order, in_doubt: bool) -> Made:
        self._fate(f"{self.name} before")
        made = self._doer.make(order, in_doubt)
        self._fate(f"{self.name} after")
        return made

    def undo(self, order: Order) -> Undone:
        self._fate(f"{self.name} before undoing")
        undone = self._doer.undo(order)
        self._fate(f"{self.name} after undoing")
        return undone

    def close(self) -> None:
        self._doer.close()


def main(brokers: str, folder: Path, words: list[str]) -> int:
    """Run the worker."""
    guarantee, death = ("exactly_once", words[1:]) if words[:1] == ["exactly_once"] else ("at_least_once", words)
    settings = load(
        None, brokers=brokers, state_folder=folder / "state", checkpoint_interval_ms=20, guarantee=guarantee,
        static_membership=False,
        session_timeout_s=4.0,
    )  # fmt: skip
    fate = Fate(death[0], int(death[1])) if death else Fate()
    plan = load_plan(folder / "activation.yaml")
    lanes = DoerLanes(plan, settings.partitions)

    def opened(name: str) -> Reached:
        reached = lanes.open(name)
        return Reached(Mortal(reached.doer, fate), reached.calls)

    rulebook = load_rulebook()
    reader = recorded_reader(rulebook, None)
    doing = activation_step(Doers(plan, opened, LEASE_MS / 1000, lambda: 0.0, system_clock))
    wire = ContractWire(Manifest(), reader, of_own_topics(settings.contracts))
    return run_steps(settings, (*topology(rulebook, reader), doing), wire, probe=fate)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
