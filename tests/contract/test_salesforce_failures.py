"""The Salesforce feed when something fails: the network, tokens, limits, schemas, or the feed itself at any moment."""

import threading

import pytest

from connect.configuration import UnusableConfiguration
from connect.feeds.contract import Fatal, Retriable
from tests.contract.feeds.salesforce_bench import Crashed, Feed, Org, created, left_running, updated

RATE = {"Role__c": "Engineer", "Rate__c": 100, "EffectiveFrom__c": "2026-01-01"}
MODES = pytest.mark.parametrize("mode", ["pubsub", "polling"])


@pytest.fixture
def feed(salesforce_feed: Feed) -> Feed:
    return salesforce_feed


def accounts(org: Org, *names: str) -> list[str]:
    return org.commit(*(created("Account", Name=name) for name in names))


class TestNetwork:
    @pytest.mark.parametrize(
        ("fault", "wait_ms"),
        [
            ({"status": 429, "retry_after": 7}, 7_000),
            ({"status": 503}, None),
            ({"status": 500, "code": "UNKNOWN_EXCEPTION"}, None),
            ({"kind": "cut"}, None),
        ],
    )
    def test_an_answer_that_fails_is_asked_for_again_later(
        self, org: Org, feed: Feed, fault: dict[str, object], wait_ms: int | None
    ) -> None:
        ids = accounts(org, "A", "B", "C")
        org.order("settings", rows=1)
        with feed.opened() as batches:
            feed.landing.land(next(batches))
            org.order("fault", match="/queryAll", times=1, **fault)
            with pytest.raises(Retriable) as failed:
                feed.landing.land_all(batches)
        assert failed.value.retry_after_ms == wait_ms
        feed.run()
        assert sorted(key for _, key in feed.landing.rows) == sorted(ids)
        assert feed.landing.rows == org.rows()

    def test_a_stream_that_is_cut_goes_on_where_it_was(self, org: Org, feed: Feed) -> None:
        (first,) = accounts(org, "A")
        feed.run()
        with feed.opened() as batches:
            feed.landing.land(next(batches))
            org.order("drop")
            with pytest.raises(Retriable, match="UNAVAILABLE"):
                feed.landing.land_all(batches)
        org.update("Account", first, Name="B")
        assert feed.run() == [("Account", first, "u")]

    def test_events_that_come_twice_land_once(self, org: Org, feed: Feed) -> None:
        (first,) = accounts(org, "A")
        feed.run()
        org.order("settings", whole_seconds=True)
        org.create("Contact", LastName="a second later")
        for name in "BCD":
            org.commit(updated("Account", first, Name=name), advance_ms=200)
        assert feed.run() == [("Account", first, "u")] * 3
        org.order("settings", repeated=3)
        org.commit(updated("Account", first, Name="E"), advance_ms=200)
        assert feed.run() == [("Account", first, "u")]
        assert feed.landing.rows == org.rows()

    def test_a_silent_stream_is_opened_anew(self, org: Org, feed: Feed) -> None:
        feed.run()
        org.order("settings", keepalive_s=60)
        with (
            feed.opened(silence__ms="1000") as batches,
            pytest.raises(Retriable, match="said nothing for 1 s"),
        ):
            next(batches)

    def test_nothing_is_left_running(self, org: Org, feed: Feed) -> None:
        before = set(threading.enumerate())
        feed.run()
        org.order("settings", keepalive_s=60)
        with feed.opened():
            pass
        assert left_running(before) == []

    def test_a_stop_ends_a_stream_on_which_nothing_happens(self, org: Org, feed: Feed) -> None:
        feed.run()
        org.order("settings", keepalive_s=60)
        stop = threading.Event()
        source = feed.source(stop)
        reading = threading.Thread(target=lambda: list(source.batches(feed.landing.memory, stop)))
        reading.start()
        stop.set()
        reading.join(10)
        source.close()
        assert not reading.is_alive()


