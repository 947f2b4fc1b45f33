"""Random firms: histories of every feed with what goes wrong in them, and orders in which they may arrive.

``random_firm`` is plain seeded chance; ``firms`` and ``arrivals`` are Hypothesis strategies over it. A failing firm
is made small with ``shrunk``, which drops whole rows: Hypothesis can only shrink the seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from random import Random

from hypothesis import strategies as st

from tests.oracle.deals import amend, sign, start_project
from tests.oracle.folding import Record
from tests.oracle.histories import PSA, Histories, at, stamp
from tests.oracle.people import DAYS, Draft, close_periods, found_firm, hire, quote
from tests.oracle.shapes import MASTERS, Row, identity
from tests.oracle.work import invoice, log_time, plan, recognize, set_milestone, spend

# after the last change of any firm, so that deadlines have passed
UNTIL = stamp(at(DAYS + 60))
RowName = tuple[str, str]

BAD_FIELDS: dict[str, list[Row]] = {
    PSA + "time_entries": [
        {"hours": "-2"},
        {"hours": "1.23456"},
        {"hours": "NaN"},
        {"status": "Done"},
        {"work_date": "2026-13-01"},
        {"role": None},
    ],
    PSA + "expenses": [{"amount": "-5.00"}, {"amount": "12345678901234567.00"}, {"status": "Paid"}, {"currency": None}],
    PSA + "milestones": [{"amount": "-1"}, {"status": "Accepted"}, {"percent": "0.1234567"}],
    PSA + "projects": [{"stage": "Active"}, {"budget_hours": "-1"}, {"billing_hold": "no"}],
    PSA + "assignments": [{"hours_per_week": "-8"}, {"status": "Planned"}],
    "crm.Contract": [{"BillingType": "Barter"}, {"Status": "Signed"}, {"Value": "1.00001"}, {"StartDate": None}],
    "crm.ContractAmendment": [{"Status": "Signed"}, {"EffectiveDate": "soon"}],
    "erp.FxRate": [{"Rate": "-1"}, {"Rate": "NaN"}],
    "erp.Project": [{"Status": "Open"}, {"ContractVersion": "one"}],
}


def random_firm(
    seed: int | Random, size: int = 2, *, spoiled: bool = True, lower_caps: bool = False, foreign: bool = False
) -> list[Record]:
    """The records of a firm in order of time.

    Args:
        seed: Chance, or where it starts.
        size: Grows everything; 1 is about 300 records, most of them exchange rates and periods, each step adds 80.
        spoiled: Also writes bad row versions and deletes of masters.
        lower_caps: Also lowers caps, after which what is billed hangs on the order of arrival.
        foreign: Also has time and materials projects in another currency than their contract.
    """
    draft = Draft(seed if isinstance(seed, Random) else Random(seed))
    rnd = draft.rnd
    found_firm(draft, clients=1 + size // 2)
    hire(draft, workers=1 + size)
    quote(draft)
    close_periods(draft)
    first = rnd.randrange(4)
    for number in range(1 + size):
        sign(draft, first + number)
    for contract in draft.contracts:
        for number in range(rnd.choice([0, 0, 1, 2])):
            amend(draft, contract, number, lower_caps)
        if draft.chance(0.5):
            recognize(draft, contract)
    for number in range(1 + 2 * size):
        start_project(draft, number, foreign)
    counts = {"T": 8 * size, "X": 3 * size, "M": 3 * size}
    for letter, write in (("T", log_time), ("X", spend), ("M", set_milestone)):
        for number in range(counts[letter]):
            write(draft, number)
    for number in range(2 * size):
        plan(draft, number)
        invoice(draft, number, counts)
    records = draft.log.records()
    return spoil(records, rnd) if spoiled else records


def spoil(records: list[Record], rnd: Random) -> list[Record]:
    """Add bad versions and master deletes: some corrected by a later good version, some the last word."""
    found = []
    for record in records:
        found.append(record)
        if record["value"] is None or record["value"]["after"] is None or rnd.random() > 0.06:
            continue
        topic, value = record["topic"], record["value"]
        if topic in MASTERS and rnd.random() < 0.3:
            gone = {**_between(value, 3), "op": "d", "before": value["after"], "after": None}
            found += [{**record, "value": gone}, {**record, "value": None}]
            if rnd.random() < 0.5:
                found.append({**record, "value": {**_between(value, 6), "op": "c", "before": None}})
        elif topic in BAD_FIELDS:
            bad = {**value["after"], **rnd.choice(BAD_FIELDS[topic])}
            changed = {**_between(value, 3), "op": "u", "before": value["after"], "after": bad}
            found.append({**record, "value": changed})
            if rnd.random() < 0.5:
                found.append({**record, "value": {**_between(value, 6), "op": "u", "before": bad}})
    return found


def _between(value: Row, offset: int) -> Row:
    """The envelope at a position a little later: positions are written ten apart."""
    source = value["source"]
    return {**value, "source": {**source, "position": source["position"] + offset}}


def until(records: list[Record], now: datetime) -> list[Record]:
    """The records of what has happened by a moment."""
    latest = now.timestamp() * 1000
    return [r for r in records if r["value"] is None or r["value"]["source"]["ts_ms"] <= latest]


def row_of(record: Record) -> RowName | None:
    """Which row a record is about, None for a tombstone."""
    value = record["value"]
    return None if value is None else (record["topic"], identity(record["topic"], value["after"] or value["before"]))


def by_row(records: list[Record]) -> dict[RowName, list[Record]]:
    """Records of each row in their order; a tombstone goes with the delete before it."""
    found: dict[RowName, list[Record]] = defaultdict(list)
    name: RowName | None = None
    for record in records:
        name = row_of(record) or name
        if name is not None:
            found[name].append(record)
    return dict(found)


def interleave(records: list[Record], rnd: Random, *, repeats: float = 0.15) -> list[Record]:
    """The same records in a random order that keeps each row's own, some of them delivered again.

    A key change may be read either way round, as its delete and its create lie on different partitions. A share of
    ``repeats`` comes again, at once or much later. Timestamps rise with the new order.
    """
    waiting = [_swapped(history, rnd) for history in by_row(records).values()]
    # One ticket for each record draws every order of rows with the same chance.
    tickets = [number for number, history in enumerate(waiting) for _ in history]
    rnd.shuffle(tickets)
    taken = [0] * len(waiting)
    arrived: list[Record] = []
    for number in tickets:
        arrived.append(waiting[number][taken[number]])
        taken[number] += 1
        if rnd.random() < repeats:
            arrived.append(arrived[-1] if rnd.random() < 0.3 else rnd.choice(arrived))
    started = 1_800_000_000_000
    return [{**record, "timestamp": started + place} for place, record in enumerate(arrived)]


def _swapped(history: list[Record], rnd: Random) -> list[Record]:
    """A row's records, of a changed key now and then the create before the delete of the same position."""
    found = list(history)
    for place in range(len(found) - 2):
        gone, tombstone, created = found[place : place + 3]
        if gone["value"] is None or created["value"] is None or tombstone["value"] is not None:
            continue
        same = gone["value"]["source"]["position"] == created["value"]["source"]["position"]
        if same and gone["value"]["op"] == "d" and created["value"]["op"] == "c" and rnd.random() < 0.5:
            found[place : place + 3] = [created, gone, tombstone]
    return found


