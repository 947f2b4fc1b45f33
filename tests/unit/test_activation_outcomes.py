"""The ledger hears from whoever does a step: what is refused, what is done after all, and what the feeds show."""

from typing import Any

import pytest

from streams.domain.undertaking import StepOutcome
from streams.replay import run
from streams.simulator import Simulator
from streams.step import Record
from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS, CONTRACT_FACTS, EXCEPTIONS
from streams.topology import topology
from tests.support.feed import Feed
from tests.support.streams import Collected, instant_of, reader, record_of, rulebook

pytestmark = pytest.mark.unit


class Ledger:
    """The topology over a deal that is won, on a contract of a known client: its project is asked for."""

    def __init__(self) -> None:
        self.feed = Feed("2026-02-02T09:00:00Z")
        self.told = Collected()
        self.simulator = Simulator(topology(rulebook(), reader()), self.told)
        self._taken = 0
        self.feed.put("crm.Account", Id="A1")
        self.feed.contract()
        self.feed.put("crm.Opportunity", Id="O1", IsClosed=True, IsWon=True)
        self.take()

    def take(self) -> None:
        """Take in what the feeds have more."""
        records, self._taken = self.feed.records[self._taken :], len(self.feed.records)
        run((record_of(content, at) for at, content in enumerate(records)), self.simulator, reader(), None)

    def hear(self, *reasons: str, step: str = "create_project", deal: str = "O1") -> None:
        """Hear from whoever does a step."""
        outcome = StepOutcome(deal, step, reasons, self.simulator.now)
        self.simulator.feed(Record(CONTRACT_FACTS, "C1", outcome, self.simulator.now))
        self.simulator.settle()

    def until(self, moment: str) -> None:
        self.simulator.advance(instant_of(moment))

    def events(self) -> list[tuple[str, str]]:
        return [(each["step"], each["state"]) for each in self.told.of(ACTIVATION_EVENTS)]

    def asked(self) -> list[str]:
        return [each["step"] for each in self.told.of(ACTIVATION_COMMANDS)]

    def matters(self) -> list[dict[str, Any]]:
        return [each for each in self.told.of(EXCEPTIONS) if each["kind"] == "activation_failed"]


def test_what_is_refused_is_told_at_once_with_what_to_do() -> None:
    ledger = Ledger()
    ledger.hear("no such client")
    assert ledger.events()[-1] == ("create_project", "failed")
    [opened] = ledger.matters()
    assert (opened["state"], opened["reasons"]) == ("open", ["refused:create_project: no such client"])
    assert opened["message"].endswith("`throughline activation retry O1`, or do the step by hand")


def test_what_is_refused_is_not_asked_for_again_whatever_else_happens() -> None:
    ledger = Ledger()
    ledger.hear("no such client")
    ledger.feed.contract(PoNumber="PO-1")
    ledger.take()
    ledger.until("2026-03-01T00:00:00Z")
    assert ledger.asked() == ["validate", "create_project"]
    assert len(ledger.matters()) == 1


def test_the_same_refusal_is_told_once_and_another_again() -> None:
    ledger = Ledger()
    ledger.hear("no such client")
    ledger.hear("no such client")
    ledger.hear("no such client", "and more")
    assert [(m["state"], len(m["reasons"])) for m in ledger.matters()] == [("open", 1), ("open", 2)]


def test_what_is_done_after_all_closes_the_matter_and_is_waited_for_anew() -> None:
    ledger = Ledger()
    ledger.hear("no such client")
    ledger.until("2026-02-03T08:00:00Z")
    ledger.hear()
    assert ledger.matters()[-1]["state"] == "resolved"
    assert ledger.asked() == ["validate", "create_project"]
    ledger.until("2026-02-04T07:00:00Z")
    assert ledger.matters()[-1]["state"] == "resolved"
    ledger.until("2026-02-04T09:00:00Z")  # a day after it was done, the feed has not shown it
    assert ledger.events()[-1] == ("create_project", "timed_out")
    assert ledger.asked()[-1] == "create_project"


def test_what_the_feed_shows_goes_before_what_was_refused() -> None:
    ledger = Ledger()
    ledger.hear("no such client")
    ledger.feed.project()
    ledger.take()
    assert ledger.events()[-1] == ("create_project", "succeeded")
    assert ledger.asked()[-1] == "provision_erp"
    assert ledger.matters()[-1]["state"] == "resolved"


def test_what_was_done_without_ever_having_failed_changes_nothing() -> None:
    ledger = Ledger()
    events, asked = ledger.events(), ledger.asked()
    ledger.hear()
    ledger.hear(deal="O9")
    ledger.hear("too early", step="provision_erp")
    assert (ledger.events(), ledger.asked(), ledger.matters()) == (events, asked, [])


def test_a_deal_that_is_won_again_is_asked_for_again() -> None:
    ledger = Ledger()
    ledger.hear("no such client")
    ledger.feed.put("crm.Opportunity", Id="O1", IsWon=False)
    ledger.take()
    assert ledger.matters()[-1]["state"] == "resolved"
    ledger.feed.put("crm.Opportunity", Id="O1", IsWon=True)
    ledger.take()
    assert ledger.asked() == ["validate", "create_project", "create_project"]


def test_events_say_how_long_it_took_and_commands_what_is_needed() -> None:
    ledger = Ledger()
    ledger.feed.at("2026-02-02T10:00:00Z").project()
    ledger.feed.put("erp.Project", ProjectId="P1")
    ledger.take()
    elapsed = {(e["step"], e["state"]): e["results"].get("elapsed_ms") for e in ledger.told.of(ACTIVATION_EVENTS)}
    minute = 60_000
    assert (
        elapsed
        == {
            ("validate", "started"): None,
            ("validate", "succeeded"): "0",
            ("create_project", "succeeded"): str(58 * minute),
            ("provision_erp", "succeeded"): str(minute),
            ("announce", "succeeded"): "0",
            ("announce", "completed"): str(59 * minute),
        }
        or elapsed
    )
    [first] = [each for each in ledger.told.of(ACTIVATION_COMMANDS) if each["step"] == "create_project"]
    assert first["arguments"] == {
        "name": "A deal", "closes_on": "2026-01-31", "client_name": "Acme", "country": "DE", "currency": "EUR",
        "start_on": "2026-01-01", "end_on": "2026-12-31",
    }  # fmt: skip
