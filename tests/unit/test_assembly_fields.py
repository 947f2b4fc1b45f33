"""Fields of assembled rows: references, conditions, translations, and values by kind."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from schemas.assembly import Column, Condition, FieldRule, Reference, Translations
from schemas.kinds import Kind
from streams.assembly.fields import holds, named, texts_of, values_of
from streams.intake.change import Refusal
from streams.intake.fields import Fault
from streams.intake.natives import text_of

OWN = Column("", "a")
TRANSLATIONS: Translations = {"colours": {"1": "red", "2": None}, "shapes": {"7": "round"}}

FORMS = [
    ("text", "text"),
    ("", ""),
    (True, "true"),
    (False, "false"),
    (12, "12"),
    (-1, "-1"),
    (Decimal("95.50"), "95.50"),
    (Decimal("1E+3"), "1000"),
    (date(2026, 11, 2), "2026-11-02"),
    (datetime(2026, 11, 2, 7, 30, tzinfo=UTC), "2026-11-02T07:30:00+00:00"),
    (datetime(2026, 11, 2, 7, 30, tzinfo=timezone(timedelta(hours=2))), "2026-11-02T05:30:00+00:00"),
    (timedelta(hours=7.5), "PT27000S"),
    (timedelta(microseconds=1), "PT0.000001S"),
    (timedelta(days=2, microseconds=500_000), "PT172800.500000S"),
    (timedelta(hours=-1), "-PT3600S"),
    (timedelta(0), "PT0S"),
]


@pytest.mark.parametrize(("value", "text"), FORMS)
def test_each_type_has_one_form(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [7.5, b"x", [1], {"a": 1}, UTC])
def test_what_has_no_form_is_a_fault(value: Any) -> None:
    with pytest.raises(Fault, match="a column that is mapped holds text, numbers, dates or times"):
        text_of(value)


NAMED = [
    (Reference(OWN), "12", "12"),
    (Reference(OWN), None, None),
    (Reference(OWN, model="project.work"), "project.work,12", "12"),
    (Reference(OWN, model="project.work"), "sale.line,12", None),
    (Reference(OWN, model="project.work"), "project.work,-1", None),
    (Reference(OWN, model="project.work"), "project.work,", None),
    (Reference(OWN, model="project.work"), None, None),
    (Reference(OWN, first_of="/"), "11/12/", "11"),
    (Reference(OWN, first_of="/"), "11/", "11"),
    (Reference(OWN, first_of="/"), "11", "11"),
    (Reference(OWN, first_of="/"), None, None),
]


@pytest.mark.parametrize(("reference", "text", "identity"), NAMED)
def test_a_reference_names_a_row_or_none(reference: Reference, text: str | None, identity: str | None) -> None:
    assert named(reference, {"": {"a": text}}) == identity


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (Reference(OWN, model="project.work"), "project.work"),
        (Reference(OWN, first_of="/"), "/11/"),
        (Reference(OWN), ""),
        (Reference(OWN), "1\x1f2"),
    ],
)
def test_what_is_no_reference_is_a_fault(reference: Reference, text: str) -> None:
    with pytest.raises(Fault, match=r"in a (is no reference|names no row)"):
        named(reference, {"": {"a": text}})


@pytest.mark.parametrize(
    ("condition", "text", "met"),
    [
        (Condition("absent", OWN), None, True),
        (Condition("absent", OWN), "", False),
        (Condition("equals", OWN, "project"), "project", True),
        (Condition("equals", OWN, "project"), "task", False),
        (Condition("equals", OWN, "project"), None, False),
        (Condition("known", OWN, "colours"), "1", True),
        (Condition("known", OWN, "colours"), "2", True),
        (Condition("known", OWN, "colours"), "3", False),
        (Condition("known", OWN, "colours"), None, False),
    ],
)
def test_a_condition_holds(condition: Condition, text: str | None, met: bool) -> None:
    assert holds(condition, {"": {"a": text}}, TRANSLATIONS) is met


def rule(way: str, kind: Kind = Kind.STRING, **given: Any) -> FieldRule:
    return FieldRule("f", kind, True, way, given.pop("columns", (OWN,)), **given)


def made(rule: FieldRule, **columns: str | None) -> Any:
    """The text of a field: None where it is null, a refusal where it cannot be made."""
    parts = {"": {"a": None, "b": None, **columns}}
    texts = texts_of((rule,), parts, "space", TRANSLATIONS, key="")
    return texts.get("f") if isinstance(texts, dict) else texts


BOTH = (OWN, Column("", "b"))
TABLES = ("colours", "shapes")
WAYS = [
    (rule("column"), {"a": "x"}, "x"),
    (rule("column"), {}, None),
    (rule("constant", columns=(), constant="Approved"), {}, "Approved"),
    (rule("first", columns=BOTH), {"a": "x", "b": "y"}, "x"),
    (rule("first", columns=BOTH), {"b": "y"}, "y"),
    (rule("absent", Kind.BOOL), {}, "true"),
    (rule("absent", Kind.BOOL), {"a": "8"}, "false"),
    (rule("id", reference=Reference(OWN)), {"a": "12"}, "space:12"),
    (rule("id", reference=Reference(OWN)), {}, None),
    (rule("crosswalk", columns=(OWN,), tables=("colours",)), {"a": "1"}, "red"),
    (rule("crosswalk", columns=(OWN,), tables=("colours",)), {"a": "2"}, None),
    (rule("crosswalk", columns=(OWN,), tables=("colours",)), {}, None),
    (rule("crosswalk", columns=BOTH, tables=TABLES), {"a": "9", "b": "7"}, "round"),
    (rule("crosswalk", columns=BOTH, tables=TABLES), {"a": "1", "b": "7"}, "red"),
    (rule("column", Kind.HOURS), {"a": "PT27000S"}, "7.5000"),
    (rule("column", Kind.HOURS), {"a": "PT1200S"}, "0.3333"),
    (rule("column", Kind.HOURS), {"a": "PT0.180000S"}, "0.0001"),
    (rule("column", Kind.HOURS), {"a": "-PT3600S"}, "-1.0000"),
    (rule("column", Kind.HOURS, unit="seconds"), {"a": "27000"}, "7.5000"),
    (rule("column", Kind.HOURS, unit="minutes"), {"a": "-20"}, "-0.3333"),
    (rule("column", Kind.HOURS, unit="hours"), {"a": "7.50005"}, "7.5001"),
    (rule("column", Kind.DATE), {"a": "2026-11-02T23:59:00+00:00"}, "2026-11-02"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "columns", "text"), WAYS)
def test_each_way_makes_a_field(rule: FieldRule, columns: dict[str, str], text: str | None) -> None:
    assert made(rule, **columns) == text


@pytest.mark.parametrize(
    ("rule", "text", "said"),
    [
        (rule("column", Kind.HOURS), "27000", "f: '27000' is no duration: a number needs a unit"),
        (rule("column", Kind.HOURS, unit="seconds"), "PT27000S", "f: 'PT27000S' is no number of seconds"),
    ],
)
def test_hours_are_a_duration_or_a_number_with_a_unit(rule: FieldRule, text: str, said: str) -> None:
    assert made(rule, a=text) == Refusal("validation_failed", (said,))


UNMAPPED = [
    (rule("crosswalk", columns=(OWN,), tables=("colours",)), {"a": "9"}, "f: crosswalk colours has no '9'"),
    (rule("crosswalk", columns=BOTH, tables=TABLES), {"a": "9", "b": "8"},
     "f: crosswalk colours has no '9', shapes has no '8'"),
    (rule("column", known=(("colours", Column("", "b")),)), {"a": "x", "b": "9"}, "f: crosswalk colours has no '9'"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "columns", "said"), UNMAPPED)
def test_what_a_crosswalk_does_not_know_is_unmapped(rule: FieldRule, columns: dict[str, str], said: str) -> None:
    assert made(rule, **columns) == Refusal("unmapped_value", (said,))


def test_all_faults_are_told_what_is_invalid_first() -> None:
    unmapped = rule("crosswalk", columns=(OWN,), tables=("colours",))
    invalid = rule("id", reference=Reference(Column("", "b"), model="m"))
    told = texts_of((unmapped, invalid), {"": {"a": "9", "b": "x"}}, "space", TRANSLATIONS, key="")
    assert isinstance(told, Refusal)
    assert told.kind == "validation_failed"
    assert [reason.split(" ")[1] for reason in told.reasons] == ["'x'", "crosswalk"]


def test_a_row_without_a_key_is_none_whatever_else_is_wrong() -> None:
    unmapped = rule("crosswalk", columns=(OWN,), tables=("colours",))
    key = FieldRule("k", Kind.STRING, True, "id", (), reference=Reference(Column("", "b")))
    assert texts_of((unmapped, key), {"": {"a": "9", "b": None}}, "space", TRANSLATIONS, key="k") is None


VALUES = [
    (Kind.STRING, "x", "x"),
    (Kind.BOOL, "true", True),
    (Kind.BOOL, "false", False),
    (Kind.BOOL, "1", True),
    (Kind.BOOL, "0", False),
    (Kind.INT, "-12", -12),
    (Kind.HOURS, "7.5000", Decimal("7.5000")),
    (Kind.MONEY, "1E3", Decimal("1000")),
    (Kind.DATE, "2026-11-02", date(2026, 11, 2)),
    (Kind.TIMESTAMP, "2026-11-02T07:30:00.123456+02:00", datetime(2026, 11, 2, 5, 30, 0, 123_000, tzinfo=UTC)),
    (Kind.CURRENCY, "USD", "USD"),
]


@pytest.mark.parametrize(("kind", "text", "value"), VALUES)
def test_text_becomes_a_value_of_its_kind(kind: Kind, text: str, value: Any) -> None:
    found = values_of((rule("column", kind),), {"f": text}, ("f", "g"))
    assert found == {"f": value, "g": None}
    assert type(found["f"]) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.BOOL, "yes"), (Kind.INT, "1.5"), (Kind.INT, "9" * 30), (Kind.MONEY, "twelve"), (Kind.HOURS, "1h"),
        (Kind.DATE, "2026-02-30"), (Kind.DATE, "20760"), (Kind.TIMESTAMP, "noon"),
    ],
)  # fmt: skip
def test_text_that_its_kind_cannot_be_is_a_fault(kind: Kind, text: str) -> None:
    with pytest.raises(Fault, match=f"f: .* is no {kind}"):
        values_of((rule("column", kind),), {"f": text}, ("f",))
