"""Mapping and ownership files: what they say of the four systems, and what a slip in one is answered with."""

import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from schemas.kinds import CANONICAL_VALUES
from schemas.lined_yaml import UnusableFile, shown
from schemas.mapping import MAPPINGS_FOLDER, OWNERSHIP_FILE, load_mappings, load_ownership

Edit = Callable[[str, str, str], Path]


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """Copies the mappings shipped, with one text in one file replaced."""

    def replace(name: str, old: str, new: str) -> Path:
        folder = tmp_path / "mappings"
        if not folder.exists():
            shutil.copytree(MAPPINGS_FOLDER, folder)
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")
        return folder

    return replace


def line_of(folder: Path, name: str, text: str) -> int:
    lines = (folder / name).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_mapping_says_what_became_of_columns(edit: Edit) -> None:
    hours = "hours: {kind: hours, doc: Hours worked.}"
    folder = edit("psa.yaml", hours, "worked: {kind: hours, as: hours, formerly: [hours, effort], text: true, doc: H.}")
    edit("psa.yaml", "amount: {kind: money, optional: true,", "amount: {kind: money, optional: true, dropped: true,")
    topics = load_mappings(folder).topics
    worked = next(spec for spec in topics["psa.public.time_entries"].fields if spec.canonical == "hours")
    assert (worked.name, worked.formerly, worked.text, worked.dropped) == ("worked", ("hours", "effort"), True, False)
    amount = next(spec for spec in topics["psa.public.milestones"].fields if spec.name == "amount")
    assert (amount.formerly, amount.text, amount.dropped) == ((), False, True)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("psa.yaml", "hours: {kind: hours, doc", "hours: {kind: hours, formerly: [role], doc",
         "psa.public.time_entries: 'role' names two columns"),
        ("psa.yaml", "employee_id: {kind: string,", "employee_id: {kind: string, text: true,",
         "psa.public.resources: employee_id is string: `text` is for decimals, dates and times"),
        ("psa.yaml", "hours: {kind: hours, doc", "hours: {kind: hours, dropped: true, doc",
         "psa.public.time_entries: hours is not optional: nothing can be made of rows without it"),
        ("hr.yaml", "Rate: {kind: rate,", "Rate: {kind: rate, text: true,",
         "hr.Worker: CostRates: formerly, text, dropped: only columns of a table"),
    ],
)  # fmt: skip
def test_what_cannot_have_become_of_a_column_is_refused(edit: Edit, name: str, old: str, new: str, said: str) -> None:
    with pytest.raises(UnusableFile, match=re.escape(said)):
        load_mappings(edit(name, old, new))


WORDS = [
    ("psa.public.projects", "stage",
     "Proposed/planned, In Delivery/active, Paused/on_hold, Completed/closed, Cancelled/cancelled"),
    ("psa.public.milestones", "status",
     "Not Started/planned, Started/in_progress, Done/completed, Signed Off/accepted, Dropped/cancelled"),
    ("psa.public.time_entries", "status", "Draft/draft, Submitted/submitted, Approved/approved, Rejected/rejected"),
    ("psa.public.expenses", "status", "Draft/draft, Submitted/submitted, Approved/approved, Rejected/rejected"),
    ("psa.public.assignments", "status", "Confirmed/confirmed, Tentative/tentative, Cancelled/cancelled"),
    ("crm.Contract", "Status",
     "Draft/planned, Activated/active, Suspended/on_hold, Expired/closed, Completed/closed, Terminated/cancelled"),
    ("crm.Contract", "BillingType",
     "T&M/time_and_materials, T&M NTE/capped_time_and_materials, Fixed Fee/fixed_fee, Retainer/retainer"),
    ("crm.Contract", "ExpensePolicy", "PassThrough/pass_through, Markup/markup, NonBillable/non_billable"),
    ("crm.ContractAmendment", "Status", "Draft/draft, Approved/approved, Rejected/rejected"),
    ("erp.Project", "Status", "PLANNED/planned, OPEN/active, HOLD/on_hold, CLOSED/closed, CANCELLED/cancelled"),
    ("erp.Invoice", "Status", "Draft/draft, Posted/posted, Released/released, Paid/paid, Cancelled/cancelled"),
    ("erp.Customer", "Status", "Active/active, Inactive/inactive"),
    ("erp.Period", "Status", "open/open, closed/closed"),
    ("erp.CostPosting", "SourceKind", "time_entry/time_entry, expense/expense"),
]  # fmt: skip


