"""The input of the reference job, drawn from a seed, and what a batch over it comes to."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from bench.reference.avro import ENTRIES, MILESTONES, TERMS
from bench.reference.job import PORTION, worth

RECORDS = 222_000
"""Records of the whole feed: a contract in 111, its milestones ten times as many, its time entries a hundred times."""

_FIRST_DAY = date(2025, 1, 1)


class Result(NamedTuple):
    """What must be there in the end: the amount of every trigger by id, and the margin of every contract."""

    triggers: dict[str, int]
    margins: dict[str, dict[str, Any]]


class Feed:
    """So many records, the same for the same seed."""

    def __init__(self, records: int = RECORDS, seed: int = 1) -> None:
        self.contracts = max(records // 111, 1)
        self.records = self.contracts * 111
        self._seed = seed

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield topic and record, mixed as they would arrive."""
        random, contracts = Random(self._seed), self.contracts
        kinds = [TERMS] * contracts + [MILESTONES] * (contracts * 10) + [ENTRIES] * (contracts * 100)
        random.shuffle(kinds)
        order = random.sample(range(contracts), contracts)
        milestones = iter(random.sample(range(contracts * 10), contracts * 10))
        for number, kind in enumerate(kinds):
            if kind == ENTRIES:
                yield (
                    kind,
                    {
                        "contract": name(random.randrange(contracts)),
                        "entry": f"T{number:07d}",
                        "hours": random.randrange(25, 1_001, 25),
                        "worked_on": _FIRST_DAY + timedelta(days=number * 365 // len(kinds)),
                        "resource": f"R{random.randrange(500):04d}",
                    },
                )
            elif kind == MILESTONES:
                which = next(milestones)
                yield (
                    kind,
                    {
                        "contract": name(which % contracts),
                        "milestone": f"M{which // contracts}",
                        "amount": random.randrange(100_000, 2_000_000, 100),
                        "done": random.random() < 0.8,
                    },
                )
            else:
                yield (
                    kind,
                    {
                        "contract": name(order.pop()),
                        "rate": random.randrange(8_000, 30_000, 100),
                        "cap": random.randrange(3_000_000, 20_000_000, 100),
                    },
                )

    def result(self) -> Result:
        """Return what the whole feed comes to, computed from sums and not step by step."""
        terms: dict[str, dict[str, Any]] = {}
        hours = dict.fromkeys(map(name, range(self.contracts)), 0)
        done = dict.fromkeys(hours, 0)
        triggers: dict[str, int] = {}
        for kind, row in self.rows():
            contract = row["contract"]
            if kind == TERMS:
                terms[contract] = row
            elif kind == ENTRIES:
                hours[contract] += row["hours"]
            elif row["done"]:
                done[contract] += row["amount"]
                triggers[f"{contract}:milestone:{row['milestone']}"] = row["amount"]
        margins = {}
        for contract, total in hours.items():
            rate, cap = terms[contract]["rate"], terms[contract]["cap"]
            portions = total // PORTION
            steps = [worth(number * PORTION, rate, cap) for number in range(portions + 1)]
            for number in range(1, portions + 1):
                triggers[f"{contract}:portion:{number}"] = steps[number] - steps[number - 1]
            margins[contract] = {
                "contract": contract,
                "hours": total,
                "value": worth(total, rate, cap),
                "billed": steps[-1] + done[contract],
                "portions": portions,
            }
        return Result(triggers, margins)


def name(number: int) -> str:
    """Return the id of a contract."""
    return f"C{number:06d}"
