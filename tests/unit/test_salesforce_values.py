"""Values of Salesforce in the JSON view, the calls of a day, and settings."""

from decimal import Decimal
from typing import Any

import pytest

from connect.feeds.salesforce.objects import Field, Kind
from connect.feeds.salesforce.session import Calls
from connect.feeds.salesforce.values import WrongType, instant, instant_text, of_event, of_rest, settled
from outside.errors import Retriable

MONEY = Field("Value", "Value__c", Kind.NUMBER, 4)


@pytest.mark.parametrize(
    ("number", "scale", "text"),
    [
        ("1250.0", 4, "1250"),
        ("1250.5", 4, "1250.5"),
        ("1E+7", 4, "10000000"),
        ("1E-7", 8, "0.0000001"),
        ("-0.0", 4, "0"),
        ("0", 0, "0"),
        ("100", 0, "100"),
        ("0.30000000000000004", 4, "0.3"),
        ("1.1500000000000001", 2, "1.15"),
        ("99999999999.99990000001", 4, "99999999999.9999"),
        ("0.12345", 4, "0.12345"),
        ("-1.00005", 4, "-1.00005"),
        ("123456789012345678.9", 4, "123456789012345678.9"),
        ("1E+30", 4, "1" + "0" * 30),
    ],
)
def test_a_number_is_the_decimal_that_was_meant(number: str, scale: int, text: str) -> None:
    assert settled(Decimal(number), scale) == text


@pytest.mark.parametrize("number", ["0.1", "12.34", "1234567.8901", "0.0001", "99999999.99"])
def test_a_double_and_a_number_in_json_are_one(number: str) -> None:
    assert of_event(MONEY, float(number)) == of_rest(MONEY, Decimal(number)) == number


@pytest.mark.parametrize(
    ("field", "rest", "event", "value"),
    [
        (Field("A", "A", Kind.TEXT), "x", "x", "x"),
        (Field("A", "A", Kind.BOOL), True, True, True),
        (Field("A", "A", Kind.DATE), "2026-01-31", 1_769_817_600_000, "2026-01-31"),
        (Field("A", "A", Kind.DATE), "1969-12-31", -86_400_000, "1969-12-31"),
        (Field("A", "A", Kind.MOMENT), "2026-01-05T10:00:01.000+0000", 1_767_607_201_000, "2026-01-05T10:00:01Z"),
        (Field("A", "A", Kind.MOMENT), "2026-01-05T10:00:01.250Z", 1_767_607_201_250, "2026-01-05T10:00:01.250Z"),
        (Field("A", "A", Kind.NUMBER, 6, percent=True), Decimal("12.5"), 12.5, "0.125"),
        (Field("A", "A", Kind.NUMBER, 4), 7, 7.0, "7"),
        (Field("A", "A", Kind.NUMBER, 4), None, None, None),
    ],
)
def test_a_value_is_the_same_by_query_and_by_event(field: Field, rest: Any, event: Any, value: Any) -> None:
    assert of_rest(field, rest) == value
    assert of_event(field, event) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.TEXT, 3), (Kind.TEXT, True), (Kind.BOOL, "true"), (Kind.BOOL, 1), (Kind.NUMBER, "3"),
        (Kind.NUMBER, True), (Kind.DATE, 3), (Kind.DATE, "2026-02-30"), (Kind.DATE, "2026-01-05T10:00:01.000+0000"),
        (Kind.MOMENT, "2026-01-05"), (Kind.MOMENT, Decimal(3)),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_told(kind: Kind, value: Any) -> None:
    with pytest.raises(WrongType, match=str(kind)):
        of_rest(Field("A", "A", kind), value)


@pytest.mark.parametrize(("kind", "value"), [(Kind.DATE, "x"), (Kind.MOMENT, 1.5), (Kind.NUMBER, float("nan"))])
def test_a_value_of_another_type_in_an_event_is_told(kind: Kind, value: Any) -> None:
    with pytest.raises(WrongType):
        of_event(Field("A", "A", kind), value)


def test_instants_go_both_ways() -> None:
    assert instant_text(instant("2026-01-05T10:00:00.000+0000")) == "2026-01-05T10:00:00Z"
    assert instant("2026-01-05T11:00:00.007+01:00") == 1_767_607_200_007


def test_calls_that_are_left_to_others_are_not_made_and_one_looks_again_after_the_wait() -> None:
    calls = Calls("crm", Decimal("0.2"), 900)
    calls.check()
    calls.seen("api-usage=79/100")
    calls.check()
    calls.seen("api-usage=80/100; per-app-api-usage=17/250(appName=sample)")
    with pytest.raises(Retriable, match="80 of 100 calls") as waits:
        calls.check()
    assert waits.value.retry_after_ms == 900
    calls.check()
    calls.seen("")
    calls.check()


def test_the_lookup_of_a_dotted_path() -> None:
    assert Field("A", "Contract__r.Number__c", Kind.TEXT).lookup == "Contract__c"
    assert Field("A", "Account.Name", Kind.TEXT).lookup == "AccountId"
    assert Field("A", "Name", Kind.TEXT).lookup is None