@pytest.mark.parametrize(("topic", "name", "words"), WORDS)
def test_each_system_says_its_words(topic: str, name: str, words: str) -> None:
    field = next(spec for spec in load_mappings().topics[topic].fields if spec.name == name)
    assert field.vocabulary is not None
    assert dict(field.vocabulary.values) == dict(pair.split("/") for pair in words.split(", "))


def test_no_other_field_is_translated() -> None:
    translated = {
        (topic, spec.name)
        for topic, mapping in load_mappings().topics.items()
        for spec in mapping.fields
        if spec.vocabulary is not None
    }
    assert translated == {(topic, name) for topic, name, _ in WORDS}


IDENTITIES = {
    "erp.FxRate": (("FromCurrency", "ToCurrency", "Date"), ("FromCurrency", "ToCurrency", "Date")),
    "erp.Period": (("LegalEntity", "Period"), ("LegalEntity", "Period")),
    "erp.Invoice": (("Id",), ("ProjectId",)),
    "erp.CostPosting": (("Id",), ("ProjectId",)),
    "erp.Project": (("ProjectId",), ("ProjectId",)),
    "erp.RevenueSchedule": (("Id",), ("Id",)),
    "crm.Contract": (("ContractNumber",), ("ContractNumber",)),
    "crm.ContractAmendment": (("Id",), ("ContractNumber",)),
    "hr.Worker": (("EmployeeId",), ("EmployeeId",)),
    "psa.public.projects": (("id",), ("id",)),
    "psa.public.milestones": (("id",), ("project_id",)),
    "psa.public.time_entries": (("id",), ("project_id",)),
    "psa.public.resources": (("id",), ("id",)),
}


