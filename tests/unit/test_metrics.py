"""The figures of a worker: in base units, from zero, and of the partitions it holds now."""

import pytest

from streams.engine.metrics import Metrics
from streams.step import Output
from streams.topics import DEAD_LETTERS, EXCEPTIONS, PUBLIC, RECEIPTS
from tests.support.metrics import all_steps, metrics_of_everything, series as of_registry, told

UNITS = ("_seconds", "_bytes", "_total", "_records", "_partitions", "_fds")


def series(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by the values of its labels, in the order of their names."""
    return of_registry(metrics.registry, name)


def test_every_metric_has_a_base_unit_or_is_a_counter_or_a_yes() -> None:
    types = told(metrics_of_everything().registry).types
    yeses = {name for name in types if not name.endswith(UNITS)}
    assert yeses == {"throughline_ready", "throughline_feed_failure"}
    assert [name for name, kind in types.items() if (kind == "counter") != name.endswith("_total")] == []
    assert {name.partition("_")[0] for name in types} == {"throughline", "process"}


def test_what_a_topology_will_count_is_there_before_it_happens() -> None:
    metrics = Metrics()
    metrics.expect(all_steps())
    out = series(metrics, "throughline_records_out_total")
    assert out == {(topic,): 0.0 for step in all_steps() for topic in step.writes}
    assert {(topic.name,) for topic in PUBLIC} <= out.keys()
    assert series(metrics, "throughline_records_in_total")["intake", "psa.public.time_entries"] == 0.0
    assert series(metrics, "throughline_exceptions_total")["undecodable", "open"] == 0.0
    assert series(metrics, "throughline_alerts_total")["margin_erosion", "open"] == 0.0
    assert series(metrics, "throughline_rebalances_total") == {("assigned",): 0.0, ("revoked",): 0.0, ("lost",): 0.0}


def test_an_erp_that_is_seen_once_has_all_its_outcomes() -> None:
    metrics = Metrics()
    metrics.counted("posting", {"sink/netsuite/ok": 2})
    assert series(metrics, "throughline_sink_requests_total") == {
        ("ok", "netsuite"): 2.0, ("retriable", "netsuite"): 0.0, ("fatal", "netsuite"): 0.0,
    }  # fmt: skip
    assert series(metrics, "throughline_receipts_total") == {
        ("posted", "netsuite"): 0.0, ("rejected", "netsuite"): 0.0, ("superseded", "netsuite"): 0.0,
    }  # fmt: skip


def test_a_receipt_and_an_exception_are_counted_by_what_they_say() -> None:
    metrics = Metrics()
    metrics.outcomes.count([Output(RECEIPTS, "C1", {"system": "sap", "status": "rejected"}, 0)] * 2)
    metrics.outcomes.count([Output(EXCEPTIONS, "e", {"kind": "delivery_failed", "state": "open"}, 0)])
    assert series(metrics, "throughline_receipts_total") == {("rejected", "sap"): 2.0}
    assert series(metrics, "throughline_exceptions_total")["delivery_failed", "open"] == 1.0


def test_partitions_that_are_gone_are_told_no_more() -> None:
    metrics = metrics_of_everything()
    of_partitions = {name for name, labels in told(metrics.registry).labels.items() if "partition" in labels}
    assert of_partitions == {
        "throughline_lag_records",
        "throughline_lag_seconds",
        "throughline_parked_records",
        "throughline_parked_oldest_age_seconds",
        "throughline_state_bytes",
        "throughline_restore_left_records",
    }
    metrics.rebalanced("revoked", 0)
    assert not any("partition" in labels for labels in told(metrics.registry).labels.values())
    assert series(metrics, "throughline_assigned_partitions") == {(): 0.0}


def test_what_is_held_is_told_by_topic_and_column_until_the_assignment_ends() -> None:
    metrics = Metrics()
    metrics.held({("psa.public.milestones", "amount"): 1})
    metrics.held({("psa.public.milestones", "amount"): 2, ("psa.public.time_entries", "hours"): 1})
    held = {("amount", "psa.public.milestones"): 2.0, ("hours", "psa.public.time_entries"): 1.0}
    assert series(metrics, "throughline_held_partitions") == held
    metrics.rebalanced("assigned", 4)
    assert series(metrics, "throughline_held_partitions") == {}


def test_lookups_in_state_are_counted_on_from_what_was_told() -> None:
    metrics = Metrics()
    for loads, hits in ((10, 640), (10, 640), (15, 1_280)):
        metrics.memory(1, 2, loads, hits)
    assert series(metrics, "throughline_state_cache_misses_total") == {(): 15.0}
    assert series(metrics, "throughline_state_cache_hits_total") == {(): 1_280.0}


def test_the_first_dead_letter_of_each_topic_and_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def letter(topic: str, error: str, offset: int) -> Output:
        said = {
            "topic": topic, "partition": "2", "offset": str(offset),
            "exception.class.name": error, "exception.message": f"message {offset}",
        }  # fmt: skip
        headers = tuple((f"__connect.errors.{name}", text.encode()) for name, text in said.items())
        return Output(DEAD_LETTERS, "k", b"x", 0, None, headers)

    outcomes = Metrics().outcomes
    outcomes.count([letter("a", "Undecodable", 1), letter("a", "Undecodable", 2), letter("a", "InvalidEnvelope", 3)])
    outcomes.count([letter("b", "Undecodable", 4), letter("a", "Undecodable", 5)])
    rest = "further ones of this kind are counted, and not logged"
    assert [record.getMessage() for record in caplog.records] == [
        f"a record of a (partition 2, offset 1) is a dead letter: Undecodable: message 1; {rest}",
        f"a record of a (partition 2, offset 3) is a dead letter: InvalidEnvelope: message 3; {rest}",
        f"a record of b (partition 2, offset 4) is a dead letter: Undecodable: message 4; {rest}",
    ]
