"""The demo on the whole stack, with a small firm: every system is read by its feed, and all is as SQL says of it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from live.demo import run
from tests.stack.conftest import say

pytestmark = pytest.mark.timeout(300)


def test_a_small_firm_comes_through_all_its_feeds_and_agrees_with_the_batch(tmp_path: Path) -> None:
    derived: list[dict[str, Any]] = []

    def report(records: Sequence[dict[str, Any]], _folder: Path, _now: int) -> None:
        derived.extend(records)

    # That rows have landed to the last digit, that worth and cost are what SQL says, and that the ERPs have booked all
    # of it, is what the demo itself judges: it raises where that is not so.
    outcome = run(tmp_path / "demo", 300, 7, report, say)

    assert {feed: set(landed) for feed, landed in outcome.landed.items()} == {
        "crm": {"crm.Account", "crm.Opportunity", "crm.Contract", "crm.ContractAmendment"},
        "hr-workday": {"hr.Worker"},
        "erp-dynamics": {
            "erp.LegalEntity", "erp.Customer", "erp.Project", "erp.Invoice", "erp.CostPosting", "erp.RevenueSchedule",
            "erp.FxRate", "erp.Period",
        },
    }  # fmt: skip
    assert [each.feed for each in outcome.fresh] == ["psa", "crm", "hr-workday", "erp-dynamics"]
    for each in outcome.fresh:
        assert each.newest_s is not None, each
        assert each.taken_in_s is not None, each
        assert (each.newest_s < 30, each.taken_in_s < 30) == (True, True), each
        assert each.gaps in (None, 0), each
        landed = sum(outcome.landed.get(each.feed, Counter()).values())
        assert each.changes == landed or each.feed == "psa", each
    assert outcome.fresh[0].slot_lag_bytes is not None

    told = Counter(record["topic"] for record in derived)
    assert told["billing.triggers"] == outcome.triggers > 100
    assert outcome.projects > 30
    stalled = [one["value"] for one in derived if one["topic"] == "drift.alerts"]
    assert [alert["alert_id"] for alert in stalled if alert["kind"] == "feed_stalled"] == []
