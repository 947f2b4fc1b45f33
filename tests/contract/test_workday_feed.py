"""Workday: who is gone, windows of time, and workers that cannot be read."""

from collections.abc import Iterator

import pytest

from connect.configuration import Configuration, UnusableConfiguration
from connect.feeds.contract import Fatal, position
from tests.contract.feeds.program import Program
from tests.contract.feeds.station import NOON, Station
from tests.contract.feeds.subjects import WorkdayReport, WorkdayRest


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    made = Program("tests.contract.feeds.workday_simulator")
    yield made
    made.stop()


@pytest.fixture
def rest(program: Program) -> WorkdayRest:
    return WorkdayRest(program)


@pytest.fixture
def report(program: Program) -> WorkdayReport:
    return WorkdayReport(program)


def asked(program: Program) -> list[dict[str, str]]:
    return [request["params"] for request in program.order("asked")]


def ops(run: Station) -> list[tuple[str, str]]:
    return [(change.op, change.key) for change in run.topics.changes]


def test_the_first_reading_is_a_snapshot_and_positions_are_the_workers_own_times(rest: WorkdayRest) -> None:
    run = Station(rest.configuration())
    rest.put(1, 1, NOON - 5_000)
    run.poll()
    rest.put(2, 1, NOON - 4_000)
    run.poll()
    first, second = run.topics.changes
    assert (first.op, first.snapshot, first.position) == ("r", True, position(NOON - 5_000))
    assert (second.op, second.snapshot, second.position) == ("c", False, position(NOON - 4_000))


def test_two_versions_of_one_millisecond_both_land_in_their_order(rest: WorkdayRest) -> None:
    run = Station(rest.configuration())
    for version in (1, 2, 3):
        rest.put(1, version, NOON - 5_000)
        run.poll()
    assert [change.position - position(NOON - 5_000) for change in run.topics.changes] == [0, 1, 2]
    assert run.topics.rows() == rest.rows()


def test_a_worker_that_only_moved_out_of_sight_is_not_gone(rest: WorkdayRest, program: Program) -> None:
    run = Station(rest.configuration())
    for number in range(6):
        rest.put(number, 1, run.tick(1))
    run.poll()
    # After the first page one worker of it goes and another comes: the total is as it was, and no worker is seen twice.
    program.order(
        "meanwhile",
        pages=1,
        orders=[{"do": "remove", "id": "0"}, {"do": "put", "id": "9", "record": rest.record(9, 1, run.now)}],
    )
    rest._rows.pop("E0")
    rest._rows["E9"] = rest.row(9, 1, run.now)
    run.poll()
    assert ("d", "E2") not in ops(run)
    assert ops(run)[6:] == [("c", "E9"), ("d", "E0")]
    assert run.topics.rows() == rest.rows()


def test_while_workers_move_at_every_reading_nobody_is_told_to_be_gone(rest: WorkdayRest, program: Program) -> None:
    run = Station(rest.configuration())
    for number in range(5):
        rest.put(number, 1, run.tick(1))
    run.poll()
    rest.remove(0, run.now)
    for pages in range(1, 30):
        order = {"do": "put", "id": str(10 + pages), "record": rest.record(10 + pages, 1, run.now)}
        program.order("meanwhile", pages=pages, orders=[order])
        rest._rows[f"E{10 + pages}"] = rest.row(10 + pages, 1, run.now)
    run.poll()
    assert "d" not in [op for op, _ in ops(run)]
    run.poll(4)
    assert run.topics.rows() == rest.rows()
    run.topics.verify_once()


def test_a_worker_who_cannot_be_read_is_a_reject_once_and_is_not_gone(rest: WorkdayRest) -> None:
    run = Station(rest.configuration())
    rest.put(1, 1, run.tick(1))
    rest.put(2, 1, run.tick(1))
    run.poll()
    wrong = {**rest.record(1, 2, run.now), "scheduledWeeklyHours": "many"}
    rest.order("put", 1, wrong)
    run.poll(3)
    (reject,) = run.topics.rejects
    assert (reject.topic, reject.key) == ("hr.Worker", "E1")
    assert "WeeklyCapacityHours: 'many': no decimal number" in reject.message
    assert b'"scheduledWeeklyHours": "many"' in reject.original
    assert len(run.topics.changes) == 2
    rest.put(1, 3, run.tick(1))
    run.poll()
    assert run.topics.rows() == rest.rows()


