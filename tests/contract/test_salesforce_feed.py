"""The Salesforce feed over a simulated organisation: exactly these landings and no others."""

import pytest

from connect.feeds.contract import Batch
from tests.contract.feeds.salesforce_bench import Feed, Org, created, updated

RATE = {"Role__c": "Engineer", "Rate__c": 100, "EffectiveFrom__c": "2026-01-01"}


@pytest.fixture
def feed(salesforce_feed: Feed) -> Feed:
    return salesforce_feed


def account(org: Org, name: str = "Acme") -> str:
    return org.create("Account", Name=name, Status__c="Active", BillingCountry="DE")


def contract(org: Org, number: str = "C1", **fields: object) -> str:
    return org.create("Contract", ContractNumber=number, Status="Draft", CurrencyIsoCode="EUR", **fields)


def amendment(org: Org, of: str, **fields: object) -> str:
    return org.create("ContractAmendment__c", Contract__c=of, Status__c="Draft", **fields)


class TestEvents:
    def test_rows_of_a_first_reading_are_read_and_those_that_come_later_created(self, org: Org, feed: Feed) -> None:
        first = account(org)
        assert feed.run() == [("Account", first, "r")]
        second = account(org, "Umbrella")
        assert feed.run() == [("Account", second, "c")]
        assert feed.landing.rows == org.rows()

    def test_a_row_has_its_fields_by_their_names_and_kinds(self, org: Org, feed: Feed) -> None:
        number = contract(
            org, Value__c=1250.5, ExpenseMarkup__c=12.5, StartDate="2026-01-01", RequiresAcceptance__c=True,
            OverageRate__c=1e-7, IncludedHours__c=0.1 + 0.2,
        )  # fmt: skip
        org.create("ContractRate__c", Contract__c=number, **RATE)
        feed.run()
        row = {
            "ContractNumber": "C1", "AccountId": None, "OpportunityId": None, "Status": "Draft", "BillingType": None,
            "CurrencyIsoCode": "EUR", "Value": "1250.5", "Cap": None, "PeriodicFee": None, "IncludedHours": "0.3",
            "OverageRate": "0.0000001", "ExpensePolicy": None, "ExpenseMarkup": "0.125", "RequiresAcceptance": True,
            "PoNumber": None, "PoRequired": None, "LegalEntity": None, "StartDate": "2026-01-01", "EndDate": None,
            "Rates": [{"Role": "Engineer", "Rate": "100", "EffectiveFrom": "2026-01-01"}],
            "LastModifiedDate": "2026-01-05T10:00:01Z",
        }  # fmt: skip
        assert feed.landing.rows == {("crm.Contract", "C1"): row}
        org.create("Contract", ContractNumber="C2", Status="Draft", CurrencyIsoCode="EUR", Value__c=1250.5,
                   ExpenseMarkup__c=12.5, StartDate="2026-01-01", RequiresAcceptance__c=True, OverageRate__c=1e-7,
                   IncludedHours__c=0.1 + 0.2)  # fmt: skip
        assert feed.run() == [("Contract", "C2", "c")]
        other = row | {"ContractNumber": "C2", "Rates": [], "LastModifiedDate": "2026-01-05T10:00:03Z"}
        assert feed.landing.rows["crm.Contract", "C2"] == other

    def test_an_update_has_the_whole_row_before_and_after(self, org: Org, feed: Feed) -> None:
        first = account(org)
        feed.run()
        org.update("Account", first, Name="Acme Ltd", Status__c=None)
        org.update("Account", first, BillingCity="Berlin")
        org.update("Account", first, BillingCountry=None)
        assert feed.run() == [("Account", first, "u")] * 3
        assert feed.landing.rows == org.rows()
        assert feed.landing.rows["crm.Account", first]["BillingCountry"] is None

    def test_events_are_read_by_query_only_where_they_must_be(self, org: Org, feed: Feed) -> None:
        first = account(org)
        feed.run()
        calls = len(org.seen()["calls"])
        org.update("Account", first, Name="Acme Ltd")
        second = account(org, "Umbrella")
        org.delete("Account", second)
        assert feed.run() == [("Account", first, "u"), ("Account", second, "c"), ("Account", second, "d")]
        assert len(org.seen()["calls"]) == calls

    def test_a_deletion_has_the_row_before_and_an_undeletion_brings_it_back(self, org: Org, feed: Feed) -> None:
        number = contract(org)
        org.create("ContractRate__c", Contract__c=number, **RATE)
        feed.run()
        org.delete("Contract", number)
        assert feed.run() == [("Contract", "C1", "d")]
        assert feed.landing.rows == {}
        org.commit({"op": "undelete", "object": "Contract", "id": number})
        assert feed.run() == [("Contract", "C1", "c")]
        assert feed.landing.rows == org.rows()

    def test_a_merged_event_changes_every_record_it_names(self, org: Org, feed: Feed) -> None:
        ids = [account(org, name) for name in "ABC"]
        feed.run()
        org.commit(*(updated("Account", each, Status__c="Closed") for each in ids), merge=True)
        assert feed.run() == [("Account", each, "u") for each in ids]
        assert feed.landing.rows == org.rows()

    def test_an_update_of_other_fields_than_ours_lands_when_it_was_changed(self, org: Org, feed: Feed) -> None:
        first = account(org)
        feed.run()
        org.update("Account", first, Phone="0123")
        assert feed.run() == [("Account", first, "u")]
        assert feed.landing.rows == org.rows()

    def test_objects_that_are_not_read_land_nothing_and_the_stream_goes_on(self, org: Org, feed: Feed) -> None:
        feed.run()
        stands = feed.landing.memory["stream"]
        org.create("Contact", LastName="Doe")
        assert feed.run() == []
        assert feed.landing.memory["stream"] != stands

    def test_a_text_that_comes_as_a_difference_is_read(self, org: Org, feed: Feed) -> None:
        number = contract(org, PoNumber__c="PO-1")
        feed.run()
        org.commit(updated("Contract", number, PoNumber__c="PO-2"), diffs=["PoNumber__c"])
        assert feed.run() == [("Contract", "C1", "u")]
        assert feed.landing.rows == org.rows()

    def test_more_events_than_may_be_asked_for_at_once(self, org: Org, feed: Feed) -> None:
        feed.run()
        org.order("settings", events_max=30)
        ids = org.commit(*(created("Account", Name=f"A{number}") for number in range(230)))
        assert feed.run() == [("Account", each, "c") for each in ids]

    def test_a_sign_of_life_is_a_batch_and_remembers_how_far_the_stream_was_read(self, feed: Feed) -> None:
        with feed.opened() as batches:
            feed.landing.land_all(batches)
            assert next(batches) == Batch(alive=True)


