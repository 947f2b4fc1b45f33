"""In the stack tier nothing is skipped: a skip fails, wherever it is asked for, and says why it was one."""

import subprocess
import sys
from pathlib import Path

from tests.tidy.house import ROOT

TESTS = """
import pytest

def test_works():
    pass

def test_gives_up():
    pytest.skip("no server here")

@pytest.mark.skipif(True, reason="not today")
def test_is_marked():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_fails_as_expected():
    assert False
"""
MODULE = 'import pytest\npytest.importorskip("nothing_by_this_name")\n\ndef test_never():\n    pass\n'


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "-q", "-ra", *options, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_skip_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    plain = run(tmp_path)
    assert plain.stdout.splitlines()[-1].startswith("1 passed, 2 skipped, 1 xfailed in ")
    strict = run(tmp_path, "-p", "tests.support.no_skips")
    assert strict.returncode == 1
    assert strict.stdout.splitlines()[-1].startswith("1 failed, 1 passed, 1 xfailed, 1 error in ")
    assert "Skipped: no server here\nNothing is skipped in this run: what a test needs must be there." in strict.stdout
    assert "Skipped: not today\n" in strict.stdout


def test_a_module_that_is_skipped_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text(MODULE, encoding="utf-8")
    assert run(tmp_path).returncode == 5  # pytest ran nothing
    strict = run(tmp_path, "-p", "tests.support.no_skips")
    assert strict.returncode == 2
    assert "could not import 'nothing_by_this_name'" in strict.stdout
