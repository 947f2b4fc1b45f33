"""Two PSAs feed one firm at once: the reference PSA by SQL, and a real Tryton by its own API, both on one PostgreSQL.

Parts are killed meanwhile. What is billed, line by line, is what SQL over Tryton's own tables says.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from live.second_psa import BatchOfBoth, Crosswalk, TwoPsas
from live.taken_over import ROLLOUT, SUPPORT, TakenOver
from live.tryton import Project, TrytonAtWork
from schemas.codec import Codec
from schemas.registry import Confluent
from streams.topics import DEAD_LETTERS, EXCEPTIONS, TRIGGERS
from tests.stack.bench import wait_until
from tests.stack.conftest import say
from tests.support.kafka import values_to_end

pytestmark = pytest.mark.timeout(600)

FIRM = FirmSize(time_entries=500, seed=5, start=date(2025, 1, 1), months=8, dirty=0)
SETTINGS = {"THROUGHLINE_SINKS__BATCH_SECONDS_MAX": "1", "THROUGHLINE_SINKS__POLL_SECONDS": "0.2"}
DAYS = 20
LINES = "tryton.public.timesheet_line"

Contracts = Mapping[int, str]
"""Project of Tryton's -> its contract."""


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


class Both:
    """Both PSAs at work, and the worker that bills what they do."""

    def __init__(self, pipeline: TwoPsas) -> None:
        self.pipeline = pipeline
        self.changes = list(History(FIRM).records())
        self.firm = FirmAtWork(pipeline)
        self.worker = pipeline.worker("worker")
        self.taken_over = TakenOver(TrytonAtWork(pipeline.tryton.client()))
        self.at_work = self.taken_over.at_work
        self.rollout, self.support = self.taken_over.rollout, self.taken_over.support
        self.elsewhere = self.taken_over.told_elsewhere()
        self._parts = parts_of(self.changes, 4)

    def write(self) -> None:
        """Write the next part of the reference firm's history."""
        self.firm.write(next(self._parts))

    def record(self, project: Project) -> list[int]:
        """Record time for a project of Tryton's."""
        return [self.at_work.record(line) for line in self.taken_over.lines(project, DAYS)]

    def map(self, contracts: Contracts) -> Crosswalk:
        """Say which projects of Tryton's have which contract."""
        crosswalk = self.taken_over.crosswalk({str(project): contract for project, contract in contracts.items()})
        self.pipeline.write_crosswalk(crosswalk)
        return crosswalk

    def batch(self, crosswalk: Crosswalk) -> BatchOfBoth:
        """The batch over both databases, and over what the other systems say."""
        others = [*self.elsewhere, *(change for change in self.changes if not is_psa(change))]
        return BatchOfBoth(self.pipeline, others, crosswalk)


def test_work_in_tryton_is_billed_beside_the_reference_psa_whatever_is_killed_in_between(tmp_path: Path) -> None:
    with TwoPsas(tmp_path, SETTINGS, say=say) as pipeline:
        both = Both(pipeline)
        at_work, worker = both.at_work, both.worker
        contracts = {both.rollout.id: ROLLOUT, both.support.id: SUPPORT}
        both.map({both.rollout.id: ROLLOUT})
        worker.start()
        both.firm.write(both.elsewhere)
        both.write()
        lines = both.record(both.rollout)

        say("kill -9 of Connect, while both PSAs are written to")
        pipeline.connect.kill()
        both.write()
        in_support = both.record(both.support)
        pipeline.connect.start()

        say("kill -9 of Tryton, while people correct what they wrote")
        away = killed_at_any_moment(pipeline.tryton.kill, pipeline.tryton.start)
        for line in lines[::7]:
            at_work.correct(line, duration=timedelta(hours=2, minutes=40))
        both.write()
        away.join()
        at_work.correct(lines[1], work=both.rollout.works["Analysis"], date=date(2025, 2, 18))
        at_work.correct(lines[2], description="no change for anyone")
        at_work.delete(lines[3])
        unknown = f"tryton:{both.support.id}", "open"
        wait_until(lambda: unknown in unmapped(pipeline), lambda: str(unmapped(pipeline)))

        say("kill -9 of the worker; it starts again with the contract of the second project")
        worker.kill()
        batch = both.batch(both.map(contracts))
        at_work.correct(in_support[0], work=both.rollout.works["Build"])
        at_work.delete(in_support[1])
        assert len(batch.lines()) > DAYS  # nothing of the second project is billed yet, and the batch sees it
        worker.start()
        both.write()
        agreed(batch)
        worker.lives()
        judged(pipeline, batch, contracts)
        assert len(at_work.durations()) == len(lines) + len(in_support) - 2

        say("lines are read anew on request; Tryton invoices a project itself, and takes it back")
        triggers = told(pipeline, TRIGGERS)
        read_anew(both)
        invoiced_by_tryton(both, batch)
        assert len(told(pipeline, TRIGGERS)) == len(triggers) + 2 * len(billed(triggers, both.rollout))
        worker.lives()
        batch.close()
        both.firm.close()


def billed(triggers: Sequence[Mapping[str, Any]], project: Project) -> set[str]:
    """The lines of a project that something is billed for."""
    net: Counter[str] = Counter()
    for one in triggers:
        if one["project_id"] == f"tryton:{project.id}":
            net[one["source_id"]] += one["amount"]
    return {line for line, amount in net.items() if amount}


def read_anew(both: Both) -> None:
    """Have Debezium read all lines once more; it does so beside what goes on, by its signal and heartbeat tables."""
    pipeline, bootstrap = both.pipeline, both.pipeline.kafka.bootstrap
    assert values_to_end(bootstrap, "__debezium-heartbeat.tryton") != []
    wanted = len(values_to_end(bootstrap, LINES)) + len(both.at_work.durations())
    pipeline.run("connect", "snapshot", "timesheet_line", "--folder", str(pipeline.connectors))
    wait_until(lambda: len(values_to_end(bootstrap, LINES)) >= wanted, lambda: f"{wanted} records of {LINES}")


def invoiced_by_tryton(both: Both, batch: BatchOfBoth) -> None:
    """What Tryton has invoiced is billed by nobody else; what it takes back is billed as before."""
    net = batch.net_billed(both.rollout.id)
    assert net > 0
    invoice = both.at_work.invoice(both.rollout)
    wait_until(lambda: batch.net_billed(both.rollout.id) == 0, lambda: str(batch.lines()))
    assert batch.lines() == []
    both.at_work.withdraw(invoice)
    wait_until(lambda: not batch.lines(), lambda: str(batch.lines()))
    agreed(batch)
    assert batch.net_billed(both.rollout.id) == net


def agreed(batch: BatchOfBoth) -> None:
    """All is as SQL over both databases says, once it has settled."""
    batch.settle()
    assert batch.projects() == []
    assert batch.bookings() == []
    assert batch.lines() == []
    assert (batch.erps.doubled, batch.erps.complaints) == ([], [])


def judged(pipeline: TwoPsas, batch: BatchOfBoth, contracts: Contracts) -> None:
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
