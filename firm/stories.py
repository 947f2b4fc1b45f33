"""What goes wrong in the firm: each story is given to some contracts, so that every business question has answers.

A story either ends within the history (late, lifted) or is still open at its end (missing, never). Open ones are given
to contracts that are still worked on when the history ends. Stories touch about a third of the contracts of a large
firm, and most contracts of the smallest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from firm.chance import Chance
from firm.contracts import BILLED_BY_TIME, CAPPED, FIXED_FEE, TIME_AND_MATERIALS, Client, Contract
from firm.moments import weekdays_between
from firm.size import FirmSize

PROJECT_MOVED = "project moved"


@dataclass(frozen=True, slots=True)
class Story:
    """`permille`: how many of 1000 contracts have it (at least one). `still_open`: it lasts to the end of the history.

    `billing`: the contract is made one of these; empty: any will do. `alone`: it would not be seen beside another.
    """

    name: str
    permille: int
    still_open: bool
    billing: tuple[str, ...] = ()
    alone: bool = False


STORIES = (
    Story("milestones not invoiced", 15, True, (FIXED_FEE,), alone=True),
    Story("amendment not taken over", 12, True, alone=True),
    Story("cap too low", 20, True, (CAPPED,), alone=True),
    Story("billing on hold", 8, True, BILLED_BY_TIME, alone=True),
    # Billing holds: they need work that is billed by the hour
    Story("contract unnamed", 5, True, BILLED_BY_TIME),
    Story("contract named late", 8, False, BILLED_BY_TIME),
    Story("contract unknown", 3, True, BILLED_BY_TIME),
    Story("contract told late", 8, False, BILLED_BY_TIME),
    Story("purchase order expired", 10, True, BILLED_BY_TIME),
    Story("purchase order late", 15, False, BILLED_BY_TIME),
    Story("never activated", 6, True, BILLED_BY_TIME),
    Story("activated late", 12, False, BILLED_BY_TIME),
    Story("customer blocked", 6, True, BILLED_BY_TIME),
    Story("customer late", 12, False, BILLED_BY_TIME),
    Story("legal entity missing", 4, True, BILLED_BY_TIME),
    Story("legal entity late", 8, False, BILLED_BY_TIME),
    Story("role unpriced", 6, True, BILLED_BY_TIME),
    Story("role priced late", 10, False, BILLED_BY_TIME),
    Story("term overrun", 6, True, BILLED_BY_TIME),
    Story("term extended late", 10, False, BILLED_BY_TIME),
    Story("hold lifted", 12, False, BILLED_BY_TIME),
    Story("suspended", 6, True, BILLED_BY_TIME),
    Story("resumed", 8, False, BILLED_BY_TIME),
    Story("cap raised", 25, False, (CAPPED,)),
    Story("cap lowered", 3, True, (CAPPED,)),
    # Drift
    Story("amendment backdated", 15, False, (TIME_AND_MATERIALS,)),
    Story("value amended", 15, False, (FIXED_FEE,)),
    Story("ERP project on hold", 8, True),
    Story("project done early", 8, True),
    Story("cost center differs", 10, True),
    Story("legal entity differs", 5, True),
    Story("sold too cheap", 25, True),
    Story("fixed fee overrun", 15, True, (FIXED_FEE,)),
    Story("revenue ahead", 12, True, (FIXED_FEE,)),
    Story("revenue behind", 12, True, (TIME_AND_MATERIALS,)),
    Story(PROJECT_MOVED, 5, False, (TIME_AND_MATERIALS,)),
)
_ALONE = {story.name for story in STORIES if story.alone}
_STILL_OPEN_FROM_DAYS = 35  # an open story's contract has been worked on at least this long when the history ends
_ENOUGH_DAYS = 45


def tell_stories(size: FirmSize, contracts: list[Contract]) -> None:
    """Give every story to its share of the contracts; see `_suits` for which come first."""
    chance = Chance(size.seed, "stories")
    for story in STORIES:
        wanted = max(1, len(contracts) * story.permille // 1000)
        fitting = [contract for contract in contracts if _fits(story, contract, contracts, size)]
        chance.shuffle(fitting)
        fitting.sort(key=partial(_suits, story, size=size))
        for contract in fitting[:wanted]:
            contract.stories.add(story.name)
            if story.name.startswith("customer"):
                _gets_client_of_its_own(contract, contracts)
            if story.billing and contract.billing not in story.billing:
                contract.billing = story.billing[0]


def _suits(story: Story, contract: Contract, size: FirmSize) -> tuple[int, bool, int]:
    """Best come first: contracts without a story, of the right billing type, for what stays open with little work."""
    changed = bool(story.billing) and contract.billing not in story.billing
    if not story.still_open:
        return len(contract.stories), changed, 0
    assignments = [assignment for project in contract.projects for assignment in project.assignments]
    work = sum(one.hours * weekdays_between(one.first, min(one.last, size.end_day - 1)) for one in assignments)
    return len(contract.stories), changed, work


def _fits(story: Story, contract: Contract, contracts: list[Contract], size: FirmSize) -> bool:
    """Whether the contract's time suits the story, and no earlier story has settled its billing type otherwise."""
    if contract.stories and (story.alone or contract.stories & _ALONE):
        return False
    if contract.stories and story.billing and contract.billing not in story.billing:
        return False
    if story.name == PROJECT_MOVED and new_home(contract, contracts) is None:
        return False
    if story.still_open:
        return contract.works_until >= size.end_day and contract.starts <= size.end_day - _STILL_OPEN_FROM_DAYS
    worked = min(contract.works_until, size.end_day) - contract.starts
    return worked >= _ENOUGH_DAYS


def new_home(contract: Contract, contracts: list[Contract]) -> Contract | None:
    """The contract that a project of `contract` could move to: billed alike, same currency, same client if possible."""
    homes = [
        other
        for other in contracts
        if other is not contract
        and other.billing == TIME_AND_MATERIALS
        and other.currency == contract.currency
        and other.starts <= contract.starts + (contract.works_until - contract.starts) // 2
        and other.works_until >= contract.works_until
    ]
    homes.sort(key=lambda other: (other.client is not contract.client, other.number))
    return homes[0] if homes else None


def _gets_client_of_its_own(contract: Contract, contracts: list[Contract]) -> None:
    """So that a customer missing in the ERP holds this contract and no other."""
    number = max(one.client.number for one in contracts) + 1
    contract.client = Client(number, f"{contract.client.name} Holding", contract.company, contract.company.country)
