"""Gates: what stops a new trigger of an item that has a value. A gate that closes later reverses nothing."""

from typing import Final, NamedTuple

from streams.domain.terms import INACTIVE_STAGES, Terms

OVER_CAP: Final = "over_cap"


class BillTo(NamedTuple):
    """Who invoices whom: the legal entity (None: none named or its row unknown) and its customer for the client."""

    legal_entity: str | None
    customer_id: str | None
    tax_code: str | None


def closed_gates(terms: Terms, project_hold: bool, bill_to: BillTo) -> tuple[str, ...]:
    """Return the reasons that stop new triggers, in the order of the contract's gates; over_cap is not among them."""
    contract = terms.contract
    reasons = []
    if contract.stage in INACTIVE_STAGES:
        reasons.append("contract_inactive")
    if project_hold:
        reasons.append("project_hold")
    if contract.po_required and not contract.po_number:
        reasons.append("po_missing")
    if bill_to.legal_entity is None:
        reasons.append("no_legal_entity")
    elif bill_to.customer_id is None:
        reasons.append("no_erp_customer")
    return tuple(reasons)
