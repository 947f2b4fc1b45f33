"""Tiers: the folder of a test is its tier, and its tier is its marker."""

import os
from pathlib import Path

# Pure Python is what is tested, also where compiled modules lie at hand; `make test-compiled` sets it to 0.
os.environ.setdefault("PURE_PYTHON", "1")

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
TIERS = {name: name for name in ("tidy", "unit", "scenarios", "properties", "contract", "broker", "stack")}
TIERS["oracle"] = "unit"  # the independent batch computation is tested by tables of cases, too
ONE_AT_A_TIME = ("broker", "stack")

settings.register_profile(
    "house",
    deadline=None,  # a busy machine is no defect
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")


def tier_of(path: Path) -> str:
    """The tier of a test file: its first folder below `tests`.

    Raises:
        pytest.UsageError: The file lies in no tier, so no run would know whether to take it.
    """
    folder = path.relative_to(TESTS).parts[0]
    if folder not in TIERS:
        raise pytest.UsageError(f"{path.relative_to(TESTS.parent)} is in no tier: move it to one of {', '.join(TIERS)}")
    return TIERS[folder]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", action="store_true", help="run the stack tier: real Kafka, Connect, databases and ERP")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    away = pytest.mark.skip(reason="the stack tier starts real servers: run it with `make test-stack`")
    for item in items:
        tier = tier_of(item.path)
        item.add_marker(tier)
        if tier in ONE_AT_A_TIME:
            # Servers of two tests at once would fight for the cores: one worker runs the whole tier.
            item.add_marker(pytest.mark.xdist_group(tier))
        if tier == "stack" and not config.getoption("--stack"):
            item.add_marker(away)
