"""A small storm: a worker that is killed again and again posts into an ERP that fails in every way."""

from pathlib import Path

from stack.kafka import Kafka
from tests.stack.conftest import say
from tests.storm.run import STORM, Asked, run


def test_in_a_storm_each_posting_is_one_document_in_its_order(tmp_path: Path) -> None:
    asked = Asked(1_500, 100, 11, latency_ms=5, at_once=15, timeout_s=0.5, kill_every_s=8.0, faults=STORM)
    with Kafka(tmp_path / "kafka", say=say) as kafka:
        verdict = run(asked, kafka.bootstrap, tmp_path, say)
    assert verdict.is_well(asked), verdict
    assert verdict.kills > 0
    assert {"timeout after", "timeout before", "busy", "answer lost"} <= verdict.figures.keys()


def test_workers_that_stall_while_others_have_their_work_book_nothing_twice(tmp_path: Path) -> None:
    asked = Asked(
        3_000, 200, 13, latency_ms=5, at_once=15, timeout_s=0.5, kill_every_s=11.0, faults=STORM, workers=2,
        stall_every_s=12.0,
    )  # fmt: skip
    with Kafka(tmp_path / "kafka", say=say) as kafka:
        verdict = run(asked, kafka.bootstrap, tmp_path, say)
    assert verdict.is_well(asked), verdict
    assert verdict.stalls > 0


def test_in_a_storm_over_oracle_each_posting_is_one_billing_event(tmp_path: Path) -> None:
    asked = Asked(300, 25, 12, 5, at_once=8, timeout_s=0.5, kill_every_s=12.0, faults=STORM, target="oracle")
    with Kafka(tmp_path / "kafka", say=say) as kafka:
        verdict = run(asked, kafka.bootstrap, tmp_path, say)
    assert verdict.is_well(asked), verdict
    assert verdict.kills > 0
    assert {"timeout after", "timeout before", "busy"} <= verdict.figures.keys()
