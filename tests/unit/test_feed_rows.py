"""Rows as topics want them: values of any source in the JSON view of their fields, or refused with their field."""

from decimal import Decimal
from typing import Any

import pytest

from connect.field_map import FieldMap, MapFault
from connect.rows import RowFault, instant, moment_of, shapes
from schemas.contracts import load_contracts
from schemas.whole_rows import WholeRows, row_of

WORKER = shapes()["hr.Worker"]
INVOICE = shapes()["erp.Invoice"]
RATE = shapes()["erp.FxRate"]
ENTRY = shapes()["psa.public.time_entries"]
SCHEDULE = shapes()["erp.RevenueSchedule"]


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("id", 17, "17"),
        ("id", "T 1", "T 1"),
        ("hours", "7.50", "7.50"),
        ("hours", Decimal("1E+1"), "10"),
        ("hours", 8, "8"),
        ("hours", " 7.5 ", "7.5"),
        ("billable", True, True),
        ("billable", "TRUE", True),
        ("billable", "f", False),
        ("billable", 1, True),
        ("work_date", "2026-02-03", "2026-02-03"),
        ("work_date", "2026-02-03T23:30:00-05:00", "2026-02-04"),
        ("work_date", "2026-02-03T23:30:00", "2026-02-03"),
        ("updated_at", "2026-02-03T10:00:00Z", "2026-02-03T10:00:00.000Z"),
        ("updated_at", "2026-02-03 12:00:00.123456+02:00", "2026-02-03T10:00:00.123Z"),
        ("updated_at", "2026-02-03", "2026-02-03T00:00:00.000Z"),
        ("approved_at", None, None),
    ],
)
def test_a_value_comes_into_its_json_view(field: str, value: Any, wanted: Any) -> None:
    row = ENTRY.read({"id": "T1", "project_id": "P1", field: value}).row
    assert (row[field], type(row[field])) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("id", True, "id: True: no text"),
        ("hours", 7.5, "hours: 7.5: no decimal number"),
        ("hours", "7,5", "hours: '7,5': no decimal number: write it as 1234.50"),
        ("hours", "NaN", "hours: 'NaN': no decimal number"),
        ("hours", "1E+999999", "no decimal number"),
        ("billable", "yes", "billable: 'yes': no yes or no: write true or false"),
        ("work_date", "03.02.2026", "work_date: '03.02.2026'"),
        ("updated_at", "2026-02-03T10:00:00", "updated_at: '2026-02-03T10:00:00': a time without its zone"),
        ("role", ["x"], "role: ['x']: no text"),
        ("hours", "9" * 400, "hours: '99999"),
        ("nickname", "x", "psa.public.time_entries has no field nickname"),
        ("id", None, "id is missing, without which no row of psa.public.time_entries is known"),
        ("project_id", "", "project_id is missing"),
    ],
)
def test_a_value_that_is_no_such_thing_is_refused_with_its_field(field: str, value: Any, said: str) -> None:
    with pytest.raises(RowFault) as refused:
        ENTRY.read({"id": "T1", "project_id": "P1", field: value})
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200


def test_a_row_says_what_it_is_known_by_and_when_it_was_changed() -> None:
    read = ENTRY.read({"id": "T1", "project_id": "P1", "updated_at": "1970-01-01T00:00:01.5Z"})
    assert (read.identity, read.key, read.changed_ms) == ("T1", "P1", 1500)
    assert ENTRY.known_by(read.row) == {"id": "T1", "project_id": "P1"}
    rate = RATE.read({"FromCurrency": "USD", "ToCurrency": "EUR", "Date": "2026-02-03", "Rate": "0.92"})
    assert (rate.identity, rate.key, rate.changed_ms) == ("USD:EUR:2026-02-03", "USD:EUR:2026-02-03", None)


def test_lists_are_read_from_json_and_as_they_are() -> None:
    lines = '[{"LineId": 1, "Amount": 100.10}]'
    row = INVOICE.read({"Id": "I1", "ProjectId": "P1", "Lines": lines}).row
    assert row["Lines"] == [{"LineId": "1", "Amount": "100.10"}]
    for wrong, said in (("{}", "no list"), ("[1]", "item 1 is no record"), ('[{"X": 1}]', "item 1 has no field X")):
        with pytest.raises(RowFault, match=f"Lines: .*: {said}"):
            INVOICE.read({"Id": "I1", "ProjectId": "P1", "Lines": wrong})
    with pytest.raises(RowFault, match="Lines"):
        INVOICE.read({"Id": "I1", "ProjectId": "P1", "Lines": "[" * 100_000})


