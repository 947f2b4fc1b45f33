"""Row readers: every source topic's rows become canonical rows, and all faults of a row are told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.kinds import Kind
from schemas.lined_yaml import UnusableFile
from schemas.mapping import TopicMapping
from streams.domain.canonical import Contract, RoleRate, TimeEntry
from streams.intake.change import Refusal
from streams.intake.rows import Refused, RowReader
from tests.support.feed import Feed, firm, identity_of
from tests.support.rows import D, at, day
from tests.support.streams import rulebook

READERS = {topic: RowReader(mapping) for topic, mapping in rulebook().mappings.topics.items()}


def _refusal(topic: str, row: dict[str, Any]) -> Refusal:
    with pytest.raises(Refused) as refused:
        READERS[topic].read(row)
    return refused.value.refusal


def test_a_time_entry() -> None:
    feed = Feed("2026-02-04T09:00:00Z")
    feed.entry("T1")
    assert READERS["psa.public.time_entries"].read(feed.row("psa.public.time_entries", "T1")) == TimeEntry(
        id="T1", project_id="P1", resource_id="R1", role="Engineer", worked_on=day("02-03"), hours=D(8), billable=True,
        status="approved", approved_at=at("02-04 08:00"), changed_at=at("02-04 09:01"),
    )  # fmt: skip


def test_a_contract_with_its_rates() -> None:
    row = firm(BillingType="T&M NTE", Cap="1000").row("crm.Contract", "C1")
    contract: Contract = READERS["crm.Contract"].read(row)
    assert (contract.billing_type, contract.cap, contract.stage) == ("capped_time_and_materials", D(1000), "active")
    assert contract.rates == (RoleRate("Engineer", D(100), day("01-01")),)
    assert (contract.value, contract.po_number, contract.opportunity_id) == (None, None, None)


TOPICS = sorted(READERS)
REQUIRED = [
    (topic, field.name) for topic in TOPICS for field in rulebook().mappings.topics[topic].fields if field.required
]
OPTIONAL = [
    (topic, field.name) for topic in TOPICS for field in rulebook().mappings.topics[topic].fields if not field.required
]


def _row(topic: str) -> dict[str, Any]:
    """A good row of any topic."""
    named = {"FromCurrency", "ToCurrency", "Date", "LegalEntity", "Period"}
    row = Feed().put(topic, **{name: "X1" for name in identity_of(topic) if name not in named})["value"]["after"]
    return dict(row)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_good_row_of_every_topic_is_read(topic: str) -> None:
    row = READERS[topic].read(_row(topic))
    assert type(row).__name__ == READERS[topic].kind


@pytest.mark.parametrize(("topic", "field"), REQUIRED)
def test_every_required_field_is_required(topic: str, field: str) -> None:
    told = Refusal("validation_failed", (f"{field}: a required field is missing",))
    assert _refusal(topic, {**_row(topic), field: None}) == told
    assert _refusal(topic, {name: value for name, value in _row(topic).items() if name != field}) == told


@pytest.mark.parametrize(("topic", "field"), OPTIONAL)
def test_every_optional_field_may_be_null_or_absent(topic: str, field: str) -> None:
    row = _row(topic)
    null = READERS[topic].read({**row, field: None})
    absent = READERS[topic].read({name: value for name, value in row.items() if name != field})
    assert null == absent


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ("none", "Rates: 'none' is no list"),
        (["Engineer"], "Rates: entry 1 is no record"),
        ([{"Role": "*", "Rate": "1"}], "Rates: entry 1, EffectiveFrom: a required field is missing"),
        (
            [
                {"Role": "*", "Rate": "1", "EffectiveFrom": "2026-01-01"},
                {"Role": "*", "Rate": "-1", "EffectiveFrom": "2026-01-01"},
            ],
            "Rates: entry 2, Rate: -1 is negative",
        ),
        (None, "Rates: a required field is missing"),
    ],
)
def test_faults_in_a_list_name_the_entry(rates: Any, reason: str) -> None:
    row = {**firm().row("crm.Contract", "C1"), "Rates": rates}
    assert _refusal("crm.Contract", row) == Refusal("validation_failed", (reason,))


def test_a_fault_goes_before_a_value_that_is_not_mapped() -> None:
    row = {**_row("psa.public.time_entries"), "status": "Maybe", "hours": "-1"}
    assert _refusal("psa.public.time_entries", row).kind == "validation_failed"
    assert _refusal("psa.public.time_entries", {**row, "hours": "1"}).kind == "unmapped_value"


NEGATIVE = {
    "psa.public.time_entries": ("hours",),
    "psa.public.expenses": ("amount",),
    "psa.public.milestones": ("amount", "percent"),
    "psa.public.assignments": ("hours_per_week",),
    "psa.public.projects": ("budget_hours", "budget_cost"),
    "crm.Contract": ("Value", "Cap", "PeriodicFee", "IncludedHours", "OverageRate"),
    "erp.FxRate": ("Rate",),
    "hr.Worker": ("WeeklyCapacityHours",),
}


@pytest.mark.parametrize(("topic", "field"), [(topic, name) for topic, names in NEGATIVE.items() for name in names])
def test_negative_hours_amounts_and_rates_are_refused(topic: str, field: str) -> None:
    assert _refusal(topic, {**_row(topic), field: "-0.01"}).reasons == (f"{field}: -0.01 is negative",)


@pytest.mark.parametrize(
    ("topic", "field"),
    [
        ("crm.ContractAmendment", "ValueDelta"),
        ("crm.ContractAmendment", "CapDelta"),
        ("psa.public.projects", "baseline_margin_pct"),
    ],
)
def test_changes_and_margins_may_be_negative(topic: str, field: str) -> None:
    READERS[topic].read({**_row(topic), field: "-0.01"})


def test_an_invoice_may_credit() -> None:
    line = {"LineId": "1", "TriggerId": None, "MilestoneId": None, "Amount": "-800.00"}
    invoice = READERS["erp.Invoice"].read({**_row("erp.Invoice"), "Lines": [line]})
    assert invoice.lines[0].amount == D(-800)


# -- a mapping that does not fill its row is found at start


def _changed(name: str, **changes: Any) -> TopicMapping:
    entries = rulebook().mappings.topics["psa.public.time_entries"]
    fields = tuple(replace(spec, **changes) if spec.name == name else spec for spec in entries.fields)
    return replace(entries, fields=fields, where="schemas/mappings/psa.yaml:7")


UNFIT: dict[str, tuple[TopicMapping, str]] = {
    "no such row": (
        replace(_changed("role"), row="Timesheet"),
        "there is no row 'Timesheet'",
    ),
    "a field known by another name": (
        _changed("work_date", canonical="day"),
        "TimeEntry needs worked_on, and no field is known as that",
    ),
    "a text for hours": (
        _changed("hours", kind=Kind.STRING, digits=0, scale=0),
        "hours: TimeEntry holds hours as Decimal, not as string",
    ),
    "an optional role": (
        _changed("role", required=False),
        "role: TimeEntry cannot do without role: it is not optional",
    ),
}


@pytest.mark.parametrize(("mapping", "fault"), UNFIT.values(), ids=UNFIT)
def test_a_mapping_that_does_not_fill_its_row_is_named(mapping: TopicMapping, fault: str) -> None:
    with pytest.raises(UnusableFile) as unusable:
        RowReader(mapping)
    assert unusable.value.faults == (f"schemas/mappings/psa.yaml:7: psa.public.time_entries: {fault}",)


def test_a_mapping_of_listed_records_is_looked_into() -> None:
    contract = rulebook().mappings.topics["crm.Contract"]
    rates = next(spec for spec in contract.fields if spec.name == "Rates")
    without = replace(rates, fields=tuple(spec for spec in rates.fields if spec.name != "Rate"))
    fields = tuple(without if spec is rates else spec for spec in contract.fields)
    with pytest.raises(UnusableFile, match="RoleRate needs rate, and no field is known as that"):
        RowReader(replace(contract, fields=fields))


def test_a_shipped_mapping_knows_where_it_stands() -> None:
    where = rulebook().mappings.topics["psa.public.clients"].where
    path, _, line = where.partition(":")
    assert path == "schemas/mappings/psa.yaml"
    assert (Path(__file__).parents[2] / path).read_text().splitlines()[int(line) - 1] == "  psa.public.clients:"
