"""Rules and dashboard as promtool sees them: they are valid, and fire when they should."""

import json
import subprocess
from pathlib import Path

import pytest

from stack.tools import promtool
from tests.support.deployed import RULE_TESTS, RULES, queries


def checked(*words: str | Path) -> None:
    """Let promtool check something; what it says is the failure."""
    ran = subprocess.run([promtool(), *map(str, words)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_rules_and_what_a_prometheus_goes_by_are_valid() -> None:
    checked("check", "rules", RULES)
    for name in ("prometheus.yaml", "compose.yaml"):
        checked("check", "config", RULES.with_name(name))


@pytest.mark.parametrize("name", sorted(path.name for path in RULE_TESTS.glob("*.yaml")))
def test_alerts_fire_when_they_should_and_only_then(name: str) -> None:
    checked("test", "rules", RULE_TESTS / name)


def test_every_query_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    # promtool checks rules, so each query becomes one; JSON is YAML.
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries().values())]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    checked("check", "rules", file)


def test_a_query_that_is_none_is_found(tmp_path: Path) -> None:
    file = tmp_path / "queries.yaml"
    file.write_text('{"groups": [{"name": "dashboard", "rules": [{"record": "query:0", "expr": "sum(by)("}]}]}')
    with pytest.raises(AssertionError, match="could not parse expression"):
        checked("check", "rules", file)
