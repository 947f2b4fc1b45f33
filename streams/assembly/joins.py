"""Assembled rows, at the ids of the native rows they are made of: what they need, what was found, what was told."""

from typing import Any, Final

from schemas.assembly import Assembly, RowSpec, Wanted
from streams.assembly.fields import holds, named, texts_of, values_of
from streams.assembly.refusals import Refusals
from streams.assembly.rows import Texts, columns_of
from streams.domain.assembled import Answer, Joined, Lookup, NativeRow, Sought
from streams.domain.fact import Cause
from streams.intake.change import Refusal
from streams.intake.fields import Fault
from streams.intake.parked import SEP
from streams.intake.rows import Refused, RowReader
from streams.intake.telling import entity_kind
from streams.rules.exceptions import Entity
from streams.step import Context
from streams.topics import ASSEMBLY_LOOKUPS

TABLES: Final[dict[str, Any]] = {"assembly.joined": Joined}

_ASKED: Final = "asked"
_FOUND: Final = "found"
_ABSENT: Final = "absent"
_UNNAMED: Final = "unnamed"
_WEIGHT: Final = (_UNNAMED, _ABSENT, _ASKED)
"""What decides on a row before what: where a reference names no row, nothing needs to be waited for."""


class Pattern:
    """How the rows of one assembled topic are made, with what reads them afterwards."""

    def __init__(self, spec: RowSpec, assembly: Assembly, reader: RowReader) -> None:
        self.spec = spec
        self.topic = spec.topic
        self.system = assembly.system
        self.namespace = assembly.namespace
        self.translations = assembly.translations
        self.reader = reader
        self.kind = entity_kind(reader.kind)
        self.names = tuple([field.name for field in reader.mapping.fields])
        (self.key_field,) = reader.mapping.key
        self.own_columns = frozenset(assembly.tables[spec.table].columns)

    def entity(self, identity: str) -> Entity:
        """Return what exceptions call an assembled row, by the id of the native row it is made of."""
        name = f"{self.namespace}:{identity}"
        return Entity(self.kind, name, name if self.kind == "project" else None)


