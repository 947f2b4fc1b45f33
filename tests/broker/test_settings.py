"""Settings: from file, environment and arguments, with errors that name where, which key and what to do."""

from pathlib import Path

import pytest

from streams.config import Contracts, Settings, SettingsError, Sinks, load

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_arguments_come_before_environment_before_file_before_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "throughline.toml").write_text(
        'brokers = "file:1"\ngroup = "file"\ncheckpoint_interval_ms = 50\n'
        "[sinks]\nbatch_lines_max = 7\n[epochs]\npsa = 2\n"
    )
    monkeypatch.setenv("THROUGHLINE_GROUP", "environment")
    monkeypatch.setenv("THROUGHLINE_BROKERS", "environment:1")
    monkeypatch.setenv("THROUGHLINE_SINKS__FOLDER", "outbox")
    settings = load(brokers="argument:1")
    assert (settings.brokers, settings.group, settings.checkpoint_interval_ms) == ("argument:1", "environment", 50)
    assert (settings.sinks.folder, settings.sinks.batch_lines_max) == (Path("outbox"), 7)
    assert (settings.partitions, dict(settings.epochs)) == (4, {"psa": 2})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('partitions = "many"', "partitions = 'many': Input should be a valid integer"),
        ("partitions = 0", "partitions = 0: Input should be greater than or equal to 1"),
        ("[sinks]\nbatch_lines_max = 0", "sinks.batch_lines_max = 0: Input should be greater"),
        ("[epochs]\npsa = -1", "the epoch of feed psa is -1; an epoch is 0 or more"),
        ("partition = 4", "there is no setting partition; remove it or correct its name"),
        ('brokers = "nowhere"', "brokers = 'nowhere': String should match pattern"),
        ("partitions =", "the file must be TOML"),
    ],
)
def test_a_wrong_file_is_named_with_key_and_value(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "other.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("THROUGHLINE_PARTITIONS", "many", "environment variable THROUGHLINE_PARTITIONS: partitions = 'many'"),
        (
            "THROUGHLINE_SINKS__POLL_SECONDS",
            "x",
            "environment variable THROUGHLINE_SINKS__POLL_SECONDS: sinks.poll_seconds",
        ),
        ("THROUGHLINE_BROKER", "a:1", "environment variable THROUGHLINE_BROKER: there is no setting broker"),
        ("THROUGHLINE_SINKS", "x", 'environment: error parsing value for field "sinks"'),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert said in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SettingsError, match=r"no\.toml: there is no such settings file"):
        load(Path("no.toml"))


def test_every_setting_says_what_it_is_for() -> None:
    fields = {**Settings.model_fields, **Contracts.model_fields, **Sinks.model_fields}
    assert [name for name, field in fields.items() if not field.description] == []
