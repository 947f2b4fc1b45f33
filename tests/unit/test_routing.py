"""Which ERP books what: the file, the rule, and the ledger that decides with each trigger and remembers it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.lined_yaml import UnusableFile
from schemas.registry import Manifest
from streams.domain.calendar import instant
from streams.domain.posting import posting_id_of
from streams.domain.routes import Decision, Routes
from streams.routes import load_routes
from streams.rules.routing import decide
from streams.simulator import Simulator
from streams.step import Record
from streams.topics import EXCEPTIONS, POSTINGS, TRIGGERS
from streams.topology import topology
from tests.support.feed import Feed, firm
from tests.support.streams import Stores, reader, record_of, rulebook

pytestmark = pytest.mark.unit


class Service:
    """The topology with routes, over stores that outlive it."""

    def __init__(self, feed: Feed, **routes: Any) -> None:
        self._feed = feed
        self._read = 0
        self._stores = Stores()
        self.start(**routes)

    def start(self, **routes: Any) -> None:
        """Begin again, perhaps with other routes; without any the topology has none, as one from before there were."""
        self.told: list[Record] = []
        known = Routes.model_validate({"version": 1, **routes}) if routes != {"none": True} else None
        steps = topology(rulebook(), reader(), routes=known)
        self._simulator = Simulator(steps, self.told.append, store=self._stores.begin())
        self._simulator.now = instant(datetime(2026, 3, 1, tzinfo=UTC))

    def later(self, by: timedelta) -> None:
        """Let time pass."""
        self._simulator.now += by // timedelta(milliseconds=1)

    def go_on(self) -> list[tuple[str, str, str]]:
        """Take in what the feed has more; return the intents: (system, amount, what it is of)."""
        del self.told[:]
        for offset, content in enumerate(self._feed.records[self._read :], self._read):
            record = record_of(content, offset)
            self._simulator.feed_to("intake", record._replace(value=reader().read(record)))
            self._simulator.settle()
        self._read = len(self._feed.records)
        self._simulator.flush()
        return [
            (record.value["system"], f"{record.value['amount']:f}", record.value["source_id"])
            for record in self.told
            if record.topic == POSTINGS
        ]

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [record.value for record in self.told if record.topic == topic]


def test_an_intent_carries_all_that_an_erp_needs_and_fits_its_contract() -> None:
    feed = firm()
    feed.entry("T1", hours="2")
    service = Service(feed, go_live="2026-01-01")
    assert service.go_on() == [("netsuite", "200.00", "T1")]
    [intent], [trigger] = service.of(POSTINGS), service.of(TRIGGERS)
    trigger_id = trigger["trigger_id"]
    assert Codec(Manifest()).decode(POSTINGS, Codec(Manifest()).encode(POSTINGS, intent)) == {
        "posting_id": posting_id_of("netsuite", trigger_id), "trigger_id": trigger_id, "system": "netsuite",
        "systems": ["netsuite"], "because": "the legal entity's own ERP", "kind": "time",
        "revision": 0, "reverses": None, "contract_number": "C1", "project_id": "P1", "erp_project_number": None,
        "client_id": "A1", "legal_entity": "LE1", "erp_customer_id": "CU1", "source_kind": "time_entry",
        "source_id": "T1", "service_date": date(2026, 2, 3), "service_period": "2026-02",
        "posting_period": "2026-02", "quantity": Decimal("2.0000"), "rate": Decimal("100.00000000"),
        "amount": Decimal("200.0000"), "currency": "EUR", "tax_code": "VAT-1",
        "billing_code": trigger["billing_code"], "po_number": None, "created_at": trigger["emitted_at"],
    }  # fmt: skip


def test_a_correction_goes_where_the_original_went_though_routes_and_books_have_moved() -> None:
    feed = firm()
    feed.entry("T1", hours="2")
    service = Service(feed)
    assert service.go_on() == [("netsuite", "200.00", "T1")]
    service.start(waves=[{"name": "all", "system": "s4"}])
    feed.put("erp.LegalEntity", Id="LE1", ErpSystem="oracle")
    feed.entry("T1", hours="3")
    feed.entry("T2", hours="1")
    assert service.go_on() == [
        ("netsuite", "-200.00", "T1"), ("netsuite", "300.00", "T1"), ("s4", "100.00", "T2"),
    ]  # fmt: skip
    assert [intent["because"] for intent in service.of(POSTINGS)] == [
        "like what it reverses", "like what was billed of the item before", "wave all",
    ]  # fmt: skip


def test_what_is_taken_back_and_billed_much_later_goes_where_it_was() -> None:
    feed = firm()
    feed.entry("T1", hours="2")
    service = Service(feed)
    service.go_on()
    feed.entry("T1", hours="2", status="Submitted")
    assert service.go_on() == [("netsuite", "-200.00", "T1")]
    service.start(waves=[{"name": "all", "system": "s4"}])
    feed.entry("T1", hours="2", status="Approved")
    assert service.go_on() == [("netsuite", "200.00", "T1")]


def test_another_legal_entity_bills_through_its_own_erp() -> None:
    feed = firm()
    feed.put("erp.LegalEntity", Id="LE2", ErpSystem="oracle")
    feed.put("erp.Customer", Id="CU2", LegalEntity="LE2")
    feed.entry("T1", hours="2")
    service = Service(feed)
    service.go_on()
    feed.put("crm.Contract", ContractNumber="C1", LegalEntity="LE2")
    feed.put("erp.Project", ProjectId="P1", LegalEntity="LE2")
    feed.entry("T1", hours="3")
    assert service.go_on() == [("netsuite", "-200.00", "T1"), ("oracle", "300.00", "T1")]


def test_what_was_billed_without_us_is_corrected_without_us_though_the_first_day_moved() -> None:
    feed = firm()
    feed.entry("T1", hours="2", work_date="2026-01-30")
    feed.entry("T2", hours="1", work_date="2026-02-03")
    service = Service(feed, go_live="2026-02-01")
    assert service.go_on() == [("netsuite", "100.00", "T2")]
    service.start()
    feed.entry("T1", hours="3", work_date="2026-01-30")
    feed.entry("T1", hours="3", work_date="2026-02-04")  # it moves into what is posted: those who billed it move it
    assert service.go_on() == []
    feed.entry("T2", hours="1", work_date="2026-01-31")  # and what was posted is corrected where it was
    assert service.go_on() == [("netsuite", "-100.00", "T2"), ("netsuite", "100.00", "T2")]


def test_what_nobody_bills_is_told_until_it_is_taken_back() -> None:
    """Approved when those who billed its day did so no more."""
    feed = firm()
    feed.entry("T1", work_date="2026-01-30", approved_at="2026-01-31T23:59:59Z")
    feed.entry("T2", work_date="2026-01-30", approved_at="2026-02-01T00:00:00Z")
    service = Service(feed, go_live="2026-02-01")
    assert service.go_on() == []
    [opened] = [each for each in service.of(EXCEPTIONS) if each["kind"] == "unroutable"]
    assert (opened["entity_id"], opened["state"], opened["reasons"]) == ("T2", "open", ["before_go_live"])
    feed.entry("T2", work_date="2026-01-30", approved_at="2026-02-01T00:00:00Z", hours="4")
    service.go_on()
    assert [each for each in service.of(EXCEPTIONS) if each["kind"] == "unroutable"] == []
    feed.delete("psa.public.time_entries", "T2")
    service.go_on()
    [closed] = [each for each in service.of(EXCEPTIONS) if each["kind"] == "unroutable"]
    assert (closed["exception_id"], closed["state"]) == (opened["exception_id"], "resolved")
    feed.entry("T2", work_date="2026-01-30", approved_at="2026-02-09T00:00:00Z")
    service.go_on()
    [again] = [each for each in service.of(EXCEPTIONS) if each["kind"] == "unroutable"]
    assert (again["exception_id"], again["state"]) == (opened["exception_id"], "open")


@pytest.mark.parametrize(("held_for", "told"), [(timedelta(hours=23), []), (timedelta(hours=24), ["T1"])])
def test_what_was_held_until_nobody_billed_its_day_is_told_and_not_what_a_load_held(
    held_for: timedelta, told: list[str]
) -> None:
    feed = firm()
    feed.put("erp.Customer", Id="CU1", Status="Inactive")
    feed.entry("T1", hours="2", work_date="2026-01-30")
    service = Service(feed, go_live="2026-02-10")
    assert service.go_on() == []
    service.later(held_for)
    feed.put("erp.Customer", Id="CU1", Status="Active")
    assert service.go_on() == []
    left = [each for each in service.of(EXCEPTIONS) if each["kind"] == "unroutable"]
    assert [(each["entity_id"], each["state"]) for each in left] == [(identity, "open") for identity in told]


def test_a_dual_run_is_an_intent_for_each_erp_and_so_is_its_correction() -> None:
    feed = firm()
    feed.entry("T1", hours="2")
    service = Service(feed, waves=[{"name": "pilot", "system": "s4", "dual_run": True}])
    assert service.go_on() == [("netsuite", "200.00", "T1"), ("s4", "200.00", "T1")]
    assert [intent["systems"] for intent in service.of(POSTINGS)] == [("netsuite", "s4")] * 2
    service.start()
    feed.entry("T1", hours="1")
    assert service.go_on() == [
        ("netsuite", "-200.00", "T1"), ("s4", "-200.00", "T1"), ("netsuite", "100.00", "T1"), ("s4", "100.00", "T1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "routes", [{}, {"waves": [{"name": "all", "system": "s4"}]}, {"go_live": "2026-02-20"}], ids=str
)
def test_what_was_billed_before_there_were_routes_is_corrected_where_it_went(routes: dict[str, Any]) -> None:
    feed = firm()
    feed.entry("T1", hours="2")
    service = Service(feed, none=True)
    assert service.go_on() == []
    service.start(**routes)
    feed.entry("T1", hours="1")
    assert service.go_on() == [("netsuite", "-200.00", "T1"), ("netsuite", "100.00", "T1")]


def test_a_file_run_has_no_erp() -> None:
    feed = firm()
    feed.entry("T1", hours="2")
    service = Service(feed, none=True)
    service.go_on()
    assert len(service.of(TRIGGERS)) == 1
    assert POSTINGS not in {topic for step in topology(rulebook(), reader()) for topic in step.writes}


GO_LIVE = "service before 2026-01-01"
WAVES = Routes.model_validate(
    {
        "version": 1,
        "go_live": "2026-01-01",
        "legal_entities": {"DE01": {"go_live": "2026-04-01"}},
        "waves": [
            {"name": "pilot", "system": "s4", "legal_entities": ["US01"], "clients": ["A1"]},
            {"name": "us", "system": "s4", "legal_entities": ["US01"], "service_from": "2026-03-01"},
            {"name": "fair", "system": "oracle", "service_from": "2026-05-04", "service_to": "2026-05-05"},
        ],
    }
)
HOME = (("home",), "the legal entity's own ERP")


@pytest.mark.parametrize(
    ("legal_entity", "client", "day", "systems", "because"),
    [
        ("US01", "A1", "2026-02-01", ("s4",), "wave pilot"),
        ("US01", "A2", "2026-02-28", *HOME),
        ("US01", "A2", "2026-03-01", ("s4",), "wave us"),
        ("US01", "A1", "2025-12-31", (), GO_LIVE),
        ("DE01", "A1", "2026-03-31", (), "service before 2026-04-01"),
        ("DE01", "A1", "2026-04-01", *HOME),
        ("FR01", "A1", "2026-05-03", *HOME),
        ("FR01", "A1", "2026-05-04", ("oracle",), "wave fair"),
        ("FR01", "A1", "2026-05-05", ("oracle",), "wave fair"),
        ("FR01", "A1", "2026-05-06", *HOME),
        ("US01", "A2", "2026-05-04", ("s4",), "wave us"),
    ],
)
def test_the_first_wave_that_fits_counts(
    legal_entity: str, client: str, day: str, systems: tuple[str, ...], because: str
) -> None:
    decision = decide(WAVES, "home", None, legal_entity, client, date.fromisoformat(day))
    assert decision == Decision(legal_entity, systems, because)


def test_the_routing_shipped_posts_everything_to_the_erp_of_each_legal_entity() -> None:
    assert load_routes() == Routes(version=1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("version: 1\ngo_live: soon\n", ":2: go_live"),
        ("version: 2\n", ":1: version"),
        ("version: 1\ngo_live: 0\n", "0 is no date: write it as 2026-01-31"),
        ("version: 1\ngo_live: '1767225600'\n", "1767225600 is no date: write it as 2026-01-31"),
        ("version: true\n", "it is a number: write it as 1"),
        ("version: 1\nfreezes:\n- {name: a, begins: 1767225600, ends: 1767235600}\n", "is no instant: write it as"),
        ("version: 1\nfreezes:\n- {name: a, begins: '1', ends: '1767235600.5'}\n", "is no instant: write it as"),
        ("version: 1\nwaves:\n- {name: a, system: ' S4'}\n", ":3: waves.0.system"),
        ("version: 1\nwaves:\n- {name: a, system: s4, clients: []}\n", ":3: waves.0.clients"),
        ("version: 1\nwaves:\n- {name: a, system: s4, legal_entities: ['US01 ']}\n", ":3: waves.0.legal_entities"),
        (
            "version: 1\nfreezes:\n- {name: a, begins: 2026-02-01T00:00:00Z, ends: 2026-01-31T00:00:00Z}\n",
            "before it begins",
        ),
        ("version: 1\nfreezes:\n- {name: a, begins: 2026-02-01T00:00:00, ends: 2026-03-01T00:00:00Z}\n", "begins"),
        ("version: 1\nwaves:\n- {name: a, system: s4}\n- {name: a, system: s5}\n", "two waves of the name a"),
        (
            "version: 1\nwaves:\n- {name: a, system: s4, service_from: 2026-02-01, service_to: 2026-01-01}\n",
            "service_to 2026-01-01 is before service_from 2026-02-01",
        ),
        ("version: 1\nwave: []\n", ":2: wave"),
    ],
)
def test_a_slip_in_the_file_is_told_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnusableFile) as error:
        load_routes(path)
    assert fault in str(error.value)
