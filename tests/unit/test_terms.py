"""Terms as of a date: rates, value, cap, term."""

import pytest

from streams.domain.canonical import Amendment
from streams.domain.terms import cost_rate_at
from tests.support.rows import D, amendment, cost_rates, day, rates, terms

RATE_CASES = {
    "the newest by the date": ([], "03-01", "Engineer", "120"),
    "the day before a new rate": ([], "02-28", "Engineer", "100"),
    "none yet": ([], "2025-12-31", "Engineer", None),
    "another role falls back on any": ([], "03-01", "Analyst", "80"),
    "a role's own rate beats a newer one of any role": ([], "06-01", "Engineer", "120"),
    "any role has a newer rate": ([], "06-01", "Analyst", "85"),
    "before the own rate, any role's": ([], "01-05", "Designer", "80"),
    "the own rate, once in force": ([], "03-01", "Designer", "90"),
    "an amendment counts from its own effective date": (
        [amendment("M1", "03-10", rates=rates(("Engineer", "130", "03-05")))], "03-09", "Engineer", "120",
    ),
    "from the later of both dates": (
        [amendment("M1", "03-10", rates=rates(("Engineer", "130", "03-05")))], "03-10", "Engineer", "130",
    ),
    "a rate that begins after its amendment": (
        [amendment("M1", "03-10", rates=rates(("Engineer", "130", "04-01")))], "03-31", "Engineer", "120",
    ),
    "an amendment beats the contract on one date": (
        [amendment("M1", "01-01", rates=rates(("Engineer", "130", "03-01")))], "03-01", "Engineer", "130",
    ),
    "a newer rate of the contract beats an older one of an amendment": (
        [amendment("M1", "01-15", rates=rates(("Engineer", "130", "01-01")))], "03-01", "Engineer", "120",
    ),
    "the later amendment by date": (
        [
            amendment("M2", "03-01", rates=rates(("Engineer", "131", "04-01"))),
            amendment("M1", "03-02", rates=rates(("Engineer", "132", "04-01"))),
        ], "04-01", "Engineer", "132",
    ),
    "the later amendment by id": (
        [
            amendment("M2", "03-01", rates=rates(("Engineer", "131", "04-01"))),
            amendment("M1", "03-01", rates=rates(("Engineer", "132", "04-01"))),
        ], "04-01", "Engineer", "131",
    ),
    "in one row the last listed": (
        [amendment("M1", "03-01", rates=rates(("Engineer", "131", "04-01"), ("Engineer", "129", "04-01")))],
        "04-01", "Engineer", "129",
    ),
    "a rate of zero is a rate": (
        [amendment("M1", "03-01", rates=rates(("Engineer", "0", "04-01")))], "04-01", "Engineer", "0",
    ),
}  # fmt: skip
LISTED = rates(
    ("Engineer", "100", "01-01"), ("Engineer", "120", "03-01"), ("*", "80", "01-01"), ("*", "85", "05-01"),
    ("Designer", "90", "03-01"),
)  # fmt: skip


@pytest.mark.parametrize(("amendments", "on", "role", "rate"), RATE_CASES.values(), ids=RATE_CASES)
def test_the_rate_in_force(amendments: list[Amendment], on: str, role: str, rate: str | None) -> None:
    assert terms(*amendments, rates=LISTED).rate_of(role, day(on)) == (None if rate is None else D(rate))


def test_without_rates_there_is_none() -> None:
    assert terms(rates=()).rate_of("Engineer", day("03-01")) is None


@pytest.mark.parametrize(
    ("on", "value"), [("02-28", "1000"), ("03-01", "1500"), ("03-31", "1500"), ("04-01", "1200"), ("12-31", "1200")]
)
def test_the_value_at_a_date(on: str, value: str) -> None:
    found = terms(
        amendment("M2", "04-01", value_delta=D(-300)), amendment("M1", "03-01", value_delta=D(500)), value=D(1000)
    )
    assert found.value_at(day(on)) == D(value)
    assert found.total_value == D(1200)


