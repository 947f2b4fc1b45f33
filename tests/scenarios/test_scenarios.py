"""Every scenario through the simulator: as it is, delivered twice, and over four partitions."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.streams import file_run

CASES = Path(__file__).parent / "cases"
NAMES = sorted(home.parent.name for home in CASES.glob("*/expect.json"))


def _checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scenario_check", CASES / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECKER = _checker()


def _story(name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    home = CASES / name
    records = [json.loads(line) for line in (home / "in.jsonl").read_text().splitlines()]
    return records, json.loads((home / "expect.json").read_text())


def test_there_are_stories() -> None:
    assert len(NAMES) >= 27


@pytest.mark.parametrize("name", NAMES)
def test_plain(name: str) -> None:
    records, expect = _story(name)
    assert list(CHECKER.differences(expect, file_run(records, expect.get("until")))) == []


@pytest.mark.parametrize("name", NAMES)
def test_delivered_twice(name: str) -> None:
    records, expect = _story(name)
    assert list(CHECKER.differences(expect, file_run(records * 2, expect.get("until")))) == []


@pytest.mark.parametrize("name", NAMES)
def test_over_four_partitions(name: str) -> None:
    records, expect = _story(name)
    assert list(CHECKER.differences(expect, file_run(records, expect.get("until"), partitions=4))) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_second_delivery_emits_nothing(name: str) -> None:
    # The clock has moved on by the end of the first delivery: only what it has not fired yet may follow.
    records, expect = _story(name)
    until = expect.get("until") or "2026-12-31T00:00:00Z"
    once = len(file_run(records, until))
    assert len(file_run(records * 2, until)) == once


def test_a_hold_tells_what_it_holds_and_of_which_service() -> None:
    records, _ = _story("holds-and-release")
    held = [
        value["evidence"]
        for derived in file_run(records, None)
        if (value := derived["value"]) and value.get("entity_id") == "T4" and value.get("kind") == "billing_hold"
    ]
    assert held[-1] == {"service_date": "2026-03-03", "held": "300.00", "currency": "EUR"}