@pytest.mark.parametrize(("topic", "fields"), IDENTITIES.items())
def test_identity_and_record_key(topic: str, fields: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    mapping = load_mappings().topics[topic]
    assert (mapping.identity, mapping.key) == fields


def test_identities_of_several_fields_are_joined_by_a_colon() -> None:
    rate = load_mappings().topics["erp.FxRate"]
    row = {"FromCurrency": "EUR", "ToCurrency": "USD", "Date": date(2025, 1, 1)}
    assert rate.identity_of(row) == rate.key_of({**row, "Date": "2025-01-01"}) == "EUR:USD:2025-01-01"
    with pytest.raises(KeyError, match="Date"):
        rate.identity_of({"FromCurrency": "EUR", "ToCurrency": "USD"})


def test_digits_of_decimals() -> None:
    fields = {(topic, spec.name): spec for topic, m in load_mappings().topics.items() for spec in m.fields}
    entry, contract = "psa.public.time_entries", "crm.Contract"
    found = {key: (fields[key].digits, fields[key].scale) for key in [(entry, "hours"), (contract, "Value")]}
    assert found == {(entry, "hours"): (9, 4), (contract, "Value"): (20, 4)}
    assert (fields[contract, "OverageRate"].digits, fields[contract, "OverageRate"].scale) == (20, 8)
    assert (fields[contract, "ExpenseMarkup"].digits, fields[contract, "ExpenseMarkup"].scale) == (9, 6)
    assert (fields[contract, "Status"].digits, fields[contract, "Status"].scale) == (0, 0)


def test_only_these_amounts_may_be_negative() -> None:
    signed = {
        f"{topic}.{spec.name}"
        for topic, mapping in load_mappings().topics.items()
        for outer in mapping.fields
        for spec in (outer, *outer.fields)
        if spec.signed
    }
    assert signed == {
        "psa.public.projects.baseline_margin_pct",
        "crm.ContractAmendment.ValueDelta",
        "crm.ContractAmendment.CapDelta",
        "erp.Invoice.Amount",
        "erp.CostPosting.Amount",
        "erp.RevenueSchedule.Planned",
        "erp.RevenueSchedule.Recognized",
    }


def test_billing_codes_by_kind_and_role(edit: Edit) -> None:
    folder = edit("erp.yaml", "default: TIME\n    roles: {}", "default: TIME\n    roles: {Architect: TIME-A}")
    mappings = load_mappings(folder)
    found = [mappings.billing_code("time", role) for role in ("Architect", "Engineer", None)]
    assert found == ["TIME-A", "TIME", "TIME"]
    assert mappings.billing_code("retainer", None) == "RETAINER"


def test_a_second_system_declares_topics_like_those_of_the_first(edit: Edit) -> None:
    folder = edit("psa.yaml", "topics:\n", "topics:\n  emea.public.projects: {like: psa.public.projects}\n\n")
    (folder / "acme.yaml").write_text(
        "system: acme\nowner: data_steward\nversion: 3\nvocabularies:\n  stage: {Running: active}\n"
        "topics:\n  acme.projects: {like: psa.public.projects}\n"
    )
    mappings = load_mappings(folder)
    first, alias, other = (
        mappings.topics[topic] for topic in ("psa.public.projects", "emea.public.projects", "acme.projects")
    )
    assert (alias.fields, alias.identity, alias.system) == (first.fields, first.identity, "psa")
    assert (other.shape, other.row, other.system) == ("psa.public.projects", "Project", "acme")
    stage = next(spec.vocabulary for spec in other.fields if spec.name == "stage")
    assert stage is not None
    assert dict(stage.values) == {"Running": "active"}
    assert mappings.versions["acme"] == 3


def test_the_fingerprint_changes_with_any_file(edit: Edit) -> None:
    before = load_mappings().fingerprint
    assert load_mappings(MAPPINGS_FOLDER).fingerprint == before
    assert load_mappings(edit("hr.yaml", "version: 1", "version: 2")).fingerprint != before


# file, text replaced, replacement, text on the line that is named, what is said
SLIPS = [
    ("psa.yaml", "In Delivery: active", "In Delivery: activ", "In Delivery: activ",
     "stage 'In Delivery' maps to 'activ', not one of planned, active, on_hold, closed, cancelled"),
    ("psa.yaml", "  entry:\n", "  entries:\n", "  entries:",
     "'entries' is no vocabulary: use one of " + ", ".join(CANONICAL_VALUES)),
    ("hr.yaml", "kind: hours", "kind: hour", "WeeklyCapacityHours:",
     "topics.hr.Worker.fields.WeeklyCapacityHours.kind: Input should be 'string', 'bool'"),
    ("hr.yaml", "version: 1", "version: one", "version: one",
     "version: Input should be a valid integer (it says 'one')"),
    ("hr.yaml", "version: 1", "versoin: 1", "versoin", "versoin: Extra inputs are not permitted (it says 1)"),
    ("hr.yaml", "identity: [EmployeeId]", "identity: [Employee]", "identity: [Employee]",
     "hr.Worker: identity 'Employee' is not a required field of the topic"),
    ("erp.yaml", "key: [ProjectId]", "key: [PostedAt]", "key: [PostedAt]",
     "erp.Project: key 'PostedAt' is not a required field of the topic"),
    ("crm.yaml", "vocabulary: amendment", "vocabulary: amendments", "vocabulary: amendments",
     "crm.ContractAmendment: Status is mapped with 'amendments', which this file does not list"),
    ("crm.yaml", "Amount: {kind: money", "Amount: {kind: measure", "Amount: {kind: measure",
     "crm.Opportunity: Amount: measure, rounded, one_of, default: only derived records"),
    ("crm.yaml", "IsWon: {kind: bool, as: is_won", "IsWon: {kind: bool, as: is_closed", "IsWon:",
     "crm.Opportunity: two fields are known as 'is_closed'"),
    ("hr.yaml", "Region: {kind: string", "Region: {kind: string, signed: true", "Region:",
     "hr.Worker: Region is string: only a number is signed"),
    ("hr.yaml", "kind: records", "kind: string  # not records", "# not records",
     "hr.Worker: CostRates: kind records, and only it, has a record and fields"),
    ("hr.yaml", "system: hr", "system: people", "system: people",
     "system 'people' belongs in a file named people.yaml"),
    ("hr.yaml", "topics:\n", "topics:\n  crm.Account: {like: crm.Opportunity}\n", "  crm.Account:",
     "topic 'crm.Account' is mapped in crm.yaml too"),
    ("hr.yaml", "topics:\n", "topics:\n  hr.Person: {like: hr.Employee}\n", "  hr.Person:",
     "hr.Person: no mapping describes topic 'hr.Employee'"),
    ("erp.yaml", "  retainer:\n    default: RETAINER\n    roles: {}\n", "", "billing_codes:",
     "billing_codes: kind 'retainer' has no code"),
    ("erp.yaml", "  retainer:\n    default", "  bonus:\n    default", "  bonus:",
     "billing_codes: 'bonus' is no kind of trigger: use one of time, overage, milestone, expense, retainer"),
    ("psa.yaml", "    Paused: on_hold\n", "    Paused: on_hold\n    Proposed: closed\n", "Proposed: closed",
     "'Proposed' is there twice"),
    ("psa.yaml", "    Paused: on_hold", "    Yes: on_hold", "    Yes: on_hold",
     "vocabularies.stage.1: Input should be a valid string (it says True)"),
    ("psa.yaml", "    Paused: on_hold", "    2026-01-01: on_hold", "    2026-01-01: on_hold",
     "vocabularies.stage.datetime.date(2026, 1, 1): Input should be a valid string"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "place", "told"), SLIPS, ids=[slip[4][:50] for slip in SLIPS])
def test_a_slip_is_told_with_file_line_and_value(
    edit: Edit, name: str, old: str, new: str, place: str, told: str
) -> None:
    folder = edit(name, old, new)
    with pytest.raises(UnusableFile) as caught:
        load_mappings(folder)
    expected = f"{folder / name}:{line_of(folder, name, place.strip())}: {told}"
    assert any(fault.startswith(expected) for fault in caught.value.faults), caught.value.faults


def test_every_fault_is_told_at_once(edit: Edit) -> None:
    edit("psa.yaml", "In Delivery: active", "In Delivery: activ")
    folder = edit("crm.yaml", "Suspended: on_hold", "Suspended: hold")
    with pytest.raises(UnusableFile) as caught:
        load_mappings(folder)
    assert [fault.partition(": ")[2].split(",")[0] for fault in caught.value.faults] == [
        "stage 'Suspended' maps to 'hold'",
        "stage 'In Delivery' maps to 'activ'",
    ]


def test_a_file_of_the_project_is_named_from_its_root() -> None:
    assert shown(MAPPINGS_FOLDER / "psa.yaml") == "schemas/mappings/psa.yaml"


def test_no_yaml_is_told_with_its_line(edit: Edit) -> None:
    folder = edit("psa.yaml", "system: psa", "system: [psa")
    with pytest.raises(UnusableFile, match=r"psa\.yaml:\d+: no YAML: "):
        load_mappings(folder)


def test_an_anchor_within_itself_is_no_endless_walk(edit: Edit) -> None:
    folder = edit("psa.yaml", "system: psa", "system: &again [*again]")
    with pytest.raises(UnusableFile) as caught:
        load_mappings(folder)
    assert caught.value.faults == (f"{folder}/psa.yaml:3: system: Input should be a valid string",)


def test_a_folder_without_mappings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="no mapping file"):
        load_mappings(tmp_path)
    (tmp_path / "psa.yaml").write_text("")
    with pytest.raises(UnusableFile, match=r"psa\.yaml:1: the file is empty"):
        load_mappings(tmp_path)


