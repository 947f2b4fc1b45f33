"""The state folder: one worker at a time, and one identity for as long as it is there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from state.rocks import StoreUnavailable
from streams.engine.state_folder import held

HOLDER = """
import sys
from pathlib import Path
from streams.engine.state_folder import held

with held(Path(sys.argv[1])) as folder:
    print(folder.identity, flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Let another process hold a folder; it says by which identity, and lets go when its input is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_it_is_made_where_it_is_asked_for_with_a_place_for_each_partition(tmp_path: Path) -> None:
    with held(tmp_path / "some" / "state") as folder:
        assert folder.path == tmp_path / "some" / "state"
        assert folder.database(7) == tmp_path / "some" / "state" / "partition-7"
        assert len(folder.identity) == 12
        assert {path.name for path in folder.path.iterdir()} == {"worker.lock", "identity"}


def test_a_worker_that_comes_back_is_the_same_and_one_elsewhere_is_another(tmp_path: Path) -> None:
    with held(tmp_path / "a") as folder:
        first = folder.identity
    with held(tmp_path / "a") as folder:
        assert folder.identity == first
    with held(tmp_path / "b") as folder:
        assert folder.identity != first


def test_an_identity_that_was_not_written_to_its_end_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "identity").write_text("\n")
    with held(tmp_path) as folder:
        assert (tmp_path / "identity").read_text() == f"{folder.identity}\n"


def test_a_folder_that_another_process_holds_is_refused_and_free_once_that_is_killed(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        assert other.stdout is not None
        identity = other.stdout.readline().strip()
        with pytest.raises(StoreUnavailable) as refused, held(tmp_path):
            pass
        assert str(refused.value) == (
            f"state folder {tmp_path} is in use by another worker, process {other.pid}; stop it, or give this one a "
            "state_folder of its own"
        )
        other.kill()
    with held(tmp_path) as folder:
        assert folder.identity == identity


def test_it_is_let_go_at_the_end_of_the_block(tmp_path: Path) -> None:
    with held(tmp_path):
        pass
    with holder(tmp_path) as other:
        assert other.stdout is not None
        assert len(other.stdout.readline().strip()) == 12
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait(30) == 0


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreUnavailable, match=r"file/state cannot be used: Not a directory; give another state_folder"),
        held(tmp_path / "file" / "state"),
    ):
        pass


def test_an_identity_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    told = "cannot be written: Is a directory; give another state_folder"
    with pytest.raises(StoreUnavailable, match=told), held(tmp_path):
        pass
    (tmp_path / "identity").rmdir()
    with held(tmp_path) as folder:  # the refusal has let go of it
        assert (tmp_path / "worker.lock").read_text() == str(os.getpid())
        assert folder.identity
