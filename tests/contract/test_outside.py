"""The firm's systems as the demo has them: what happens there is what their feeds read, to the last digit."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connect.configuration import resolved
from connect.rows import shapes
from firm.final import final_rows
from firm.history import History
from firm.size import FirmSize
from firm.wire import Record
from live.errors import PipelineError
from live.outside import Outside
from live.salesforce import Salesforce
from live.systems import Dynamics, System, Workday
from tests.contract.feeds.station import Station

CHANGES = list(History(FirmSize(time_entries=300, seed=7, start=date(2025, 3, 3), months=8, dirty=0)).records())
NUMBER = re.compile(r"-?\d+(\.\d+)?")
# What the CRM stamps is to the second; by events, the feed would run on and on.
OWN = {"mode": "polling"}

Row = dict[str, Any]
MADE: dict[str, Callable[[Path], System]] = {"crm": Salesforce, "hr": Workday, "erp": Dynamics}


@pytest.fixture(params=MADE)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    with closing(MADE[request.param](tmp_path)) as made:
        made.connect()
        yield made


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Salesforce]:
    with closing(Salesforce(tmp_path)) as made:
        made.connect()
        yield made


def station_of(system: System) -> Station:
    config = resolved(system.configuration, system.environment)
    station = Station(config | (OWN if isinstance(system, Salesforce) else {}))
    station.now = CHANGES[-1].timestamp
    return station


def plain(value: Any) -> Any:
    """A row as it can be compared: numbers by their worth, times to the second where they are, without nulls."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, str):
        return value
    return Decimal(value) if NUMBER.fullmatch(value) else value.replace(".000Z", "Z")


def expected(changes: Iterable[Record]) -> Row:
    found = final_rows(changes)
    return {identity: plain(shapes()[topic].read(row).row) for (topic, identity), row in found.items()}


def changed(change: Record, op: str, **fields: Any) -> Record:
    """What happens to a row a day later."""
    before = change.value["after"]
    source = {**change.value["source"], "ts_ms": change.value["source"]["ts_ms"] + 86_400_000}
    value = {**change.value, "before": before, "after": {**before, **fields}, "op": op, "source": source}
    return change._replace(value=value if op != "d" else {**value, "after": None})


def test_what_happens_in_a_system_is_what_its_feed_reads(system: System) -> None:
    own = [change for change in CHANGES if change.topic.startswith(system.prefix)]
    station = station_of(system)
    for part in (own[: len(own) // 2], own[len(own) // 2 :]):
        system.write(part)
        station.poll(2)
    assert station.topics.rejects == []
    assert plain(station.topics.rows()) == expected(own)
    assert len(own) > 20
    station.topics.verify_once()


def test_rates_that_change_are_those_of_the_contract_in_their_order(crm: Salesforce) -> None:
    first = next(change for change in CHANGES if change.topic == "crm.Contract")
    crm.write([first])
    station = station_of(crm)
    station.poll()
    rates = [{"Role": role, "Rate": rate, "EffectiveFrom": "2025-03-03"} for role, rate in (("*", "70.05"), ("*", "7"))]
    second = changed(first, "u", Rates=rates, LastModifiedDate=None)
    crm.write([second])
    station.poll()
    (row,) = station.topics.rows().values()
    assert plain(row["Rates"]) == plain(rates)
    third = changed(second, "u", Rates=[])
    crm.write([third])
    station.poll()
    (row,) = station.topics.rows().values()
    assert row["Rates"] == []


def test_what_is_deleted_there_is_deleted(crm: Salesforce) -> None:
    first = next(change for change in CHANGES if change.topic == "crm.Opportunity")
    crm.write([first])
    station = station_of(crm)
    station.poll()
    crm.write([changed(first, "d")])
    station.poll()
    assert [(change.op, change.key) for change in station.topics.changes] == [("r", first.key), ("d", first.key)]


def test_the_erp_deletes_nothing_and_says_so(tmp_path: Path) -> None:
    first = next(change for change in CHANGES if change.topic == "erp.Customer")
    with closing(Dynamics(tmp_path)) as erp:
        erp.connect()
        with pytest.raises(PipelineError, match=rf"^erp.Customer {first.key}: the simulated ERP deletes nothing$"):
            erp.write([changed(first, "d")])


def test_a_change_of_no_system_is_refused(tmp_path: Path) -> None:
    psa = next(change for change in CHANGES if change.topic.startswith("psa."))
    with closing(Outside(tmp_path)) as outside:
        assert outside.names == ["crm", "hr-workday", "erp-dynamics"]
        assert sorted(file.name for file in outside.connectors.iterdir()) == [
            "analytics.json", "crm.json", "erp-dynamics.json", "hr-workday.json", "psa.json",
        ]  # fmt: skip
        assert not outside.owns(psa)
        with pytest.raises(ValueError, match="is of none of the systems here"):
            outside.write([psa])
