"""What the demo counts: a loss, a doubling or another amount is never told as a success."""

from decimal import Decimal
from typing import Any

import pytest

from streams.engine.tally import LostRecordsError, compare_amounts, nets_of

pytestmark = pytest.mark.broker

Derived = dict[str, Any]


def trigger(number: int, contract: str, amount: str) -> Derived:
    value: dict[str, Any] = {"trigger_id": f"t{number}", "contract_number": contract, "project_id": f"P-{contract}"}
    value |= {"amount": Decimal(amount), "currency": "EUR"}
    return {"topic": "billing.triggers", "value": value}


def receipt(number: int, status: str = "posted") -> Derived:
    return {"topic": "erp.receipts", "value": {"trigger_id": f"t{number}", "status": status}}


def margin(contract: str, billed: str, held: str, cost: str = "10") -> Derived:
    value = {
        "project_id": f"P-{contract}", "contract_number": contract, "currency": "EUR",
        "billed": Decimal(billed), "held": Decimal(held),
        "labor_cost": Decimal(cost), "expense_cost": Decimal(5),
    }  # fmt: skip
    return {"topic": "margin.updates", "value": value}


RIGHT = [
    trigger(1, "C1", "100"), trigger(2, "C1", "-40"), trigger(3, "C2", "7"), receipt(1), receipt(2), receipt(3),
    margin("C1", "60", "0"), margin("C2", "7", "30"), margin("C3", "0", "12"),
]  # fmt: skip


def test_equal_runs_are_told_as_equal() -> None:
    assert compare_amounts(RIGHT, nets_of(RIGHT)) == (
        "amounts: 3 of 3 contracts have the net billed that was computed without a broker, to the cent; billed plus "
        "held, and the cost of 3 projects, agree in all"
    )


def test_a_gate_that_shut_at_another_moment_is_told_and_no_loss() -> None:
    other = [*RIGHT, trigger(4, "C2", "30"), receipt(4), margin("C2", "37", "0")]
    assert compare_amounts(other, nets_of(RIGHT)).endswith(
        "agree in all (in 1 a gate shut at another moment: what is billed in one run is held in the other)"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([*RIGHT[1:3], *RIGHT[4:6], margin("C1", "-40", "0"), *RIGHT[7:]], "contract C1: billed -40, expected 60"),
        ([*RIGHT, trigger(4, "C2", "7"), receipt(4), margin("C2", "14", "30")], "contract C2: billed 14, expected 7"),
        (RIGHT[:8], "contract C3: billed None, expected None; with held None, expected 12"),
        ([*RIGHT, margin("C3", "0", "11")], "with held 11, expected 12"),
        ([*RIGHT, margin("C1", "60", "0", cost="9")], "project P-C1: cost 14, expected 15"),
        (
            [*RIGHT[:2], *RIGHT[3:]],
            "project P-C2: its triggers come to 0, but 7 is said to be billed",
        ),
        ([*RIGHT, trigger(1, "C1", "0")], "1 triggers were written twice"),
        ([*RIGHT[:3], *RIGHT[4:]], "1 triggers have no final receipt, first t1"),
    ],
)
def test_what_was_lost_doubled_or_changed_is_named(found: list[Derived], said: str) -> None:
    with pytest.raises(LostRecordsError, match=said):
        compare_amounts(found, nets_of(RIGHT))
