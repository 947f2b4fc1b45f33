"""The activation file: what is wrong in it is told with file and line, and what it says of each deal."""

import re
from pathlib import Path

import pytest
import yaml

from outside.errors import Fatal
from schemas.lined_yaml import UnusableFile
from streams.doers.dimension_service import Entity
from streams.doers.opening import Openings, load_plan
from streams.doers.templates import NAMES, fault_of, filled, filled_url, values_of
from streams.domain.undertaking import Order

pytestmark = pytest.mark.unit

NOON = 1_772_366_400_000  # 2026-03-01
ENVIRONMENT = {"PSA_DSN": "dbname=psa", "HOOK": "https://hooks.example.com/services/T/B/hidden"}
GOOD = """
version: 1
doers:
  psa: {kind: psa_database, dsn: "${env:PSA_DSN}"}
  acme: {kind: tryton, http: {url: "http://127.0.0.1:8000"}, database: erp, user: x, password: x, companies: {US01: 1}}
  erp:
    kind: dimension_service
    http: {url: "https://erp.example.com", auth: basic, auth.user: x, auth.password: "${env:PSA_DSN}"}
    entities:
      - what: project
        ask: /data/Projects('{number}')
        make: {path: /data/Projects, fields: {ID: "{number}", Name: "{name:.60}"}}
  hook: {kind: webhook, url: "${env:HOOK}", shape: teams}
shells:
  - {doer: psa, legal_entities: [DE01], region: EMEA}
  - {doer: acme, countries: [US]}
dimensions:
  - {doer: erp}
announcements:
  - {doer: hook}
"""


def written(folder: Path, *edits: tuple[str, str]) -> Path:
    text = GOOD
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "activation.yaml"
    path.write_text(text, "utf-8")
    return path


def order(**changes: object) -> Order:
    arguments = {"name": "A long name", "country": "DE", "closes_on": "2026-02-27"}
    made = Order("id", "O1", "create_project", "A1", "C1", "", "DE01", tuple(arguments.items()))
    return made._replace(**changes)  # type: ignore[arg-type]


def test_the_first_rule_that_fits_counts(tmp_path: Path) -> None:
    plan = load_plan(written(tmp_path), ENVIRONMENT)

    def doer(given: Order) -> str | None:
        rule = plan.choose(given, NOON)
        return None if rule is None else rule.doer

    assert doer(order()) == "psa"
    assert doer(order(legal_entity="US01", arguments=(("country", "US"),))) == "acme"
    assert doer(order(legal_entity="US01")) is None
    assert doer(order(step="provision_erp", legal_entity="US01")) == "erp"
    assert doer(order(step="announce")) == "hook"
    assert doer(order(step="validate")) is None


@pytest.mark.parametrize(("closes_on", "is_done"), [("2026-01-30", True), ("2026-01-29", False), ("", True)])
def test_what_was_closed_long_ago_is_peoples(tmp_path: Path, closes_on: str, is_done: bool) -> None:
    plan = load_plan(written(tmp_path), ENVIRONMENT)
    assert (plan.choose(order(arguments=(("closes_on", closes_on),)), NOON) is not None) is is_done


@pytest.mark.parametrize(
    ("edit", "line", "said"),
    [
        (("kind: psa_database", "kind: psa_data"), 4, "Input tag 'psa_data' found using 'kind' does not match"),
        (('"${env:PSA_DSN}"}', '"${env:NOWHERE}"}'), 4, "there is no environment variable NOWHERE"),
        (("{doer: psa, ", "{doer: pse, "), 15, "there is no doer pse; name it under doers"),
        (("{doer: psa, ", "{doer: erp, "), 15, "erp is of kind dimension_service; this takes psa_database, psa_api"),
        ((", region: EMEA}", "}"), 15, "psa needs the region of the projects that it makes"),
        (("{name:.60}", "{title}"), 10, "there is no {title}; use one of client_id, client_name"),
        (("auth: basic, auth.user: x", "auth: basic"), 8, "auth = basic needs auth.user"),
        (("auth: basic", "speed: 3, auth: basic"), 8, "speed: Extra inputs are not permitted"),
        (("shape: teams", "shape: irc"), 13, "Input should be 'slack' or 'teams'"),
        (("version: 1", "version: 2"), 2, "Input should be 1"),
    ],
)
def test_a_slip_is_told_with_its_line_and_no_secret(
    tmp_path: Path, edit: tuple[str, str], line: int, said: str
) -> None:
    path = written(tmp_path, edit)
    with pytest.raises(UnusableFile) as caught:
        load_plan(path, ENVIRONMENT)
    assert f"{path}:{line}: " in str(caught.value)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_each_doer_of_the_file_is_opened_and_one_that_is_gone_is_a_persons(tmp_path: Path) -> None:
    plan = load_plan(written(tmp_path), ENVIRONMENT)
    openings = Openings(plan, lambda: NOON, lambda _: None, ENVIRONMENT)
    for name in plan.doers:
        doer = openings.open(name)
        assert doer.name == name
        doer.close()
    with pytest.raises(Fatal, match="has no doer old"):
        openings.open("old")
    with pytest.raises(Fatal, match="no environment variable PSA_DSN"):
        Openings(plan, lambda: NOON, lambda _: None, {}).open("psa")


def test_templates_are_filled_cut_and_quoted() -> None:
    values = values_of(order(project_id="P'1 /x"), {"DE01": "de1"})
    assert values["number"] == "TL" + order().shell_id.replace("-", "")[:10].upper()
    assert filled({"a": ["{name:.6}", 7], "b": "{company}"}, values) == {"a": ["A long", 7], "b": "de1"}
    assert filled_url("/P(id='{project_id}')/{project_id:.3}", values) == "/P(id='P%27%271%20%2Fx')/P%27%271"
    assert fault_of("{{}} {name}") is None
    assert "a brace that is meant is written twice" in str(fault_of("{name"))
    assert "there is no {}" in str(fault_of("{}"))


def test_the_examples_of_the_page_can_be_used(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "activation.md").read_text("utf-8")
    first, *entities = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "activation.yaml"
    path.write_text(first, "utf-8")
    names = ("PSA_ACTIVATION_PASSWORD", "DYNAMICS_CLIENT", "DYNAMICS_SECRET", "DEALS_WEBHOOK")
    assert [*load_plan(path, dict.fromkeys(names, "https://x.example.com")).doers] == [
        "psa", "dynamics", "legacy", "deals",
    ]  # fmt: skip
    assert len(entities) == 3
    for entity in entities:
        [parsed] = yaml.safe_load(entity)
        Entity.model_validate(parsed)


def test_the_page_names_all_that_a_template_may() -> None:
    text = (Path(__file__).parents[2] / "docs" / "activation.md").read_text("utf-8")
    [listed] = re.findall(r"There are (`client_id`.*?)\. Fields", text, re.DOTALL)
    assert tuple(re.findall(r"`(\w+)`(?! has it)", listed.replace("`companies`", ""))) == NAMES
