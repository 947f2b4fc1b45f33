"""Configuration files of connectors and feeds: read, named once, secrets looked up and never told."""

import json
from pathlib import Path

import pytest

from connect.configuration import Configuration, UnusableConfiguration, read, read_all, resolved


def write(folder: Path, file: str, content: object) -> Path:
    path = folder / file
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_file_has_a_name_and_its_settings(tmp_path: Path) -> None:
    config = {"connector.class": "throughline.files", "folder": "drop"}
    found = read(write(tmp_path, "a.json", {"name": "history", "config": config}))
    assert (found.name, dict(found.config), found.is_feed) == ("history", config, True)


def test_what_connect_runs_is_no_feed() -> None:
    assert not Configuration(name="psa", config={"connector.class": "io.debezium.PostgresConnector"}).is_feed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "file: Invalid JSON"),
        ({"name": "a"}, "config: Field required"),
        ({"name": "a b", "config": {}}, "name: String should match pattern"),
        ({"name": "a", "config": {"tasks.max": 1}}, "config.tasks.max: Input should be a valid string"),
        ({"name": "a", "config": {}, "more": 1}, "more: Extra inputs are not permitted"),
        ({"name": "a", "config": {"x": "y"}}, "config has no connector.class; it names the connector or the feed"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_fault(tmp_path: Path, content: object, said: str) -> None:
    path = write(tmp_path, "wrong.json", content)
    with pytest.raises(UnusableConfiguration) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableConfiguration, match=r"nothing\.json: cannot be read: No such file"):
        read(tmp_path / "nothing.json")


def test_all_files_are_read_by_name_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    for file, name in (("b.json", "psa"), ("a.json", "crm")):
        write(tmp_path, file, {"name": name, "config": {"connector.class": "x"}})
    write(tmp_path, "notes.txt", "no configuration")
    assert list(read_all(tmp_path)) == ["crm", "psa"]
    write(tmp_path, "c.json", {"name": "psa", "config": {"connector.class": "x"}})
    with pytest.raises(UnusableConfiguration, match=r"c\.json: another file is named psa, too; rename one"):
        read_all(tmp_path)


def test_references_are_replaced_wherever_they_stand(tmp_path: Path) -> None:
    secrets = write(tmp_path, "secrets.properties", "# a comment\n! another\n user = ann \npassword=a=b\n")
    config = {
        "url": "https://${env:HOST}:${env:PORT}/x",
        "login": f"${{file:{secrets}:user}}:${{file:{secrets}:password}}",
    }
    found = resolved(Configuration(name="a", config=config), {"HOST": "erp", "PORT": "8443"})
    assert found == {"url": "https://erp:8443/x", "login": "ann:a=b"}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("${env:PASSWORD}", "there is no environment variable PASSWORD"),
        ("${file:FOLDER/secrets:token}", "FOLDER/secrets has no token"),
        ("${file:FOLDER/nothing:token}", "No such file"),
    ],
)
def test_a_reference_to_nothing_is_told_with_its_key_and_without_any_secret(
    tmp_path: Path, reference: str, said: str
) -> None:
    write(tmp_path, "secrets", "password=hidden\n")
    at = reference.replace("FOLDER", str(tmp_path))
    with pytest.raises(UnusableConfiguration) as refused:
        resolved(Configuration(name="erp", config={"auth.password": at}), {})
    assert str(refused.value).startswith(f"erp: auth.password: {at} refers to nothing: ")
    assert said.replace("FOLDER", str(tmp_path)) in str(refused.value)
    assert "hidden" not in str(refused.value)