def test_the_erp_owns_legal_entity_and_cost_center_of_a_project() -> None:
    fields = load_ownership().fields
    checked = {
        name: (owned.owner.system, owned.owner.field, [(copy.system, copy.field) for copy in owned.copies])
        for name, owned in fields.items()
        if owned.copies
    }
    assert checked == {
        "project.legal_entity": ("erp", "LegalEntity", [("psa", "legal_entity")]),
        "project.cost_center": ("erp", "CostCenter", [("psa", "cost_center")]),
    }
    assert (fields["project.legal_entity"].entity, fields["project.legal_entity"].name) == ("project", "legal_entity")


OWNERSHIP_SLIPS = [
    ("field: LegalEntity,", "field: Entity,", "project.legal_entity: erp.Project has no field 'Entity'"),
    ("system: erp, topic: erp.Project, field: LegalEntity", "system: psa, topic: erp.Project, field: LegalEntity",
     "project.legal_entity: topic erp.Project is of system 'erp', not 'psa'"),
    ("topic: erp.Project, field: LegalEntity", "topic: erp.Projects, field: LegalEntity",
     "project.legal_entity: no mapping declares topic 'erp.Projects'"),
    ("copies: [{system: psa, topic: psa.public.projects, field: legal_entity}]",
     "copies: [{system: erp, topic: erp.Customer, field: LegalEntity}]",
     "project.legal_entity: owner 'erp' is also a copy"),
    ("project.legal_entity:", "legal_entity:", "'legal_entity' is no canonical field: write entity.field"),
    ("field: LegalEntity,", "field: CostCenter,",
     "project.legal_entity: field 'CostCenter' of erp.Project is known as 'cost_center'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), OWNERSHIP_SLIPS, ids=[slip[2][:50] for slip in OWNERSHIP_SLIPS])
def test_a_slip_in_the_ownership_is_told_with_file_line_and_value(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    text = OWNERSHIP_FILE.read_text("utf-8")
    assert old in text
    path = tmp_path / "ownership.yaml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    line = line_of(tmp_path, "ownership.yaml", "legal_entity:")
    with pytest.raises(UnusableFile) as caught:
        load_ownership(path)
    assert f"{path}:{line}: {told}" in caught.value.faults
