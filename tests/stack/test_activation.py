"""Deals set up on a real Kafka, exactly once: the worker is killed at every call, and at points of its transactions."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.kafka import Kafka
from tests.broker.activation_firm import Firm, events_of, run_worker, verify
from tests.broker.activation_worker import CALLS
from tests.contract.doers.bench import Systems, simulated
from tests.stack.conftest import say

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

DEATHS = [(call, 1) for call in CALLS] + [(point, 3) for point in ("begun", "offsets sent", "produced", "committed")]
THROUGHLINE = Path(sys.executable).with_name("throughline")


@pytest.fixture
def systems() -> Iterator[Systems]:
    with simulated() as found:
        yield found


def test_however_often_it_is_killed_each_deal_is_set_up_once(systems: Systems, tmp_path: Path) -> None:
    with Kafka(tmp_path / "kafka", say=say) as broker:
        environment = {**os.environ, "THROUGHLINE_BROKERS": broker.bootstrap}
        subprocess.run([THROUGHLINE, "topics", "apply"], env=environment, check=True, capture_output=True, cwd=tmp_path)
        firm = Firm(broker.bootstrap, systems, tmp_path)
        kills = 0
        for number, (point, count) in enumerate(DEATHS):
            firm.win(f"O{number}")
            kills += run_worker(broker.bootstrap, tmp_path, firm, "exactly_once", point, str(count))
        run_worker(broker.bootstrap, tmp_path, firm, "exactly_once")
        events = events_of(broker.bootstrap)
    assert kills >= len(CALLS) + 2
    verify(firm, events)
    times = Counter(event["event_id"] for event in events)
    assert [each for each, count in times.items() if count > 1] == []
