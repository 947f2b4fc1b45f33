"""Every derived record fits its contract, says all its fields, comes under its key, and has an id of its own."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.contracts import load_contracts
from schemas.registry import Manifest
from streams.replay import run
from streams.simulator import Simulator
from streams.step import Record
from streams.topics import ALERTS, ANALYTICS, AUDIT, DEAD_LETTERS, EXCEPTIONS, MARGINS, TRIGGERS
from streams.topology import topology
from tests.oracle.firms import UNTIL, random_firm
from tests.support.streams import instant_of, reader, record_of, rulebook

pytestmark = pytest.mark.usefixtures("codec_path")

_IDS = {TRIGGERS: "trigger_id", AUDIT: "audit_id", ANALYTICS: "fact_id", "activation.events": "event_id"}
_KEYS = {
    TRIGGERS: ("contract_number",),
    MARGINS: ("project_id",),
    ALERTS: ("alert_id",),
    EXCEPTIONS: ("exception_id",),
    AUDIT: ("contract_number", "project_id"),
    ANALYTICS: ("project_id",),
    "activation.commands": ("opportunity_id",),
    "activation.events": ("opportunity_id",),
}


def _derived(seed: int) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    simulator = Simulator(topology(rulebook(), reader()), lambda record: found[record.topic].append(record))
    contents = random_firm(seed, 3, lower_caps=True, foreign=True)
    contents += _won_deal()
    records = (record_of(content, offset) for offset, content in enumerate(contents))
    run(records, simulator, reader(), instant_of(UNTIL))
    found.pop(DEAD_LETTERS, None)
    return dict(found)


def _won_deal() -> list[dict[str, Any]]:
    row = {"Id": "O1", "AccountId": "A0", "Name": "A deal", "StageName": "Won", "IsClosed": True, "IsWon": True}
    row |= {"Amount": None, "CloseDate": "2026-01-31", "ContractNumber": None, "LastModifiedDate": UNTIL}
    source = {"connector": "crm-feed", "name": "crm", "ts_ms": 1, "snapshot": False, "position": 1}
    value = {"before": None, "after": row, "op": "c", "ts_ms": 1, "source": source}
    return [{"topic": "crm.Opportunity", "key": "O1", "value": value}]


@pytest.mark.parametrize("seed", range(4))
def test_derived_records_fit_their_contracts(seed: int) -> None:
    codec, contracts = Codec(Manifest()), load_contracts()
    derived = _derived(seed)
    assert {*derived} == {*_KEYS}
    for topic, records in derived.items():
        fields = {field["name"] for field in contracts[topic].schema["fields"]}
        for record in records:
            # A fact of one kind leaves out the fields of the others.
            assert topic == ANALYTICS or {*record.value} == fields
            decoded = codec.decode(topic, codec.encode(topic, record.value))
            assert {name: decoded[name] for name in record.value} == record.value
            said = [record.value.get(name) for name in _KEYS[topic] if record.value.get(name) is not None]
            assert record.key == said[0] if said else record.key


@pytest.mark.parametrize("seed", range(4))
def test_no_two_derived_records_share_an_id(seed: int) -> None:
    for topic, records in _derived(seed).items():
        if topic in _IDS:
            counts = Counter(record.value[_IDS[topic]] for record in records)
            assert [name for name, count in counts.items() if count > 1] == [], topic
