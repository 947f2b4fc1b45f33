"""`throughline feed` over a simulated Salesforce, killed again and again: each version lands once, and no other."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Message

from connect.configuration import read
from schemas.codec import Codec
from schemas.registry import Manifest
from streams.engine.embedded import EmbeddedBroker
from tests.contract.feeds.salesforce_bench import EXAMPLE, Org, created, simulated, updated
from tests.support.kafka import read_to_end
from tests.tidy.house import ROOT

RATE = {"Role__c": "Engineer", "Rate__c": 100, "EffectiveFrom__c": "2026-01-01"}
SECONDS_MAX = 60.0
KILLS = 3


class Program:
    """The feed as a program of its own, over one broker and one organisation."""

    def __init__(self, brokers: str, org: Org, folder: Path) -> None:
        config = {**read(EXAMPLE).config, "pubsub.url": org.pubsub_url, "recheck.interval.ms": "0"}
        (folder / "crm.json").write_text(json.dumps({"name": "crm", "config": config}), "utf-8")
        self._brokers = brokers
        self._log = folder / "log"
        self._environment = os.environ | {
            "SALESFORCE_URL": org.url, "SALESFORCE_LOGIN_URL": org.url, "SALESFORCE_CLIENT_ID": "a-client",
            "SALESFORCE_USER": "feed@example.com", "SALESFORCE_KEY_FILE": str(org.key_file),
            "THROUGHLINE_BROKERS": brokers, "THROUGHLINE_GROUP": "salesforce", "THROUGHLINE_METRICS_PORT": "0",
            "THROUGHLINE_CONNECTORS_FOLDER": str(folder), "PYTHONPATH": str(ROOT),
        }  # fmt: skip

    def begin(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from streams.cli import main; main()", "feed", "crm", *options]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stderr=log)

    def landed(self, topic: str) -> list[tuple[str, dict[str, Any]]]:
        """The keys and envelopes of a topic, in the order of their positions."""
        codec = Codec(Manifest())
        found = [((m.key() or b"").decode(), codec.decode(topic, m.value() or b"")) for m in self._read(topic)]
        return sorted(found, key=lambda each: each[1]["source"]["position"])

    def wait_for(self, topic: str, count: int) -> None:
        """Wait until a topic has so many records."""
        until = time.monotonic() + SECONDS_MAX
        while len(self._read(topic)) < count:
            assert time.monotonic() < until, self._log.read_text("utf-8")

    def _read(self, topic: str) -> list[Message]:
        return read_to_end(self._brokers, topic)

    def said(self) -> str:
        return self._log.read_text("utf-8")


def test_a_feed_that_is_killed_again_and_again_lands_each_version_once(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker, simulated(tmp_path) as org:
        program = Program(broker.bootstrap, org, tmp_path)
        org.order("settings", rows=5, events_max=3)
        numbers = org.commit(*(created("Contract", ContractNumber=f"C{n}", CurrencyIsoCode="EUR") for n in range(12)))
        org.commit(*(created("ContractRate__c", Contract__c=each, **RATE) for each in numbers))
        versions = 12
        for kill in range(KILLS):
            child = program.begin()
            program.wait_for("crm.Contract", versions - 5)
            child.kill()
            child.wait()
            org.commit(*(updated("Contract", each, PoNumber__c=f"PO-{kill}") for each in numbers), advance_ms=5_000)
            versions += 12
        assert program.begin("--once").wait(SECONDS_MAX) == 0, program.said()
        found = program.landed("crm.Contract")
    last: dict[str, Any] = {}
    for key, envelope in found:
        assert envelope["before"] == last.get(key), (key, envelope)
        # Rows that a kill kept from being read are read when others have changed already.
        assert envelope["op"] == ("u" if key in last else "r"), (key, envelope)
        last[key] = envelope["after"]
    assert {row["PoNumber"] for row in last.values()} == {f"PO-{KILLS - 1}"}
    # What changed while nobody read and had not been read yet comes as one version; no version comes twice.
    assert 24 <= len(found) <= versions
