"""Settling: what was emitted for an item against what it should be worth; the difference is emitted."""

from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from streams.domain.ledger import Item, Outstanding, Work, Worth
from streams.rules.billing import Settled, first_open_period, settle, trigger_id
from tests.support.rows import D, day, work

Told = tuple[list[str], list[str], str, str, tuple[str, ...]]
"""Reversed, kept, billed, held, reasons."""


def _outstanding(amount: str, revision: int = 0, **fields: Any) -> Outstanding:
    plain = Outstanding(
        trigger_id=f"id-{revision}", kind="time", amount=D(amount), currency="EUR", project_id="P1", day=day("02-03"),
        quantity=None, rate=None, client_id="A1", legal_entity="LE1", customer_id="CU1", tax_code="VAT-1",
        billing_code="", employee_id=None, po_number=None,
    )  # fmt: skip
    return plain._replace(**fields)


def _item(worth: str | None, *emitted: Outstanding, row: Work | None = None, kind: str = "time") -> Item:
    told = Worth(kind, None if worth is None else D(worth)) if worth != "" else Worth()
    return Item("time_entry", "T1", row or work(), worth=told, outstanding=tuple(emitted))


def _settle(
    item: Item,
    now: str,
    gates: tuple[str, ...] = (),
    room: str | None = None,
    kind: str = "time",
    currency: str = "EUR",
) -> Told:
    settled = settle(item, Worth(kind, D(now)), currency, gates, None if room is None else D(room))
    return _told(settled)


def _told(settled: Settled) -> Told:
    reversed_, kept = ([_plain(o.amount) for o in triggers] for triggers in (settled.reversed, settled.kept))
    return reversed_, kept, _plain(settled.billed), _plain(settled.held), settled.reasons


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


HOLD = ("project_hold",)
CASES: dict[str, tuple[Item, str, tuple[str, ...], str | None, Told]] = {
    # item (worth before, emitted), worth now, gates, room, told
    "new": (_item(""), "800", (), None, ([], [], "800", "0", ())),
    "unchanged": (_item("800", _outstanding("800")), "800", (), None, ([], ["800"], "0", "0", ())),
    "corrected": (_item("800", _outstanding("800")), "700", (), None, (["800"], [], "700", "0", ())),
    "new behind a gate": (_item(""), "800", HOLD, None, ([], [], "0", "800", HOLD)),
    "a gate closed later reverses nothing": (
        _item("800", _outstanding("800")),
        "800",
        HOLD,
        None,
        ([], ["800"], "0", "0", ()),
    ),
    "corrected behind a gate": (_item("800", _outstanding("800")), "700", HOLD, None, (["800"], [], "0", "700", HOLD)),
    "a gate opens": (_item("800"), "800", (), None, ([], [], "800", "0", ())),
    "fits the cap": (_item(""), "800", (), "800", ([], [], "800", "0", ())),
    "crosses the cap": (_item(""), "800", (), "500", ([], [], "500", "300", ("over_cap",))),
    "nothing left of the cap": (_item(""), "800", (), "0", ([], [], "0", "800", ("over_cap",))),
    "a cap under what is billed": (_item(""), "800", (), "-100", ([], [], "0", "800", ("over_cap",))),
    "the cap is not told behind another gate": (_item(""), "800", HOLD, "0", ([], [], "0", "800", HOLD)),
    "part-billed, no room": (
        _item("800", _outstanding("500")),
        "800",
        (),
        "0",
        ([], ["500"], "0", "300", ("over_cap",)),
    ),
    "part-billed, room for a part": (
        _item("800", _outstanding("500")),
        "800",
        (),
        "100",
        ([], ["500"], "100", "200", ("over_cap",)),
    ),
    "part-billed, room for the rest": (
        _item("800", _outstanding("500")),
        "800",
        (),
        "900",
        ([], ["500"], "300", "0", ()),
    ),
    "part-billed, the cap is gone": (_item("800", _outstanding("500")), "800", (), None, ([], ["500"], "300", "0", ())),
    "part-billed behind a gate": (
        _item("800", _outstanding("500")),
        "800",
        HOLD,
        "900",
        ([], ["500"], "0", "300", HOLD),
    ),
    "billed in two parts": (
        _item("800", _outstanding("500"), _outstanding("300", 1)),
        "800",
        (),
        "0",
        ([], ["500", "300"], "0", "0", ()),
    ),
    "billed in two parts and corrected": (
        _item("800", _outstanding("500"), _outstanding("300", 1)),
        "600",
        (),
        "0",
        (["500", "300"], [], "600", "0", ()),
    ),
    "what is taken back makes room again": (
        _item("800", _outstanding("500")),
        "900",
        (),
        "0",
        (["500"], [], "500", "400", ("over_cap",)),
    ),
    "taken back, the cap still lies under": (
        _item("800", _outstanding("500")),
        "900",
        (),
        "-200",
        (["500"], [], "300", "600", ("over_cap",)),
    ),
    "taken back, the cap lies far under": (
        _item("800", _outstanding("500")),
        "900",
        (),
        "-700",
        (["500"], [], "0", "900", ("over_cap",)),
    ),
    "another amount, nothing emitted yet": (_item("800"), "700", (), None, ([], [], "700", "0", ())),
}


