"""What differs between settings, and that it is told without secrets."""

import pytest

from connect.differences import Difference, differences
from connect.masking import MASK


def test_what_differs_is_found_by_key_and_the_name_is_no_difference() -> None:
    wanted = {"tasks.max": "1", "slot.name": "two", "new": "x"}
    running = {"tasks.max": "1", "slot.name": "one", "old": "y", "name": "psa"}
    assert differences(wanted, running) == [
        Difference("new", None, "x"),
        Difference("old", "y", None),
        Difference("slot.name", "one", "two"),
    ]
    assert differences(wanted, wanted | {"name": "psa"}) == []


@pytest.mark.parametrize(
    ("difference", "line"),
    [
        (Difference("tasks.max", None, "1"), "+ tasks.max = 1"),
        (Difference("tasks.max", "1", None), "- tasks.max = 1"),
        (Difference("tasks.max", "", "1"), "~ tasks.max =  → 1"),
        (Difference("database.password", "old", "new"), f"~ database.password = {MASK} → {MASK}"),
        (Difference("database.password", "old", "${env:P}"), f"~ database.password = {MASK} → ${{env:P}}"),
        (Difference("database.password", "old", None), f"- database.password = {MASK}"),
    ],
)
def test_a_difference_is_a_line_without_secrets(difference: Difference, line: str) -> None:
    assert str(difference) == line