class TestConstants:
    @pytest.mark.parametrize("mode", ["pubsub", "polling"])
    def test_what_salesforce_does_not_have_is_given_by_the_configuration(self, org: Org, feed: Feed, mode: str) -> None:
        fields = "Status='Active',BillingCountry=Phone"
        first = account(org)
        feed.run(mode=mode, account__fields=fields)
        second = account(org, "Umbrella")
        assert feed.run(mode=mode, account__fields=fields) == [("Account", second, "c")]
        assert [feed.landing.rows["crm.Account", each]["Status"] for each in (first, second)] == ["Active", "Active"]


class TestListsAndKeys:
    def test_child_records_change_the_row_of_their_parent(self, org: Org, feed: Feed) -> None:
        number = contract(org)
        feed.run()
        rate = org.create("ContractRate__c", Contract__c=number, **RATE)
        assert feed.run() == [("Contract", "C1", "u")]
        org.update("ContractRate__c", rate, Rate__c=110)
        assert feed.run() == [("Contract", "C1", "u")]
        assert feed.landing.rows == org.rows()
        org.delete("ContractRate__c", rate)
        assert feed.run() == [("Contract", "C1", "u")]
        assert feed.landing.rows["crm.Contract", "C1"]["Rates"] == []

    def test_a_record_that_comes_with_its_child_records_lands_once(self, org: Org, feed: Feed) -> None:
        feed.run()
        org.commit(
            created("Contract", id="800000000000099AAA", ContractNumber="C9", CurrencyIsoCode="EUR"),
            *(created("ContractRate__c", Contract__c="800000000000099AAA", **RATE) for _ in range(5)),
        )
        assert feed.run() == [("Contract", "C9", "c")]
        assert feed.landing.rows == org.rows()

    def test_a_child_record_that_moves_changes_both_parents(self, org: Org, feed: Feed) -> None:
        first, second = contract(org), contract(org, "C2")
        rate = org.create("ContractRate__c", Contract__c=first, **RATE)
        feed.run()
        org.update("ContractRate__c", rate, Contract__c=second)
        assert sorted(feed.run()) == [("Contract", "C1", "u"), ("Contract", "C2", "u")]
        assert feed.landing.rows == org.rows()

    def test_child_records_may_be_more_than_an_answer_holds(self, org: Org, feed: Feed) -> None:
        number = contract(org)
        for _ in range(5):
            org.create("ContractRate__c", Contract__c=number, **RATE)
        org.order("settings", child_rows=2)
        assert feed.run() == [("Contract", "C1", "r")]
        assert feed.landing.rows == org.rows()

    def test_an_amendment_that_moves_to_another_contract_leaves_the_first(self, org: Org, feed: Feed) -> None:
        first, second = contract(org), contract(org, "C2")
        moved = amendment(org, first)
        feed.run()
        org.update("ContractAmendment__c", moved, Contract__c=second)
        assert feed.run() == [("ContractAmendment", "C1", "d"), ("ContractAmendment", "C2", "c")]
        assert feed.landing.rows == org.rows()

    @pytest.mark.parametrize("mode", ["pubsub", "polling"])
    def test_a_contract_that_is_renumbered_takes_its_amendments_along(self, org: Org, feed: Feed, mode: str) -> None:
        number = contract(org)
        amendment(org, number)
        feed.run(mode=mode)
        org.update("Contract", number, ContractNumber="C1-A")
        assert feed.run(mode=mode) == [
            ("Contract", "C1", "d"), ("Contract", "C1-A", "c"),
            ("ContractAmendment", "C1", "d"), ("ContractAmendment", "C1-A", "c"),
        ]  # fmt: skip
        assert feed.landing.rows == org.rows()

    @pytest.mark.parametrize("mode", ["pubsub", "polling"])
    def test_a_number_that_another_contract_takes_over_in_the_same_second(
        self, org: Org, feed: Feed, mode: str
    ) -> None:
        number = contract(org)
        feed.run(mode=mode)
        org.commit(updated("Contract", number, ContractNumber="C2"), advance_ms=1_000)
        org.commit(created("Contract", id="800000000000000AAA", ContractNumber="C1"), advance_ms=100)
        feed.run(mode=mode)
        assert feed.landing.rows == org.rows()
        assert {key for _, key in feed.landing.rows} == {"C1", "C2"}

    def test_an_amendment_without_a_contract_is_refused_once_and_lands_when_it_has_one(
        self, org: Org, feed: Feed
    ) -> None:
        number = contract(org)
        lost = org.create("ContractAmendment__c", Status__c="Draft")
        assert feed.run() == [("Contract", "C1", "r")]
        feed.run()
        rejects = [reject for batch in feed.landing.batches for reject in batch.rejects]
        assert [(reject.topic, reject.place) for reject in rejects] == [
            ("crm.ContractAmendment", f"ContractAmendment__c {lost}")
        ]
        assert "ContractNumber is empty" in rejects[0].message
        org.update("ContractAmendment__c", lost, Contract__c=number)
        assert feed.run() == [("ContractAmendment", "C1", "c")]
        assert feed.landing.rows == org.rows()