class TestTokens:
    @MODES
    def test_a_token_that_ends_is_renewed_once(self, org: Org, feed: Feed, mode: str) -> None:
        ids = accounts(org, "A", "B", "C")
        org.order("settings", rows=1)
        with feed.opened(mode=mode) as batches:
            feed.landing.land(next(batches))
            org.order("expire_tokens")
            feed.landing.land_all(batches)
        assert feed.landing.taken() == [("Account", each, "r") for each in ids]
        assert org.seen()["tokens"] == 2

    def test_a_token_that_ends_while_the_stream_is_opened(self, org: Org, feed: Feed) -> None:
        feed.run()
        (first,) = accounts(org, "A")
        with feed.opened() as batches:
            org.order("settings", keepalive_s=0.05)
            feed.landing.land(next(batches))
            org.order("expire_tokens")
            org.order("drop")
            with pytest.raises(Retriable):
                feed.landing.land_all(batches)
            org.update("Account", first, Name="B")
        assert feed.run() == [("Account", first, "u")]

    def test_client_credentials(self, org: Org, feed: Feed) -> None:
        ids = accounts(org, "A")
        landed = feed.run(auth="client_credentials", auth__client__secret="a-secret")
        assert landed == [("Account", each, "r") for each in ids]

    def test_credentials_that_are_refused_are_for_a_person(self, feed: Feed) -> None:
        with pytest.raises(Fatal, match="invalid_client"):
            feed.run(auth="client_credentials", auth__client__secret="another")


class TestLimits:
    def test_a_share_of_the_calls_of_the_day_is_left_to_others(self, org: Org, feed: Feed) -> None:
        accounts(org, "A")
        org.order("settings", used=11_998)
        with pytest.raises(Retriable, match=r"12000 of 15000 calls .*\(limit\.left\.to\.others\)") as failed:
            feed.run(mode="polling")
        assert failed.value.retry_after_ms == 900_000
        org.order("settings", used=0)
        feed.run(mode="polling")
        assert feed.landing.rows == org.rows()

    def test_a_limit_that_is_reached_means_a_long_wait(self, org: Org, feed: Feed) -> None:
        org.order("settings", used=15_000)
        with pytest.raises(Retriable, match="REQUEST_LIMIT_EXCEEDED") as failed:
            feed.run(mode="polling", limit__wait__ms="60000")
        assert failed.value.retry_after_ms == 60_000


