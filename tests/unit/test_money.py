"""Money: rounded half up to the minor unit of its currency, never a float."""

from decimal import Decimal

import pytest

from streams.domain.money import minor_unit, multiply, round_money, round_quotient, whole_units


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("1.004", "EUR", "1.00"),
        ("1.005", "EUR", "1.01"),
        ("2.675", "USD", "2.68"),
        ("-1.005", "EUR", "-1.01"),
        ("-1.004", "EUR", "-1.00"),
        ("0.005", "EUR", "0.01"),
        ("0", "EUR", "0.00"),
        ("34.375", "EUR", "34.38"),
        ("1.5", "JPY", "2"),
        ("1.49", "JPY", "1"),
        ("2.5", "KRW", "3"),
        ("1.0005", "KWD", "1.001"),
        ("1.0004", "BHD", "1.000"),
        ("1.00005", "CLF", "1.0001"),
        ("1.005", "XXX", "1.01"),
        ("9999999999999999.994", "EUR", "9999999999999999.99"),
        (f"{'9' * 40}.994", "EUR", f"{'9' * 40}.99"),  # the largest amount at the largest exchange rate and markup
    ],
)
def test_amounts_round_half_up_to_the_minor_unit(amount: str, currency: str, rounded: str) -> None:
    assert str(round_money(Decimal(amount), currency)) == rounded


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [("500.009", "EUR", "500.00"), ("500", "EUR", "500.00"), ("500.9", "JPY", "500"), ("-0.001", "EUR", "-0.01")],
)
def test_a_limit_leaves_room_for_whole_minor_units(amount: str, currency: str, units: str) -> None:
    assert str(whole_units(Decimal(amount), currency)) == units


@pytest.mark.parametrize(("currency", "unit"), [("EUR", "0.01"), ("JPY", "1"), ("KWD", "0.001"), ("UYW", "0.0001")])
def test_minor_units(currency: str, unit: str) -> None:
    assert minor_unit(currency) == Decimal(unit)


def test_a_hair_under_a_half_is_a_half() -> None:
    # What a quotient of 60 digits loses must not decide a cent.
    assert round_money(Decimal("0.004" + "9" * 50), "EUR") == Decimal("0.01")
    assert round_money(Decimal("0.004" + "9" * 20), "EUR") == Decimal("0.00")


def test_products_of_declared_fields_are_exact() -> None:
    hours, rate, fraction = Decimal("99999.9999"), Decimal("999999999999.99999999"), Decimal("1.000001")
    product = multiply(multiply(hours, rate), fraction)
    assert product == Decimal(f"{999999999 * 99999999999999999999 * 1000001}E-18")


@pytest.mark.parametrize(
    ("value", "published"),
    [("0.0000005", "0.000001"), ("0.0000004", "0.000000"), ("-0.0000005", "-0.000001"), ("12", "12.000000")],
)
def test_quotients_are_published_with_six_digits(value: str, published: str) -> None:
    assert str(round_quotient(Decimal(value))) == published


def test_no_quotient_is_published_as_none() -> None:
    assert round_quotient(None) is None
