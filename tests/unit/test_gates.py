"""Gates: which stop a new trigger, and in which order they are told."""

from itertools import product
from typing import Any

import pytest

from streams.rules.gates import BillTo, closed_gates
from tests.support.rows import terms

OPEN = BillTo("LE1", "CU1", "VAT-1")
NO_ENTITY = BillTo(None, None, None)
NO_CUSTOMER = BillTo("LE1", None, "VAT-1")

CASES: dict[str, tuple[dict[str, Any], bool, BillTo, tuple[str, ...]]] = {
    "all open": ({}, False, OPEN, ()),
    "a closed contract still bills": ({"stage": "closed"}, False, OPEN, ()),
    "planned": ({"stage": "planned"}, False, OPEN, ("contract_inactive",)),
    "on hold": ({"stage": "on_hold"}, False, OPEN, ("contract_inactive",)),
    "cancelled": ({"stage": "cancelled"}, False, OPEN, ("contract_inactive",)),
    "project hold": ({}, True, OPEN, ("project_hold",)),
    "a purchase order that is missing": ({"po_required": True}, False, OPEN, ("po_missing",)),
    "an empty purchase order": ({"po_required": True, "po_number": ""}, False, OPEN, ("po_missing",)),
    "a purchase order": ({"po_required": True, "po_number": "PO-1"}, False, OPEN, ()),
    "no legal entity": ({}, False, NO_ENTITY, ("no_legal_entity",)),
    "no customer": ({}, False, NO_CUSTOMER, ("no_erp_customer",)),
}


@pytest.mark.parametrize(("agreed", "hold", "bill_to", "reasons"), CASES.values(), ids=CASES)
def test_gates(agreed: dict[str, Any], hold: bool, bill_to: BillTo, reasons: tuple[str, ...]) -> None:
    assert closed_gates(terms(**agreed), hold, bill_to) == reasons


def test_gates_are_told_in_the_order_of_the_contract() -> None:
    order = ("contract_inactive", "project_hold", "po_missing", "no_legal_entity", "no_erp_customer")
    for planned, hold, po, bill_to in product(
        (False, True), (False, True), (False, True), (OPEN, NO_ENTITY, NO_CUSTOMER)
    ):
        agreed = {"stage": "planned" if planned else "active", "po_required": po}
        reasons = closed_gates(terms(**agreed), hold, bill_to)
        assert list(reasons) == sorted(reasons, key=order.index)
        assert len(reasons) == planned + hold + po + (bill_to is not OPEN)
