"""Bitmaps, schemas and what an event means for what is known of its record."""

import json
from typing import Any

import pytest

from connect.feeds.salesforce.events import Event, EventSchema, Order, Shape, Undecodable, marked
from connect.feeds.salesforce.judging import Verdict, judged
from connect.feeds.salesforce.known import Known, known_bytes, known_of
from connect.feeds.salesforce.objects import Field, Kind, Object

SCHEMA = {
    "type": "record",
    "name": "AccountChangeEvent",
    "fields": [
        {"name": "ChangeEventHeader", "type": "string"},
        {"name": "Name", "type": ["null", "string"], "doc": "Data:Text"},
        {"name": "BillingAddress", "type": ["null", {"type": "record", "name": "Address", "fields": [
            {"name": "Street", "type": ["null", "string"]}, {"name": "Country", "type": ["null", "string"]}]}]},
        {"name": "Since__c", "type": ["null", "long"], "doc": "Data:DateOnly"},
        {"name": "LastModifiedDate", "type": ["null", "long"], "doc": "CreatedDate:DateTime"},
        {"name": "Contract__c", "type": ["null", "string"], "doc": "ForeignKey:EntityId"},
    ],
}  # fmt: skip
EVENTS = EventSchema("a-schema", json.dumps(SCHEMA))


@pytest.mark.parametrize(
    ("bitmap", "places"),
    [
        ("0x0", []),
        ("0x1", [0]),
        ("0x06", [1, 2]),
        ("0x650004E0", [5, 6, 7, 10, 24, 26, 29, 30]),
        ("0x8000000000000000", [63]),
        ("0x010000000000000000", [64]),
    ],
)
def test_a_bitmap_marks_places_from_its_last_digit(bitmap: str, places: list[int]) -> None:
    assert marked(bitmap) == places


@pytest.mark.parametrize(
    ("bitmaps", "names"),
    [
        ([], set()),
        (["0x02"], {"Name"}),
        (["0x02", "2-0x02"], {"Name", "BillingAddress.Country"}),
        (["2-0x03"], {"BillingAddress.Street", "BillingAddress.Country"}),
        (["0x04"], {"BillingAddress", "BillingAddress.Street", "BillingAddress.Country"}),
        (["0x04", "2-0x01"], {"BillingAddress", "BillingAddress.Street"}),
    ],
)
def test_bitmaps_name_fields_of_the_schema_and_parts_of_compound_fields(bitmaps: list[str], names: set[str]) -> None:
    assert EVENTS.named(bitmaps) == names


