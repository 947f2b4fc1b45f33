"""What a target's settings become: the lane that all partitions share, its pace, and when a batch goes."""

from pathlib import Path

import pytest

from streams.config import Settings, Sinks
from streams.delivery.limits import Limits
from streams.engine.lanes import Lanes, targets_in, targets_of
from streams.routes import load_routes
from streams.sinks.file_exchange import FileExchange
from streams.sinks.oracle import OracleFusion

TARGETS = """\
version: 1
targets:
  oracle: {kind: oracle, url: "http://127.0.0.1:9", mapping: oracle.yaml, calls_at_once: 6}
  dynamics: {kind: dynamics, url: "http://127.0.0.1:9", mapping: dynamics.yaml, postings_per_call: 20}
  quick: {kind: file, folder: exchange, batch_seconds_max: 0.5}
  legacy: {kind: file, folder: exchange}
"""
COMMON = 'version: 1\ncompany: {LE1: "1"}\nitem: {CONS: "144"}\n'
PROPERTIES = "entity_set: Rows\nproperties: {amount: A, currency: C, date: D, text: T}\n"


class Partition:
    """An owner of calls."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "targets.yaml").write_text(TARGETS, encoding="utf-8")
    (tmp_path / "oracle.yaml").write_text(COMMON + "contract_type: Sell\n", encoding="utf-8")
    (tmp_path / "dynamics.yaml").write_text(COMMON + PROPERTIES, encoding="utf-8")
    sinks = Sinks(targets_file=tmp_path / "targets.yaml", batch_lines_max=300, batch_seconds_max=4)
    return Settings(partitions=2, sinks=sinks)


def test_a_batch_waits_as_its_target_or_the_worker_says_and_one_posting_never(settings: Settings) -> None:
    lanes = Lanes(settings, targets_in(settings))
    assert {name: lanes.open(name).limits for name in ("oracle", "dynamics", "quick", "legacy")} == {
        "oracle": Limits(postings_max=1, age_ms_max=0),
        "dynamics": Limits(postings_max=20, age_ms_max=4_000),
        "quick": Limits(postings_max=300, age_ms_max=500),
        "legacy": Limits(postings_max=300, age_ms_max=4_000),
    }


def test_partitions_have_sinks_of_their_own_and_one_lane(settings: Settings) -> None:
    targets = targets_of(settings, load_routes(), targets_in(settings))
    first, second = targets.open("oracle"), targets.open("oracle")
    assert first.sink is not second.sink
    assert isinstance(first.sink, OracleFusion)
    assert first.calls is second.calls
    assert first.calls is not targets.open("dynamics").calls
    assert first.calls.room(Partition()) == 6  # twice what one of two partitions may have under way of six at once
    with pytest.raises(ValueError, match="there is no target 'sage'"):
        targets.open("sage")


def test_without_a_file_every_name_is_a_file_exchange(tmp_path: Path) -> None:
    settings = Settings(sinks=Sinks(folder=tmp_path))
    assert targets_in(settings) is None
    target = Lanes(settings).open("legacy")
    assert isinstance(target.sink, FileExchange)
    assert target.limits == Limits(postings_max=1_000, age_ms_max=5_000)
