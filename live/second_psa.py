"""A second PSA beside the first, after a firm was taken over: a real Tryton, captured, mapped, and held to a batch.

with TwoPsas(folder) as pipeline:
    at_work = TrytonAtWork(pipeline.tryton.client())
    # make customers, employees and projects; then say what they are called elsewhere
    pipeline.write_crosswalk({"accounts": {"2": "ACC-7"}, ...})
    pipeline.worker("worker").start()
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

from firm.wire import Record
from live.batch import Batch
from live.pipeline import ANALYTICS, PSA, Pipeline
from stack.errors import Say, silent
from stack.kafka import Kafka
from stack.server import ServerPart
from stack.tryton import DATABASE, Tryton

TRYTON: Final = DATABASE
"""The database, and the connector that captures it."""

_SHIPPED: Final = Path(__file__).parents[1] / "connect"
_MAPPING, _CROSSWALK = "tryton.yaml", "crosswalk.yaml"
_TABLES: Final = (
    "accounts", "employees", "contracts", "regions", "legal_entities", "task_roles", "employee_roles"
)  # fmt: skip

Crosswalk = Mapping[str, Mapping[str, str | None]]
"""Table of the crosswalk -> id in Tryton -> what the firm calls it elsewhere."""


class TwoPsas(Pipeline):
    """A pipeline with a Tryton, set up as an operator does: a copy of `connect/tryton`, and settings that name it."""

    databases: ClassVar[Sequence[str]] = (*Pipeline.databases, TRYTON)

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, *, say: Say = silent) -> None:
        super().__init__(folder, settings, say=say)
        self.tryton = Tryton(self.folder / TRYTON, self.postgresql, say=say)
        self.connectors, self._mapping = self.folder / "connectors", self.folder / "mapping"
        shutil.copytree(_SHIPPED / "connectors", self.connectors)
        shutil.copy(_SHIPPED / TRYTON / "tryton.json", self.connectors)
        self._mapping.mkdir()
        shutil.copy(_SHIPPED / TRYTON / _MAPPING, self._mapping)
        self.write_crosswalk({})

    def write_crosswalk(self, tables: Crosswalk) -> None:
        """Say what Tryton's ids are called elsewhere; who runs finds it at the next start."""
        whole = {name: dict(tables.get(name, {})) for name in _TABLES}
        said = {"system": TRYTON, "owner": "data_steward", "version": 1, "tables": whole}
        (self._mapping / _CROSSWALK).write_text(yaml.safe_dump(said), encoding="utf-8")

    @property
    def parts(self) -> list[Kafka | ServerPart]:
        """What runs, in the order in which it starts."""
        return [self.kafka, self.postgresql, self.tryton, self.registry, self.connect]

    @property
    def environment(self) -> dict[str, str]:
        """What every `throughline` of this pipeline finds in its environment."""
        return {
            **super().environment,
            "THROUGHLINE_CONNECTORS_FOLDER": str(self.connectors),
            "THROUGHLINE_CONTRACTS__FURTHER_MAPPINGS": json.dumps([str(self._mapping / _MAPPING)]),
        }

    def start(self, connectors: Sequence[str] = (PSA, ANALYTICS, TRYTON)) -> None:
        """Start all parts, make databases and topics, and have the connectors run. Raises as a pipeline does."""
        super().start(connectors)

    def _make_databases(self) -> None:
        self.tryton.start()  # Tryton makes its own; what captures it comes after
        super()._make_databases()


class BatchOfBoth(Batch):
    """The batch over the tables of both PSAs."""

    sql: ClassVar[Sequence[str]] = (*Batch.sql, "tryton.sql")

    def __init__(self, pipeline: TwoPsas, others: Iterable[Record], crosswalk: Crosswalk) -> None:
        """`crosswalk`: what the pipeline was told in the end."""
        super().__init__(pipeline, others)
        rows = [(table, key, value) for table, entries in crosswalk.items() for key, value in entries.items()]
        with self._connection.cursor() as cursor:
            cursor.execute("truncate batch.crosswalk")
            cursor.executemany("insert into batch.crosswalk values (%s, %s, %s)", rows)

    def lines(self) -> list[Any]:
        """The timesheet lines that are not billed as they are in the end, and triggers of none that are not undone."""
        return self._connection.execute("select * from batch.tryton_lines_that_differ").fetchall()

    def net_billed(self, project: int) -> Decimal:
        """What is billed for a project of Tryton's, as analysts have it, less what was reversed."""
        asked = "select coalesce(sum(net), 0) from batch.net_billed where project_id = %s"
        found = self._connection.execute(asked, (f"{TRYTON}:{project}",)).fetchone()
        return Decimal(0) if found is None else Decimal(found[0])

    def lines_compared(self) -> int:
        """How many timesheet lines have a worth."""
        found = self._connection.execute("select count(*) from batch.tryton_items where worth > 0").fetchone()
        return 0 if found is None else int(found[0])
