"""The whole topology in the real worker: a small firm flows in, and what comes out is what the simulator says."""

import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from streams.domain.posting import FINAL
from streams.engine import demo
from streams.engine.demo_folder import MARKER, DemoError, demo_folder
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
    receipts = [value for topic, value in records if topic == "erp.receipts" and value["status"] in FINAL]
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
    with pytest.raises(DemoError, match="was not made by the demo"):
        demo.run(tmp_path, 60, 7, lambda *_: None)
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_sigterm_while_it_feeds_stops_worker_and_broker_too(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        child.terminate()
        assert child.wait(60) == 143
    assert first.startswith("broker on")
    assert len(children) == 2
    assert [each for each in children if Path(f"/proc/{each}").exists()] == []


def test_the_folder_of_an_earlier_run_is_emptied_and_stays_the_demos_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with demo_folder(out):
        (out / "state").mkdir()
        (out / "state" / "file").touch()
        (out / "page.html").touch()
    with demo_folder(out):
        assert [path.name for path in out.iterdir()] == [MARKER]


def test_a_folder_that_another_demo_works_in_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with demo_folder(out):
        (out / "page.html").touch()
        with pytest.raises(DemoError, match="another demo is at work in"), demo_folder(out):
            pass
        assert (out / "page.html").exists()
    with (out / MARKER).open() as marker:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(DemoError, match="give another folder with --out"), demo_folder(out):
            pass


def test_a_size_out_of_range_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="time entries: 0 is not within 1 and"):
        demo.run(tmp_path / "out", 0, 7, lambda *_: None)
    assert not (tmp_path / "out").exists()
