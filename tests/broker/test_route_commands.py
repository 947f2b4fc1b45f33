"""`throughline route`: the routing file shown, and triggers explained from what topics hold."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from schemas.codec import Codec
from schemas.registry import Manifest
from streams.cli import app
from streams.domain.posting import intent_of, posting_id_of
from streams.topics import POSTINGS, RECEIPTS, TRIGGERS

pytestmark = pytest.mark.broker

NOON = datetime(2026, 1, 16, 12, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)

ROUTING = """
version: 1
go_live: 2026-01-01
legal_entities:
  DE01: {go_live: 2026-04-01}
waves:
  - {name: "[/x] pilot", system: s4, legal_entities: [US01], clients: [A1, A2], service_from: 2026-07-01}
  - {name: rest, system: oracle, service_from: 2027-01-01, service_to: 2027-12-31, dual_run: true}
freezes:
  - {name: close, begins: 2026-01-31T18:00:00Z, ends: 2026-02-03T06:00:00+01:00, systems: [s4]}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(brokers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    file = tmp_path / "routing.yaml"
    file.write_text(ROUTING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THROUGHLINE_BROKERS", brokers)
    monkeypatch.setenv("THROUGHLINE_ROUTING_FILE", str(file))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, ["route", *words])


def trigger(name: str, day: date, reverses: str | None = None, legal_entity: str = "US01") -> dict[str, Any]:
    return {
        "trigger_id": name, "kind": "time", "revision": 0, "reverses": reverses, "contract_number": "C1",
        "contract_version": 0, "project_id": "P1", "client_id": "A1", "legal_entity": legal_entity,
        "erp_customer_id": "CU1", "source_kind": "time_entry", "source_id": "e1", "employee_id": "W1",
        "service_date": day, "service_period": f"{day:%Y-%m}", "posting_period": f"{day:%Y-%m}",
        "quantity": Decimal("1"), "rate": Decimal("100"), "amount": Decimal("-1.5") if reverses else Decimal("1.5"),
        "currency": "EUR", "tax_code": "TX", "billing_code": "B1", "po_number": None, "cause": None,
        "occurred_at": NOON, "emitted_at": NOON,
    }  # fmt: skip


def write(brokers: str, topic: str, values: Sequence[dict[str, Any]]) -> None:
    producer, codec = Producer({"bootstrap.servers": brokers}), Codec(Manifest())
    for number, value in enumerate(values):
        producer.produce(topic, codec.encode(topic, value), b"C1", number % 2)
    assert producer.flush(30) == 0


def lines(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def intent(trigger: dict[str, Any], system: str, because: str) -> dict[str, Any]:
    return {**intent_of(trigger, system, NOON_MS), "systems": [system], "because": because}


def receipt(trigger: dict[str, Any], system: str, status: str, document_id: str | None) -> dict[str, Any]:
    return {
        "trigger_id": trigger["trigger_id"], "posting_id": posting_id_of(system, trigger["trigger_id"]),
        "contract_number": "C1", "project_id": "P1", "system": system, "document_id": document_id, "status": status,
        "attempts": 2, "first_sent_at": NOON, "answered_at": NOON, "error": None,
    }  # fmt: skip


def test_a_trigger_is_explained_by_what_was_decided_and_answered_and_what_the_file_says_now(
    run: Run, brokers: str
) -> None:
    went, early = trigger("t1", date(2026, 7, 2)), trigger("t2", date(2025, 12, 31))
    reversal = trigger("t4", date(2026, 7, 2), "t1")
    went_to = intent(went, "netsuite", "the legal entity's own ERP")
    write(brokers, TRIGGERS, [went, early, reversal])
    write(brokers, POSTINGS, [went_to, intent(reversal, "netsuite", "like what it reverses")])
    write(brokers, RECEIPTS, [receipt(went, "netsuite", "posted", "INV-7")])

    assert lines(run("explain", "t1")) == [
        "trigger time 1.5000 EUR, service of 2026-07-02, contract C1, project P1",
        "billed by legal entity US01 to client A1",
        "decided netsuite, the legal entity's own ERP; 2026-01-16 12:00:00Z, posting " + went_to["posting_id"],
        "receipt posted (netsuite, 2026-01-16 12:00:00Z, attempts 2, document INV-7)",
        "routes now s4: wave [/x] pilot",
    ]
    assert lines(run("explain", "t2"))[2:] == [
        "decided not posted: no intent was written",
        "routes now not posted: service before 2026-01-01",
    ]
    assert lines(run("explain", "t4"))[-1] == (
        "routes now a reversal goes where its original went, whatever the routes"
    )
    unknown = run("explain", "t")
    assert (unknown.exit_code, unknown.stderr) == (1, "throughline: there is no trigger t in billing.triggers\n")


def test_a_missing_topic_is_named_with_what_to_do(run: Run) -> None:
    result = run("explain", "t1")
    assert result.exit_code == 2
    assert result.stderr == (
        "throughline: topic billing.triggers is not there; make it with `throughline topics apply`\n"
    )


def test_the_file_is_shown_as_workers_would_start_with_it(run: Run, tmp_path: Path) -> None:
    shown = run("check")
    assert shown.exit_code == 0
    assert lines(shown) == [
        f"{tmp_path}/routing.yaml: first day of service that is posted: 2026-01-01",
        "of DE01: 2026-04-01",
        "wave to legal entities clients service",
        "[/x] pilot s4 US01 A1, A2 from 2026-07-01",
        "rest oracle (dual run) all all from 2027-01-01 to 2027-12-31",
        "freeze close: 2026-01-31 18:00:00Z to 2026-02-03 05:00:00Z, systems s4, legal entities all",
    ]


def test_a_slip_is_told_with_its_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text("version: 1\ngo_live: soon\n", encoding="utf-8")
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"throughline: {tmp_path}/routing.yaml:2: go_live")


def test_without_a_file_each_erp_books_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THROUGHLINE_ROUTING_FILE")
    assert lines(run("check")) == [
        "streams/routing.yaml: first day of service that is posted: any",
        "no waves: the ERP of each legal entity books everything",
    ]
