"""The lock answers pyproject.toml: whoever adds a dependency and forgets `make lock` is told here."""

import re
import tomllib
from collections.abc import Mapping

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tidy.house import ROOT

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def unmet(requirements: list[str], pins: Mapping[str, str]) -> list[str]:
    """The requirements that no pin satisfies. `pins`: canonical name -> version."""
    wanted = [Requirement(text) for text in requirements]
    return [
        str(one)
        for one in wanted
        if not one.specifier.contains(pins.get(canonicalize_name(one.name), "0"), prereleases=True)
    ]


def pins_of(lock: str) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PIN.findall(lock)}


def test_every_dependency_is_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = pins_of((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    missing = unmet([*project["dependencies"], *project["optional-dependencies"]["dev"]], pins)
    assert not missing, f"not in requirements.lock: {', '.join(missing)}; run `make lock`"


def test_an_image_has_what_runs_in_the_same_versions_and_no_tools() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = pins_of((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    of_image = pins_of((ROOT / "deploy" / "requirements.lock").read_text(encoding="utf-8"))
    missing = unmet(project["dependencies"], of_image)
    assert not missing, f"not in deploy/requirements.lock: {', '.join(missing)}; run `make lock`"
    other = {name: version for name, version in of_image.items() if pins.get(name) != version}
    assert not other, f"not as in requirements.lock: {other}; run `make lock`"
    assert {"pytest", "mypy", "ruff"} & of_image.keys() == set()


@pytest.mark.parametrize(
    ("requirement", "missing"),
    [("rich>=14", []), ("Rich", []), ("rich>=16", ["rich>=16"]), ("orjson>=3", ["orjson>=3"])],
)
def test_a_requirement_without_its_pin_is_found(requirement: str, missing: list[str]) -> None:
    assert unmet([requirement], pins_of("rich==15.0.0 \\\n    --hash=sha256:00\n")) == missing
