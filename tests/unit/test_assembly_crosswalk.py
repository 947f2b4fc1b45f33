"""Assembly under crosswalks and mappings that are revised: what is parked, and what a start makes of what was told."""

from pathlib import Path
from typing import Any

import pytest

from streams.topology import Rulebook
from tests.support.assembling import Bench, lsn
from tests.support.tryton import CROSSWALK, mapping_in, small_firm, with_tryton

LINES, TASKS = "timesheet_line", "project_work"
ENTRIES = "tryton.time_entries"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    return with_tryton(mapping_in(tmp_path_factory.mktemp("tryton")))


def without(table: str, key: str) -> dict[str, Any]:
    return {**CROSSWALK, table: {name: value for name, value in CROSSWALK[table].items() if name != key}}


UNKNOWN = [
    ("contracts", "1", "project:tryton:1", "contract_number: crosswalk contracts has no '1'"),
    ("accounts", "1", "project:tryton:1", "client_id: crosswalk accounts has no '1'"),
    ("regions", "1", "project:tryton:1", "region: crosswalk regions has no '1'"),
    ("employees", "2", "resource:tryton:2", "employee_id: crosswalk employees has no '2'"),
]


@pytest.mark.parametrize(("table", "key", "entity", "said"), UNKNOWN)
def test_what_the_crosswalk_does_not_know_is_parked_until_a_start_finds_it(
    tmp_path: Path, rules: Rulebook, table: str, key: str, entity: str, said: str
) -> None:
    bench = Bench(with_tryton(mapping_in(tmp_path, without(table, key))))
    tryton = small_firm()
    bench.take(*tryton.records)
    assert bench.exceptions() == [(f"unmapped_value:{entity}", "open", [said], 1)]
    assert bench.gauge() == 1
    bench = bench.again(rules)
    assert (bench.exceptions(), bench.gauge()) == ([(f"unmapped_value:{entity}", "resolved", [said], 1)], 0)
    kind, _, identity = entity.partition(":")
    assert (f"tryton.{kind}s", identity) in [(topic, told) for topic, told, *_ in bench.rows()]


def test_a_role_is_the_tasks_or_else_the_employees(tmp_path: Path) -> None:
    bench = Bench(with_tryton(mapping_in(tmp_path, without("employee_roles", "2"))))
    tryton = small_firm()
    tryton.put(TASKS, 5, name="Other")
    bench.take(*tryton.records)
    assert bench.after()["role"] == "Analyst"
    bench.take(tryton.put(LINES, 1, employee=2))
    said = ["role: crosswalk task_roles has no 'Other', employee_roles has no '2'"]
    assert bench.exceptions() == [("unmapped_value:time_entry:tryton:1", "open", said, 1)]


def test_a_revised_entry_tells_what_was_told_anew_and_nothing_else(tmp_path: Path, rules: Rulebook) -> None:
    bench = Bench(rules)
    tryton = small_firm()
    bench.take(*tryton.records)
    (position,) = [position for topic, _, _, position in bench.rows() if topic == ENTRIES]
    revised = {**CROSSWALK, "task_roles": {"Analysis": "Analyst", "Build": "Architect"}}
    bench = bench.again(with_tryton(mapping_in(tmp_path, revised)))
    assert bench.rows() == [(ENTRIES, "tryton:1", "u", position + 1)]
    assert bench.after()["role"] == "Architect"
    assert bench.again(with_tryton(mapping_in(tmp_path, revised))).rows() == []


def test_a_column_that_was_not_asked_for_before_is_never_taken_for_null(tmp_path: Path, rules: Rulebook) -> None:
    edit = ("billable: {absent: invoice_line}", "billable: {constant: true}")
    bench = Bench(with_tryton(mapping_in(tmp_path, edit=edit)))
    tryton = small_firm()
    tryton.put(LINES, 1, invoice_line=8)
    bench.take(*tryton.records)
    assert bench.after()["billable"] is True
    bench = bench.again(rules)
    said = ["invoice_line: no mapping asked for it when this version came; have its connector read the table anew"]
    place = "validation_failed:tryton.public.timesheet_line:1"
    assert (bench.rows(), bench.exceptions()) == ([], [(place, "open", said, 1)])
    position = lsn(tryton.told[LINES, "1"][-1])
    assert bench.take(tryton.reread(LINES, 1)) == [(ENTRIES, "tryton:1", "u", position + 10)]
    assert (bench.after()["billable"], bench.exceptions()) == (False, [(place, "resolved", said, 1)])


def test_a_lookup_for_another_column_is_answered_again(tmp_path: Path, rules: Rulebook) -> None:
    # The name of a task is known, as projects are made of the same table; so it need not be sent again.
    edit = ("role: {crosswalk: {task_roles: task.name, employee_roles: employee}}", "role: {constant: Any}")
    bench = Bench(with_tryton(mapping_in(tmp_path, edit=edit)))
    tryton = small_firm()
    bench.take(*tryton.records)
    assert bench.after()["role"] == "Any"
    bench = bench.again(rules)
    assert (bench.answers(), bench.after()["role"], bench.exceptions()) == (["task"], "Engineer", [])
