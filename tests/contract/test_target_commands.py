"""`throughline targets check` and what reads the targets file beside it: `route check`, and a worker that starts."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.lined_yaml import UnusableFile
from streams.cli import app
from streams.config import Settings, Sinks
from streams.engine.worker import run, steps_of
from tests.contract.api_targets import ORACLE, program
from tests.contract.feeds.program import Program

Run = Callable[..., Result]

TARGETS = """\
version: 1
targets:
  oracle:
    kind: oracle
    url: URL
    auth: basic
    auth.user: ann
    auth.password: ${env:ERP_PASSWORD}
    mapping: oracle.yaml
    calls_at_once: 7
    calls_per_second: 12.5
  legacy:
    kind: file
    folder: exchange
"""
ROUTING = """\
version: 1
waves:
  - {name: first, system: legacy, legal_entities: [US01]}
  - {name: second, system: s4}
freezes:
  - {name: close, begins: 2026-01-31T18:00:00Z, ends: 2026-02-03T06:00:00Z, systems: [oracle, sage]}
"""


@pytest.fixture(scope="module")
def far() -> Iterator[Program]:
    yield from program("oracle")


@pytest.fixture
def folder(far: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    far.order("reset")
    (tmp_path / "oracle.yaml").write_text(ORACLE, encoding="utf-8")
    (tmp_path / "targets.yaml").write_text(TARGETS.replace("URL", far.url), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THROUGHLINE_SINKS__TARGETS_FILE", "targets.yaml")
    monkeypatch.setenv("ERP_PASSWORD", "s3cret")
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


@pytest.fixture
def run_command(folder: Path) -> Run:
    return lambda *words: CliRunner().invoke(app, list(words))


def lines(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_the_file_is_shown_and_nobody_is_asked(run_command: Run, far: Program) -> None:
    result = run_command("targets", "check")
    assert (result.exit_code, lines(result)) == (0, [
        "targets.yaml",
        "target kind where mapping calls at once a second",
        f"oracle oracle {far.url} oracle.yaml 7 12.5",
        "legacy file exchange - 1 any",
    ])  # fmt: skip
    assert far.order("asked") == []


def test_each_is_asked_whether_we_may(run_command: Run, far: Program) -> None:
    result = run_command("targets", "check", "--call")
    assert (result.exit_code, [line.split(" ", 4)[-1] for line in lines(result)[2:]]) == (
        0,
        ["7 12.5 lets us in", "1 any lets us in"],
    )
    assert far.order("documents") == []


def test_who_is_refused_who_is_away_and_who_is_not_there_have_codes_of_their_own(
    run_command: Run, far: Program, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERP_PASSWORD", "wrong-one")
    refused = run_command("targets", "check", "oracle", "--call")
    assert (refused.exit_code, "refuses us: oracle: " in refused.stdout, "wrong-one" in refused.output) == (
        1,
        True,
        False,
    )
    assert len(lines(refused)) == 3
    (folder / "targets.yaml").write_text(TARGETS.replace("URL", "http://127.0.0.1:9"), encoding="utf-8")
    away = run_command("targets", "check", "--call")
    assert (away.exit_code, "does not answer now: oracle: " in away.stdout) == (3, True)
    unknown = run_command("targets", "check", "sage")
    assert (unknown.exit_code, "there is no target 'sage'; there are: oracle, legacy" in unknown.output) == (2, True)
    monkeypatch.delenv("ERP_PASSWORD")
    unusable = run_command("targets", "check")
    assert (unusable.exit_code, "targets.yaml:8: oracle: auth.password: ${env:ERP_PASSWORD}" in unusable.output) == (
        2,
        True,
    )


def test_without_a_file_every_erp_is_a_file_exchange(run_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THROUGHLINE_SINKS__TARGETS_FILE")
    result = run_command("targets", "check")
    said = "no sinks.targets_file: every ERP is a file exchange in throughline-exchange"
    assert (result.exit_code, lines(result)) == (0, [said])
    assert run_command("targets", "check", "legacy").exit_code == 2


def test_a_wave_to_a_system_that_is_no_target_is_refused_with_its_line(
    run_command: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "routing.yaml").write_text(ROUTING, encoding="utf-8")
    monkeypatch.setenv("THROUGHLINE_ROUTING_FILE", "routing.yaml")
    said = [
        "routing.yaml:4: wave second: there is no target s4; there are: oracle, legacy",
        "routing.yaml:6: freeze close: there is no target sage; there are: oracle, legacy",
    ]
    monkeypatch.delenv("ERP_PASSWORD")  # names need no secrets
    checked = run_command("route", "check")
    assert (checked.exit_code, checked.stderr.splitlines()) == (2, [f"throughline: {said[0]}", said[1]])
    monkeypatch.setenv("ERP_PASSWORD", "s3cret")
    with pytest.raises(UnusableFile) as refused:
        steps_of(Settings(routing_file=Path("routing.yaml"), sinks=Sinks(targets_file=Path("targets.yaml"))))
    assert list(refused.value.faults) == said
    monkeypatch.delenv("THROUGHLINE_SINKS__TARGETS_FILE")
    assert run_command("route", "check").exit_code == 0


def test_a_worker_does_not_start_with_settings_of_a_target_that_cannot_be_used_and_does_while_one_is_down(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="throughline")  # a worker sets it, and it is set back after the test
    settings = Settings(sinks=Sinks(targets_file=Path("targets.yaml")))
    (folder / "targets.yaml").write_text(TARGETS.replace("URL", "http://127.0.0.1:9"), encoding="utf-8")
    steps, _ = steps_of(settings)
    assert steps[-1].name == "posting"
    monkeypatch.delenv("ERP_PASSWORD")
    assert run(settings) == 1
    assert "targets.yaml:8: oracle: auth.password: ${env:ERP_PASSWORD} refers to nothing" in caplog.text
