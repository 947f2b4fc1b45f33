"""Rows written as the records that feeds read them from: what the feed then reads is the row again."""

from typing import Any

import pytest

from connect.erp_settings import ObjectSettings
from connect.field_map import FieldMap
from connect.rows import shapes
from live.inverse import Inverse, pairs
from live.systems import ERP_OBJECTS, LINES, adapted

WORKER = {
    "EmployeeId": "E1", "Name": "Sam Brown", "Status": "Active", "Region": "EMEA", "CostCenter": "CC-1",
    "WeeklyCapacityHours": "37.5", "LastModified": "2026-03-01T09:00:00.000Z",
    "CostRates": [{"Rate": "61.125", "Currency": "KWD", "EffectiveFrom": "2026-01-01"}],
}  # fmt: skip

ROWS: dict[str, dict[str, Any]] = {
    "LegalEntity": {"Id": "LE-1", "Name": "One", "Currency": "EUR", "Country": "DE", "TaxCode": "T", "ErpSystem": "sp"},
    "Customer": {"Id": "CU1", "CrmAccountId": "A1", "LegalEntity": "LE-1", "Status": "Active"},
    "Project": {
        "ProjectId": "P1", "ErpProjectNumber": "E-1", "LegalEntity": "LE-1", "CostCenter": "CC-1", "Status": "OPEN",
        "ContractVersion": 2, "UpdatedAt": "2026-03-01T09:00:00.123Z",
    },
    "Invoice": {
        "Id": "I1", "ProjectId": "P1", "ContractNumber": "C1", "Status": "Posted", "Currency": "KWD",
        "Lines": [{"LineId": "1", "TriggerId": "T", "MilestoneId": None, "Amount": "-12.345"}],
        "PostedAt": "2026-03-01T09:00:00.000Z", "ReleasedAt": None,
    },
    "CostPosting": {
        "Id": "CP1", "ProjectId": "P1", "SourceKind": "expense", "SourceId": "X1", "Amount": "7.50", "Currency": "EUR",
        "PostedAt": "2026-03-01T09:00:00.000Z",
    },
    "RevenueSchedule": {
        "Id": "RS1", "ContractNumber": "C1",
        "Lines": [{"Period": "2026-03", "Planned": "100.00", "Recognized": "99.99"}],
    },
    "FxRate": {"FromCurrency": "JPY", "ToCurrency": "KWD", "Date": "2026-03-01", "Rate": "0.00203941"},
    "Period": {"LegalEntity": "LE-1", "Period": "2026-03", "Status": "open"},
}  # fmt: skip


@pytest.mark.parametrize("name", ERP_OBJECTS)
def test_a_row_of_the_erp_is_read_again_from_its_record(name: str) -> None:
    config = adapted("erp-dynamics", own_settings()).config
    columns = {key.removeprefix(f"{name}."): value for key, value in config.items() if key.startswith(f"{name}.")}
    table = ObjectSettings.model_validate({key: value for key, value in columns.items() if not key.startswith("comp")})
    record = Inverse(config, f"{name}.").record(ROWS[name])
    assert table.field_map(name).values(record) == ROWS[name]
    assert shapes()[f"erp.{name}"].read(ROWS[name]).row == ROWS[name]


def own_settings() -> dict[str, str]:
    return LINES | {
        f"{name}.{key}": value
        for name, (path, fields) in ERP_OBJECTS.items()
        for key, value in (("path", f"/data/{path}"), ("fields", fields))
    }


def test_words_are_those_of_the_system() -> None:
    config = adapted("erp-dynamics", own_settings()).config
    assert Inverse(config, "Invoice.").record(ROWS["Invoice"])["Status"] == "Invoiced"


def test_a_worker_is_read_again_from_the_report() -> None:
    config = adapted("hr-workday", {}).config
    record = Inverse(config).record(WORKER)
    assert record["Rates"] == [{"Rate": "61.125", "Currency": "KWD", "Effective_Date": "2026-01-01"}]
    columns = {key: config[key] for key in ("CostRates.path", "CostRates.fields")}
    assert FieldMap(shapes()["hr.Worker"], config["fields"], columns).values(record) == WORKER


def test_a_path_with_dots_leads_into_records() -> None:
    inverse = Inverse({"fields": "Id=worker.id, Name=worker.person.name", "other": "x"})
    assert inverse.record({"Id": "1", "Name": "Sam"}) == {"worker": {"id": "1", "person": {"name": "Sam"}}}


def test_a_field_that_is_not_read_is_told() -> None:
    with pytest.raises(KeyError, match="Phone"):
        Inverse({"fields": "Id=id"}).record({"Id": "1", "Phone": "0"})


def test_pairs_are_told_apart_by_commas() -> None:
    assert pairs("A=a,  B = b__c%,C=c.d") == {"A": "a", "B": "b__c%", "C": "c.d"}
