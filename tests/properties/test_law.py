"""The law: whatever the order, delay, duplicate, crash or partition count, the stream equals the batch.

The batch is written apart from the rules (tests.oracle). A failing case prints its seed, which replays it.
"""

from decimal import Decimal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.oracle.compare import disagreements
from tests.oracle.firms import UNTIL, interleave, random_firm, until
from tests.oracle.histories import at, stamp
from tests.oracle.people import DAYS
from tests.support.streams import JsonRecord, file_run, service_run

pytestmark = pytest.mark.properties

ORDERLESS = (
    "approved_hours", "billable_hours", "labor_cost", "expense_cost", "percent_complete", "remaining_hours",
    "forecast_cost", "uncosted_hours", "uncosted_amount",
)  # fmt: skip

SEEDS = st.integers(min_value=0, max_value=10**9)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@FEW
@given(SEEDS, st.booleans(), st.booleans())
def test_a_file_run_equals_the_batch(seed: int, lower_caps: bool, foreign: bool) -> None:
    records = random_firm(seed, 2, lower_caps=lower_caps, foreign=foreign)
    assert disagreements(records, file_run(records, UNTIL), UNTIL) == []


@settings(FEW, max_examples=150)
@given(SEEDS, st.floats(min_value=20, max_value=DAYS), st.booleans(), st.booleans())
def test_at_any_moment_a_file_run_equals_the_batch(seed: int, day: float, lower_caps: bool, foreign: bool) -> None:
    # At the end of a firm all deadlines have passed; in its midst they have not.
    now = at(day)
    records = until(random_firm(seed, 2, lower_caps=lower_caps, foreign=foreign), now)
    assert disagreements(records, file_run(records, stamp(now)), stamp(now)) == []


@FEW
@given(SEEDS, st.floats(min_value=20, max_value=DAYS), st.sampled_from([1, 4]))
def test_at_any_moment_a_service_equals_the_batch(seed: int, day: float, partitions: int) -> None:
    now, random = at(day), Random(seed)
    records = interleave(until(random_firm(seed, 2), now), random)
    assert disagreements(records, service_run(records, random, partitions, 0.05, stamp(now)), stamp(now)) == []


@FEW
@given(SEEDS, st.booleans())
def test_any_interleaving_with_duplicates_and_stale_copies_equals_the_batch(seed: int, foreign: bool) -> None:
    records = interleave(random_firm(seed, 2, foreign=foreign), Random(seed))
    assert disagreements(records, file_run(records, UNTIL), UNTIL) == []


@FEW
@given(SEEDS, st.sampled_from([1, 4]), st.booleans())
def test_delays_of_every_internal_topic_change_nothing(seed: int, partitions: int, foreign: bool) -> None:
    random = Random(seed)
    records = interleave(random_firm(seed, 2, foreign=foreign), random)
    assert disagreements(records, service_run(records, random, partitions, until=UNTIL), UNTIL) == []


@FEW
@given(SEEDS, st.sampled_from([1, 4]))
def test_crashes_between_any_two_steps_change_nothing(seed: int, partitions: int) -> None:
    random = Random(seed)
    records = interleave(random_firm(seed, 2), random)
    assert disagreements(records, service_run(records, random, partitions, 0.15, UNTIL), UNTIL) == []


@FEW
@given(SEEDS, st.sampled_from([1, 4]))
def test_replaying_everything_emits_nothing_new(seed: int, partitions: int) -> None:
    records = random_firm(seed, 2)
    once = service_run(records, Random(seed), partitions, until=UNTIL)
    twice = service_run(records, Random(seed), partitions, until=UNTIL, again=True)
    dead = sum(1 for record in once if record["topic"] == "dead.letters")
    fresh = [record["topic"] for record in twice[len(once) :] if record["topic"] != "dead.letters"]
    assert twice[: len(once)] == once
    assert fresh == ["exceptions", "audit.trail"] * dead or not fresh


@FEW
@given(SEEDS)
def test_one_and_four_partitions_say_the_same_of_every_margin(seed: int) -> None:
    records = random_firm(seed, 2)
    one, four = (_margins(service_run(records, Random(seed), partitions, until=UNTIL)) for partitions in (1, 4))
    assert one == four


def _margins(derived: list[JsonRecord]) -> dict[str, dict[str, Decimal]]:
    """Return the last margin of each project, but for what the order of arrival at a cap or a gate decides."""
    last = {record["key"]: record["value"] for record in derived if record["topic"] == "margin.updates"}
    return {project: {name: Decimal(margin[name]) for name in ORDERLESS} for project, margin in last.items()}
