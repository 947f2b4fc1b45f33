"""Every business question on one screen: which function answers it, and in which part of the page it stands.

A question is a function of the read model and of the time (ms, UTC) to a Table. To add one, write the function and name
it here: the terminal, the page and the CSV files show it.
"""

from collections.abc import Callable
from typing import NamedTuple

from console import billing_questions as billing, drift_questions as drift, duty_questions as duty
from console.readmodel import ReadModel
from console.table import Table

Question = Callable[[ReadModel, int], Table]


class Part(NamedTuple):
    """A part of the page: questions that the same people ask."""

    name: str
    title: str
    questions: tuple[Question, ...]


PARTS = (
    Part(
        "billing",
        "Billing",
        (
            billing.unbilled_milestones, billing.held_billing, billing.held_by_reason, billing.erp_postings,
            billing.billing_by_contract, billing.billing_by_month, drift.cap_burn,
        ),
    ),
    Part("delivery", "Margin and people", (drift.margin_at_risk, drift.overallocated_people, drift.margin_by_project)),
    Part(
        "drift",
        "Where systems part ways",
        (
            drift.unseen_amendments, drift.late_expenses, drift.status_mismatches, drift.reconciliation_gaps,
            drift.revenue_drift, drift.alerts_by_kind,
        ),
    ),
    Part(
        "duty",
        "What needs a person",
        (
            duty.exceptions_by_kind, duty.other_exceptions, duty.ageing, duty.activation, duty.dead_letters,
        ),
    ),
)  # fmt: skip


class Answers(NamedTuple):
    """A part of the page with its tables."""

    part: Part
    tables: tuple[Table, ...]


def answer_all(model: ReadModel, now: int) -> list[Answers]:
    """Return the answers to all questions at a time given in ms, UTC."""
    return [Answers(part, tuple(question(model, now) for question in part.questions)) for part in PARTS]
