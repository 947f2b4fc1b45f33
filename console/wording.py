"""The words of the screen for the codes of the derived records: one place, so that every table says the same."""

from collections.abc import Iterable, Mapping

_REASONS = {
    "no_contract": "no contract known",
    "outside_term": "outside the contract's term",
    "no_rate": "no rate agreed",
    "no_fx_rate": "no exchange rate",
    "contract_inactive": "contract not active",
    "project_hold": "project on billing hold",
    "po_missing": "purchase order missing",
    "no_legal_entity": "no legal entity",
    "no_erp_customer": "no customer in the ERP",
    "over_cap": "over the contract's cap",
    "no_cost": "no cost rate or exchange rate",
    "cap_under_billed": "cap lowered under what is billed",
    "currency_differs": "project and contract in different currencies",
}

_KINDS = {
    "milestone_unbilled": "Milestone complete, not invoiced",
    "margin_erosion": "Margin at risk",
    "revenue_drift": "Revenue differs from delivery",
    "overallocation": "Person overallocated",
    "amendment_unpropagated": "Amendment finance has not seen",
    "status_mismatch": "Systems disagree on status",
    "expense_late": "Expense not posted in time",
    "cap_burn": "Cap nearly burnt",
    "reconciliation_gap": "Invoices differ from billing",
    "feed_stalled": "Feed silent",
    "billing_hold": "Billing held",
    "ownership_violation": "Copy differs from the owner's value",
    "unmapped_value": "Value without a mapping",
    "undecodable": "Record unreadable",
    "uncosted": "Work without a cost rate",
    "unroutable": "Billed by nobody",
    "delivery_failed": "ERP refused a posting",
    "validation_failed": "Record refused as invalid",
    "activation_failed": "Project activation failed",
}

_OWNERS = {
    "finance_ops": "Finance operations",
    "delivery": "Delivery leads",
    "revenue_accounting": "Revenue accounting",
    "resource_mgmt": "Resource management",
    "pmo": "Project office",
    "integration": "Integration team",
    "data_steward": "Data stewards",
}

_STEPS = {
    "validate": "Check account and contract",
    "create_project": "Set up the project",
    "provision_erp": "Set up the ERP",
    "announce": "Announce",
}


def plain(code: str) -> str:
    """Return a code that has no wording of its own as plain words."""
    return code.replace("_", " ")


def kind_words(code: str) -> str:
    """Return the words for a kind of alert or exception."""
    return _KINDS.get(code, plain(code).capitalize())


def reason_words(code: str) -> str:
    """Return the words for a reason of a hold; reasons of other exceptions are sentences already."""
    return _REASONS.get(code, plain(code))


def reasons_words(codes: Iterable[str]) -> str:
    """Return the words for several reasons, in their order."""
    return ", ".join(reason_words(code) for code in codes)


def owner_words(code: str) -> str:
    """Return the words for an owner queue."""
    return _OWNERS.get(code, plain(code).capitalize())


def step_words(code: str) -> str:
    """Return the words for a step of the activation of a deal."""
    return _STEPS.get(code, plain(code).capitalize())


def entity_words(kind: str, identity: str) -> str:
    """Return what an entity is and which, such as `time entry T4`."""
    return f"{plain(kind)} {identity}"


def weeks_words(weeks: Iterable[str], following: Mapping[str, str]) -> str:
    """Return ISO weeks (YYYY-Www) with runs drawn together: `2026-W13 to 2026-W15, 2026-W18`.

    `following` names for each week the one after it.
    """
    runs: list[list[str]] = []
    for week in sorted(weeks):
        if runs and following[runs[-1][-1]] == week:
            runs[-1].append(week)
        else:
            runs.append([week])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
