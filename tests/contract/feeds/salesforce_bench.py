"""What tests of the Salesforce feed stand on: a simulated organisation, a landing that crashes, and the rows expected.

The rows are worked out from the organisation's own records, by nothing that the feed uses.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread, enumerate as enumerate_threads
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from connect.catalogue import Outside
from connect.configuration import CONNECTORS_FOLDER, read, resolved
from connect.feeds.contract import Batch, Change, Source
from connect.feeds.salesforce.opening import KIND, SalesforceSettings
from connect.settings import checked
from schemas.registry import Manifest
from streams.engine.feed_bytes import Feed as Lander, FeedBytes
from streams.engine.transport.producer import Encoded
from tests.tidy.house import ROOT

Row = dict[str, Any]
SECONDS_MAX = 10.0
BYTES = FeedBytes(Lander("crm", "salesforce"), Manifest())
EXAMPLE = CONNECTORS_FOLDER / "crm.json"
TOPICS = {"Account": "crm.Account", "Opportunity": "crm.Opportunity", "Contract": "crm.Contract",
          "ContractAmendment__c": "crm.ContractAmendment"}  # fmt: skip


class Org:
    """The organisation, as a test orders it about."""

    def __init__(self, url: str, pubsub_url: str, key_file: Path) -> None:
        self.url = url
        self.pubsub_url = pubsub_url
        self.key_file = key_file
        self._client = httpx2.Client(timeout=20)

    def order(self, name: str, **order: Any) -> Any:
        """Give an order and return its answer."""
        return self._client.post(f"{self.url}/control/{name}", json=order).raise_for_status().json()

    def commit(self, *changes: Row, **how: Any) -> list[str]:
        """Make a transaction; return the ids of what was changed."""
        ids: list[str] = self.order("commit", changes=changes, **how)["ids"]
        return ids

    def create(self, name: str, **fields: Any) -> str:
        """Create one record; return its id."""
        return self.commit(created(name, **fields))[0]

    def update(self, name: str, record_id: str, **fields: Any) -> None:
        """Change one record."""
        self.commit(updated(name, record_id, **fields))

    def delete(self, name: str, record_id: str) -> None:
        """Put one record into the bin, with those that belong to it."""
        self.commit({"op": "delete", "object": name, "id": record_id})

    def seen(self) -> Any:
        """What was asked so far."""
        return self.order("seen")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def rows(self) -> dict[tuple[str, str], Row]:
        """The rows that its records are, by topic and record key (an amendment's by its id)."""
        records = {
            name: self.order("records", object=name) for name in (*TOPICS, "ContractRate__c", "AmendmentRate__c")
        }
        numbers = {record["Id"]: record["ContractNumber"] for record in records["Contract"]}
        rates: dict[str, list[Row]] = {}
        for parent, name in (("Contract__c", "ContractRate__c"), ("ContractAmendment__c", "AmendmentRate__c")):
            for record in sorted(records[name], key=lambda record: str(record["Id"])):
                rates.setdefault(record[parent], []).append({
                    "Role": record["Role__c"], "Rate": _money(record["Rate__c"]),
                    "EffectiveFrom": record["EffectiveFrom__c"],
                })  # fmt: skip
        found: dict[tuple[str, str], Row] = {}
        for record in records["Account"]:
            found["crm.Account", record["Id"]] = _taken(record, "Id Name BillingCountry", Status=record["Status__c"])
        for record in records["Opportunity"]:
            found["crm.Opportunity", record["Id"]] = _taken(
                record, "Id AccountId Name StageName IsClosed IsWon CloseDate", Amount=_money(record["Amount"]),
                ContractNumber=record["ContractNumber__c"])  # fmt: skip
        for record in records["Contract"]:
            found["crm.Contract", record["ContractNumber"]] = _contract(record, rates.get(record["Id"], []))
        for record in records["ContractAmendment__c"]:
            if number := numbers.get(record["Contract__c"]):
                found["crm.ContractAmendment", record["Id"]] = _amendment(record, number, rates.get(record["Id"], []))
        return found


def created(name: str, **fields: Any) -> Row:
    """A change that creates a record."""
    return {"op": "create", "object": name, "id": fields.pop("id", None), "fields": fields}


def updated(name: str, record_id: str, **fields: Any) -> Row:
    """A change of a record's fields."""
    return {"op": "update", "object": name, "id": record_id, "fields": fields}


class Crashed(Exception):
    """The feed was killed before a batch was landed."""


@dataclass
class Landing:
    """What was landed, in order, and what is remembered of it. It keeps to the contract of changes, or says why not."""

    changes: list[Change] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    memory: dict[str, bytes] = field(default_factory=dict)
    rows: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    crash_at: int | None = None
    _positions: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    def land(self, batch: Batch) -> None:
        """Land a batch whole, or crash before it."""
        if self.crash_at is not None and len(self.batches) == self.crash_at:
            self.crash_at = None
            raise Crashed
        for change in batch.changes:
            self._check(change)
            assert isinstance(BYTES.change(change, 0), Encoded), "it does not fit the contract of its topic"
        self.changes += batch.changes
        self.batches.append(batch)
        for key, value in batch.memory.items():
            if value is None:
                self.memory.pop(key, None)
            else:
                self.memory[key] = value

    def land_all(self, batches: Iterable[Batch]) -> None:
        """Land batches until the source has no more for now."""
        for batch in batches:
            self.land(batch)
            if batch.alive:
                return

    def _check(self, change: Change) -> None:
        row = change.before if change.after is None else change.after
        assert row is not None
        name = "ContractNumber" if change.topic == "crm.Contract" else "Id"
        place = change.topic, str(row[name])
        key = "Id" if change.topic in {"crm.Account", "crm.Opportunity"} else "ContractNumber"
        assert change.key == row[key]
        before = self._positions.get(place, (-1, ""))
        # At one position a create stands above a delete: a changed key.
        assert (change.position, change.op) > (before[0], before[1] if before[1] != "d" else ""), (change, before)
        self._positions[place] = change.position, change.op
        known = self.rows.get(place)
        if change.op in {"u", "d"}:
            assert change.before == known, (change, known)
        else:
            assert change.before is None
            assert known is None, (change, known)
        assert change.after != change.before, change
        if change.after is None:
            del self.rows[place]
        else:
            self.rows[place] = change.after

    def told(self) -> list[tuple[str, str, str]]:
        """What was landed, as (topic without crm., key, op)."""
        return [(change.topic.removeprefix("crm."), change.key, change.op) for change in self.changes]

    def taken(self) -> list[tuple[str, str, str]]:
        """What was landed since this was last asked."""
        told = self.told()
        self.changes.clear()
        return told

    def gaps(self) -> list[str]:
        """What was said to be missing."""
        return [gap for batch in self.batches for gap in batch.gaps]


class Requests:
    """Counts what is asked."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()

    def requested(self, status: str) -> None:
        """A request was answered."""
        self.statuses[status] += 1

    def held(self, seconds: float) -> None:
        """A request was held back."""


@dataclass
class Feed:
    """The feed over one organisation and one landing: opened anew for each run, as a process would be."""

    org: Org
    landing: Landing = field(default_factory=Landing)
    settings: dict[str, str] = field(default_factory=dict)
    requests: Requests = field(default_factory=Requests)
    now_ms: int = 1_767_607_200_000  # it stands, so tokens do not age

    def run(self, **settings: str) -> list[tuple[str, str, str]]:
        """Run until nothing is left to read; return what was landed meanwhile."""
        self.landing.taken()
        with self.opened(**settings) as batches:
            self.landing.land_all(batches)
        return self.landing.taken()

    @contextmanager
    def opened(self, **settings: str) -> Iterator[Iterator[Batch]]:
        """Its batches, from what the landing remembers."""
        stop = Event()
        source = self.source(stop, **settings)
        batches = source.batches(self.landing.memory, stop)
        try:
            yield batches
        finally:
            stop.set()
            batches.close()  # type: ignore[attr-defined]
            source.close()

    def source(self, stop: Event, **settings: str) -> Source:
        """The feed's source, as a process would open it."""
        return KIND.open(self.configured(**settings), Outside("crm", lambda: self.now_ms, self.requests, stop))

    def configured(self, **settings: str) -> SalesforceSettings:
        """The settings of the example, with the organisation's addresses."""
        configuration = read(EXAMPLE)
        environment = {
            "SALESFORCE_URL": self.org.url, "SALESFORCE_LOGIN_URL": self.org.url, "SALESFORCE_CLIENT_ID": "a-client",
            "SALESFORCE_USER": "feed@example.com", "SALESFORCE_KEY_FILE": str(self.org.key_file),
        }  # fmt: skip
        given = {name.replace("__", "."): value for name, value in {**self.settings, **settings}.items()}
        asked = {**resolved(configuration, environment), "pubsub.url": self.org.pubsub_url, **given}
        return checked(SalesforceSettings, configuration, asked)


@contextmanager
def simulated(folder: Path, seed: int = 0) -> Iterator[Org]:
    """Start an organisation as a program of its own."""
    key = rsa.generate_private_key(65537, 2048)
    secret, public = folder / "key.pem", folder / "public.pem"
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = [sys.executable, "-m", "tests.contract.feeds.salesforce_simulator", str(public), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        org = Org(key_file=secret, **json.loads(program.stdout.readline()))
        try:
            yield org
        finally:
            org.close()
            program.stdin.close()
            program.wait(20)


def left_running(before: set[Thread]) -> list[str]:
    """The names of threads begun since that do not end by themselves; those of gRPC end shortly after their channel."""
    begun = set(enumerate_threads()) - before
    for thread in begun:
        thread.join(SECONDS_MAX)
    return sorted(thread.name for thread in begun if thread.is_alive())


def _money(value: float | None) -> str | None:
    if value is None:
        return None
    text = f"{Decimal(str(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _taken(record: Row, names: str, **others: Any) -> Row:
    row = {name: record[name] for name in names.split()}
    return {**row, **others, "LastModifiedDate": _moment(record["LastModifiedDate"])}


def _contract(record: Row, rates: list[Row]) -> Row:
    markup = record["ExpenseMarkup__c"]
    return _taken(
        record, "ContractNumber AccountId Status CurrencyIsoCode StartDate EndDate",
        OpportunityId=record["OpportunityId__c"], BillingType=record["BillingType__c"],
        Value=_money(record["Value__c"]),
        Cap=_money(record["Cap__c"]), PeriodicFee=_money(record["PeriodicFee__c"]),
        IncludedHours=_money(record["IncludedHours__c"]), OverageRate=_money(record["OverageRate__c"]),
        ExpensePolicy=record["ExpensePolicy__c"],
        ExpenseMarkup=None if markup is None else _money(float(Decimal(str(markup)) / 100)),
        RequiresAcceptance=record["RequiresAcceptance__c"], PoNumber=record["PoNumber__c"],
        PoRequired=record["PoRequired__c"], LegalEntity=record["LegalEntity__c"], Rates=rates,
    )  # fmt: skip


def _amendment(record: Row, number: str, rates: list[Row]) -> Row:
    return _taken(
        record, "Id", ContractNumber=number, Status=record["Status__c"], EffectiveDate=record["EffectiveDate__c"],
        ValueDelta=_money(record["ValueDelta__c"]), CapDelta=_money(record["CapDelta__c"]),
        NewEndDate=record["NewEndDate__c"], Rates=rates,
    )  # fmt: skip
