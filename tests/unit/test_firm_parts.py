"""The parts the firm is made of: money without floats, calendars, the agenda, arrival over the wire, exchange rates."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from firm.agenda import Agenda
from firm.coins import exchange, fraction_text, from_cents, in_hundreds, minor_of, quarters_text, text_of, value_of
from firm.company import company_of
from firm.contracts import Amendment, Client, Contract, Rate
from firm.fx import ExchangeRates
from firm.masters import Master
from firm.moments import (
    DAY_MS,
    HOUR_MS,
    day_number,
    day_text,
    is_workday,
    moment_text,
    month_starts,
    months_later,
    weekdays_between,
)
from firm.size import FirmSize
from firm.wire import Outage, Record, Wire

MONDAY = day_number(date(2025, 3, 3))


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (12345, "EUR", "123.45"),
        (5, "EUR", "0.05"),
        (-5, "USD", "-0.05"),
        (12345, "JPY", "12345"),
        (12345, "KWD", "12.345"),
    ],
)
def test_an_amount_is_written_with_the_digits_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert text_of(minor, currency) == text


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("36.663", "EUR", 3666), ("34.375", "EUR", 3438), ("0.5", "JPY", 1), ("1.0005", "KWD", 1001)],
)
def test_an_amount_is_rounded_half_up(amount: str, currency: str, minor: int) -> None:
    assert minor_of(Decimal(amount), currency) == minor


def test_hours_are_quarters() -> None:
    assert [quarters_text(quarters) for quarters in (32, 30, 29, 1, -3)] == ["8", "7.5", "7.25", "0.25", "-0.75"]
    assert value_of(30, 10_000) == 75_000
    assert value_of(1, 10_002) == 2_501  # 25.005 rounds up


def test_planning_prices_convert_at_the_first_rates() -> None:
    assert from_cents(10_000, "JPY") == 16_000
    assert from_cents(10_000, "KWD") == 33_300
    assert exchange(10_000, "EUR", "USD") == 10_800
    assert exchange(10_800, "USD", "EUR") == 10_000
    assert in_hundreds(1_234_567, "EUR") == 1_230_000
    assert in_hundreds(10, "JPY") == 100


def test_fractions_are_of_one_with_six_digits() -> None:
    assert [fraction_text(1, 3), fraction_text(-1, 4), fraction_text(5, 0)] == ["0.333333", "-0.250000", "0"]


def test_days_and_moments_are_written_as_the_domain_says() -> None:
    assert day_text(MONDAY) == "2025-03-03"
    assert moment_text(MONDAY * DAY_MS + 13 * HOUR_MS + 62_999) == "2025-03-03T13:01:02Z"


def test_workdays_leave_out_weekends_and_common_holidays() -> None:
    assert [is_workday(MONDAY + offset) for offset in range(7)] == [True] * 5 + [False] * 2
    assert not is_workday(day_number(date(2025, 5, 1)))
    assert weekdays_between(MONDAY, MONDAY + 13) == 10
    assert weekdays_between(MONDAY + 5, MONDAY + 6) == 0
    assert weekdays_between(MONDAY, MONDAY - 5) == 0


def test_months_end_where_the_next_begins() -> None:
    assert months_later(date(2025, 1, 15), 12) == date(2026, 1, 15)
    assert months_later(date(2025, 1, 31), 1) == date(2025, 3, 1)
    starts = month_starts(day_number(date(2025, 11, 20)), day_number(date(2026, 1, 2)))
    assert [day_text(start) for start in starts] == ["2025-11-01", "2025-12-01", "2026-01-01"]


def test_the_agenda_carries_out_acts_in_order_of_time_and_of_being_put_down() -> None:
    agenda, lived = Agenda(), []

    def act(at_ms: int, name: str) -> None:
        lived.append((at_ms, name))
        if name == "first":
            agenda.put(at_ms + 5, act, "soon")
            agenda.put(at_ms - 500, act, "past")

    agenda.put(2 * DAY_MS + 10, act, "later that day")
    agenda.put(2 * DAY_MS, act, "first")
    agenda.put(2 * DAY_MS, act, "second")
    agenda.put(3 * DAY_MS, act, "next day")
    agenda.live(2)
    assert lived == [
        (2 * DAY_MS, "first"),
        (2 * DAY_MS, "second"),
        (2 * DAY_MS, "past"),
        (2 * DAY_MS + 5, "soon"),
        (2 * DAY_MS + 10, "later that day"),
    ]


def test_a_feed_that_is_down_tells_all_at_the_end_in_its_order() -> None:
    wire = Wire([Outage("erp", 1_000, 500_000)])
    wire.create(2_000, "erp.Customer", "CU1", {"Id": "CU1"})
    wire.create(3_000, "psa.public.clients", "CL1", {"id": "CL1"})
    wire.create(4_000, "erp.Customer", "CU2", {"Id": "CU2"})
    assert [record.key for record in wire.arrived()] == ["CL1"]
    wire.create(700_000, "psa.public.clients", "CL2", {"id": "CL2"})
    records = wire.arrived()
    assert [record.key for record in records] == ["CU1", "CU2", "CL2"]
    assert [record.value["source"]["ts_ms"] for record in records] == [2_000, 4_000, 700_000]
    assert records[0].value["source"]["position"] < records[1].value["source"]["position"]


def test_what_is_still_on_the_way_arrives_when_the_history_ends() -> None:
    wire = Wire()
    wire.create(1_000, "hr.Worker", "E1", {"EmployeeId": "E1"})
    wire.create(1_001, "crm.Account", "A1", {"Id": "A1"})
    assert wire.arrived() == []
    assert [record.key for record in wire.close()] == ["A1", "E1"]


def test_a_changed_key_is_a_delete_and_a_create_at_one_position() -> None:
    wire = Wire()
    wire.rekey(1_000, "psa.public.time_entries", ("P1", "P2"), {"id": "T1"}, {"id": "T1"})
    gone, back = wire.arrived()
    assert (gone.key, gone.value["op"], gone.value["after"]) == ("P1", "d", None)
    assert (back.key, back.value["op"], back.value["before"]) == ("P2", "c", None)
    assert gone.value["source"]["position"] == back.value["source"]["position"]


def test_a_master_knows_its_last_version() -> None:
    wire = Wire()
    master = Master(wire, "psa.public.clients", "CL1", "updated_at")
    with pytest.raises(LookupError, match=r"psa\.public\.clients CL1: changed before it was created"):
        master.change(0, status="Inactive")
    master.open(1_000, {"id": "CL1", "status": "Active"})
    master.change(2_000, status="Inactive")
    master.remove(3_000)
    versions: list[tuple[Any, Any]] = [(one.value["before"], one.value["after"]) for one in wire.arrived()]
    first = {"id": "CL1", "status": "Active", "updated_at": "1970-01-01T00:00:01Z"}
    second = {"id": "CL1", "status": "Inactive", "updated_at": "1970-01-01T00:00:02Z"}
    assert versions == [(None, first), (first, second), (second, None)]
    with pytest.raises(LookupError, match="deleted before it was created"):
        master.remove(4_000)


def contract() -> Contract:
    company = company_of("LE-DE")
    client = Client(1, "Acme", company, "DE")
    rates = (Rate("Engineer", 10_000, MONDAY), Rate("Engineer", 12_000, MONDAY + 60), Rate("*", 8_000, MONDAY))
    return Contract("C1", client, company, "EUR", "T&M NTE", MONDAY, MONDAY + 90, MONDAY + 90, rates=rates, cap=100_000)


def amendment(number: int, **terms: Any) -> Amendment:
    return Amendment(number, contract(), 0, 0, approved=True, **terms)


def test_a_role_has_its_newest_rate_in_force_and_others_the_fallback() -> None:
    own = contract()
    assert own.rate_on("Engineer", MONDAY - 1) is None
    assert own.rate_on("Engineer", MONDAY) == 10_000
    assert own.rate_on("Engineer", MONDAY + 60) == 12_000
    assert own.rate_on("Analyst", MONDAY + 60) == 8_000
    own.approved.append(amendment(1, effective=MONDAY + 10, rates=(Rate("Engineer", 11_000, MONDAY),)))
    assert own.rate_on("Engineer", MONDAY + 9) == 10_000
    assert own.rate_on("Engineer", MONDAY + 10) == 11_000
    assert own.rate_on("Engineer", MONDAY + 60) == 12_000


def test_amendments_change_cap_value_and_term() -> None:
    own = contract()
    own.approved += [
        amendment(1, effective=MONDAY + 20, cap_delta=5_000, value_delta=700, new_end=MONDAY + 100),
        amendment(2, effective=MONDAY + 10, cap_delta=-1_000, new_end=MONDAY + 200),
    ]
    assert own.cap_now() == 104_000
    assert (own.value_on(MONDAY + 19), own.value_on(MONDAY + 20)) == (0, 700)
    assert own.end_now() == MONDAY + 100
    assert not own.in_term(MONDAY + 101)


def rates_after(days: int) -> ExchangeRates:
    agenda = Agenda()
    rates = ExchangeRates(FirmSize(1, start=date(2025, 3, 3), days=60), Wire(), agenda)
    for day in range(MONDAY, MONDAY + days):
        agenda.live(day)
    return rates


def test_a_rate_is_the_newest_up_to_the_day_direct_or_inverse() -> None:
    rates = rates_after(10)
    direct, inverse = (rates.newest(*pair, MONDAY + 9) for pair in (("KWD", "EUR"), ("EUR", "KWD")))
    assert direct is not None
    assert inverse is not None
    assert abs(direct * inverse - 1) < Decimal("1e-20")
    assert rates.newest("EUR", "EUR", MONDAY) == 1


def test_a_rate_older_than_a_week_is_none() -> None:
    rates = rates_after(10)  # weekly pairs were told on the two Mondays
    assert rates.newest("EUR", "JPY", MONDAY + 14) is not None
    assert rates.newest("EUR", "JPY", MONDAY + 15) is None
    assert rates.newest("EUR", "JPY", MONDAY - 1) is None
    assert rates.newest("CHF", "EUR", MONDAY) is None


def test_records_are_tuples_of_what_a_replay_file_holds() -> None:
    assert Record._fields == ("topic", "key", "value", "timestamp")
