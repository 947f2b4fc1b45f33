"""A worker with a file of targets: postings go to an ERP behind an API and to one with files, though it is killed."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from firm.erp_simulator import FileErp
from schemas.codec import Codec
from schemas.registry import Manifest
from streams.domain.posting import FINAL, intent_of, posting_id_of, posting_told
from streams.engine.embedded import PARTITIONS
from streams.partitioning import partition_of
from streams.topics import POSTINGS, RECEIPTS
from tests.broker.bench import WorkerChild, read_messages, worker
from tests.broker.posting_bench import NOON, Bench, intent, told
from tests.contract.api_targets import ORACLE, OracleTarget, program
from tests.contract.feeds.program import Program
from tests.contract.station import Item, trigger_id, trigger_of

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

SECONDS_MAX = 90
WORKER = "tests.broker.targets_worker"
SYSTEMS = ("oracle", "legacy")
NUMBERS = range(1, 25)
UNANSWERED = 25
TARGETS = """\
version: 1
targets:
  oracle:
    kind: oracle
    url: URL
    auth: client_credentials
    auth.token.url: URL/oauth2/v1/token
    auth.client.id: client-1
    auth.client.secret: ${env:ORACLE_SECRET}
    auth.scope: urn:opc:resource:fusion
    mapping: oracle.yaml
    calls_at_once: 3
    timeout.ms: 1000
    late.ms.max: 100
  legacy:
    kind: file
    folder: exchange
  away:
    kind: oracle
    url: http://127.0.0.1:9
    mapping: oracle.yaml
"""


@pytest.fixture
def far() -> Iterator[Program]:
    yield from program("oracle")


@pytest.fixture
def folder(far: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "oracle.yaml").write_text(ORACLE, encoding="utf-8")
    (tmp_path / "targets.yaml").write_text(TARGETS.replace("URL", far.url), encoding="utf-8")
    monkeypatch.setenv("ORACLE_SECRET", "s3cret")
    return tmp_path


def intents() -> Iterator[dict[str, Any]]:
    """Each system gets every second posting, of contracts of its own; what nobody answers for gets one more."""
    now = round(datetime(2026, 2, 3, 10, tzinfo=UTC).timestamp() * 1000)
    for number in (*NUMBERS, UNANSWERED):
        system = "away" if number == UNANSWERED else SYSTEMS[number % 2]
        trigger = trigger_of(Item(number, f"C{number % 8}", amount=f"{number}.10"))
        trigger |= {name: Decimal(trigger[name]) for name in ("quantity", "rate", "amount")}
        trigger["service_date"] = date.fromisoformat(trigger["service_date"])
        yield {**intent_of(trigger, system, now), "systems": [system], "because": "a test"}


def write_intents(brokers: str) -> None:
    producer, codec = Producer({"bootstrap.servers": brokers}), Codec(Manifest())
    for one in intents():
        key = one["contract_number"]
        producer.produce(POSTINGS, codec.encode(POSTINGS, one), key.encode(), partition_of(key, PARTITIONS))
    assert producer.flush(30) == 0


def receipts(brokers: str) -> list[dict[str, Any]]:
    codec = Codec(Manifest())
    return [codec.decode(RECEIPTS, message.value() or b"") for message in read_messages(brokers, RECEIPTS)]


def ends(brokers: str) -> dict[str, tuple[str, str | None]]:
    """Status and document by posting id, of those that have an end."""
    told = receipts(brokers)
    return {one["posting_id"]: (one["status"], one["document_id"]) for one in told if one["status"] in FINAL}


def wait_for(what: str, child: WorkerChild, found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not found():
        assert not child.ends_within(0.1), child.messages
        assert time.monotonic() < deadline, f"waiting for {what}\n{child.messages}"


def test_a_person_hears_of_a_posting_that_a_target_holds_twice(far: Program, tmp_path: Path) -> None:
    target = OracleTarget(far, tmp_path)
    wanted = intent(1, "oracle", billing_code="CONS, senior", project_id="P-C1")
    posting = posting_told(wanted)
    target.open().post([posting], NOON)
    far.order("again")
    bench = Bench(lambda _: target.open())
    outputs = bench.take(wanted, NOON) + bench.tick(NOON + 3_600_000)  # once nothing can be under way any more
    assert told(outputs) == [("t1", "pending"), ("t1", "posted"), ("erp_answer", "open")]
    assert f"posting {posting.posting_id}: has 2 billing events: 1000, 10009" in outputs[-1].value["message"]
    assert bench.tick(NOON + 7_200_000) == []  # nothing is looked for any more
    target.close()


def test_a_worker_delivers_to_each_target_once_and_goes_on_where_it_was_killed(
    brokers: str, folder: Path, far: Program
) -> None:
    legacy = FileErp(folder / "exchange", "legacy")
    far.order("fault", kind="timeout_after", after=5)  # booked, and the answer kept back
    write_intents(brokers)
    with worker(brokers, folder, program=WORKER) as child:
        wait_for("a call that is under way", child, lambda: len(far.order("documents")) >= 6)
        child.kill()
    with worker(brokers, folder, program=WORKER) as child:

        def answered() -> bool:
            legacy.run(round(time.time() * 1000))
            return len(ends(brokers)) == len(NUMBERS)

        wait_for("the last receipt", child, answered)
        assert child.stop() == 0
        assert "Traceback" not in child.messages
        assert "s3cret" not in child.messages
    found = ends(brokers)
    assert {status for status, _ in found.values()} == {"posted"}
    events = {one["reference"]: (one["id"], Decimal(one["amount"])) for one in far.order("documents")}
    assert Counter(one["reference"] for one in far.order("documents")).most_common(1)[0][1] == 1
    assert (legacy.doubled, legacy.complaints) == ([], [])
    booked = {posting_id: (one.document_id, one.amount) for posting_id, one in legacy.booked.items()}
    wanted = {posting_id_of(SYSTEMS[number % 2], trigger_id(number)): Decimal(f"{number}.10") for number in NUMBERS}
    documents = events | booked
    assert {posting_id: amount for posting_id, (_, amount) in documents.items()} == wanted
    assert {posting_id: document for posting_id, (_, document) in found.items()} == {
        posting_id: document for posting_id, (document, _) in documents.items()
    }
    assert set(events) == {posting_id_of("oracle", trigger_id(number)) for number in NUMBERS if number % 2 == 0}
    waiting = [one for one in receipts(brokers) if one["posting_id"] == posting_id_of("away", trigger_id(UNANSWERED))]
    assert {one["status"] for one in waiting} <= {"pending", "sent"}
    assert far.order("asked").count("POST /oauth2/v1/token") <= 3  # one login a life, whatever partitions there are
