"""Jars of parts, copied for an image that is built."""

from pathlib import Path

import pytest

from stack import fetch
from stack.errors import Say, StackError, silent


def test_each_part_has_a_folder_with_its_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(name: str, say: Say) -> Path:
        folder = tmp_path / "cache" / name
        (folder / "jars").mkdir(parents=True)
        (folder / "jars" / f"{name}-1.jar").touch()
        (folder / "archive").mkdir()
        return folder

    monkeypatch.setattr(fetch, "fetched", fetched)
    fetch.copy_jars(["converter", "jmx-exporter"], tmp_path / "into", silent)
    found = {path.relative_to(tmp_path / "into").as_posix() for path in (tmp_path / "into").rglob("*.*")}
    assert found == {"converter/converter-1.jar", "jmx-exporter/jmx-exporter-1.jar"}


def test_a_part_that_there_is_not_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"^there is no part nothing; there is kafka, debezium, converter, "):
        fetch.copy_jars(["converter", "nothing"], tmp_path / "into", silent)
    assert not (tmp_path / "into").exists()