@pytest.mark.parametrize("bitmap", ["02", "0xZZ", "0x80", "1-0x01", "9-0x01", "2-0x08"])
def test_a_bitmap_that_fits_no_field_is_an_error(bitmap: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        EVENTS.named([bitmap])


@pytest.mark.parametrize("text", ["", "{}", '{"type": "record", "name": "A"}', '{"type": "nothing", "fields": []}'])
def test_a_schema_that_is_none_is_said(text: str) -> None:
    with pytest.raises(Undecodable, match="schema another"):
        EventSchema("another", text)


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff", b"\x02a"])
def test_a_payload_that_is_none_is_said(payload: bytes) -> None:
    with pytest.raises(Undecodable, match="an event of schema a-schema"):
        EVENTS.event(payload)


@pytest.mark.parametrize(
    ("path", "place"),
    [("Name", "Name"), ("BillingCountry", "BillingAddress.Country"), ("BillingCity", None), ("Gone__c", None)],
)
def test_where_an_event_has_a_field_of_the_object(path: str, place: str | None) -> None:
    assert EVENTS.place(path) == place


@pytest.mark.parametrize(
    ("path", "kind", "is_fit"),
    [
        ("Name", Kind.TEXT, True),
        ("Name", Kind.NUMBER, False),
        ("BillingAddress.Country", Kind.TEXT, True),
        ("Since__c", Kind.DATE, True),
        ("Since__c", Kind.MOMENT, False),
        ("Since__c", Kind.NUMBER, False),
        ("LastModifiedDate", Kind.MOMENT, True),
        ("LastModifiedDate", Kind.DATE, False),
    ],
)
def test_whether_a_field_is_still_of_its_type(path: str, kind: Kind, is_fit: bool) -> None:
    assert (EVENTS.fits(Field("Ours", path, kind), path) is None) is is_fit


SHAPE = Shape(
    Object("Account", "Account", "crm.Account", "Id", None, (Field("Name", "Name", Kind.TEXT),), None), EVENTS
)
LOOKUP = Field("ContractNumber", "Contract__r.ContractNumber", Kind.TEXT)
DOTTED = Shape(Object("Account", "Account", "crm.Account", "Id", None, (LOOKUP,), None), EVENTS)
ROW = {"Name": "Acme"}


def event(change: str, at_ms: int = 5_000, commit: int = 7, **more: Any) -> Event:
    nothing = {"fields": frozenset(), "diffs": frozenset(), "values": {}, "schema_id": "a-schema", "transaction": "t"}
    return Event(object="Account", change=change, ids=("1",), order=Order(at_ms, commit, 1), **(nothing | more))


@pytest.mark.parametrize(
    ("told", "known", "verdict"),
    [
        (event("CREATE"), None, Verdict.CREATE),
        (event("CREATE"), Known(None, 1), Verdict.READ),
        (event("UPDATE"), None, Verdict.READ),
        (event("UPDATE"), Known(None, 1), Verdict.READ),
        (event("UPDATE"), Known(ROW, 1), Verdict.MERGE),
        (event("DELETE"), None, Verdict.SKIP),
        (event("DELETE"), Known(None, 1), Verdict.SKIP),
        (event("DELETE"), Known(ROW, 1), Verdict.DELETE),
        (event("UNDELETE"), Known(None, 1), Verdict.READ),
        (event("GAP_CREATE"), None, Verdict.READ),
        (event("GAP_UPDATE"), Known(ROW, 1), Verdict.READ),
        (event("GAP_DELETE"), Known(ROW, 1), Verdict.READ),
        (event("GAP_UNDELETE"), Known(None, 1), Verdict.READ),
        (event("UPDATE", diffs=frozenset({"Name"})), Known(ROW, 1), Verdict.READ),
        (event("UPDATE", diffs=frozenset({"Other"})), Known(ROW, 1), Verdict.MERGE),
        # What was seen before, and what comes after it, also in the same millisecond.
        (event("UPDATE"), Known(ROW, 1, order=Order(5_000, 7, 1)), Verdict.SKIP),
        (event("UPDATE"), Known(ROW, 1, order=Order(5_001, 1, 1)), Verdict.SKIP),
        (event("UPDATE"), Known(ROW, 1, order=Order(5_000, 6, 9)), Verdict.MERGE),
        (event("DELETE"), Known(ROW, 1, order=Order(5_000, 7, 1)), Verdict.SKIP),
        # Read by query: an earlier second is in it, the same second may be, a later one is news.
        (event("UPDATE", at_ms=4_999), Known(ROW, 1, read_ms=5_000), Verdict.SKIP),
        (event("UPDATE", at_ms=5_000), Known(ROW, 1, read_ms=5_000), Verdict.READ),
        (event("UPDATE", at_ms=5_999), Known(ROW, 1, read_ms=5_000), Verdict.READ),
        (event("DELETE", at_ms=5_999), Known(ROW, 1, read_ms=5_000), Verdict.READ),
        (event("UPDATE", at_ms=6_000), Known(ROW, 1, read_ms=5_000), Verdict.MERGE),
    ],
)
def test_what_an_event_means(told: Event, known: Known | None, verdict: Verdict) -> None:
    assert judged(told, known, SHAPE) is verdict


@pytest.mark.parametrize(
    ("told", "shape", "verdict"),
    [
        (event("UPDATE"), None, Verdict.READ),
        (event("DELETE"), None, Verdict.DELETE),
        (event("UPDATE", fields=frozenset({"Contract__c"})), DOTTED, Verdict.READ),
        (event("UPDATE", fields=frozenset({"Name"})), DOTTED, Verdict.MERGE),
    ],
)
def test_what_an_event_means_where_it_does_not_hold_the_row(told: Event, shape: Shape | None, verdict: Verdict) -> None:
    assert judged(told, Known(ROW, 1), shape) is verdict


def test_a_created_record_with_a_path_through_a_lookup_is_read() -> None:
    assert judged(event("CREATE"), None, DOTTED) is Verdict.READ


@pytest.mark.parametrize(
    "known",
    [Known(None, -1), Known(ROW, 9, 5_000, Order(5_000, 2**60, 1), {"Contract__c": "8"}, ("c1", "c2"), True)],
)
def test_what_is_known_is_remembered_as_it_is(known: Known) -> None:
    assert known_of(known_bytes(known)) == known
