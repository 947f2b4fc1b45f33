"""Internal messages: what goes through Avro comes back equal and of the same type."""

from datetime import date
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas.contracts import load_contracts
from schemas.generate import described
from streams.domain.assembled import Answer, Lookup
from streams.domain.canonical import Contract, CostRate, Project, RoleRate, TimeEntry
from streams.domain.fact import (
    NO_CAUSE,
    Allocation,
    Cause,
    Claim,
    Employment,
    Fact,
    Figures,
    MarginPart,
    Person,
    PersonQuery,
    ProjectView,
)
from streams.domain.undertaking import StepOutcome
from streams.engine.facts import MESSAGES, FactShapes

pytestmark = pytest.mark.broker

CAUSE = Cause("psa.public.time_entries", 1, 2, 3, 0, 1_750_000_000_000)
DAY = date(2026, 3, 2)
PAIRS = (("b", "1"), ("a", "2"))
THIRD = Decimal(1) / Decimal(3)
ENTRY = TimeEntry("T1", "P1", "R1", "dev", DAY, Decimal("7.5000"), True, "approved", 1_750_000_000_001, 2)
PROJECT = Project("P1", "One", "CL1", None, "active", False, "EMEA", None, None, "EUR", DAY, None, None, None, None, 5)
AGREED = Contract(
    "C1", "A1", None, "active", "fixed_fee", "EUR", Decimal("10.0000"), None, None, None, None, "pass_through", None,
    False, None, False, None, DAY, None, (RoleRate("*", Decimal("99.50000000"), DAY),), 5,
)  # fmt: skip
FIGURES = Figures._make(["C1", None, "EMEA", "EUR", *[THIRD] * 8, None, *[Decimal("1.50")] * 8])

SENT: list[Any] = [
    Fact("time_entry", "P1", "T1", ENTRY, CAUSE, (0, 7)),
    Fact("time_entry", "P1", "T1", None, CAUSE, (1, 7)),
    Fact("contract", "C1", "C1", AGREED, CAUSE, (0, 7)),
    Fact("project", "P1", "P1", ProjectView(PROJECT, None, 2), CAUSE, (0, 0)),
    Person("R1", "W1", (CostRate(Decimal("10.00000000"), "EUR", DAY),), 1, CAUSE),
    Person("R1", None, None, 0, CAUSE),
    PersonQuery("R1", "C1"),
    Employment("R1", "W1", "C1", 1, True),
    Allocation("AS1", "P1", "R1", DAY, DAY, Decimal("7.5"), CAUSE),
    Allocation("AS1", "P1", "R1", DAY, DAY, None, CAUSE, True),
    MarginPart("P1", 1, FIGURES, CAUSE),
    MarginPart("P1", 1, None, CAUSE),
    StepOutcome("O1", "create_project", ("no such client",), 1_750_000_000_000),
    StepOutcome("O1", "create_project", (), 1_750_000_000_000),
    Lookup("tryton.public.project_work", "12", "tryton.time_entries", "447", "task", True),
    Answer(
        "tryton.time_entries",
        "447",
        "task",
        "tryton.public.project_work",
        "12",
        True,
        ("name", "path"),
        ("A", None),
        CAUSE,
    ),
    Answer("tryton.time_entries", "447", "task", "tryton.public.project_work", "12", False, (), (), NO_CAUSE),
    Claim("cap_burn", "C1", "C1", "for", 4, THIRD, Decimal(0), "warning", None, "C1", None, PAIRS, CAUSE),
]


def test_every_message_is_tried() -> None:
    assert {type(message).__name__ for message in SENT} == set(MESSAGES)


@pytest.mark.parametrize("message", SENT, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_went(message: Any) -> None:
    name, shapes = type(message).__name__, FactShapes()
    schema = described("streams.engine.facts")[f"canonical/{name}.avsc"]
    body = BytesIO()
    schemaless_writer(body, parse_schema(schema), shapes.fields_of(message))
    fields: Any = schemaless_reader(BytesIO(body.getvalue()), parse_schema(_with_plain_instants(schema)), None)
    back = shapes.message_of(name, fields)
    assert back == message
    assert type(back) is type(message)
    assert type(getattr(back, "row", None)) is type(getattr(message, "row", None))


def test_the_contracts_on_file_are_those_of_the_messages() -> None:
    on_file = {subject: contract.schema for subject, contract in load_contracts().items()}
    for name in MESSAGES:
        assert on_file[f"canonical.{name}"] == described("streams.engine.facts")[f"canonical/{name}.avsc"]


def _with_plain_instants(node: Any) -> Any:
    """As the codec reads facts: instants are whole milliseconds."""
    if isinstance(node, dict):
        if node.get("logicalType") == "timestamp-millis":
            return "long"
        return {key: _with_plain_instants(value) for key, value in node.items()}
    return [_with_plain_instants(item) for item in node] if isinstance(node, list) else node
