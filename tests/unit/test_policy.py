"""The policy file: thresholds as data, every slip named with its line."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from schemas.lined_yaml import UnusableFile
from streams.domain.calendar import HOUR_MS
from streams.policy import SHIPPED, load_policy

DEFAULTS = {
    "milestone_unbilled": ("finance_ops", {"after_hours": "24"}),
    "margin_erosion": ("delivery", {"floor": "0.2", "points_under_baseline": "0.05", "points_to_clear": "0.01"}),
    "revenue_drift": ("revenue_accounting", {"fraction": "0.05", "amount": "1000"}),
    "overallocation": ("resource_mgmt", {"fraction": "1", "weeks_ahead": "26"}),
    "amendment_unpropagated": ("finance_ops", {"after_hours": "4"}),
    "status_mismatch": ("pmo", {"after_hours": "2"}),
    "expense_late": ("finance_ops", {"after_hours": "24"}),
    "cap_burn": ("delivery", {"warning": "0.8", "critical": "1"}),
    "reconciliation_gap": ("finance_ops", {"after_hours": "24"}),
    "feed_stalled": ("integration", {"after_minutes": "15"}),
}


@pytest.mark.parametrize(("kind", "owner", "limits"), [(kind, *told) for kind, told in DEFAULTS.items()])
def test_the_shipped_policy_is_the_contracts(kind: str, owner: str, limits: dict[str, str]) -> None:
    alert = load_policy().alert(kind)
    assert alert.owner == owner
    assert alert.limits == {name: Decimal(number) for name, number in limits.items()}
    assert (alert.clients, alert.regions) == ({}, {})


def test_numbers_are_decimals_as_they_are_written() -> None:
    limits = load_policy().alert("cap_burn").limits
    assert all(isinstance(limit, Decimal) for limit in limits.values())
    assert limits["warning"] == Decimal("0.8")


def test_delays_are_milliseconds() -> None:
    policy = load_policy()
    assert policy.delay_ms("status_mismatch", None, None) == 2 * HOUR_MS
    assert policy.activation_delay_ms() == 24 * HOUR_MS


def _own(tmp_path: Path, old: str, new: str) -> Path:
    text = SHIPPED.read_text()
    assert text.count(old) == 1
    path = tmp_path / "own.yaml"
    path.write_text(text.replace(old, new))
    return path


def _line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_a_clients_limit_goes_before_a_regions_and_the_rest_is_general(tmp_path: Path) -> None:
    limits = "limits: {warning: 0.80, critical: 1}"
    own = "\n    clients: {A1: {warning: 0.6}}\n    regions: {EMEA: {warning: 0.7, critical: 0.9}}"
    alert = load_policy(_own(tmp_path, limits, limits + own)).alert("cap_burn")
    assert alert.limit("warning", "A1", "EMEA") == Decimal("0.6")
    assert alert.limit("critical", "A1", "EMEA") == Decimal("0.9")
    assert alert.limit("warning", "A2", "EMEA") == Decimal("0.7")
    assert alert.limit("warning", "A2", "AMER") == Decimal("0.8")
    assert alert.limit("warning", None, None) == Decimal("0.8")


SLIPS = {
    "a kind that is misspelt": ("  cap_burn:", "  cap_burns:", "cap_burns"),
    "a limit that is misspelt": ("{warning: 0.80, critical: 1}", "{warning: 0.80, critcal: 1}", "critical, warning"),
    "a limit too many": ("{warning: 0.80, critical: 1}", "{warning: 0.80, critical: 1, fatal: 2}", "critical, warning"),
    "no number": ("{warning: 0.80, critical: 1}", "{warning: much, critical: 1}", "much"),
    "an owner that is missing": ("    owner: revenue_accounting\n", "", "owner"),
    "an unknown severity": (
        "    owner: revenue_accounting\n    severity: warning",
        "    owner: revenue_accounting\n    severity: loud",
        "loud",
    ),
    "a delay of nothing": ("activation_after_hours: 24", "activation_after_hours: 0", "activation_after_hours"),
    "a key too many": ("version: 1", "version: 1\nverbose: true", "verbose"),
    "a key twice": ("version: 1", "version: 1\nversion: 2", "version"),
    "no YAML": ("version: 1", "version: [1", ""),
}


@pytest.mark.parametrize(("old", "new", "named"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, named: str) -> None:
    path = _own(tmp_path, old, new)
    with pytest.raises(UnusableFile) as unusable:
        load_policy(path)
    assert all(fault.startswith(f"{path}:") for fault in unusable.value.faults)
    assert named in str(unusable.value)


def test_the_line_is_that_of_the_value(tmp_path: Path) -> None:
    path = _own(tmp_path, "{fraction: 0.05, amount: 1000}", "{fraction: little, amount: 1000}")
    with pytest.raises(UnusableFile) as unusable:
        load_policy(path)
    assert str(unusable.value).startswith(f"{path}:{_line_of(path, 'little')}: ")


def test_an_override_that_is_no_limit_is_named(tmp_path: Path) -> None:
    limits = "limits: {warning: 0.80, critical: 1}"
    path = _own(tmp_path, limits, limits + "\n    clients: {A1: {warnig: 0.5}}")
    with pytest.raises(UnusableFile, match="A1 overrides warnig, which is no limit of it"):
        load_policy(path)


def test_a_file_that_is_empty_or_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(UnusableFile, match="the file is empty"):
        load_policy(tmp_path / "empty.yaml")
    with pytest.raises(UnusableFile, match=r"none\.yaml: cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_the_shipped_file_is_what_is_loaded() -> None:
    content = yaml.safe_load(SHIPPED.read_text())
    assert set(content["alerts"]) == set(DEFAULTS)
