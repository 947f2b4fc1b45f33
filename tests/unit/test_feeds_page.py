"""The page of feeds: its tables of settings are those of the models, and its examples can be used."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from connect.catalogue import CLASSES, configured, kind_of, names_of
from connect.configuration import CLASS, CONNECTORS_FOLDER, Configuration, UnusableConfiguration, read_all
from connect.erp_settings import ErpSettings, ObjectSettings
from connect.feeds.files import FilesSettings
from connect.feeds.salesforce.opening import SalesforceSettings
from connect.feeds.workday import WorkdaySettings
from connect.settings import ComparedSettings, FeedSettings, checked
from outside.http_settings import HttpSettings

PAGE = (Path(__file__).parents[2] / "docs" / "feeds.md").read_text("utf-8")
COMMON = {*FeedSettings.model_fields, *ComparedSettings.model_fields, *HttpSettings.model_fields}
TABLES: Mapping[str, tuple[type[BaseModel], set[str]]] = {
    "of every feed": (FeedSettings, set()),
    "of what is compared": (ComparedSettings, set()),
    "of what is asked over HTTP": (HttpSettings, set()),
    "of files": (FilesSettings, COMMON),
    "of Workday": (WorkdaySettings, COMMON),
    "of Salesforce": (SalesforceSettings, COMMON),
    "of an ERP": (ErpSettings, {*COMMON, "tables"}),
    "of each object": (ObjectSettings, set()),
}


def rows(model: type[BaseModel], without: set[str]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name not in without:
            default = shown(field.get_default(call_default_factory=True))
            yield f"| `{field.alias or name}` | {default} | {field.description} |"


def shown(default: Any) -> str:
    if default is PydanticUndefined:
        return "must be given"
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    return "none" if default in (None, "", {}) else f"`{default}`"


@pytest.mark.parametrize("title", TABLES)
def test_a_table_of_settings_is_current(title: str) -> None:
    wanted = [*rows(*TABLES[title])]
    found = PAGE.split(f"<!-- settings {title} -->\n")[1].split("\n\n")[0].splitlines()[2:]
    assert found == wanted, f"the table {title} must be:\n" + "\n".join(wanted)


def test_every_class_of_feeds_has_its_section() -> None:
    assert set(re.findall(r"`(throughline\.\w+)`", PAGE)) >= set(CLASSES)


EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def use(configuration: Configuration) -> None:
    """Check settings as they are where each reference refers to something."""
    settings = {key: re.sub(r"\$\{[^}]*\}", "https://x.example", value) for key, value in configuration.config.items()}
    checked(kind_of(configuration).settings, configuration, settings)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["name"]))
def test_an_example_can_be_used(example: dict[str, Any]) -> None:
    use(Configuration.model_validate(example))


def test_there_is_an_example_of_every_class() -> None:
    assert {example["config"][CLASS] for example in EXAMPLES} >= {
        "throughline.files", "throughline.workday", "throughline.erp",
    }  # fmt: skip


def test_what_is_shipped_can_be_used() -> None:
    for configuration in read_all(CONNECTORS_FOLDER).values():
        if configuration.is_feed:
            use(configuration)


def test_an_example_that_is_shipped_is_shipped_as_it_stands_here() -> None:
    shipped = {name: dict(found.config) for name, found in read_all(CONNECTORS_FOLDER).items()}
    here = {example["name"]: example["config"] for example in EXAMPLES}
    assert {name: here[name] for name in here.keys() & shipped.keys()} == {
        name: shipped[name] for name in here.keys() & shipped.keys()
    }
    assert {"history", "hr-workday", "erp-dynamics"} <= shipped.keys()


# -- what a folder holds


def write(at: Path, name: str, /, **config: str) -> None:
    config = {key.replace("__", "."): value for key, value in config.items()}
    (at / f"{name}.json").write_text(json.dumps({"name": name, "config": config}), encoding="utf-8")


def test_a_feed_is_found_by_its_name_with_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROP", "incoming")
    write(tmp_path, "history", connector__class="throughline.files", folder="/x/${env:DROP}")
    found = configured("history", tmp_path)
    assert isinstance(found.settings, FilesSettings)
    assert (found.name, found.kind.connector, found.settings.folder) == ("history", "files", Path("/x/incoming"))
    assert found.settings.pace.poll_ms == 60_000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "there is no feed nothing; feeds there: fax, history"),
        ("psa", "psa is run by Kafka Connect: see `throughline connect`"),
        ("fax", "fax: connector.class: there is no feed throughline.fax; there are throughline.erp"),
        ("history", "history: folder: Field required. Meant is: Folder in which files are dropped"),
    ],
)
def test_what_cannot_be_run_is_told(tmp_path: Path, name: str, said: str) -> None:
    write(tmp_path, "history", connector__class="throughline.files")
    write(tmp_path, "fax", connector__class="throughline.fax")
    write(tmp_path, "psa", connector__class="io.debezium.PostgresConnector", topic__prefix="psa")
    with pytest.raises(UnusableConfiguration) as refused:
        configured(name, tmp_path)
    assert said in str(refused.value)


def test_who_sends_heartbeats_is_known_by_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "history", connector__class="throughline.files")
    write(tmp_path, "psa-source", connector__class="io.debezium.PostgresConnector", topic__prefix="psa")
    write(tmp_path, "analytics", connector__class="io.debezium.JdbcSink")
    assert sorted(names_of(tmp_path)) == ["history", "psa"]
