"""Assembly: rows of tables that nobody here designed become rows of the reference shape, by what their mapping says.

A row lives at its own id, and other rows that it needs live at theirs, most of them on other partitions. So it asks
there, by a message under the id it needs, is answered at once, and is told again whenever a column it needs changes,
until it takes the wish back. Answers come under its own id, in order: the last one holds, whatever the delay. What was
found may name the next row to be asked for. Once all that a row needs is there, it is told; when one of them goes, it
is taken back.

The position of what is told rises with every version, though what has led to it may be older than what led to the last.
"""

from collections.abc import Sequence
from typing import Any, Final

from schemas.assembly import Assembly
from schemas.mapping import Mappings
from streams.assembly import joins, refusals, rows
from streams.domain.assembled import Answer, Lookup
from streams.intake.change import Heartbeat, NativeChange, Unreadable
from streams.intake.reading import Reader
from streams.intake.telling import Teller
from streams.step import REVISED, Context, Record, Step
from streams.topics import ASSEMBLY_LOOKUPS, AUDIT, DEAD_LETTERS, EXCEPTIONS

TABLES: Final[dict[str, Any]] = {**rows.TABLES, **joins.TABLES, **refusals.TABLES}


class AssemblyBehaviour:
    """The native rows of one partition at work, and what is assembled at their ids."""

    def __init__(self, context: Context, assemblies: Sequence[Assembly], reader: Reader) -> None:
        self._context = context
        self._teller = Teller(context)
        refused = refusals.Refusals(context, self._teller)
        self._rows = rows.NativeRows(context, assemblies, refused)
        self._joins = joins.Joins(context, refused)
        self._patterns: dict[str, joins.Pattern] = {}
        self._made_from: dict[str, list[joins.Pattern]] = {}
        for assembly in assemblies:
            self._made_from.update({topic: [] for topic in assembly.tables})
            for spec in assembly.rows:
                pattern = joins.Pattern(spec, assembly, reader.row_reader(spec.topic))
                self._patterns[spec.topic] = pattern
                self._made_from[spec.table].append(pattern)
        context.goes_by(":".join([assembly.fingerprint for assembly in assemblies]))

    def on_records(self, records: Sequence[Record]) -> None:
        """Take in versions of native rows, questions about them, and answers."""
        for record in records:
            value = record.value
            if isinstance(value, NativeChange):
                self._native(value)
            elif isinstance(value, Answer):
                self._answer(value)
            elif isinstance(value, Lookup):
                self._rows.look_up(value)
            elif isinstance(value, Unreadable):
                self._teller.unreadable(record, value)
            elif isinstance(value, Heartbeat):
                self._context.count("heartbeats")

    def on_timer(self, key: str) -> None:
        """Mappings or crosswalks were revised: every row is assembled again, and told where that makes a difference."""
        if key != REVISED:
            return
        self._rows.look_again()
        for table, patterns in self._made_from.items():
            for identity, row in self._rows.all_of(table) if patterns else ():
                for pattern in patterns:
                    self._joins.assemble(pattern, identity, row, row.cause)

    def before_commit(self) -> None:
        """Nothing waits for the commit."""

    def _native(self, change: NativeChange) -> None:
        row = self._rows.take_in(change)
        if row is not None:
            for pattern in self._made_from[change.topic]:
                self._joins.assemble(pattern, change.id, row, change.cause)

    def _answer(self, answer: Answer) -> None:
        pattern = self._patterns.get(answer.row_topic)
        if pattern is None or not self._joins.answered(answer):
            return
        row = self._rows.get(pattern.spec.table, answer.row_id)
        assert row is not None  # it has asked
        self._joins.assemble(pattern, answer.row_id, row, answer.cause)


def assembly_step(mappings: Mappings, reader: Reader) -> Step:
    """Declare the step that assembles the rows of all systems whose mapping says how."""
    assemblies = mappings.assemblies
    assembled = [spec.topic for assembly in assemblies for spec in assembly.rows]
    return Step(
        name="assembly",
        key="row id",
        reads=(*mappings.native_topics, ASSEMBLY_LOOKUPS),
        writes=(*assembled, ASSEMBLY_LOOKUPS, EXCEPTIONS, DEAD_LETTERS, AUDIT),
        begin=lambda context: AssemblyBehaviour(context, assemblies, reader),
        remembers=TABLES,
    )
