"""A firm at work on the whole stack while its parts are killed: what analysts and ERPs have is what a batch says."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Protocol

from firm.database import is_psa
from firm.history import History
from firm.size import FirmSize
from live.batch import Batch
from live.derived import trigger_ids
from live.firm import FirmAtWork
from live.pipeline import Pipeline
from streams.topics import DEAD_LETTERS
from tests.stack.conftest import say
from tests.support.kafka import values_to_end

FIRM = FirmSize(time_entries=2_000, seed=5, start=date(2025, 1, 1), months=8)
SETTINGS = {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "1", "THROUGHLINE_SINKS__POLL_SECONDS": "0.2"}


class Killable(Protocol):
    """What can be killed and started again."""

    name: str

    def kill(self) -> None: ...

    def start(self) -> None: ...


def test_rows_of_the_database_come_out_as_a_batch_says_whatever_is_killed_in_between(tmp_path: Path) -> None:
    changes = list(History(FIRM).records())
    with Pipeline(tmp_path, SETTINGS, say=say) as pipeline:
        worker = pipeline.worker("worker")
        worker.start()
        firm = FirmAtWork(pipeline)
        parts = [changes[at : at + len(changes) // 7 + 1] for at in range(0, len(changes), len(changes) // 7 + 1)]
        killed: dict[int, Killable] = {
            1: pipeline.connect, 2: worker, 3: pipeline.postgresql, 4: pipeline.connect, 5: worker
        }  # fmt: skip
        for number, part in enumerate(parts):
            # While a part of the whole is dead, changes go on; it is back before the next ones.
            dead = killed.get(number)
            middle = len(part) // 2
            firm.write(part[:middle])
            if dead is not None:
                say(f"kill -9 of {dead.name}, after {number} of {len(parts)} parts")
                dead.kill()
            if dead is pipeline.postgresql:
                dead.start()  # nothing can be written to it meanwhile
            firm.write(part[middle:])
            if dead is not None:
                dead.start()
        firm.close()
        batch = Batch(pipeline, [change for change in changes if not is_psa(change)])
        batch.settle()
        assert batch.projects() == []
        assert batch.bookings() == []
        assert (batch.erps.doubled, batch.erps.complaints) == ([], [])
        worker.lives()

        triggers = trigger_ids(pipeline)
        assert [trigger for trigger, count in Counter(triggers).items() if count > 1] == []
        assert batch.count("billing") == len(triggers) > 500
        assert values_to_end(pipeline.kafka.bootstrap, DEAD_LETTERS) == []
        assert batch.count("receipt") >= len(triggers)
        batch.close()
