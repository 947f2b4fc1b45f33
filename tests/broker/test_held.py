"""A table that somebody alters while the worker runs: its topic is held, others flow on, and nothing is lost."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.mapping import MAPPINGS_FOLDER
from schemas.registry import Manifest
from tests.broker.bench import committed, feed, read_messages
from tests.broker.test_told import Watched, watched, write
from tests.support import feed as feeds
from tests.support.feed import Feed, Json
from tests.support.tables import Table, schemas_file

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

MILESTONES = "psa.public.milestones"
ALTERED = 17
AMOUNT = "amount: {kind: money, optional: true,"


@pytest.fixture
def firm(brokers: str) -> Feed:
    """A firm whose contract bills milestones by amount, with one that is billed."""
    told = feeds.firm()
    milestone(told, "M1", "100")
    write(brokers, told.records)
    return told


def milestone(told: Feed, identity: str, amount: str) -> Json:
    """A milestone that is completed."""
    when = "2026-02-03T10:00:00Z"
    return told.put(MILESTONES, id=identity, amount=amount, status="Done", completed_at=when)


def altered(brokers: str, table: Table, changes: list[Json]) -> None:
    """Write changes as the connector of an altered table does."""
    feed(brokers, [(change["topic"], change["key"], table.payload(ALTERED, change["value"])) for change in changes])


def billed(brokers: str) -> dict[str, str]:
    """What is billed net, by source."""
    codec, nets = Codec(Manifest()), dict[str, Any]()
    for message in read_messages(brokers, "billing.triggers"):
        trigger = codec.decode("billing.triggers", message.value() or b"")
        nets[trigger["source_id"]] = nets.get(trigger["source_id"], 0) + trigger["amount"]
    return {source: f"{amount:.2f}" for source, amount in nets.items() if amount}


def refused(brokers: str) -> dict[str, list[str]]:
    """The last reasons of open exceptions about rows, by row."""
    codec, found = Codec(Manifest()), dict[str, list[str]]()
    for message in read_messages(brokers, "exceptions"):
        told = codec.decode("exceptions", message.value() or b"")
        if told["kind"] == "validation_failed" and told["state"] == "open":
            found[told["entity_id"]] = told["reasons"]
    return found


def until_held(worker: Watched, column: str) -> None:
    worker.wait(lambda: worker.metric("held_partitions", topic=MILESTONES, column=column) == 1)


def test_a_topic_is_held_from_the_first_broken_record_on_and_goes_on_under_another_mapping(
    brokers: str, firm: Feed, tmp_path: Path
) -> None:
    table = Table("milestones").rename("amount", "fee")
    schemas = str(schemas_file(tmp_path, {ALTERED: table}))

    def fee(change: Json) -> Json:
        return {**change, "value": {**change["value"], "after": with_fee(change["value"]["after"])}}

    def with_fee(row: Json) -> Json:
        return {**row, "fee": row["amount"]}

    with watched(brokers, tmp_path, contracts__schemas_file=schemas, stall_s="1") as worker:
        worker.wait(lambda: billed(brokers) == {"M1": "100.00"})
        altered(brokers, table, [fee(milestone(firm, "M2", "200")), fee(milestone(firm, "M3", "300"))])
        until_held(worker, "amount")
        firm.put("psa.public.time_entries", id="T1")
        write(brokers, [firm.records[-1]])
        worker.wait(lambda: billed(brokers) == {"M1": "100.00", "T1": "800.00"})

        # The lag is told, and grows, though nothing of the topic is fetched any more.
        here = str(next(iter(committed(brokers, MILESTONES))))
        lag = {"topic": MILESTONES, "partition": here}
        worker.wait(lambda: worker.metric("lag_records", **lag) == 2)
        altered(brokers, table, [fee(milestone(firm, "M4", "400"))])
        worker.wait(lambda: worker.metric("lag_records", **lag) == 3)
        assert worker.metric("without_progress_seconds") == 0
        assert committed(brokers, MILESTONES) == {int(here): 1}

        health, ready = (worker.ask(path) for path in ("/health", "/ready"))
        assert (health[0], ready[0]) == (200, 200)
        ((place, why),) = json.loads(health[1])["held"].items()
        assert place == f"{MILESTONES}/{here}"
        assert why.startswith(
            f"{MILESTONES}: table public.milestones has no column amount; it was numeric(20,4); new in it: fee (numeric"
        )
        said = [line for line in worker.log.read_text().splitlines() if " ERROR " in line]
        assert [line.partition("held: ")[2] for line in said] == [f"{why} (partition {here}, offset 1)"]

    mappings = tmp_path / "mappings"
    shutil.copytree(MAPPINGS_FOLDER, mappings)
    text = (mappings / "psa.yaml").read_text("utf-8")
    now = "fee: {kind: money, optional: true, as: amount, formerly: [amount],"
    (mappings / "psa.yaml").write_text(text.replace(AMOUNT, now, 1), "utf-8")
    changed = {"contracts__schemas_file": schemas, "contracts__mappings_folder": str(mappings)}
    with watched(brokers, tmp_path, **changed) as worker:
        everything = {"M1": "100.00", "M2": "200.00", "M3": "300.00", "M4": "400.00", "T1": "800.00"}
        worker.wait(lambda: billed(brokers) == everything)
        write(brokers, [milestone(firm, "M5", "500")])  # as the table was before: a snapshot may be read anew
        worker.wait(lambda: billed(brokers) == {**everything, "M5": "500.00"})
        assert json.loads(worker.ask("/health")[1])["held"] == {}
        assert worker.metric("held_partitions", topic=MILESTONES, column="amount") == 0


def test_a_schema_that_is_passed_lets_deletes_apply_and_refuses_the_rest_row_by_row(
    brokers: str, firm: Feed, tmp_path: Path
) -> None:
    table = Table("milestones").drop("amount")
    schemas = str(schemas_file(tmp_path, {ALTERED: table}))
    write(brokers, [milestone(firm, "M2", "200")])
    with watched(brokers, tmp_path, contracts__schemas_file=schemas) as worker:
        worker.wait(lambda: billed(brokers) == {"M1": "100.00", "M2": "200.00"})
        changes = [firm.put(MILESTONES, id="M1", name="renamed"), firm.delete(MILESTONES, "M2")]
        altered(brokers, table, [*changes, milestone(firm, "M3", "300")])
        until_held(worker, "amount")
        assert billed(brokers) == {"M1": "100.00", "M2": "200.00"}
    with watched(brokers, tmp_path, contracts__schemas_file=schemas, contracts__passed_schemas="[17]") as worker:
        worker.wait(lambda: len(refused(brokers)) == 2)
        # The last good version of what was refused stays in force.
        worker.wait(lambda: billed(brokers) == {"M1": "100.00"})
        reason = "amount: ['not in schema id 17'] is no decimal: decimals are strings"
        assert refused(brokers) == {"M1": [reason], "M3": [reason]}
        write(brokers, [firm.put(MILESTONES, id="M1"), firm.put(MILESTONES, id="M3")])  # the column is back
        worker.wait(lambda: billed(brokers) == {"M1": "100.00", "M3": "300.00"})
    assert read_messages(brokers, "dead.letters") == []