class TestSchemas:
    @MODES
    def test_a_field_that_is_added_passes_unnoticed(self, org: Org, feed: Feed, mode: str) -> None:
        (first,) = accounts(org, "A")
        feed.run(mode=mode)
        org.order("retype", object="Account", field="Extra__c", type="number", value=None)
        org.update("Account", first, Name="B", Extra__c=3)
        assert feed.run(mode=mode) == [("Account", first, "u")]
        assert feed.landing.rows == org.rows()

    def test_a_schema_is_asked_for_once(self, org: Org, feed: Feed) -> None:
        feed.run()
        accounts(org, "A", "B")
        accounts(org, "C")
        feed.run()
        assert len(org.seen()["schemas"]) == 1

    @MODES
    def test_a_field_of_ours_that_is_dropped_stops_the_feed_until_it_is_back(
        self, org: Org, feed: Feed, mode: str
    ) -> None:
        (first,) = accounts(org, "A")
        feed.run(mode=mode)
        org.order("retype", object="Account", field="Status__c", type=None)
        org.update("Account", first, Name="B")
        with pytest.raises(Fatal, match=r"Status__c.*[Bb]ring it back, or"):
            feed.run(mode=mode)
        org.order("retype", object="Account", field="Status__c", type="picklist", value=None)
        assert feed.run(mode=mode) == [("Account", first, "u")]
        assert feed.landing.rows == org.rows()

    @MODES
    def test_a_field_of_ours_of_another_type_stops_the_feed(self, org: Org, feed: Feed, mode: str) -> None:
        (first,) = accounts(org, "A")
        feed.run(mode=mode)
        org.order("retype", object="Account", field="Status__c", type="number", value=3)
        org.update("Account", first, Name="B")
        with pytest.raises(Fatal, match=r"Account\.Status__c was changed in Salesforce.* Status needs a text"):
            feed.run(mode=mode)

    def test_a_date_that_became_a_time_stops_the_feed(self, org: Org, feed: Feed) -> None:
        (deal,) = org.commit(created("Opportunity", Name="D", CloseDate="2026-01-31"))
        feed.run()
        org.order("retype", object="Opportunity", field="CloseDate", type="datetime", value=None)
        org.update("Opportunity", deal, Name="E")
        with pytest.raises(
            Fatal, match=r"Opportunity\.CloseDate was changed in Salesforce: it is long \(Data:DateTime"
        ):
            feed.run()

    def test_a_field_that_is_in_no_event_is_read(self, org: Org, feed: Feed) -> None:
        org.order("retype", object="Opportunity", field="IsWon", formula=True)
        (deal,) = org.commit(created("Opportunity", Name="D", IsWon=False))
        feed.run()
        org.update("Opportunity", deal, StageName="Closed Won", IsWon=True)
        assert feed.run() == [("Opportunity", deal, "u")]
        assert feed.landing.rows == org.rows()

    @MODES
    def test_a_field_that_is_configured_anew_is_read_for_all_rows(self, org: Org, feed: Feed, mode: str) -> None:
        first, second = org.commit(*(created("Account", Name=name, Phone="0123") for name in "AB"))
        feed.run(mode=mode, account__fields="Status=Status__c,BillingCountry=BillingCity")
        fields = "Status=Phone,BillingCountry=BillingCity"
        assert feed.run(mode=mode, account__fields=fields) == [("Account", first, "u"), ("Account", second, "u")]
        org.update("Account", first, Name="C")
        assert feed.run(mode=mode, account__fields=fields) == [("Account", first, "u")]
        assert [row["Status"] for row in feed.landing.rows.values()] == ["0123", "0123"]

    def test_a_channel_that_is_not_there_is_for_a_person(self, feed: Feed) -> None:
        with pytest.raises(Fatal, match=r"NOT_FOUND.*look at channel"):
            feed.run(channel="/data/Nowhere__chn")

    @pytest.mark.parametrize(
        ("key", "value", "said"),
        [
            ("contract__fields", "Valu=Value__c", "contract.fields: crm.Contract has no field Valu"),
            ("account__fields", "Id=Number__c", "account.fields: Id of crm.Account is the Id of the record"),
            ("contract__fields", "PoRequired='maybe'", "contract.fields: PoRequired is 'true' or 'false', not 'maybe'"),
            ("contract__rates__fields", "Rolle=Role__c", "contract.rates.fields: Rates has no field Rolle"),
            ("contract__fields", "Value", "contract.fields: 'Value' is no Ours=Theirs"),
            ("objects", "Account,Lead", "objects: 'Lead' cannot be read; Account, Opportunity"),
            ("auth", "basic", "auth"),
            ("pubsub__url", "http://example.com:7443", "pubsub.url"),
        ],
    )
    def test_settings_that_fit_nothing_are_named(self, feed: Feed, key: str, value: str, said: str) -> None:
        with pytest.raises(UnusableConfiguration, match=said):
            feed.configured(**{key: value})


class TestCrashes:
    @MODES
    def test_a_crash_before_any_batch_loses_and_doubles_nothing(self, org: Org, feed: Feed, mode: str) -> None:
        numbers = org.commit(*(created("Contract", ContractNumber=f"C{n}", CurrencyIsoCode="EUR") for n in range(5)))
        org.commit(*(created("ContractRate__c", Contract__c=each, **RATE) for each in numbers))
        accounts(org, "A", "B", "C")
        org.order("settings", rows=2, events_max=2)
        crashes = self.run_to_the_end(feed, mode)
        org.commit(*(updated("Contract", each, Status="Activated") for each in numbers))
        org.commit({"op": "delete", "object": "Contract", "id": numbers[0]}, created("Account", Name="D"))
        crashes += self.run_to_the_end(feed, mode)
        assert crashes > 8
        assert feed.landing.rows == org.rows()

    def run_to_the_end(self, feed: Feed, mode: str) -> int:
        """Crash before every batch once; return how often."""
        for crashes in range(100):
            feed.landing.crash_at = len(feed.landing.batches) + 1
            try:
                feed.run(mode=mode)
            except Crashed:
                continue
            feed.landing.crash_at = None
            return crashes
        raise AssertionError("it never came to an end")
