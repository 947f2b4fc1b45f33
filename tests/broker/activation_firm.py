"""A firm whose deals are won, the simulated systems in which they are set up, and workers that are killed meanwhile."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.registry import Manifest
from streams.config import Settings
from streams.engine.feeding import SourceBytes
from streams.engine.told_of_deals import told_of_deals
from tests.broker.activation_worker import CALLS
from tests.broker.bench import WorkerChild, feed
from tests.contract.doers.bench import DYNAMICS, Systems
from tests.support.feed import Feed

PROGRAM = "tests.broker.activation_worker"
SECONDS_MAX = 60.0
PAUSE_SECONDS = 0.1


class Firm:
    """A firm whose CRM, PSA and ERP tell what happens in them; what happens in the simulated ones is told here."""

    def __init__(self, brokers: str, systems: Systems, folder: Path) -> None:
        self._brokers = brokers
        self.systems = systems
        self._feed = Feed(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        self._bytes = SourceBytes(Manifest())
        self._told: set[str] = set()
        self._written = 0
        self.deals: list[str] = []
        entity = {**DYNAMICS, "own": {}, "retire": None}
        plan = {
            "version": 1,
            "doers": {
                "psa": {"kind": "psa_api", "http": {"url": f"{systems.url}/psa"}},
                "erp": {"kind": "dimension_service", "http": {"url": systems.url}, "entities": [entity]},
                "hook": {
                    "kind": "webhook", "url": f"{systems.url}/hook/secret", "shape": "slack",
                    "ask": systems.url + "/heard/{command_id}",
                },
            },
            "shells": [{"doer": "psa", "region": "EMEA"}],
            "dimensions": [{"doer": "erp"}],
            "announcements": [{"doer": "hook"}],
        }  # fmt: skip
        (folder / "activation.yaml").write_text(json.dumps(plan), "utf-8")
        self._feed.put("crm.Account", Id="A1")
        self._feed.put("psa.public.clients", id="CL1")
        self._write()

    def win(self, deal: str) -> None:
        """Win a deal, on a contract of its own."""
        self.deals.append(deal)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        self._feed.put("crm.Contract", ContractNumber=f"C-{deal}", OpportunityId=deal)
        self._feed.put(
            "crm.Opportunity", Id=deal, IsClosed=True, IsWon=True, ContractNumber=f"C-{deal}", CloseDate=today
        )
        self._write()

    def tell(self) -> None:
        """Tell what was made in the PSA and in the ERP since the last time."""
        there = self.systems.look()
        for identity, project in there["projects"].items():
            if identity not in self._told:
                self._told.add(identity)
                self._feed.put("psa.public.projects", id=identity, contract_number=project["contract_number"])
        for row in there["entities"].get("dynamics", []):
            if row["ProjectID"] not in self._told:
                self._told.add(row["ProjectID"])
                self._feed.put("erp.Project", ProjectId=row["ExternalId"], ErpProjectNumber=row["ProjectID"])
        self._write()

    def is_set_up(self) -> bool:
        """Whether everything is there, of all deals."""
        there = self.systems.look()
        counts = (len(there["projects"]), len(there["entities"].get("dynamics", [])), len(there["said"]))
        return min(counts) >= len(self.deals)

    def _write(self) -> None:
        records, self._written = self._feed.records[self._written :], len(self._feed.records)
        feed(self._brokers, [(r["topic"], r["key"], self._bytes.of(r["topic"], r["value"])) for r in records])


def run_worker(brokers: str, folder: Path, firm: Firm, *words: str) -> bool:
    """Run a worker until it has died, or all is set up; return whether it died."""
    child = WorkerChild(brokers, folder, *words, program=PROGRAM)
    deadline = time.monotonic() + SECONDS_MAX
    try:
        while not child.ends_within(PAUSE_SECONDS):
            firm.tell()
            if firm.is_set_up() and _all_announced(brokers, firm):
                return False
            assert time.monotonic() < deadline, child.messages
        assert child.ended() == -9, child.messages
        return True
    finally:
        child.kill()


def await_states(brokers: str, folder: Path, there: Callable[[list[str]], bool], *words: str) -> None:
    """Run a worker until the states of all events are so."""
    child = WorkerChild(brokers, folder, *words, program=PROGRAM)
    deadline = time.monotonic() + SECONDS_MAX
    try:
        while not there(states := [each["state"] for each in events_of(brokers)]):
            assert not child.ends_within(PAUSE_SECONDS), child.messages
            assert time.monotonic() < deadline, (states, child.messages)
    finally:
        child.kill()


def verify(firm: Firm, events: list[dict[str, Any]]) -> None:
    """Each deal has one project, one dimension and one announcement, and is told to be complete."""
    there, deals = firm.systems.look(), sorted(firm.deals)
    assert sorted(row["contract_number"].removeprefix("C-") for row in there["projects"].values()) == deals
    dimensions = [row["ProjectID"] for row in there["entities"]["dynamics"]]
    assert len(set(dimensions)) == len(dimensions) == len(deals)
    references = [each["metadata"]["event_payload"]["reference"] for each in there["said"]]
    assert len(set(references)) == len(references) == len(deals)
    completed = {each["opportunity_id"] for each in events if each["state"] == "completed"}
    assert completed == set(deals)
    # What a worker made when it died is told as made by the next one, unless the feeds have shown it first.
    made = {(each["opportunity_id"], each["step"]) for each in events if each["state"] == "made"}
    shown = {(each["opportunity_id"], each["step"]) for each in events if each["state"] == "succeeded"}
    steps = {(deal, step) for deal in deals for step in ("create_project", "provision_erp", "announce")}
    assert (made | shown) & steps == steps
    assert made <= steps
    assert {deal for deal, step in made if step == "announce"} == set(deals)


def events_of(brokers: str) -> list[dict[str, Any]]:
    """All events; those of one deal in their order."""
    return [dict(event) for deal in told_of_deals(Settings(brokers=brokers)).values() for event in deal.events]


def _all_announced(brokers: str, firm: Firm) -> bool:
    made = [each for each in events_of(brokers) if each["step"] == "announce" and each["state"] == "made"]
    return {each["opportunity_id"] for each in made} == set(firm.deals)


__all__ = ["CALLS", "Firm", "await_states", "events_of", "run_worker", "verify"]
