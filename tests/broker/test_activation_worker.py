"""Deals set up by a real worker that is killed at every step: one project, one dimension, one announcement each."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.registry import Manifest
from streams.engine.embedded import EmbeddedBroker
from streams.engine.feeding import SourceBytes
from tests.broker.activation_worker import CALLS
from tests.broker.bench import WorkerChild, feed, read_messages
from tests.contract.doers.bench import DYNAMICS, Systems, simulated
from tests.support.feed import Feed

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

PROGRAM = "tests.broker.activation_worker"
DEATHS = [(call, 1) for call in CALLS] + [
    (point, count) for point in ("settled", "produced", "committed", "stored") for count in (3,)
]
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


@pytest.fixture
def systems() -> Iterator[Systems]:
    with simulated() as found:
        yield found


def test_however_often_it_is_killed_each_deal_is_set_up_once(systems: Systems, tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        firm = Firm(broker.bootstrap, systems, tmp_path)
        kills = 0
        for number, (point, count) in enumerate(DEATHS):
            firm.win(f"O{number}")
            kills += _run(broker.bootstrap, tmp_path, firm, point, str(count))
        _run(broker.bootstrap, tmp_path, firm)
        there = systems.look()
        events = _events(broker.bootstrap)
    assert kills >= len(CALLS) + 2
    deals = sorted(firm.deals)
    assert sorted(row["contract_number"].removeprefix("C-") for row in there["projects"].values()) == deals
    assert len({row["ProjectID"] for row in there["entities"]["dynamics"]}) == len(there["entities"]["dynamics"])
    assert len(there["entities"]["dynamics"]) == len(deals)
    references = [each["metadata"]["event_payload"]["reference"] for each in there["said"]]
    assert len(set(references)) == len(references) == len(deals)
    completed = {each["opportunity_id"] for each in events if each["state"] == "completed"}
    assert completed == set(deals)
    made = {(each["opportunity_id"], each["step"]) for each in events if each["state"] == "made"}
    assert made == {(deal, step) for deal in deals for step in ("create_project", "provision_erp", "announce")}


def test_what_the_erp_refuses_is_told_at_once_and_the_project_is_cancelled(systems: Systems, tmp_path: Path) -> None:
    systems.order(refuse="data/ProjectsV2")
    with EmbeddedBroker() as broker:
        firm = Firm(broker.bootstrap, systems, tmp_path)
        firm.win("O1")
        died = _run(broker.bootstrap, tmp_path, firm, "psa after undoing", "1")
        child = WorkerChild(broker.bootstrap, tmp_path, program=PROGRAM)
        try:
            _wait(child, lambda: _states(broker.bootstrap)[-2:] == ["compensated", "failed"], broker.bootstrap)
        finally:
            child.kill()
        exceptions = _of(broker.bootstrap, "exceptions")
    assert died
    [project] = systems.look()["projects"].values()
    assert project["stage"] == "Cancelled"
    newest = [each for each in exceptions if each["kind"] == "activation_failed" and each["entity_id"] == "O1"][-1]
    assert newest["state"] == "open"
    assert [reason.partition(": ")[0] for reason in newest["reasons"]] == ["refused:provision_erp"] * 2
    assert newest["reasons"][1].endswith("made for it, is cancelled")
    assert "`throughline activation retry O1`" in newest["message"]


def _run(brokers: str, folder: Path, firm: Firm, *death: str) -> bool:
    """Run a worker until it has died, or all is set up; return whether it died."""
    child = WorkerChild(brokers, folder, *death, program=PROGRAM)
    deadline = time.monotonic() + SECONDS_MAX
    try:
        while not child.ends_within(PAUSE_SECONDS):
            firm.tell()
            if firm.is_set_up() and _all_completed(brokers, firm):
                return False
            assert time.monotonic() < deadline, child.messages
        assert child.ended() == -9, child.messages
        return True
    finally:
        child.kill()


def _all_completed(brokers: str, firm: Firm) -> bool:
    made = [each for each in _events(brokers) if each["step"] == "announce" and each["state"] == "made"]
    return {each["opportunity_id"] for each in made} == set(firm.deals)


def _wait(child: WorkerChild, there: Any, brokers: str) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not there():
        assert not child.ends_within(PAUSE_SECONDS), child.messages
        assert time.monotonic() < deadline, (_states(brokers), child.messages)


def _events(brokers: str) -> list[dict[str, Any]]:
    return _of(brokers, "activation.events")


def _states(brokers: str) -> list[str]:
    return [each["state"] for each in _events(brokers)]


def _of(brokers: str, topic: str) -> list[dict[str, Any]]:
    codec = Codec(Manifest())
    return [codec.decode(topic, message.value() or b"") for message in read_messages(brokers, topic)]