def test_while_a_worker_does_not_say_who_it_is_nobody_is_gone(
    rest: WorkdayRest, program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    run = Station(rest.configuration())
    for number in (1, 2, 3):
        rest.put(number, 1, run.tick(1))
    run.poll()
    rest.remove(1, run.now)
    program.order("put", id="x", record={"descriptor": "nobody"})
    run.poll()
    assert "d" not in [op for op, _ in ops(run)]
    assert "hr.Worker: 1 rows do not say which they are" in caplog.text
    program.order("remove", id="x")
    run.poll()
    assert ops(run)[3:] == [("d", "E1")]


@pytest.mark.parametrize("subject", [WorkdayReport, WorkdayRest])  # in one answer, and on two pages
def test_of_a_worker_who_is_listed_twice_the_first_record_counts_and_the_other_is_a_reject_once(
    program: Program, subject: type[WorkdayReport] | type[WorkdayRest]
) -> None:
    workers = subject(program)
    run = Station(workers.configuration())
    for number in (1, 2, 3):
        workers.put(number, 1, run.tick(1))
    program.order("put", id="again", record=workers.record(1, 2, run.now))
    run.poll(3)
    assert ops(run) == [("r", "E1"), ("r", "E2"), ("r", "E3")]
    assert run.topics.rows() == workers.rows()
    (reject,) = run.topics.rejects
    assert (reject.topic, reject.key) == ("hr.Worker", "E1")
    assert reject.message.startswith("E1 is listed twice, with other values: the record that came first counts")


def test_who_left_is_found_although_another_is_listed_twice(report: WorkdayReport, program: Program) -> None:
    run = Station(report.configuration())
    for number in (1, 2, 3):
        report.put(number, 1, run.tick(1))
    program.order("put", id="again", record=report.record(1, 2, run.now))
    run.poll()
    report.remove(3, run.now)
    run.poll()
    assert ops(run)[3:] == [("d", "E3")]


def test_a_list_that_lacks_most_of_what_is_known_deletes_nothing_until_that_is_allowed(
    report: WorkdayReport, caplog: pytest.LogCaptureFixture
) -> None:
    run = Station(report.configuration())
    for number in range(8):
        report.put(number, 1, run.tick(1))
    run.poll()
    for number in range(5):
        report.remove(number, run.now)
    run.poll()
    assert "d" not in [op for op, _ in ops(run)]
    assert run.told.gaps == 1
    assert (
        "hr.Worker: 5 of 8 rows are not there any more, which is more than 50 %: none of them is deleted" in caplog.text
    )
    run.configuration = Configuration(name="feed", config={**report.configuration(), "gone.percent.max": "100"})
    run.poll()
    assert ops(run)[8:] == [("d", f"E{number}") for number in range(5)]


def test_a_report_that_takes_a_window_is_asked_for_what_changed_in_it(report: WorkdayReport, program: Program) -> None:
    window = {"window.from.parameter": "Updated_From", "window.through.parameter": "Updated_Through"}
    run = Station({**report.configuration(), **window, "overlap.ms": "60000", "whole.interval.ms": "600000"})
    for number in range(3):
        report.put(number, 1, run.tick(1))
    run.poll()
    report.put(1, 2, run.tick(1))
    report.remove(0, run.tick(1))
    run.poll(3)
    assert [sorted(params) for params in asked(program)][:2] == [
        ["format"],
        ["Updated_From", "Updated_Through", "format"],
    ]
    assert asked(program)[1]["Updated_From"] == "2026-03-01T11:59:03.000Z"  # when it was read, and a minute before
    assert ops(run)[3:] == [("u", "E1")]  # a window does not tell who is gone
    run.tick(600)
    run.poll(2)
    assert ops(run)[4:] == [("d", "E0")]
    assert run.topics.rows() == report.rows()
    run.topics.verify_once()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tenant": "a/b"}, "tenant: String should match pattern"),
        ({"page.size": "101"}, "page.size: Input should be less than or equal to 100. Meant is: Workers of a page."),
        ({"api": "raas"}, "api = raas needs report.owner and report.name"),
        ({"window.from.parameter": "x", "window.through.parameter": "y"}, "only a report takes a window"),
        ({"window.from.parameter": "x"}, "window.from.parameter and window.through.parameter go together"),
        ({"fields": "Name=descriptor"}, "fields: EmployeeId is missing"),
        ({"CostRates.fields": "Price=x"}, "CostRates.fields: there is no field Price"),
        ({"Colour": "red"}, "Colour: there is no such setting; remove it or correct its name"),
        ({"auth": "basic"}, "auth = basic needs auth.user, auth.password"),
        ({"url": "example"}, "url: String should match pattern"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_with_its_key(
    rest: WorkdayRest, settings: dict[str, str], said: str
) -> None:
    run = Station({**rest.configuration(), **settings})
    with pytest.raises(UnusableConfiguration) as refused:
        run.poll()
    assert said in str(refused.value)
    assert "secret" not in str(refused.value).replace("auth.client.secret", "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"path": "/ccx/nowhere"}, "404: A21 invalid request"),
    ],
)
def test_a_wrong_place_ends_the_feed(rest: WorkdayRest, settings: dict[str, str], said: str) -> None:
    with pytest.raises(Fatal, match=said):
        Station({**rest.configuration(), **settings}).poll()