def shrunk(records: list[Record], fails: Callable[[list[Record]], bool]) -> list[Record]:
    """The records with all rows taken out that are not needed for the failure, then single versions."""
    kept = records
    for name in sorted(by_row(records), reverse=True):
        dropped = {id(record) for record in by_row(kept).get(name, [])}
        fewer = [record for record in kept if id(record) not in dropped]
        if fails(fewer):
            kept = fewer
    for record in list(kept):
        fewer = [other for other in kept if other is not record]
        if fails(fewer):
            kept = fewer
    return kept


def firms(
    size_max: int = 3, *, spoiled: bool = True, lower_caps: bool = False, foreign: bool = False
) -> st.SearchStrategy[list[Record]]:
    """Random firms in order of time, small ones first."""
    return st.builds(
        random_firm,
        st.integers(0, 2**32 - 1),
        st.integers(1, size_max),
        spoiled=st.just(spoiled),
        lower_caps=st.just(lower_caps),
        foreign=st.just(foreign),
    )


@st.composite
def arrivals(draw: st.DrawFn, size_max: int = 3) -> tuple[list[Record], list[Record]]:
    """A firm in order of time, and the same firm as it arrives."""
    records = draw(firms(size_max))
    return records, interleave(records, Random(draw(st.integers(0, 2**32 - 1))))


__all__ = ["UNTIL", "Histories", "arrivals", "by_row", "firms", "interleave", "random_firm", "shrunk", "until"]
