"""Deals set up by a real worker that is killed at every step: one project, one dimension, one announcement each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import Codec
from schemas.registry import Manifest
from streams.engine.embedded import EmbeddedBroker
from streams.topics import EXCEPTIONS
from tests.broker.activation_firm import Firm, await_states, events_of, run_worker, verify
from tests.broker.activation_worker import CALLS
from tests.broker.bench import read_messages
from tests.contract.doers.bench import Systems, simulated

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

DEATHS = [(call, 1) for call in CALLS] + [(point, 3) for point in ("settled", "produced", "committed", "stored")]


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
            kills += run_worker(broker.bootstrap, tmp_path, firm, point, str(count))
        run_worker(broker.bootstrap, tmp_path, firm)
        events = events_of(broker.bootstrap)
    assert kills >= len(CALLS) + 2
    verify(firm, events)


def test_what_the_erp_refuses_is_told_at_once_and_the_project_is_cancelled(systems: Systems, tmp_path: Path) -> None:
    systems.order(refuse="data/ProjectsV2")
    with EmbeddedBroker() as broker:
        firm = Firm(broker.bootstrap, systems, tmp_path)
        firm.win("O1")
        died = run_worker(broker.bootstrap, tmp_path, firm, "psa after undoing", "1")
        await_states(broker.bootstrap, tmp_path, lambda states: states[-2:] == ["compensated", "failed"])
        codec = Codec(Manifest())
        values = [message.value() or b"" for message in read_messages(broker.bootstrap, EXCEPTIONS)]
        exceptions = [codec.decode(EXCEPTIONS, value) for value in values]
    assert died
    [project] = systems.look()["projects"].values()
    assert project["stage"] == "Cancelled"
    newest = [each for each in exceptions if each["kind"] == "activation_failed" and each["entity_id"] == "O1"][-1]
    assert newest["state"] == "open"
    assert [reason.partition(": ")[0] for reason in newest["reasons"]] == ["refused:provision_erp"] * 2
    assert newest["reasons"][1].endswith("made for it, is cancelled")
    assert "`throughline activation retry O1`" in newest["message"]
