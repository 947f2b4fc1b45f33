"""Tiers: the folder of a test is its tier, and its tier is its marker."""

import os
import signal
from pathlib import Path

# Pure Python is what is tested, also where compiled modules lie at hand; `make test-compiled` sets it to 0.
os.environ.setdefault("PURE_PYTHON", "1")

import pytest
from hypothesis import HealthCheck, settings

from schemas.plan import COMPILED
from tests.support import no_skips

# Assertions of shared suites explain themselves, as those of a test file do: said before anybody imports them.
pytest.register_assert_rewrite("tests.contract.suite", "tests.contract.call_suite", "tests.contract.station")

TESTS = Path(__file__).parent
TIERS = {name: name for name in ("tidy", "unit", "scenarios", "properties", "contract", "broker", "stack")}
TIERS["oracle"] = "unit"  # the independent batch computation is tested by tables of cases, too
ONE_AT_A_TIME = ("broker", "stack")

# Where a script starts the tests in its background, Ctrl-C is ignored, and so it would be in the programs they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

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


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--stack"):
        config.pluginmanager.register(no_skips)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A run of everything says what it left out; spread over several cores, pytest itself does not."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and not config.getoption("--stack"):
        left_out = len([*(TESTS / "stack").glob("test_*.py")])
        terminalreporter.write_line(f"not run: the stack tier, {left_out} files in tests/stack; run `make test-stack`")


@pytest.fixture(params=["compiled", "pure"])
def codec_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the compiled codec, then again without."""
    if request.param == "pure":
        monkeypatch.setattr("schemas.plan._plan", None)
    elif not COMPILED:
        pytest.skip("the compiled codec was not built: no C compiler at set-up")


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
