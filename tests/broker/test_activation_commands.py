"""`throughline activation`: the table of deals, one deal's story, and a person's retry, from what topics hold."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from schemas.codec import Codec
from schemas.registry import Manifest
from streams.cli import app
from streams.topics import ACTIVATION_COMMANDS, ACTIVATION_EVENTS
from tests.broker.bench import read_messages

pytestmark = pytest.mark.broker

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = """
version: 1
doers:
  psa: {kind: psa_database, dsn: "dbname=psa"}
  erp: {kind: dimension_file, folder: out, fields: {project: "{project_id}"}}
shells:
  - {doer: psa, legal_entities: [DE01], region: EMEA}
dimensions:
  - {doer: erp}
closed_within_days: 100000
"""

Run = Callable[..., Result]


@pytest.fixture
def run(brokers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    file = tmp_path / "activation.yaml"
    file.write_text(PLAN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THROUGHLINE_BROKERS", brokers)
    monkeypatch.setenv("THROUGHLINE_ACTIVATION_FILE", str(file))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, ["activation", *words])


def command(deal: str, step: str, minutes: int, **changes: Any) -> dict[str, Any]:
    return {
        "command_id": f"{deal}-{step}", "opportunity_id": deal, "step": step, "attempt": 1,
        "target": {"create_project": "psa", "provision_erp": "erp"}.get(step, "crm"), "client_id": "A1",
        "contract_number": f"C-{deal}", "project_id": None, "legal_entity": "DE01", "arguments": {},
        "issued_at": NOON + timedelta(minutes=minutes), "due_at": None, **changes,
    }  # fmt: skip


def event(deal: str, step: str, state: str, minutes: int, doer: str = "", *reasons: str) -> dict[str, Any]:
    return {
        "event_id": f"{deal}-{step}-{state}-{minutes}", "command_id": None, "opportunity_id": deal, "step": step,
        "state": state, "attempt": 1, "client_id": "A1", "contract_number": f"C-{deal}", "project_id": None,
        "results": {"doer": doer} if doer else {}, "reasons": list(reasons),
        "occurred_at": NOON + timedelta(minutes=minutes),
    }  # fmt: skip


def write(brokers: str, topic: str, values: Sequence[dict[str, Any]]) -> None:
    producer, codec = Producer({"bootstrap.servers": brokers}), Codec(Manifest())
    for value in values:
        producer.produce(topic, codec.encode(topic, value), value["opportunity_id"].encode(), 0)
    assert producer.flush(30) == 0


@pytest.fixture
def told(brokers: str) -> None:
    write(brokers, ACTIVATION_COMMANDS, [
        command("O1", "validate", 0), command("O1", "create_project", 1), command("O1", "provision_erp", 5),
        command("O2", "create_project", 2), command("O3", "create_project", 3, legal_entity="US01"),
        command("O4", "announce", 4),
    ])  # fmt: skip
    write(brokers, ACTIVATION_EVENTS, [
        event("O1", "validate", "started", 0), event("O1", "create_project", "asked", 1, "psa"),
        event("O1", "create_project", "made", 2, "psa"), event("O1", "create_project", "succeeded", 5),
        event("O1", "provision_erp", "refused", 6, "erp", "no such [/x] company"),
        event("O1", "create_project", "compensated", 7, "psa"),
        event("O2", "create_project", "retrying", 3, "psa", "no answer"),
        event("O4", "announce", "completed", 5),
    ])  # fmt: skip


def lines(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("told")
def test_the_table_says_of_each_deal_what_it_waits_for(run: Run) -> None:
    assert lines(run("list")) == [
        "deal contract step state since attempts waits for",
        "O2 C-O2 create_project retrying 2026-03-01 12:02:00Z 1 psa, which is tried again: no answer",
        "O3 C-O3 create_project asked 2026-03-01 12:03:00Z 1 psa, whoever does it there",
        "O1 C-O1 provision_erp refused 2026-03-01 12:05:00Z 1 a person: no such [/x] company",
    ]
    assert lines(run("list", "--all"))[-2] == "O4 C-O4 announce set up 2026-03-01 12:04:00Z 1 nothing"


@pytest.mark.usefixtures("told")
def test_one_deal_tells_its_story(run: Run) -> None:
    said = lines(run("show", "O1"))
    assert said[0] == "time step what attempt by said"
    assert said[-3] == "2026-03-01 12:06:00Z provision_erp refused 1 erp no such [/x] company"
    assert said[-2:] == [
        "2026-03-01 12:07:00Z create_project compensated 1 psa",
        "waits for: a person: no such [/x] company",
    ]
    unknown = run("show", "O9")
    assert (unknown.exit_code, unknown.stderr) == (
        1, "throughline: nothing is known of deal O9: it was not won, or its feed has not said so\n",
    )  # fmt: skip


@pytest.mark.usefixtures("told")
def test_a_retry_writes_the_command_again_as_a_persons(run: Run, brokers: str) -> None:
    said = run("retry", "O1", "--by", "ada", "--because", "company added", "--dry-run")
    assert said.stdout == "deal O1: provision_erp would be asked for once more\n"
    assert len(read_messages(brokers, ACTIVATION_COMMANDS)) == 6
    assert run("retry", "O1", "--by", "ada", "--because", "company added").exit_code == 0
    written = [
        Codec(Manifest()).decode(ACTIVATION_COMMANDS, m.value() or b"")
        for m in read_messages(brokers, ACTIVATION_COMMANDS)
    ]
    [again] = [each for each in written if each["arguments"]]
    assert (again["command_id"], again["attempt"]) == ("O1-provision_erp", 2)
    assert again["arguments"] == {"asked_by": "ada", "because": "company added"}


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("deal", "said"),
    [
        ("O3", "nobody does create_project of deal O3: no rule of the activation file fits; do it by hand"),
        ("O4", "deal O4 waits for nothing: there is nothing to retry"),
    ],
)
def test_what_cannot_be_retried_is_said(run: Run, deal: str, said: str) -> None:
    result = run("retry", deal)
    assert result.exit_code == 1
    assert said in result.stderr


def test_nothing_waits_where_all_is_set_up(run: Run, brokers: str) -> None:
    write(brokers, ACTIVATION_COMMANDS, [command("O4", "announce", 4)])
    write(brokers, ACTIVATION_EVENTS, [event("O4", "announce", "completed", 5)])
    assert run("list").stdout == "no deal waits for anything\n"


def test_check_shows_who_does_what(run: Run) -> None:
    assert lines(run("check")) == [
        "step doer kind legal entities countries clients",
        "create_project psa psa_database DE01 all all",
        "provision_erp erp dimension_file all all all",
    ]
