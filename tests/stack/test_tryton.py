"""Two PSAs feed one firm at once: the reference PSA by SQL, and a real Tryton by its own API, both on one PostgreSQL.

Parts are killed meanwhile. What is billed, line by line, is what SQL over Tryton's own tables says.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from firm.database import is_psa
from firm.history import History
from firm.size import FirmSize
from firm.wire import Record
from live.firm import FirmAtWork
from live.second_psa import BatchOfBoth, TwoPsas
from live.taken_over import ROLLOUT, SUPPORT, TakenOver
from live.tryton import TrytonAtWork
from schemas.codec import Codec
from schemas.registry import Confluent
from streams.topics import DEAD_LETTERS, EXCEPTIONS, TRIGGERS
from tests.stack.bench import wait_until
from tests.stack.conftest import say
from tests.support.kafka import values_to_end

pytestmark = pytest.mark.timeout(600)

FIRM = FirmSize(time_entries=600, seed=5, start=date(2025, 1, 1), months=8, dirty=0)
SETTINGS = {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "1", "THROUGHLINE_SINKS__POLL_SECONDS": "0.2"}
DAYS = 20


def told(pipeline: TwoPsas, topic: str) -> list[dict[str, Any]]:
    """What a derived topic holds."""
    with SchemaRegistryClient({"url": pipeline.registry.confluent_url}) as client:
        codec = Codec(Confluent(client))
        values = values_to_end(pipeline.kafka.bootstrap, topic)
        return [codec.decode(topic, value) for value in values if value is not None]


def unmapped(pipeline: TwoPsas) -> list[tuple[str, str]]:
    """Entity and state of each word on a value that is not mapped."""
    return [(one["entity_id"], one["state"]) for one in told(pipeline, EXCEPTIONS) if one["kind"] == "unmapped_value"]


def parts_of(changes: Sequence[Record], count: int) -> Iterator[Sequence[Record]]:
    size = len(changes) // count + 1
    return (changes[at : at + size] for at in range(0, len(changes), size))


def killed_at_any_moment(kill: Callable[[], None], start: Callable[[], None]) -> Thread:
    """Have a part killed and started while others go on with what they do."""

    def both() -> None:
        kill()
        start()

    thread = Thread(target=both)
    thread.start()
    return thread


def test_work_in_tryton_is_billed_beside_the_reference_psa_whatever_is_killed_in_between(tmp_path: Path) -> None:
    changes = list(History(FIRM).records())
    with TwoPsas(tmp_path, SETTINGS, say=say) as pipeline:
        taken_over = TakenOver(TrytonAtWork(pipeline.tryton.client()))
        at_work, (rollout, support) = taken_over.at_work, (str(taken_over.rollout.id), str(taken_over.support.id))
        elsewhere = taken_over.told_elsewhere()
        firm = FirmAtWork(pipeline)
        parts = parts_of(changes, 4)

        say("the support project has no contract yet")
        pipeline.write_crosswalk(taken_over.crosswalk({rollout: ROLLOUT}))
        worker = pipeline.worker("worker")
        worker.start()
        firm.write([*elsewhere, *next(parts)])
        lines = [at_work.record(line) for line in taken_over.lines(taken_over.rollout, DAYS)]

        say("kill -9 of Connect, while both PSAs are written to")
        pipeline.connect.kill()
        firm.write(next(parts))
        in_support = [at_work.record(line) for line in taken_over.lines(taken_over.support, DAYS)]
        pipeline.connect.start()

        say("kill -9 of Tryton, while people correct what they wrote")
        away = killed_at_any_moment(pipeline.tryton.kill, pipeline.tryton.start)
        for line in lines[::7]:
            at_work.correct(line, duration=timedelta(hours=2, minutes=40))
        firm.write(next(parts))
        away.join()
        at_work.correct(lines[1], work=taken_over.rollout.works["Analysis"], date=date(2025, 2, 18))
        at_work.correct(lines[2], description="no change for anyone")
        at_work.delete(lines[3])

        wait_until(lambda: (f"tryton:{support}", "open") in unmapped(pipeline), lambda: str(unmapped(pipeline)))
        say("kill -9 of the worker; it starts again with the contract of the support project")
        worker.kill()
        crosswalk = taken_over.crosswalk({rollout: ROLLOUT, support: SUPPORT})
        pipeline.write_crosswalk(crosswalk)
        at_work.correct(in_support[0], work=taken_over.rollout.works["Build"])
        at_work.delete(in_support[1])
        others = [*elsewhere, *(change for change in changes if not is_psa(change))]
        batch = BatchOfBoth(pipeline, others, crosswalk)
        assert len(batch.lines()) > DAYS  # nothing of the support project is billed yet, and the batch sees it
        worker.start()
        firm.write(next(parts))
        firm.close()

        batch.settle()
        assert batch.projects() == []
        assert batch.bookings() == []
        assert batch.lines() == []
        assert (batch.erps.doubled, batch.erps.complaints) == ([], [])
        worker.lives()
        judged(pipeline, batch, {rollout: ROLLOUT, support: SUPPORT})
        assert len(at_work.durations()) == len(lines) + len(in_support) - 2
        batch.close()


def judged(pipeline: TwoPsas, batch: BatchOfBoth, contracts: dict[str, str]) -> None:
    """No trigger twice, none of Tryton's that is not of its projects, and nothing left that somebody must look at."""
    triggers = told(pipeline, TRIGGERS)
    assert [name for name, count in Counter(one["trigger_id"] for one in triggers).items() if count > 1] == []
    of_tryton = [one for one in triggers if (one["project_id"] or "").startswith("tryton:")]
    assert {(one["project_id"], one["contract_number"]) for one in of_tryton} == {
        (f"tryton:{project}", contract) for project, contract in contracts.items()
    }
    assert len([one for one in triggers if one not in of_tryton]) > 100
    assert batch.lines_compared() > 60
    assert values_to_end(pipeline.kafka.bootstrap, DEAD_LETTERS) == []
    (support,) = (f"tryton:{project}" for project, contract in contracts.items() if contract == SUPPORT)
    assert unmapped(pipeline) == [(support, "open"), (support, "resolved")]
