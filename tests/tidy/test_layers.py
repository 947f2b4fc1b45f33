"""The contracts on imports in pyproject.toml hold for the tree, and each is shown to fail on a wrong import."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copyfile

import pytest

from tests.tidy.house import PRODUCT, ROOT

LINTER = Path(sys.executable).with_name("lint-imports")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
# The smallest tree on which every contract holds.
HOUSE = """
state/__init__ state/store schemas/__init__ schemas/codec firm/__init__ firm/size console/__init__ console/page
streams/__init__ streams/cli streams/config streams/replay streams/progress streams/simulator streams/sources
streams/compiled streams/compiling streams/topology streams/graph streams/collecting streams/partitioning
streams/policy streams/routes streams/step streams/topics streams/behaviour
streams/engine/__init__ streams/engine/app streams/engine/demo streams/domain/__init__ streams/domain/money
streams/assembly/__init__ streams/delivery/__init__ streams/intake/__init__ streams/ledger/__init__
streams/steps/__init__ streams/rules/__init__ streams/rules/billing
streams/doers/__init__ streams/doers/contract streams/doers/psa_api streams/doers/webhook
streams/sinks/__init__ streams/sinks/contract streams/sinks/file_exchange streams/sinks/tryton
stack/__init__ stack/commands stack/kafka live/__init__ live/pipeline
outside/__init__ outside/http
connect/__init__ connect/deploy connect/feeds/__init__ connect/feeds/contract connect/feeds/erp connect/feeds/workday
""".split()


def lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | {"PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [str(LINTER), "--no-cache", *options]
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    for module in HOUSE:
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_imports_point_one_way() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_package_of_the_product_is_linted() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} & {*PRODUCT}
    unlinted = packages - {*SETTINGS["root_packages"]} - {"bench"}
    assert not unlinted, f"add {unlinted} to root_packages, and contracts for what it may import (feeds: as for sinks)"


def test_the_smallest_house_breaks_nothing(house: Path) -> None:
    result = lint(house)
    assert result.returncode == 0, result.stdout + result.stderr


BREACHES = [
    ("one-way", "streams/domain/money", "import streams.rules.billing"),
    ("one-way", "streams/rules/billing", "import streams.topology"),
    ("one-way", "streams/rules/billing", "import streams.intake"),
    ("one-way", "streams/intake/__init__", "import streams.assembly"),
    ("one-way", "streams/ledger/__init__", "import streams.intake"),
    ("one-way", "streams/topology", "import streams.engine.app"),
    ("one-way", "streams/engine/app", "import streams.cli"),
    ("one-way", "streams/replay", "import streams.engine.app"),
    ("one-way", "streams/sinks/file_exchange", "import streams.topology"),
    ("one-way", "streams/step", "import streams.intake"),
    ("one-way", "streams/sinks/file_exchange", "import streams.delivery"),
    ("one-way", "streams/unplaced", ""),
    ("settings-above", "streams/rules/billing", "from streams import config"),
    ("below-streams", "state/store", "import streams.domain.money"),
    ("below-streams", "schemas/codec", "from streams import topics"),
    ("bytes-and-keys", "state/store", "import schemas.codec"),
    ("only-the-command-line", "streams/engine/app", "import firm.size"),
    ("only-the-command-line", "streams/rules/billing", "from console import page"),
    ("only-the-engine", "streams/topology", "import confluent_kafka"),
    ("only-the-engine", "streams/sinks/file_exchange", "from confluent_kafka import Producer"),
    ("only-the-engine", "streams/cli", "import faust"),
    ("stack-beside", "stack/kafka", "from streams import topics"),
    ("only-commands-start-the-stack", "streams/engine/app", "from stack import kafka"),
    ("only-commands-start-the-stack", "firm/size", "import stack.kafka"),
    ("sinks-apart", "streams/sinks/file_exchange", "from streams.sinks import tryton"),
    ("doers-apart", "streams/doers/psa_api", "from streams.doers import webhook"),
    ("one-way", "streams/doers/psa_api", "from streams.sinks import tryton"),
    ("feeds-apart", "connect/feeds/workday", "from connect.feeds import erp"),
    ("connect-lands", "connect/feeds/workday", "from streams import topics"),
    ("connect-above", "streams/topology", "import connect.deploy"),
    ("outside-apart", "outside/http", "import connect.deploy"),
    ("live-above", "firm/size", "import live.pipeline"),
    ("only-the-engine", "connect/feeds/workday", "from confluent_kafka import Producer"),
]


@pytest.mark.parametrize(("contract", "module", "line"), BREACHES)
def test_a_wrong_import_breaks_its_contract(house: Path, contract: str, module: str, line: str) -> None:
    (house / f"{module}.py").write_text(f"{line}\n", encoding="utf-8")
    result = lint(house, "--contract", contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 broken" in result.stdout
    assert module.removesuffix("/__init__").replace("/", ".") in result.stdout


RIGHT = [
    (
        "streams/cli",
        "import streams.engine.app, streams.config, console.page, firm.size, stack.commands, connect.deploy",
    ),
    (
        "streams/engine/app",
        "import confluent_kafka, faust, streams.replay, streams.topology, streams.sinks.file_exchange",
    ),
    ("streams/engine/demo", "import streams.engine.app, console.page, firm.size"),
    ("streams/rules/billing", "import schemas.codec, streams.domain.money, streams.step, state.store"),
    ("streams/intake/__init__", "import streams.rules.billing"),
    ("streams/sinks/file_exchange", "import streams.sinks.contract, streams.domain.money, outside.http"),
    ("connect/feeds/erp", "import schemas.codec, connect.feeds.contract, outside.http"),
    ("streams/engine/app", "import connect.feeds.erp"),
    ("live/pipeline", "import stack.kafka, connect.deploy, firm.size, streams.engine.app"),
    ("schemas/codec", "import confluent_kafka"),
    ("stack/kafka", "import confluent_kafka"),
]


def test_right_imports_break_nothing(house: Path) -> None:
    for module, line in RIGHT:
        (house / f"{module}.py").write_text(f"{line}\n", encoding="utf-8")
    result = lint(house)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_is_shown_to_fail() -> None:
    assert {contract for contract, *_ in BREACHES} == {contract["id"] for contract in SETTINGS["contracts"]}
