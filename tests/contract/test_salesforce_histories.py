"""Salesforce by polling and by events: the same rows in the end, whatever happened and whichever way it was read."""

from random import Random
from typing import Any

import pytest

from connect.feeds.contract import Retriable
from tests.contract.feeds.salesforce_bench import Crashed, Feed, Org, created, updated

RATE = {"Role__c": "Engineer", "Rate__c": 100, "EffectiveFrom__c": "2026-01-01"}


@pytest.fixture
def feed(salesforce_feed: Feed) -> Feed:
    return salesforce_feed


class TestPolling:
    def test_rows_that_share_a_second_over_several_pages(self, org: Org, feed: Feed) -> None:
        org.order("settings", rows=2)
        ids = org.commit(*(created("Account", Name=f"A{number}") for number in range(7)))
        assert feed.run(mode="polling") == [("Account", each, "r") for each in ids]
        org.commit(*(updated("Account", each, Name="B") for each in ids))
        assert feed.run(mode="polling") == [("Account", each, "u") for each in ids]
        assert feed.run(mode="polling") == []

    def test_only_the_last_page_of_a_first_reading_is_no_snapshot(self, org: Org, feed: Feed) -> None:
        org.order("settings", rows=2)
        org.commit(*(created("Account", Name=f"A{number}") for number in range(5)))
        with feed.opened(mode="polling") as batches:
            feed.landing.land_all(batches)
        assert [change.snapshot for change in feed.landing.changes] == [True, True, True, True, False]

    def test_deletions_and_undeletions(self, org: Org, feed: Feed) -> None:
        (number,) = org.commit(created("Contract", ContractNumber="C1"))
        org.create("ContractRate__c", Contract__c=number, **RATE)
        feed.run(mode="polling")
        org.delete("Contract", number)
        assert feed.run(mode="polling") == [("Contract", "C1", "d")]
        org.commit({"op": "undelete", "object": "Contract", "id": number})
        assert feed.run(mode="polling") == [("Contract", "C1", "c")]
        assert feed.landing.rows == org.rows()

    def test_child_records_that_change_move_or_go(self, org: Org, feed: Feed) -> None:
        first, second = org.commit(*(created("Contract", ContractNumber=number) for number in ("C1", "C2")))
        rate = org.create("ContractRate__c", Contract__c=first, **RATE)
        feed.run(mode="polling")
        org.update("ContractRate__c", rate, Rate__c=120)
        assert feed.run(mode="polling") == [("Contract", "C1", "u")]
        org.update("ContractRate__c", rate, Contract__c=second)
        assert sorted(feed.run(mode="polling")) == [("Contract", "C1", "u"), ("Contract", "C2", "u")]
        assert feed.landing.rows == org.rows()
        org.delete("ContractRate__c", rate)
        assert feed.run(mode="polling") == [("Contract", "C2", "u")]
        assert feed.landing.rows == org.rows()

    def test_a_child_record_that_moves_to_a_parent_that_is_read_anyway(self, org: Org, feed: Feed) -> None:
        first, second = org.commit(*(created("Contract", ContractNumber=number) for number in ("C1", "C2")))
        rate = org.create("ContractRate__c", Contract__c=first, **RATE)
        feed.run(mode="polling")
        org.commit(updated("ContractRate__c", rate, Contract__c=second), updated("Contract", second, Status="Draft"))
        assert sorted(feed.run(mode="polling")) == [("Contract", "C1", "u"), ("Contract", "C2", "u")]
        assert feed.landing.rows == org.rows()

    def test_what_a_long_transaction_stamped_before_others_is_found_later(self, org: Org, feed: Feed) -> None:
        first, second = org.commit(*(created("Account", Name=name) for name in "AB"))
        feed.run(mode="polling")
        org.commit(updated("Account", first, Name="quick"), advance_ms=60_000)
        feed.run(mode="polling")
        org.commit(updated("Account", second, Name="long"), advance_ms=1_000, lag_ms=50_000)
        assert feed.run(mode="polling") == [("Account", second, "u")]

    def test_a_change_in_the_second_that_was_read_is_found(self, org: Org, feed: Feed) -> None:
        (first,) = org.commit(created("Account", Name="A"), advance_ms=1_000)
        feed.run(mode="polling")
        org.commit(updated("Account", first, Name="B"), advance_ms=100)
        assert feed.run(mode="polling") == [("Account", first, "u")]
        assert feed.landing.rows == org.rows()


class TestBothWays:
    def test_what_was_polled_is_not_landed_again_by_its_events(self, org: Org, feed: Feed) -> None:
        first, second = org.commit(*(created("Account", Name=name) for name in "AB"))
        feed.run()
        org.update("Account", first, Name="polled")
        org.delete("Account", second)
        org.update("Account", first, Name="polled again")
        assert sorted(feed.run(mode="polling")) == [("Account", first, "u"), ("Account", second, "d")]
        assert feed.run() == []

    def test_what_came_by_events_is_not_landed_again_by_polling(self, org: Org, feed: Feed) -> None:
        first, second = org.commit(*(created("Account", Name=name) for name in "AB"))
        feed.run()
        org.update("Account", first, Name="C")
        org.delete("Account", second)
        feed.run()
        assert feed.run(mode="polling") == []

    def test_an_event_of_the_second_that_was_polled_is_neither_lost_nor_doubled(self, org: Org, feed: Feed) -> None:
        (first,) = org.commit(created("Account", Name="A"))
        feed.run()
        org.commit(updated("Account", first, Name="B"), advance_ms=1_400)
        assert feed.run(mode="polling") == [("Account", first, "u")]
        org.commit(updated("Account", first, Name="C"), advance_ms=100)
        assert feed.run() == [("Account", first, "u")]
        assert feed.run(mode="polling") == []
        assert feed.landing.rows == org.rows()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mode", ["pubsub", "polling", "both"])
