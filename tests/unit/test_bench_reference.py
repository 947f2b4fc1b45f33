"""The reference job of the bench, step by step in any order, comes to what its batch says."""

from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.latency import histogram, percentiles
from bench.plots import bars, histogram as histogram_plot
from bench.reference.avro import SCHEMAS, Framed
from bench.reference.feed import Feed
from bench.reference.job import NEW, TAKE, State, margin_of
from bench.reference.stamp import read_stamp


@pytest.mark.parametrize("seed", range(3))
def test_any_order_comes_to_the_batch(seed: int) -> None:
    feed = Feed(1_110)
    rows = list(feed.rows())
    Random(seed).shuffle(rows)
    states: dict[str, State] = {}
    triggers: list[dict[str, Any]] = []
    for topic, row in rows:
        states[row["contract"]], told = TAKE[topic](states.get(row["contract"], NEW), row)
        triggers += told
    expected = feed.result()
    assert {trigger["id"]: trigger["amount"] for trigger in triggers} == expected.triggers
    assert len(triggers) == len(expected.triggers)
    assert {contract: margin_of(contract, state) for contract, state in states.items()} == expected.margins


def test_every_record_comes_back_from_its_bytes() -> None:
    for topic, row in Feed(111).rows():
        framed = Framed(topic)
        assert framed.read(framed.write(row)) == row
        assert framed.write(row)[:5] == bytes((0, 0, 0, 0, SCHEMAS[topic][0]))


def test_bytes_of_another_schema_are_refused() -> None:
    topic, row = next(iter(Feed(111).rows()))
    other = next(name for name in SCHEMAS if name != topic)
    with pytest.raises(ValueError, match="was expected"):
        Framed(other).read(Framed(topic).write(row))


def test_a_stamp_is_told_from_other_lines() -> None:
    assert read_stamp("first record: 12.5 1.25\n") == (12.5, 1.25)
    assert read_stamp("starting") is None


def test_percentiles_and_bins_of_latencies() -> None:
    found = [float(number) for number in range(1, 1_001)]
    assert percentiles(found) == {"p50": 501.0, "p90": 900.0, "p99": 990.0, "p99.9": 999.0}
    bins = histogram(found, 10)
    assert len(bins) == 10
    assert sum(count for _, count in bins) == 999


def test_plots_are_svg() -> None:
    for text in (bars("a < b", [("x", 1.0, True)]), histogram_plot("t", [(1.0, 2), (2.0, 1)], [("p50", 1.5)])):
        assert ElementTree.fromstring(text).tag.endswith("svg")
