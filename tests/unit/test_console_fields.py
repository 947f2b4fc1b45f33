"""Reading derived records: the JSON view and the inner view read the same, and what is wrong is named."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from console.fields import Fields, UnreadableRecord, headers_of

NOON_MS = 1_772_539_200_000  # 2026-03-03T12:00:00Z


def fields(**value: Any) -> Fields:
    return Fields("erp.receipts", "C1", value)


@pytest.mark.parametrize("given", [Decimal("80.00"), "80.00", 80])
def test_a_decimal_reads_the_same_in_both_views(given: Any) -> None:
    assert fields(amount=given).decimal("amount") == Decimal(80)


@pytest.mark.parametrize(
    "given",
    [
        NOON_MS,
        "2026-03-03T12:00:00Z",
        "2026-03-03T12:00:00.000Z",
        "2026-03-03T13:00:00+01:00",
        datetime(2026, 3, 3, 12, tzinfo=UTC),
        datetime(2026, 3, 3, 13, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_an_instant_reads_the_same_in_both_views(given: Any) -> None:
    assert fields(at=given).instant("at") == NOON_MS


@pytest.mark.parametrize(
    ("read", "given", "said"),
    [
        ("decimal", "a lot", "it is 'a lot'; expected a decimal number"),
        ("decimal", "NaN", "it is 'NaN'; expected a decimal number"),
        ("decimal", 80.5, "it is 80.5; expected a decimal number"),
        ("decimal", True, "it is True; expected a decimal number"),
        ("decimal", None, "it is None; expected a decimal number"),
        ("optional_decimal", "", "it is ''; expected a decimal number"),
        ("whole", "1.5", "it is '1.5'; expected a whole number"),
        ("text", "", "it is ''; expected a text"),
        ("text", 7, "it is 7; expected a text"),
        ("instant", "tomorrow", "it is 'tomorrow'; expected a time such as 2026-03-31T18:00:00Z"),
        ("instant", "2026-03-03T12:00:00", "it is '2026-03-03T12:00:00'; expected a time with its zone"),
        ("instant", True, "it is True; expected a time with its zone"),
        ("texts", "po_missing", "it is 'po_missing'; expected a list of texts"),
        ("texts", ["po_missing", 1], "expected a list of texts"),
        ("labels", {"held": 5}, "it is {'held': 5}; expected a map of texts"),
    ],
)
def test_a_wrong_value_is_named(read: str, given: Any, said: str) -> None:
    with pytest.raises(UnreadableRecord) as refused:
        getattr(fields(it=given), read)("it")
    assert str(refused.value).startswith("erp.receipts, key 'C1': it is ")
    assert said in str(refused.value)


def test_what_is_absent_is_none_where_it_may_be() -> None:
    nothing = fields(text="", decimal=None)
    assert nothing.optional_text("text") is None
    assert nothing.optional_decimal("decimal") is None
    assert nothing.optional_instant("instant") is None
    assert nothing.texts("texts") == ()
    assert nothing.labels("labels") == {}


def test_a_value_that_is_no_object_is_refused() -> None:
    with pytest.raises(UnreadableRecord, match=r"^drift.alerts, key 'A': the value is None; expected an object"):
        Fields("drift.alerts", "A", None)


@pytest.mark.parametrize(
    "headers",
    [{"stage": "VEFTSw==", "raw": b"\xff", "none": None}, [["stage", b"TASK"], ["raw", "/w=="], ["none", ""]]],
)
def test_headers_come_as_a_map_or_as_pairs_of_bytes_or_base64(headers: Any) -> None:
    assert headers_of({"headers": headers}) == {"stage": "TASK", "raw": "\ufffd", "none": ""}


def test_a_header_that_is_no_base64_is_named() -> None:
    record = {"topic": "dead.letters", "key": "P1", "headers": {"stage": "?!"}}
    with pytest.raises(
        UnreadableRecord, match=r"^dead.letters, key 'P1': header stage is '\?!'; expected bytes or Base64$"
    ):
        headers_of(record)


def test_a_record_without_headers_has_none() -> None:
    assert headers_of({}) == {}
