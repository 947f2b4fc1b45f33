"""Steps as agents on the embedded broker: exact outputs, restarts, failures."""

import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.broker.bench import drain, feed, read_all, worker

pytestmark = pytest.mark.broker


def orders(customers: int, amounts: range) -> list[tuple[str, str, bytes]]:
    return [("toy.orders", f"c{customer}", b"%d" % amount) for amount in amounts for customer in range(customers)]


def by_key(records: list[tuple[str, str, Any]]) -> dict[str, list[Any]]:
    grouped = defaultdict(list)
    for _, key, value in records:
        grouped[key].append(value)
    return dict(grouped)


def journal(amounts: range, first: int = 1, owed: int = 0) -> list[dict[str, int]]:
    entries = []
    for number, amount in enumerate(amounts, first):
        owed += amount
        entries.append({"number": number, "owed": owed, "records": number})
    return entries


def test_two_steps_give_exactly_their_outputs_and_a_bad_record_disturbs_no_other(brokers: str, tmp_path: Path) -> None:
    feed(brokers, [*orders(9, range(1, 21)), ("toy.orders", "c3", b"not a number")])
    with worker(brokers, tmp_path) as child:
        drain(brokers, 181 + 180, child)
        feed(brokers, [("toy.payments", "c5", b"7")])
        drain(brokers, 182 + 181, child)
        assert child.stop() == 0
    expected = {f"c{customer}": journal(range(1, 21)) for customer in range(9)}
    expected["c5"].append({"number": 21, "owed": 203, "records": 21})
    assert by_key(read_all(brokers, "toy.journal")) == expected
    rejects = read_all(brokers, "toy.rejects")
    assert [(key, value["topic"]) for _, key, value in rejects] == [("c3", "toy.orders")]
    assert read_all(brokers, "toy.reminders") == []


def test_a_worker_stopped_cleanly_and_started_again_goes_on_and_repeats_nothing(brokers: str, tmp_path: Path) -> None:
    feed(brokers, orders(5, range(1, 11)))
    with worker(brokers, tmp_path) as child:
        drain(brokers, 100, child)
        assert child.stop() == 0
    feed(brokers, orders(5, range(11, 16)))
    with worker(brokers, tmp_path) as child:
        drain(brokers, 150, child)
        assert child.stop() == 0
    assert by_key(read_all(brokers, "toy.journal")) == {f"c{customer}": journal(range(1, 16)) for customer in range(5)}


@pytest.mark.parametrize("point", ["settled", "produced", "committed", "stored"])
def test_a_killed_worker_loses_nothing_and_applies_every_record_to_its_state_once(
    brokers: str, tmp_path: Path, point: str
) -> None:
    feed(brokers, orders(5, range(1, 1001)))
    with worker(brokers, tmp_path, point) as child:
        assert child.ended() == -signal.SIGKILL
    feed(brokers, orders(5, range(1001, 2001)))
    with worker(brokers, tmp_path) as child:
        drain(brokers, 20_000, child)
        assert child.stop() == 0
    final = {key: entries[-1] for key, entries in by_key(read_all(brokers, "toy.moves")).items()}
    assert final == {f"c{customer}": {"owed": 2_001_000, "records": 2000} for customer in range(5)}


def test_an_error_in_a_step_stops_the_worker_and_acknowledges_nothing(brokers: str, tmp_path: Path) -> None:
    feed(brokers, orders(3, range(1, 13)))
    with worker(brokers, tmp_path, "faulty") as child:
        drain(brokers, 72, child)
        feed(brokers, orders(3, range(13, 14)))
        assert child.ended() == 1
        assert "move 13 cannot be numbered" in child.messages
    with worker(brokers, tmp_path) as child:
        drain(brokers, 78, child)
        assert child.stop() == 0
    assert by_key(read_all(brokers, "toy.journal")) == {f"c{customer}": journal(range(1, 14)) for customer in range(3)}