def test_a_contract_without_value_is_worth_its_amendments() -> None:
    found = terms(amendment("M1", "03-01", value_delta=D(500)))
    assert (found.value_at(day("02-01")), found.value_at(day("03-01"))) == (D(0), D(500))


CAPS = {
    "all amendments, whatever their date": (
        "capped_time_and_materials", "1000", [("M1", "12-01", "400"), ("M2", "01-01", "-100")], "1300",
    ),
    "no cap on the contract": ("capped_time_and_materials", None, [("M1", "01-01", "400")], None),
    "another billing type": ("time_and_materials", "1000", [], None),
    "whole cents": ("capped_time_and_materials", "1000.009", [("M1", "01-01", "0.0009")], "1000.00"),
    "lowered under nothing": ("capped_time_and_materials", "100", [("M1", "01-01", "-400")], "0.00"),
}  # fmt: skip


@pytest.mark.parametrize(("billing_type", "cap", "deltas", "found"), CAPS.values(), ids=CAPS)
def test_the_cap(billing_type: str, cap: str | None, deltas: list[tuple[str, str, str]], found: str | None) -> None:
    amendments = [amendment(identity, since, cap_delta=D(delta)) for identity, since, delta in deltas]
    told = terms(*amendments, billing_type=billing_type, cap=None if cap is None else D(cap))
    assert told.cap == (None if found is None else D(found))


ENDS = {
    "the contract's": ([], "12-31", "12-31"),
    "none": ([], None, None),
    "of the last amendment that has one": ([("M1", "02-01", "09-30"), ("M2", "03-01", None)], "12-31", "09-30"),
    "last by date, not by end": ([("M1", "05-01", "08-31"), ("M2", "03-01", "2027-12-31")], "12-31", "08-31"),
    "last by id on one date": ([("M2", "03-01", "10-31"), ("M1", "03-01", "11-30")], "12-31", "10-31"),
    "an end for an endless contract": ([("M1", "02-01", "09-30")], None, "09-30"),
}


@pytest.mark.parametrize(("amendments", "end", "found"), ENDS.values(), ids=ENDS)
def test_the_end(amendments: list[tuple[str, str, str | None]], end: str | None, found: str | None) -> None:
    rows = [amendment(i, since, new_end_on=None if new is None else day(new)) for i, since, new in amendments]
    told = terms(*rows, end_on=None if end is None else day(end))
    assert told.end_on == (None if found is None else day(found))


@pytest.mark.parametrize(
    ("on", "covered"),
    [("2025-12-31", False), ("2026-01-01", True), ("2026-12-31", True), ("2027-01-01", False)],
)
def test_the_term_includes_its_first_and_last_day(on: str, covered: bool) -> None:
    assert terms().covers(day(on)) is covered


def test_an_endless_term_covers_all_days_to_come() -> None:
    assert terms(end_on=None).covers(day("9999-12-31"))


def test_places_of_amendments_are_by_date_and_id() -> None:
    told = terms(amendment("B", "03-01"), amendment("A", "03-01"), amendment("C", "02-01"))
    assert [told.place_of(identity) for identity in ("C", "A", "B")] == [1, 2, 3]
    assert told.version == 3


@pytest.mark.parametrize(
    ("on", "rate"), [("2025-12-31", None), ("01-01", "60"), ("02-04", "60"), ("02-05", "71"), ("12-31", "71")]
)
def test_the_cost_rate_at_a_date(on: str, rate: str | None) -> None:
    listed = cost_rates(("60", "01-01"), ("70", "02-05"), ("71", "02-05"))
    found = cost_rate_at(listed, day(on))
    assert (found and found.rate) == (None if rate is None else D(rate))


def test_an_unknown_worker_has_no_cost_rate() -> None:
    assert cost_rate_at(None, day("02-01")) is None
    assert cost_rate_at((), day("02-01")) is None
