"""A retainer's crowded months: hours come, move and go while what a month includes changes."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.oracle.compare import disagreements
from tests.oracle.firms import interleave
from tests.support.feed import Feed
from tests.support.streams import file_run

pytestmark = pytest.mark.properties

ENTRIES = "psa.public.time_entries"
UNTIL = "2026-06-01T00:00:00Z"


def crowded_months(random: Random) -> Feed:
    """Two projects of one retainer, some ten entries in two months, and what happens to them and to the contract."""
    feed = Feed().masters()
    terms: dict[str, Any] = {
        "BillingType": "Retainer",
        "IncludedHours": "10",
        "OverageRate": "100",
        "PeriodicFee": "1000",
    }
    feed.contract(**terms)
    for project in ("P1", "P2"):
        feed.project(id=project)
    there: list[str] = []
    for number in range(random.randint(10, 30)):
        act = random.choice(["log", "log", "log", "correct", "correct", "delete", "amend"])
        if act == "amend":
            change: dict[str, Any] = random.choice(
                [{"IncludedHours": random.choice([None, "5", "10", "30"])}, {"BillingType": "T&M"}]
            )
            feed.contract(**{"BillingType": "Retainer", **change})
        elif act == "log" or not there:
            there.append(f"T{number}")
            day = f"2026-0{random.choice([2, 2, 2, 3])}-{random.randint(1, 6):02d}"
            hours = str(random.randint(1, 8))
            feed.entry(there[-1], project_id=random.choice(["P1", "P2"]), work_date=day, hours=hours)
        elif act == "correct":
            changes: dict[str, Any] = {
                "hours": str(random.randint(0, 8)),
                "work_date": f"2026-02-{random.randint(1, 6):02d}",
            }
            changes |= {
                "billable": random.random() < 0.8,
                "status": random.choice(["Approved", "Approved", "Rejected"]),
            }
            field = random.choice(sorted(changes))
            feed.entry(random.choice(there), **{field: changes[field]})
        else:
            feed.delete(ENTRIES, there.pop(random.randrange(len(there))))
    feed.contract(BillingType="Retainer")
    return feed


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(min_value=0, max_value=10**9))
def test_overage_equals_the_batch_in_any_order(seed: int) -> None:
    random = Random(seed)
    records = crowded_months(random).records
    for arrived in (records, interleave(records, random)):
        assert disagreements(arrived, file_run(arrived, UNTIL), UNTIL) == []