class TestGaps:
    def test_events_that_say_only_that_something_changed(self, org: Org, feed: Feed) -> None:
        first, second = account(org), account(org, "Umbrella")
        feed.run()
        org.commit(updated("Account", first, Name="Acme Ltd"), gap=True)
        org.commit({"op": "delete", "object": "Account", "id": second}, gap=True)
        third = org.commit(created("Account", Name="Third"), gap=True)[0]
        assert sorted(feed.run()) == [("Account", first, "u"), ("Account", second, "d"), ("Account", third, "c")]
        org.commit({"op": "undelete", "object": "Account", "id": second}, gap=True)
        assert feed.run() == [("Account", second, "c")]
        assert feed.landing.rows == org.rows()
        assert feed.landing.gaps() == []

    def test_gap_events_of_child_records(self, org: Org, feed: Feed) -> None:
        number = contract(org)
        feed.run()
        rate = org.commit(created("ContractRate__c", Contract__c=number, **RATE), gap=True)[0]
        assert feed.run() == [("Contract", "C1", "u")]
        org.commit({"op": "delete", "object": "ContractRate__c", "id": rate}, gap=True)
        assert feed.run() == [("Contract", "C1", "u")]
        assert feed.landing.rows == org.rows()

    def test_more_changes_at_once_than_there_are_events_for(self, org: Org, feed: Feed) -> None:
        ids = [account(org, name) for name in "ABCD"]
        feed.run()
        org.update("Account", ids[0], Name="before")
        org.commit(
            *(updated("Account", each, Name="at once") for each in ids[:3]),
            {"op": "delete", "object": "Account", "id": ids[3]}, overflow=True,
        )  # fmt: skip
        org.update("Account", ids[1], Name="after")
        feed.run()
        assert feed.landing.rows == org.rows()
        assert feed.landing.gaps() == ["Account: too many changes at once for events: closed by reading them"]

    def test_an_event_that_cannot_be_read(self, org: Org, feed: Feed) -> None:
        first = account(org)
        feed.run()
        org.update("Account", first, Name="Acme Ltd")
        org.order("spoil")
        assert feed.run() == [("Account", first, "u")]
        assert feed.landing.rows == org.rows()
        assert len(feed.landing.gaps()) == 1

    def test_events_that_are_no_longer_kept(self, org: Org, feed: Feed) -> None:
        first, second, third = (account(org, name) for name in "ABC")
        feed.run()
        org.update("Account", first, Name="missed")
        org.delete("Account", second)
        org.commit({"op": "delete", "object": "Account", "id": third})
        org.commit({"op": "purge", "object": "Account", "id": third})
        org.order("expire_replay")
        assert sorted(feed.run()) == [("Account", first, "u"), ("Account", second, "d"), ("Account", third, "d")]
        assert feed.landing.rows == org.rows()
        (gap,) = feed.landing.gaps()
        assert gap.endswith("are no longer kept: closed by reading what changed since")
        assert org.seen()["subscribed"][-1] is None

    def test_most_records_at_once_are_not_deleted_until_that_is_allowed(self, org: Org, feed: Feed) -> None:
        accounts = [account(org, name) for name in "ABCDE"]
        feed.run()
        for gone in accounts[:3]:
            org.commit({"op": "delete", "object": "Account", "id": gone})
            org.commit({"op": "purge", "object": "Account", "id": gone})
        org.order("expire_replay")
        assert feed.run() == []
        assert len(feed.landing.rows) == 5
        gap = "Account: 3 of 5 rows are not there any more, which is more than 50 %: none of them is deleted"
        assert [said for said in feed.landing.gaps() if said.startswith(gap)] != []
        assert sorted(feed.run(gone__percent__max="100")) == [("Account", gone, "d") for gone in sorted(accounts[:3])]
        assert feed.landing.rows == org.rows()

    def test_what_no_event_told_of_is_found_by_reading_now_and_then(self, org: Org, feed: Feed) -> None:
        (first,) = [account(org)]
        feed.run()
        org.commit(updated("Account", first, Name="unheard of"), silent=True)
        with feed.opened(recheck__interval__ms="3600000") as batches:
            feed.landing.land(next(batches))
            assert feed.landing.taken() == []
            feed.now_ms += 3_600_000
            while not feed.landing.changes:
                feed.landing.land(next(batches))
        assert feed.landing.taken() == [("Account", first, "u")]
        assert feed.landing.gaps() == [
            "crm.Account: 1 changes that no event told of: closed by reading them; "
            "look whether the object is selected for change events"
        ]
        assert feed.landing.rows == org.rows()
        assert feed.run() == []

    def test_what_changes_while_a_gap_is_closed_is_not_missed(self, org: Org, feed: Feed) -> None:
        first = account(org)
        feed.run()
        org.update("Account", first, Name="missed")
        org.order("expire_replay")
        org.order("settings", keepalive_s=0.5)
        with feed.opened() as batches:
            for batch in batches:
                feed.landing.land(batch)
                if batch.gaps:
                    break
            org.order("drop")
        org.update("Account", first, Name="while nobody looked")
        feed.run()
        assert feed.landing.rows == org.rows()
