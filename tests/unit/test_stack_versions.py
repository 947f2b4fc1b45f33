"""The one file of versions: what it may say, and that the checksums beside it fit."""

from pathlib import Path

import pytest

from stack.errors import StackError
from stack.jars import checksums_file, read_checksums
from stack.versions import PINS, versions


def test_every_part_has_the_checksum_of_each_jar_it_asks_for() -> None:
    parts = versions().parts
    assert "kafka" in parts
    for name, part in parts.items():
        there = read_checksums(checksums_file(name))
        missing = {f"jars/{artifact}-{version}.jar" for _, artifact, version in part.coordinates()} - there.keys()
        folders = {path.split("/", maxsplit=1)[0] for path in there}
        missing |= {archive.artifact for archive in part.archives_wanted()} - folders
        assert not missing, f"run `python -m stack.lock {name}`"


def test_no_checksum_belongs_to_a_part_that_is_gone() -> None:
    assert {file.stem for file in PINS.glob("*.sha256")} == versions().parts.keys()


def test_the_version_of_a_part_is_said_once(tmp_path: Path) -> None:
    text = (PINS / "versions.toml").read_text(encoding="utf-8").replace('version = "4.3.1"', 'version = "9.9.9"')
    (tmp_path / "versions.toml").write_text(text, encoding="utf-8")
    kafka = versions(tmp_path).parts["kafka"]
    assert kafka.coordinates() == [
        ("org.apache.kafka", "kafka_2.13", "9.9.9"),
        ("org.apache.kafka", "kafka-tools", "9.9.9"),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
        ("org.apache.logging.log4j", "log4j-core", "2.24.3"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("least = 17", 'least = "new"', "java.least: Input should be a valid integer"),
        ("[java]", "[jav]", "java: Field required; jav: Extra inputs are not permitted"),
        ('"org.apache.kafka:kafka_2.13:{version}"', '"kafka_2.13"', "parts.kafka.jars.0: String should match pattern"),
        ("least = 17", "least 17", "Expected '=' after a key"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = (PINS / "versions.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "versions.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(StackError) as refused:
        versions(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'versions.toml'}: ")
    assert said in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"versions\.toml: cannot be read: No such file"):
        versions(tmp_path / "nowhere")