def test_a_month_may_be_given_by_a_day_of_it() -> None:
    lines = [{"Period": "2026-03-31T00:00:00Z", "Planned": 1, "Recognized": 0}, {"Period": "2026-04"}]
    assert [line["Period"] for line in SCHEDULE.read({"Id": "S1", "Lines": lines}).row["Lines"]] == [
        "2026-03",
        "2026-04",
    ]


def test_instants_are_exact_to_the_millisecond() -> None:
    assert instant("2026-02-03T10:00:00.999999Z") == 1_770_112_800_999
    assert moment_of(1_770_112_800_999) == "2026-02-03T10:00:00.999Z"
    assert moment_of(-1) == "1969-12-31T23:59:59.999Z"
    with pytest.raises(RowFault, match="'soon' is no time"):
        instant("soon")


# -- which path is which field


def test_paths_texts_lists_and_words_make_a_row() -> None:
    fields = "Id = no , ProjectId=project.code,Status=state, Currency='EUR, as ever'"
    columns = {"Lines.path": "rows", "Lines.fields": "LineId=n, Amount=sum.value", "Status.words": "open=Posted"}
    made = FieldMap(INVOICE, fields, columns)
    record = {"no": 1, "project": {"code": "P1"}, "state": "open", "rows": [{"n": 1, "sum": {"value": Decimal("2.5")}}]}
    assert made.values(record) == {
        "Id": 1, "ProjectId": "P1", "Status": "Posted", "Currency": "EUR, as ever",
        "Lines": [{"LineId": 1, "Amount": Decimal("2.5")}],
    }  # fmt: skip
    assert made.values({"state": "void", "rows": None}) == {
        "Id": None, "ProjectId": None, "Status": "void", "Currency": "EUR, as ever", "Lines": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "columns", "said"),
    [
        ("Id=a", {}, "fields: ProjectId is missing, without which no row of erp.Invoice is known"),
        ("Id=a, ProjectId=b, Colour=c", {}, "fields: there is no field Colour; there are Id, ProjectId"),
        ("Id a", {}, "fields: 'Id a': write Field=path, with commas between"),
        ("Id=a, ProjectId=b", {"Lines.fields": "Colour=x"}, "Lines.fields: there is no field Colour; there are LineId"),
        ("Id=a, ProjectId=b", {"Lines.path": "x"}, "Lines.fields: is missing"),
        ("Id=a, ProjectId=b", {"Status.path": "x"}, "Status.path: Status is no list; give its path in fields"),
        ("Id=a, ProjectId=b", {"Colour.words": "x=y"}, "Colour.words: there is no such setting"),
        ("Id=a, ProjectId=b", {"Status.words": "open"}, "Status.words: 'open': write theirs=ours"),
    ],
)
def test_settings_that_map_no_row_are_refused_with_their_key(fields: str, columns: dict[str, str], said: str) -> None:
    with pytest.raises(MapFault) as refused:
        FieldMap(INVOICE, fields, columns)
    assert said in str(refused.value)


# -- rows made whole


def test_what_a_row_does_not_name_is_null_in_its_lists_too() -> None:
    rows = WholeRows(row_of(load_contracts()["erp.Invoice"].schema))
    whole = rows.whole({"Id": "I1", "Lines": [{"LineId": "1", "Amount": "1"}]})
    assert whole["Lines"] == [{"LineId": "1", "TriggerId": None, "MilestoneId": None, "Amount": "1"}]
    assert whole["PostedAt"] is None
    assert rows.whole({"Id": "I1", "Lines": None})["Lines"] is None
    assert "Id" not in rows.whole({"Status": "Draft"})


@pytest.mark.parametrize("row", [{"Id": "I1", "X": 1}, {"Id": "I1", "Lines": [{"X": 1}]}])
def test_what_a_contract_does_not_have_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the contract has no field X in"):
        WholeRows(row_of(load_contracts()["erp.Invoice"].schema)).whole(row)


def test_a_schema_without_rows_is_no_envelope() -> None:
    with pytest.raises(ValueError, match="Heartbeat is no change envelope"):
        row_of(load_contracts()["debezium.heartbeat"].schema)
