"""A history loaded beside live changes on the whole stack, and killed on its way: a batch over the database agrees.

The database is older than its capture, which tells only what changes from then on. All that lay there by then is
written out and loaded, while the firm goes on.
"""

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from connect.configuration import CONNECTORS_FOLDER
from firm.database import PsaDatabase, is_psa
from firm.history import History
from firm.size import FirmSize
from firm.wire import Record
from live.batch import Batch
from live.derived import trigger_ids
from live.firm import FirmAtWork
from live.pipeline import ANALYTICS, PSA, Pipeline
from live.program import Program
from streams.topics import DEAD_LETTERS
from tests.stack.conftest import say
from tests.support.kafka import values_to_end

pytestmark = pytest.mark.timeout(300)

FIRM = FirmSize(time_entries=2_500, seed=8, start=date(2025, 1, 1), months=8)
SETTINGS = {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "1", "THROUGHLINE_SINKS__POLL_SECONDS": "0.2"}
RATE = "250"
WAIT_SECONDS_MAX = 60.0


def capturing_no_history(folder: Path) -> Path:
    """The connector of the PSA in a folder of its own: it tells what changes, and not what it finds."""
    shipped = json.loads((CONNECTORS_FOLDER / "psa.json").read_text("utf-8"))
    shipped["config"]["snapshot.mode"] = "no_data"
    folder.mkdir()
    (folder / "psa.json").write_text(json.dumps(shipped), "utf-8")
    return folder


def write_out(rows: Iterable[Record], path: Path) -> int:
    """Write the rows that lie there after some changes, as whoever writes out a table does. Return how many."""
    newest = {(each.topic, (each.value["after"] or each.value["before"])["id"]): each for each in rows}
    lying = [each for each in newest.values() if each.value["after"] is not None]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for each in lying:
            value = {**each.value, "op": "r", "before": None}
            file.write(json.dumps({"topic": each.topic, "key": each.key, "value": value}) + "\n")
    return len(lying)


def wait_for(program: Program, words: str) -> None:
    """Wait until a program's log has words. It tells nobody when it writes them."""
    until = time.monotonic() + WAIT_SECONDS_MAX
    while words not in program.log.read_text():
        assert time.monotonic() < until, f"never: {words}\n{program.log.read_text()}"
        time.sleep(0.05)


def halves(changes: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
    middle = len(changes) // 2
    return changes[:middle], changes[middle:]


def test_a_history_is_loaded_beside_live_changes_and_killed_and_a_batch_agrees(tmp_path: Path) -> None:
    before, after = halves(list(History(FIRM).records()))
    others = [change for change in (*before, *after) if not is_psa(change)]
    pipeline = Pipeline(tmp_path, SETTINGS, say=say)
    try:
        pipeline.start(connectors=(ANALYTICS,))
        with closing(PsaDatabase(pipeline.psa_dsn)) as database:
            database.apply(change for change in before if is_psa(change))
        pipeline.run("connect", "apply", PSA, "--folder", str(capturing_no_history(tmp_path / "connectors")))
        file = tmp_path / "history.jsonl.gz"
        rows = write_out((change for change in before if is_psa(change)), file)
        assert rows > 600

        worker = pipeline.worker("worker")
        worker.start()
        load = pipeline.program("load", "load", str(file), "--rate", RATE, "--lag-max", "5000")
        load.start()
        firm = FirmAtWork(pipeline)
        firm.write(change for change in before if not is_psa(change))
        early, late = halves(after)
        firm.write(early)
        wait_for(load, "load: ")
        say("kill -9 of the load")
        load.kill()
        firm.write(late[: len(late) // 2])
        load.start()
        wait_for(load, "is gone on with behind line")
        firm.write(late[len(late) // 2 :])
        firm.close()
        wait_for(load, " rows in ")

        batch = Batch(pipeline, others)
        batch.settle()
        assert batch.projects() == []
        assert batch.bookings() == []
        assert batch.projects_compared() > 0
        worker.lives()
        triggers = trigger_ids(pipeline)
        assert [trigger for trigger, count in Counter(triggers).items() if count > 1] == []
        assert batch.count("billing") == len(triggers) > 400
        assert values_to_end(pipeline.kafka.bootstrap, DEAD_LETTERS) == []
        batch.close()
    finally:
        pipeline.stop()
