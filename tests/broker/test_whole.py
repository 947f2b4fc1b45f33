"""The whole topology in the real worker: a small firm flows in, and what comes out is what the simulator says."""

import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from streams.engine import demo
from streams.sinks.batch_file import read_batch

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]


PROGRAM = """
import sys
from pathlib import Path
import orjson
from streams.engine import demo

out = Path(sys.argv[1])

def report(records, folder, now):
    lines = (orjson.dumps([record["topic"], record["value"]], default=str) for record in records)
    (folder / "records.jsonl").write_bytes(b"\\n".join(lines))

sys.exit(demo.run(out, 60, 7, report, keep=True))
"""


def test_a_small_firm_through_broker_worker_and_targets_until_ctrl_c(tmp_path: Path) -> None:
    out = tmp_path / "out"
    # The demo itself checks counts against the broker, and nets against the simulator.
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(out)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("running on"):
                child.send_signal(signal.SIGINT)
        assert child.wait(60) == 0
    records = [orjson.loads(line) for line in (out / "records.jsonl").read_bytes().splitlines()]
    triggers = sorted(value["trigger_id"] for topic, value in records if topic == "billing.triggers")
    receipts = [value for topic, value in records if topic == "erp.receipts"]
    assert triggers
    assert len(set(triggers)) == len(triggers)
    assert sorted(receipt["trigger_id"] for receipt in receipts) == triggers
    batches = [read_batch(path) for path in (out / "exchange").glob("*/outbound/*.csv")]
    assert sorted(posting.posting_id for batch in batches for posting in batch.postings) == sorted(
        receipt["posting_id"] for receipt in receipts if receipt["status"] == "posted"
    )
    assert "Traceback" not in (out / "worker.log").read_text()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(demo.DemoError, match="was not made by the demo"):
        demo.run(tmp_path, 60, 7, lambda *_: None)
    assert (tmp_path / "letter.txt").read_text() == "mine"
