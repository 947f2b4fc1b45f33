"""Field converters: from what a feed delivers, as JSON or decoded Avro, to canonical values."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from schemas.kinds import DIGITS, Kind
from schemas.mapping import FieldSpec, Vocabulary
from streams.intake.fields import Fault, UnmappedValue, converter, shown
from tests.support.rows import at


def _spec(kind: Kind, signed: bool = False, vocabulary: Vocabulary | None = None) -> FieldSpec:
    digits, scale = DIGITS.get(kind, (0, 0))
    return FieldSpec("f", "f", kind, True, signed, vocabulary, digits, scale, (), "")


GOOD: list[tuple[Kind, Any, Any]] = [
    (Kind.MONEY, "12.50", Decimal("12.50")),
    (Kind.MONEY, "0", Decimal(0)),
    (Kind.MONEY, "-0", Decimal(0)),
    (Kind.MONEY, "9999999999999999.9999", Decimal("9999999999999999.9999")),
    (Kind.MONEY, "1.50000000", Decimal("1.5")),
    (Kind.MONEY, "1E+3", Decimal(1000)),
    (Kind.MONEY, 7, Decimal(7)),
    (Kind.MONEY, Decimal("7.25"), Decimal("7.25")),
    (Kind.RATE, "0.00000001", Decimal("0.00000001")),
    (Kind.FRACTION, "0.123456", Decimal("0.123456")),
    (Kind.HOURS, "99999.9999", Decimal("99999.9999")),
    (Kind.STRING, "Müller & Söhne", "Müller & Söhne"),
    (Kind.STRING, "", ""),
    (Kind.STRING, "a\u00a0b", "a\u00a0b"),
    (Kind.BOOL, True, True),
    (Kind.BOOL, False, False),
    (Kind.INT, 2**63 - 1, 2**63 - 1),
    (Kind.INT, -(2**63), -(2**63)),
    (Kind.DATE, "2026-02-28", date(2026, 2, 28)),
    (Kind.DATE, date(2026, 2, 28), date(2026, 2, 28)),
    (Kind.DATE, "1900-01-01", date(1900, 1, 1)),
    (Kind.DATE, "9999-12-31", date.max),
    (Kind.TIMESTAMP, "2026-02-28T10:00:00Z", at("02-28 10:00")),
    (Kind.TIMESTAMP, "2026-02-28T12:00:00.250+02:00", at("02-28 10:00") + 250),
    (Kind.TIMESTAMP, datetime(2026, 2, 28, 10, tzinfo=UTC), at("02-28 10:00")),
    (Kind.TIMESTAMP, datetime(2026, 2, 28, 5, tzinfo=timezone(timedelta(hours=-5))), at("02-28 10:00")),
    (Kind.PERIOD, "2026-12", "2026-12"),
    (Kind.CURRENCY, "EUR", "EUR"),
]


@pytest.mark.parametrize(("kind", "value", "converted"), GOOD)
def test_values_that_a_field_holds(kind: Kind, value: Any, converted: Any) -> None:
    found = converter(_spec(kind))(value)
    assert found == converted
    assert type(found) is type(converted)


BAD: list[tuple[Kind, Any, str]] = [
    (Kind.MONEY, "-0.01", "-0.01 is negative"),
    (Kind.MONEY, Decimal(-1), "-1 is negative"),
    (Kind.MONEY, "10000000000000000", "10000000000000000 has more than 16 digits before the point"),
    (Kind.MONEY, "0.00001", "0.00001 has more than 4 digits after the point"),
    (Kind.MONEY, Decimal("NaN"), "NaN is no finite number"),
    (Kind.MONEY, Decimal("sNaN"), "sNaN is no finite number"),
    (Kind.MONEY, Decimal("-Infinity"), "-Infinity is no finite number"),
    (Kind.MONEY, "NaN", "'NaN' is no decimal number"),
    (Kind.MONEY, "", "'' is no decimal number"),
    (Kind.MONEY, " 1", "' 1' is no decimal number"),
    (Kind.MONEY, "1\n", "'1\\n' is no decimal number"),
    (Kind.MONEY, "1,5", "'1,5' is no decimal number"),
    (Kind.MONEY, "0x10", "'0x10' is no decimal number"),
    (Kind.MONEY, "1.", "'1.' is no decimal number"),
    (Kind.MONEY, 1.5, "1.5 is no decimal: decimals are strings"),
    (Kind.MONEY, True, "True is no decimal: decimals are strings"),
    (Kind.MONEY, [], "[] is no decimal: decimals are strings"),
    (Kind.RATE, "1000000000000", "1000000000000 has more than 12 digits before the point"),
    (Kind.FRACTION, "1000", "1000 has more than 3 digits before the point"),
    (Kind.FRACTION, "0.1234567", "0.1234567 has more than 6 digits after the point"),
    (Kind.HOURS, "100000", "100000 has more than 5 digits before the point"),
    (Kind.STRING, 1, "1 is no text"),
    (Kind.STRING, b"a", "b'a' is no text"),
    (Kind.STRING, "a\nb", "'a\\nb' has control characters or half a character"),
    (Kind.STRING, "\ud800", "'\\ud800' has control characters or half a character"),
    (Kind.BOOL, 1, "1 is neither true nor false"),
    (Kind.BOOL, "true", "'true' is neither true nor false"),
    (Kind.INT, 2**63, "9223372036854775808 is no whole number of 64 bits"),
    (Kind.INT, True, "True is no whole number of 64 bits"),
    (Kind.INT, "1", "'1' is no whole number of 64 bits"),
    (Kind.DATE, "2026-2-3", "'2026-2-3' is no date YYYY-MM-DD"),
    (Kind.DATE, "20260203", "'20260203' is no date YYYY-MM-DD"),
    (Kind.DATE, "2026-W06-2", "'2026-W06-2' is no date YYYY-MM-DD"),
    (Kind.DATE, "2026-02-29", "'2026-02-29' is no date YYYY-MM-DD"),
    (Kind.DATE, "1899-12-31", "1899-12-31 is out of range: 1900-01-01 to 9999-12-31"),
    (Kind.DATE, datetime(2026, 2, 3, tzinfo=UTC), f"{datetime(2026, 2, 3, tzinfo=UTC)!r} is no date"),
    (Kind.DATE, 20_000, "20000 is no date"),
    (Kind.TIMESTAMP, "yesterday", "'yesterday' is no time as RFC 3339 writes it"),
    (Kind.TIMESTAMP, "2026-02-03T10:00:00", "2026-02-03 10:00:00 has no time zone: write UTC as Z"),
    (Kind.TIMESTAMP, "1899-12-31T23:00:00Z", "1899-12-31 is out of range: 1900-01-01 to 9999-12-31"),
    (Kind.TIMESTAMP, "1900-01-01T00:00:00+01:00", "1899-12-31 is out of range: 1900-01-01 to 9999-12-31"),
    (Kind.TIMESTAMP, 1_700_000_000_000, "1700000000000 is no time"),
    (Kind.PERIOD, "2026-13", "'2026-13' is no month YYYY-MM"),
    (Kind.PERIOD, "2026-1", "'2026-1' is no month YYYY-MM"),
    (Kind.PERIOD, "2026-01\n", "'2026-01\\n' is no month YYYY-MM"),
    (Kind.CURRENCY, "eur", "'eur' is no currency code of three capital letters"),
    (Kind.CURRENCY, "EURO", "'EURO' is no currency code of three capital letters"),
    (Kind.CURRENCY, None, "None is no currency code of three capital letters"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "message"), BAD)
def test_values_that_a_field_refuses(kind: Kind, value: Any, message: str) -> None:
    with pytest.raises(Fault) as fault:
        converter(_spec(kind))(value)
    assert str(fault.value) == message


def test_a_signed_field_takes_negative_numbers() -> None:
    assert converter(_spec(Kind.MONEY, signed=True))("-12.5") == Decimal("-12.5")
    with pytest.raises(Fault, match="more than 16 digits before the point"):
        converter(_spec(Kind.MONEY, signed=True))("-10000000000000000")


def test_a_vocabulary_translates_what_it_knows() -> None:
    convert = converter(_spec(Kind.STRING, vocabulary=Vocabulary("stage", {"OPEN": "active"})))
    assert convert("OPEN") == "active"
    for unknown in ("open", "", 7, ["OPEN"]):
        with pytest.raises(UnmappedValue, match="is no stage that its mapping knows"):
            convert(unknown)


def test_messages_do_not_carry_a_whole_record() -> None:
    assert len(shown("x" * 1_000_000)) == 100
    assert shown(Decimal("1.50")) == "1.50"
    assert shown("a") == "'a'"


@pytest.mark.parametrize("number", [Decimal("10.500000"), "10.500000", Decimal("-10.5000000000")])
def test_zeros_beyond_the_scale_of_a_field_are_left_out_as_its_contract_has_no_place_for_them(number: Any) -> None:
    money = _spec(Kind.MONEY, signed=True)
    assert str(converter(money)(number)).lstrip("-") == "10.5000"
