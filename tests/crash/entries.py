"""The input of the crash job, drawn from a seed, and what a batch over it comes to."""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from tests.crash.job import INPUTS, PORTION

CONTRACTS = 5_000


class Entry(NamedTuple):
    """One input record. `topic` is a field of `tests.crash.job.Topics`."""

    topic: str
    contract: str
    number: int
    hours: int


class Result(NamedTuple):
    """What must be there in the end, by contract."""

    entries: dict[str, dict[int, int]]
    hours: dict[str, int]

    def portions(self, contract: str) -> int:
        """Return how many triggers a contract has."""
        return self.hours[contract] // PORTION


def entries(seed: int, records: int) -> Iterator[Entry]:
    """Yield the input of a run."""
    random = Random(seed)
    for number in range(records):
        contract = f"C{random.randrange(CONTRACTS):05d}"
        yield Entry(random.choice(INPUTS), contract, number, random.randint(1, 9))


def batch_result(seed: int, records: int) -> Result:
    """Return what the input of a run comes to, computed at once."""
    result = Result({}, {})
    for entry in entries(seed, records):
        result.entries.setdefault(entry.contract, {})[entry.number] = entry.hours
        result.hours[entry.contract] = result.hours.get(entry.contract, 0) + entry.hours
    return result
