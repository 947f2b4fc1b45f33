"""Assembly: what is told of rows as their parts come, change and go, in whatever order, and what people are told."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from streams.topology import Rulebook
from tests.support.assembling import Bench, lsn, newest
from tests.support.tryton import Json, mapping_in, small_firm, with_tryton

LINES, TASKS, WORKS = "timesheet_line", "project_work", "timesheet_work"
ENTRIES = "tryton.time_entries"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    return with_tryton(mapping_in(tmp_path_factory.mktemp("tryton")))


@pytest.fixture
def bench(rules: Rulebook) -> Bench:
    return Bench(rules)


def test_a_line_becomes_a_time_entry(bench: Bench) -> None:
    tryton = small_firm()
    told = bench.take(*tryton.records)
    line = newest(tryton, LINES, 1)
    assert told[-1] == (ENTRIES, "tryton:1", "c", lsn(line))
    (entry,) = [each for each in bench.told if each.topic == ENTRIES]
    created = datetime.fromisoformat(line["value"]["after"]["create_date"]).astimezone(UTC)
    assert entry.value == {
        "before": None,
        "after": {
            "id": "tryton:1",
            "project_id": "tryton:1",
            "resource_id": "tryton:1",
            "role": "Engineer",
            "work_date": date(2026, 2, 3),
            "hours": Decimal("7.5000"),
            "billable": True,
            "status": "recorded",
            "approved_at": created,
            "updated_at": created,
        },
        "op": "c",
        "ts_ms": line["timestamp"],
        "source": {
            "connector": "assembly",
            "name": "tryton",
            "ts_ms": line["timestamp"],
            "snapshot": False,
            "position": lsn(line),
        },
    }
    assert (bench.exceptions(), bench.gauge()) == ([], 0)


def test_the_others_become_what_they_are(bench: Bench) -> None:
    tryton = small_firm()
    told = bench.take(*tryton.records)
    assert sorted((topic, key, op) for topic, key, op, _ in told) == [
        ("tryton.clients", "tryton:1", "c"),
        ("tryton.clients", "tryton:2", "c"),
        ("tryton.projects", "tryton:1", "c"),
        ("tryton.resources", "tryton:1", "c"),
        ("tryton.resources", "tryton:2", "c"),
        (ENTRIES, "tryton:1", "c"),
    ]
    (project,) = [each.value["after"] for each in bench.told if each.topic == "tryton.projects"]
    assert project == {
        "id": "tryton:1", "name": "Project 1", "client_id": "tryton:1", "contract_number": "CT1", "stage": "1",
        "billing_hold": False, "region": "EMEA", "legal_entity": "LE1", "cost_center": None, "currency": "EUR",
        "start_date": date(2026, 2, 2), "end_date": None, "budget_hours": None, "budget_cost": None,
        "baseline_margin_pct": None, "updated_at": project["updated_at"],
    }  # fmt: skip


def test_a_row_waits_for_its_partners_in_any_order(bench: Bench) -> None:
    tryton = small_firm()
    line, task, work = (newest(tryton, table, number) for table, number in ((LINES, 1), (TASKS, 5), (WORKS, 5)))
    assert (bench.take(line), bench.gauge()) == ([], 1)
    assert (bench.take(task), bench.gauge()) == ([], 1)
    # What leads to it is the work, which was changed before the line.
    assert lsn(work) < lsn(line)
    assert (bench.take(work), bench.gauge()) == ([(ENTRIES, "tryton:1", "c", lsn(line))], 0)
    assert bench.exceptions() == []


def test_the_position_rises_though_what_changes_is_older(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    renamed = tryton.put(TASKS, 5, name="Analysis")
    corrected = tryton.put(LINES, 1, duration="PT3600S")
    assert bench.take(corrected) == [(ENTRIES, "tryton:1", "u", lsn(corrected))]
    assert bench.take(renamed) == [(ENTRIES, "tryton:1", "u", lsn(corrected) + 1)]
    assert (bench.after()["role"], bench.after()["hours"]) == ("Analyst", Decimal("1.0000"))


def test_only_a_column_that_is_needed_tells_those_who_need_it(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    assert bench.take(tryton.put(TASKS, 5, progress=3)) == []
    assert bench.answers() == []
    assert bench.take(tryton.put("party_party", 11, name="Ada")) != []
    assert bench.answers() == ["party"]


def test_a_line_for_another_project_is_a_delete_and_a_create_at_one_position(bench: Bench) -> None:
    tryton = small_firm()
    tryton.project(2)
    tryton.task(6, 2)
    bench.take(*tryton.records)
    moved = tryton.put(LINES, 1, work=6)
    assert bench.take(moved) == [
        (ENTRIES, "tryton:1", "d", lsn(moved)),
        (ENTRIES, "tryton:2", "c", lsn(moved)),
    ]
    deleted, created = (each.value for each in bench.told if each.topic == ENTRIES)
    assert (deleted["before"]["id"], deleted["before"]["project_id"], deleted["after"]) == (
        "tryton:1",
        "tryton:1",
        None,
    )
    assert created["after"]["project_id"] == "tryton:2"
    whole_task = tryton.put(TASKS, 6, path="1/6/")
    assert bench.take(whole_task) == [
        (ENTRIES, "tryton:2", "d", lsn(whole_task)),
        (ENTRIES, "tryton:1", "c", lsn(whole_task)),
    ]


def test_what_was_told_stays_until_the_next_partner_has_answered(bench: Bench) -> None:
    tryton = small_firm()
    tryton.task(6, 1, name="Analysis")
    bench.take(*tryton.records)
    moved = tryton.put(LINES, 1, work=6)
    # No delete between: one version, with what changed.
    assert bench.take(moved) == [(ENTRIES, "tryton:1", "u", lsn(moved))]
    assert bench.after()["role"] == "Analyst"


@pytest.mark.parametrize("table", [WORKS, TASKS])
def test_a_partner_that_goes_takes_the_row_back_until_it_returns(bench: Bench, table: str) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    row = tryton.rows[table]["5"]
    tryton.delete(table, 5)
    gone = newest(tryton, table, 5)
    assert (bench.take(gone), bench.gauge()) == ([(ENTRIES, "tryton:1", "d", lsn(gone))], 1)
    back = tryton.put(table, 5, **row)
    assert (bench.take(back), bench.gauge()) == ([(ENTRIES, "tryton:1", "c", lsn(back))], 0)


def test_a_deleted_row_is_told_as_deleted_and_asks_for_nothing_more(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    tryton.delete(LINES, 1)
    gone = newest(tryton, LINES, 1)
    assert bench.take(gone) == [(ENTRIES, "tryton:1", "d", lsn(gone))]
    assert bench.take(tryton.put(TASKS, 5, name="Analysis")) == []
    assert bench.answers() == []


@pytest.mark.parametrize(
    "columns",
    [{"origin": None}, {"origin": "sale.line,5"}, {"origin": "project.work,-1"}],
    ids=["no origin", "another model", "no id"],
)
def test_time_for_no_project_is_nobodys(bench: Bench, columns: Json) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    freed = tryton.put(WORKS, 5, **columns)
    assert (bench.take(freed), bench.gauge()) == ([(ENTRIES, "tryton:1", "d", lsn(freed))], 0)
    assert bench.exceptions() == []


def test_a_task_whose_path_is_not_written_yet_belongs_to_no_project(bench: Bench) -> None:
    tryton = small_firm()
    first = [*tryton.records]
    told = bench.take(*first[:-1], tryton.put(TASKS, 5, path=None), first[-1])
    assert (ENTRIES in [topic for topic, *_ in told], bench.gauge()) == (False, 0)
    assert [topic for topic, *_ in bench.take(tryton.put(TASKS, 5, path="1/5/"))] == [ENTRIES]


def test_what_tryton_has_invoiced_is_not_billable(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    bench.take(tryton.put(LINES, 1, invoice_line=8))
    assert bench.after()["billable"] is False


def test_a_version_seen_before_or_older_is_a_duplicate(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    bench.take(tryton.put(LINES, 1, duration="PT3600S"))
    assert bench.take(*tryton.told[LINES, "1"], *tryton.told[TASKS, "5"]) == []
    assert bench.counts()["duplicates"] == 3


def test_a_create_goes_before_a_delete_at_one_position_in_either_order(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    tryton.rewrite(LINES, 1)
    _, deleted, created = tryton.told[LINES, "1"]
    assert [op for _, _, op, _ in bench.take(deleted, created)] == ["d", "c"]
    tryton.rewrite(LINES, 1)
    *_, deleted, created = tryton.told[LINES, "1"]
    assert bench.take(created, deleted) == []  # it is as it was


def test_a_row_that_is_read_anew_mends_what_was_missed_and_undoes_no_change(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    told = newest(tryton, LINES, 1)
    assert bench.take(tryton.reread(LINES, 1)) == []
    missed = tryton.put(LINES, 1, duration="PT3600S")
    mended = tryton.reread(LINES, 1, later=500)
    reached = int(json.loads(mended["value"]["source"]["sequence"])[0])
    assert bench.take(mended) == [(ENTRIES, "tryton:1", "u", reached)]
    assert bench.take(told, mended) == []
    # Of a transaction that was open meanwhile: written before the reading, at a position before it.
    open_then = tryton.put(LINES, 1, duration="PT7200S")
    assert lsn(open_then) < reached
    assert bench.take(missed) == []  # it is as it was read
    assert bench.take(open_then) == [(ENTRIES, "tryton:1", "u", reached + 1)]
    assert bench.after()["hours"] == Decimal("2.0000")
    assert bench.take(mended) == []


def test_a_value_that_was_left_as_it_was_is_kept(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    unchanged = tryton.put("party_party", 11, {"name": "__debezium_unavailable_value"})
    assert bench.take(unchanged) == []
    assert bench.exceptions() == []
    renamed = tryton.put("party_party", 11, name="Ada")
    assert [topic for topic, *_ in bench.take(renamed)] == ["tryton.resources"]


def test_a_value_that_nobody_knows_is_refused(bench: Bench) -> None:
    tryton = small_firm()
    unknown = tryton.put("party_party", 11, {"name": "__debezium_unavailable_value"})
    assert bench.take(*(r for r in tryton.records if r["key"] != "11"), unknown) != []
    assert bench.exceptions() == [
        (
            "validation_failed:tryton.public.party_party:11",
            "open",
            ["name: it was left as it was, and how that is is not known"],
            1,
        )
    ]


def test_a_version_that_cannot_be_read_leaves_the_last_one_in_force(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    tryton.spoil(LINES, 1, duration=[1], date=7.5)
    reasons = [
        "date: 7.5 is float: a column that is mapped holds text, numbers, dates or times",
        "duration: [1] is list: a column that is mapped holds text, numbers, dates or times",
    ]
    place = "validation_failed:tryton.public.timesheet_line:1"
    assert bench.take(newest(tryton, LINES, 1)) == []
    assert (bench.exceptions(), bench.gauge()) == ([(place, "open", reasons, 1)], 1)
    good = tryton.put(LINES, 1, duration="PT3600S")
    assert bench.take(good) == [(ENTRIES, "tryton:1", "u", lsn(good))]
    assert (bench.exceptions(), bench.gauge()) == ([(place, "resolved", reasons, 1)], 0)


def test_a_row_without_a_column_or_under_a_foreign_key_is_refused(bench: Bench) -> None:
    tryton = small_firm()
    record = newest(tryton, LINES, 1)
    del record["value"]["after"]["duration"]
    bench.take(record)
    bench.take({**newest(tryton, TASKS, 5), "key": "6"})
    assert bench.exceptions() == [
        ("validation_failed:tryton.public.timesheet_line:1", "open", ["duration: the row has no such column"], 1),
        ("validation_failed:tryton.public.project_work:5", "open", ["record key '6' is not '5', its row's"], 1),
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"op": "u"}, "the envelope has no source"),
        (
            {"op": "c", "after": {"name": "x"}, "source": {"lsn": 1, "ts_ms": 1}},
            "the row has no id, which identifies it",
        ),
        ({"op": "c", "after": {"id": 7.5}, "source": {"lsn": 1, "ts_ms": 1}}, "7.5 in id identifies no row"),
        ({"op": "c", "after": {"id": 1}, "source": {"ts_ms": 1}}, "source.position None is no whole number"),
    ],
)
def test_what_is_no_change_is_a_dead_letter(bench: Bench, value: Json, said: str) -> None:
    assert bench.take({"topic": "tryton.public.party_party", "key": "1", "value": value}) == []
    (letter,) = bench.dead_letters()
    assert (letter["key"], letter["value"]) == ("1", value)
    ((_, state, reasons, _),) = bench.exceptions()
    assert (state, said in reasons[0]) == ("open", True)


def test_a_tombstone_says_nothing(bench: Bench) -> None:
    assert bench.take({"topic": "tryton.public.party_party", "key": "1", "value": None}) == []


def test_a_field_that_cannot_be_made_refuses_the_row_with_all_its_faults(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    tryton.put(LINES, 1, duration="long", date="today", employee=None)
    assert bench.take(newest(tryton, LINES, 1)) == []
    long = ["hours: 'long' is no duration: a number needs a unit"]
    assert bench.exceptions() == [("validation_failed:time_entry:tryton:1", "open", long, 1)]
    tryton.put(LINES, 1, duration="PT3600S")
    bench.take(newest(tryton, LINES, 1))
    today = ["work_date: 'today' is no date"]
    assert bench.exceptions() == [("validation_failed:time_entry:tryton:1", "open", today, 2)]
    tryton.put(LINES, 1, date="2026-02-03")
    tryton.put(LINES, 1, duration="-PT3600S", date="2026-02-03")
    bench.take(newest(tryton, LINES, 1))
    negative = ["resource_id: a required field is missing", "hours: -1.0000 is negative"]
    assert bench.exceptions() == [("validation_failed:time_entry:tryton:1", "open", negative, 3)]
    tryton.put(LINES, 1, duration="PT3600S", employee=2)
    bench.take(newest(tryton, LINES, 1))
    assert bench.after()["resource_id"] == "tryton:2"
    assert bench.exceptions() == [("validation_failed:time_entry:tryton:1", "resolved", negative, 3)]


def test_a_reference_that_is_none_is_refused(bench: Bench) -> None:
    tryton = small_firm()
    bench.take(*tryton.records)
    bench.take(tryton.put(WORKS, 5, origin="project.work;5"))
    said = ["task: 'project.work;5' in work.origin is no reference: it would be a model, a comma, an id"]
    assert bench.exceptions() == [("validation_failed:time_entry:tryton:1", "open", said, 1)]
    bench.take(tryton.put(WORKS, 5, origin="project.work,5"))
    assert bench.exceptions() == [("validation_failed:time_entry:tryton:1", "resolved", said, 1)]