@pytest.mark.parametrize(("item", "now", "gates", "room", "settled"), CASES.values(), ids=CASES)
def test_settle(
    item: Item,
    now: str,
    gates: tuple[str, ...],
    room: str | None,
    settled: Told,
) -> None:
    assert _settle(item, now, gates, room) == settled


@pytest.mark.parametrize(
    "emitted",
    [
        {"currency": "USD"},
        {"kind": "overage"},
        {"project_id": "P2"},
        {"day": day("02-04")},
    ],
    ids=["currency", "kind", "project", "service date"],
)
def test_another_kind_currency_project_or_day_is_taken_back_at_the_same_amount(emitted: dict[str, Any]) -> None:
    assert _settle(_item("800", _outstanding("800", **emitted)), "800") == (["800"], [], "800", "0", ())


@pytest.mark.parametrize(
    "emitted",
    [
        {"legal_entity": "LE2"},
        {"customer_id": "CU2"},
        {"tax_code": "VAT-2"},
        {"po_number": "PO-2"},
        {"rate": D(99)},
        {"employee_id": "E2"},
    ],
    ids=["legal entity", "customer", "tax code", "purchase order", "rate", "worker"],
)
def test_anything_else_emits_nothing(emitted: dict[str, Any]) -> None:
    assert _settle(_item("800", _outstanding("800", **emitted)), "800") == ([], ["800"], "0", "0", ())


@pytest.mark.parametrize("kind", ["milestone", "retainer", "overage"])
def test_only_time_and_expenses_draw_a_cap(kind: str) -> None:
    assert _settle(_item("", kind=kind), "800", room="0", kind=kind) == ([], [], "800", "0", ())


@pytest.mark.parametrize(
    ("currency", "room", "billed", "held"),
    [
        ("EUR", "500.009", "500", "300"),
        ("EUR", "500.019", "500.01", "299.99"),
        ("JPY", "500.5", "500", "300"),
        ("EUR", "0.009", "0", "800"),
        ("EUR", "800.001", "800", "0"),
    ],
)
def test_a_cap_is_billed_in_whole_minor_units(currency: str, room: str, billed: str, held: str) -> None:
    reversed_, kept, now, rest, _ = _settle(_item(""), "800", room=room, currency=currency)
    assert (reversed_, kept, now, rest) == ([], [], billed, held)


def test_what_stood_outside_the_cap_makes_no_room() -> None:
    item = _item("800", _outstanding("800", kind="overage"), kind="overage")
    assert _settle(item, "500", room="100") == (["800"], [], "100", "400", ("over_cap",))


def test_what_is_billable_no_more_is_taken_back_without_a_hold() -> None:
    item = _item("800", _outstanding("500"), _outstanding("300", 1))
    assert _told(settle(item, Worth(), "EUR", HOLD, D(0))) == (["500", "300"], [], "0", "0", ())


def test_what_has_no_value_is_taken_back_and_held_with_all_reasons() -> None:
    item = _item("800", _outstanding("800"))
    worth = Worth("time", None, ("outside_term", "no_rate"))
    assert _told(settle(item, worth, "EUR", HOLD, D(0))) == (
        ["800"], [], "0", "0", ("outside_term", "no_rate", "project_hold"),
    )  # fmt: skip


def test_no_order_of_caps_and_corrections_bills_beyond_the_cap() -> None:
    for before in range(0, 1000, 100):
        for now in range(100, 1000, 100):
            for room in range(-300, 1000, 100):
                emitted = (_outstanding(str(before)),) if before else ()
                settled = settle(_item(str(before), *emitted), Worth("time", D(now)), "EUR", (), D(room))
                back = sum((o.amount for o in settled.reversed), Decimal(0))
                assert settled.billed <= max(room + back, D(0))
                assert settled.billed + settled.held + sum(o.amount for o in settled.kept) == now


def test_trigger_ids_are_the_same_everywhere() -> None:
    assert trigger_id("C1", "time_entry", "T1", 0) == str(uuid5(NAMESPACE_URL, "throughline:C1:time_entry:T1:0"))
    assert trigger_id("C1", "time_entry", "T1", 0) == "4029038a-2996-5376-9b40-93d297411d61"


@pytest.mark.parametrize(
    ("closed", "service", "posting"),
    [
        ((), "2026-02", "2026-02"),
        (("2026-01",), "2026-02", "2026-02"),
        (("2026-02",), "2026-02", "2026-03"),
        (("2026-02", "2026-03"), "2026-02", "2026-04"),
        (("2026-02", "2026-04"), "2026-02", "2026-03"),
        (("2026-12",), "2026-12", "2027-01"),
    ],
)
def test_the_first_open_period(closed: tuple[str, ...], service: str, posting: str) -> None:
    assert first_open_period(service, closed.__contains__) == posting