def test_random_histories_end_in_the_rows_of_the_organisation(org: Org, mode: str, seed: int) -> None:
    history = History(org, Random(f"{mode}{seed}"))
    feed = Feed(org)
    org.order("settings", whole_seconds=seed % 2 == 0)
    for _ in range(4):
        for _ in range(history.chance.randint(1, 8)):
            history.commit()
        read(feed, history.chance, mode)
    read(feed, history.chance, mode)
    assert feed.landing.rows == org.rows()


def read(feed: Feed, chance: Random, mode: str) -> None:
    """Read to the end, through crashes, cut streams and failing answers."""
    now = chance.choice(["pubsub", "polling"]) if mode == "both" else mode
    feed.org.order(
        "settings", rows=chance.choice([1, 3, 2000]), child_rows=chance.choice([1, 200]), keepalive_s=0.02,
        events_max=chance.choice([1, 4, 100]), repeated=chance.choice([0, 0, 6]),
    )  # fmt: skip
    if chance.random() < 0.2:
        feed.org.order("expire_replay")
    if chance.random() < 0.3:
        feed.org.order("fault", match="/queryAll", times=1, status=503)
    if chance.random() < 0.3:
        feed.landing.crash_at = len(feed.landing.batches) + chance.randint(0, 3)
    while True:
        try:
            feed.run(mode=now)
        except (Crashed, Retriable):
            continue
        feed.landing.crash_at = None
        return


class History:
    """What happens in an organisation, by chance."""

    def __init__(self, org: Org, chance: Random) -> None:
        self.org = org
        self.chance = chance
        self._ids: dict[str, list[str]] = {name: [] for name in _NEW}
        self._bin: list[tuple[str, str]] = []
        self._numbers = 0

    def commit(self) -> None:
        """Make one transaction of one to four changes."""
        how: dict[str, Any] = {"advance_ms": self.chance.choice([0, 1, 150, 700, 1_300, 90_000])}
        if self.chance.random() < 0.15:
            how["lag_ms"] = self.chance.choice([500, 3_000])
        if (way := self.chance.choice(["gap", "overflow", "merge", *[""] * 12])) != "":
            how[way] = True
        changes = [change for _ in range(self.chance.randint(1, 4)) if (change := self._change()) is not None]
        self.org.commit(*changes, **how)

    def _change(self) -> dict[str, Any] | None:
        name = self.chance.choice(list(_NEW))
        there = self._ids[name]
        what = self.chance.choice(["create", "create", "update", "update", "update", "delete", "undelete"])
        if what == "undelete":
            return self._undeleted() if self._bin else None
        if what == "create" or not there:
            return self._created(name)
        record_id = self.chance.choice(there)
        if what == "delete":
            there.remove(record_id)
            if name != "Contract":  # what belongs to a contract goes with it, and is changed no more
                self._bin.append((name, record_id))
                return {"op": "delete", "object": name, "id": record_id}
            there.append(record_id)
            return None
        return updated(name, record_id, **self._fields(name))

    def _created(self, name: str) -> dict[str, Any]:
        self._numbers += 1
        fields = self._fields(name)
        if name == "Contract":
            fields["ContractNumber"] = f"C{self._numbers}"
        record_id = f"{_NEW[name]}{self._numbers:09d}XYZAAA"
        self._ids[name].append(record_id)
        return created(name, id=record_id, **fields)

    def _undeleted(self) -> dict[str, Any]:
        name, record_id = self._bin.pop(self.chance.randrange(len(self._bin)))
        self._ids[name].append(record_id)
        return {"op": "undelete", "object": name, "id": record_id}

    def _fields(self, name: str) -> dict[str, Any]:
        chance, parent = self.chance, None
        if name in _PARENTS:
            ids = self._ids[_PARENTS[name][1]]
            parent = chance.choice([*ids, None]) if ids else None
        some: dict[str, dict[str, Any]] = {
            "Account": {"Name": chance.choice("ABC"), "BillingCountry": chance.choice(["DE", "FR", None])},
            "Opportunity": {"Amount": chance.choice([None, 0.1, 1e6, 12.34]), "IsWon": chance.random() < 0.5},
            "Contract": {"Status": chance.choice(["Draft", "Activated"]), "Cap__c": chance.choice([None, 1, 99.5])},
            "ContractRate__c": {"Role__c": "Engineer", "Rate__c": chance.choice([90, 100.5]),
                                "EffectiveFrom__c": "2026-01-01"},
            "ContractAmendment__c": {"Status__c": chance.choice(["Draft", "Approved"])},
            "AmendmentRate__c": {"Role__c": "*", "Rate__c": chance.choice([90, 100.5]),
                                 "EffectiveFrom__c": "2026-02-01"},
        }  # fmt: skip
        return some[name] | ({_PARENTS[name][0]: parent} if name in _PARENTS else {})


_NEW = {"Account": "001", "Opportunity": "006", "Contract": "800", "ContractRate__c": "a01",
        "ContractAmendment__c": "a02", "AmendmentRate__c": "a03"}  # fmt: skip
_PARENTS = {"ContractRate__c": ("Contract__c", "Contract"), "ContractAmendment__c": ("Contract__c", "Contract"),
            "AmendmentRate__c": ("ContractAmendment__c", "ContractAmendment__c")}  # fmt: skip