class Joins:
    """The assembled rows of one partition."""

    def __init__(self, context: Context, refusals: Refusals) -> None:
        self._context = context
        self._refusals = refusals
        self._joined = context.table("assembly.joined")

    def answered(self, answer: Answer) -> bool:
        """Note an answer; False if it says nothing new, or is about what is no longer wanted."""
        place = f"{answer.row_topic}{SEP}{answer.row_id}"
        joined: Joined | None = self._joined.get(place)
        if joined is None:
            return False
        sought = tuple([_answered(one, answer) for one in joined.sought])
        if sought == joined.sought:
            return False
        self._joined.put(place, joined._replace(sought=sought))
        return True

    def assemble(self, pattern: Pattern, identity: str, row: NativeRow, cause: Cause) -> None:
        """Bring what is told of a row in line with what is known of it and of the rows it needs."""
        joined: Joined | None = self._joined.get(f"{pattern.topic}{SEP}{identity}")
        own = columns_of(row)
        if own and not own.keys() >= pattern.own_columns:
            return  # a column is not known, and the native row refused for it
        parts: dict[str, Texts] = {"": own}
        if not own or not _applies(pattern, parts):
            if joined is not None:
                for one in joined.sought:
                    self._ask(pattern, identity, one, wanted=False)
                self._take_back(pattern, identity, joined._replace(sought=()), row, cause)
            return
        if joined is None:
            joined = Joined(0, None, ())
        state, faults, sought = self._seek(pattern, identity, joined.sought, parts)
        joined = joined._replace(sought=sought)
        if state == _FOUND and not faults:
            self._make(pattern, identity, joined, row, parts, cause)
        elif state in (_UNNAMED, _ABSENT):
            self._take_back(pattern, identity, joined, row, cause, waits=state == _ABSENT)
        elif faults:
            self._refuse(pattern, identity, joined, Refusal("validation_failed", tuple(faults)), cause)
        else:
            self._keep(pattern, identity, joined)  # what was told stays until the answer is there

    # -- what it needs

    def _seek(
        self, pattern: Pattern, identity: str, before: tuple[Sought, ...], parts: dict[str, Texts]
    ) -> tuple[str, list[str], tuple[Sought, ...]]:
        """Ask for the rows that are needed, and add the columns of those that are found to the parts.

        Returns what came of it (all found, or else what decides), why references are none, and what is sought now.
        """
        prior = {one.name: one for one in before}
        sought: list[Sought] = []
        states: set[str] = set()
        faults: list[str] = []
        for wanted in pattern.spec.wanted:
            old = prior.get(wanted.name)
            if wanted.by.column.lookup and wanted.by.column.lookup not in parts:
                if old is not None:  # who names it is not known now: it may well be the same again
                    sought.append(prior.pop(wanted.name))
                continue
            try:
                target = named(wanted.by, parts)
            except Fault as fault:
                faults.append(f"{wanted.name}: {fault}")
                continue
            if target is None:
                states.add(_UNNAMED)
                continue
            if old is not None and (old.table, old.id) == (wanted.table, target):
                one = prior.pop(wanted.name)
            else:
                one = Sought(wanted.name, wanted.table, target, _ASKED, (), (), 0)
                self._ask(pattern, identity, one, wanted=True)
            sought.append(one)
            states.add(_state_of(one, wanted))
            if _state_of(one, wanted) == _FOUND:
                parts[wanted.name] = dict(zip(one.columns, one.texts, strict=True))
        for gone in prior.values():
            self._ask(pattern, identity, gone, wanted=False)
        for state in _WEIGHT:
            if state in states:
                return state, faults, tuple(sought)
        return _FOUND, faults, tuple(sought)

    def _ask(self, pattern: Pattern, identity: str, one: Sought, wanted: bool) -> None:
        lookup = Lookup(one.table, one.id, pattern.topic, identity, one.name, wanted)
        self._context.emit(ASSEMBLY_LOOKUPS, one.id, lookup)

    # -- what comes of it

    def _make(
        self, pattern: Pattern, identity: str, joined: Joined, row: NativeRow, parts: dict[str, Texts], cause: Cause
    ) -> None:
        """Tell a row whose partners are all there, unless it was told like that already."""
        texts = texts_of(pattern.spec.rules, parts, pattern.namespace, pattern.translations, pattern.key_field)
        if texts is None:
            self._take_back(pattern, identity, joined, row, cause)
            return
        if isinstance(texts, Refusal):
            self._refuse(pattern, identity, joined, texts, cause)
            return
        said = tuple(texts.items())
        if said != joined.said:
            try:
                values = values_of(pattern.spec.rules, texts, pattern.names)
                pattern.reader.read(values)
            except Fault as fault:
                self._refuse(pattern, identity, joined, Refusal("validation_failed", (str(fault),)), cause)
                return
            except Refused as refused:
                self._refuse(pattern, identity, joined, refused.refusal, cause)
                return
            joined = self._say(pattern, joined, said, values, _newest(row, joined, cause))
        self._settle(pattern, identity, joined, cause)

    def _take_back(
        self,
        pattern: Pattern,
        identity: str,
        joined: Joined,
        row: NativeRow,
        cause: Cause,
        waits: bool = False,
    ) -> None:
        """Tell that a row is no more, if it was told."""
        if joined.said is not None:
            joined = self._say(pattern, joined, None, {}, _newest(row, joined, cause))
        self._settle(pattern, identity, joined, cause, waits)

    def _settle(self, pattern: Pattern, identity: str, joined: Joined, cause: Cause, waits: bool = False) -> None:
        self._keep(pattern, identity, joined)
        self._refusals.forgive(pattern.topic, identity, pattern.entity(identity), cause)
        if waits:
            self._refusals.wait(pattern.topic, identity, cause)
        else:
            self._refusals.wait_no_more(pattern.topic, identity)

    def _refuse(self, pattern: Pattern, identity: str, joined: Joined, refusal: Refusal, cause: Cause) -> None:
        """Keep what is known and leave what was told: the last good version stays in force."""
        self._keep(pattern, identity, joined)
        self._refusals.refuse(pattern.topic, identity, pattern.entity(identity), refusal, cause)
        self._refusals.wait_no_more(pattern.topic, identity)

    def _keep(self, pattern: Pattern, identity: str, joined: Joined) -> None:
        self._joined.put(f"{pattern.topic}{SEP}{identity}", joined)

    def _say(
        self,
        pattern: Pattern,
        joined: Joined,
        said: tuple[tuple[str, str], ...] | None,
        values: dict[str, Any],
        at: tuple[int, int],
    ) -> Joined:
        """Emit the versions that lead from what was told to what is so: under another key, the old one is deleted.

        `at` is the position and the time of the newest of what has led to it.
        """
        position = max(at[0], joined.position + 1)
        source = {
            "connector": "assembly", "name": pattern.system, "ts_ms": at[1], "snapshot": False, "position": position,
        }  # fmt: skip
        old = None if joined.said is None else dict(joined.said)
        new_key = None if said is None else str(values[pattern.key_field])
        if old is not None and old[pattern.key_field] != new_key:
            before = values_of(pattern.spec.rules, old, pattern.names)
            gone = {"before": before, "after": None, "op": "d", "ts_ms": at[1], "source": source}
            self._context.emit(pattern.topic, old[pattern.key_field], gone)
            old = None
        if new_key is not None:
            op = "c" if old is None else "u"
            now = {"before": None, "after": values, "op": op, "ts_ms": at[1], "source": source}
            self._context.emit(pattern.topic, new_key, now)
        return Joined(position, said, joined.sought)


def _applies(pattern: Pattern, parts: dict[str, Texts]) -> bool:
    """Tell whether a native row is of those that the rows of a topic are made of."""
    return all(holds(condition, parts, pattern.translations) for condition in pattern.spec.where)


def _newest(row: NativeRow, joined: Joined, cause: Cause) -> tuple[int, int]:
    """Return the position and the time of the newest of what a row is made of, as far as they are known."""
    times = [row.cause.occurred_at, cause.occurred_at, *[one.occurred_at for one in joined.sought]]
    return max(row.cause.position or 0, cause.position or 0), max(times)


def _state_of(one: Sought, wanted: Wanted) -> str:
    """Return the state of what is sought; found without a column that is needed now, it is still asked for."""
    return _ASKED if one.state == _FOUND and not {*one.columns} >= {*wanted.columns} else one.state


def _answered(one: Sought, answer: Answer) -> Sought:
    """Return what is sought after an answer, which may be about something else."""
    if (one.name, one.table, one.id) != (answer.name, answer.table, answer.id):
        return one
    state = _FOUND if answer.found else _ABSENT
    return Sought(one.name, one.table, one.id, state, answer.columns, answer.texts, answer.cause.occurred_at)
