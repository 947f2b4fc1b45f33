"""Every doer that needs no database, held against the contract suite over simulated systems."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outside.errors import Fatal, Skippable
from streams.doers.contract import NotYet, Undone
from tests.contract.doers.bench import (
    DYNAMICS,
    NETSUITE,
    SUBJECTS,
    Subject,
    Systems,
    close_all,
    opened,
    order_for,
    simulated,
    subjects,
)
from tests.contract.doers.suite import DoerContract, ShellContract, WebContract

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def program() -> Iterator[Systems]:
    with simulated() as found:
        yield found


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture
def systems(program: Systems) -> Systems:
    program.order(reset=True)
    program.order(refuse="")
    return program


@pytest.fixture
def subject(request: pytest.FixtureRequest, systems: Systems, tmp_path: Path) -> Subject:
    return next(each for each in subjects(systems, tmp_path) if each.name == request.param)


@pytest.mark.parametrize("subject", SUBJECTS, indirect=True)
class TestDoers(DoerContract):
    pass


@pytest.mark.parametrize("subject", ["psa_api", "tryton"], indirect=True)
class TestShells(ShellContract):
    pass


@pytest.mark.parametrize("subject", [name for name in SUBJECTS if name != "file"], indirect=True)
class TestWeb(WebContract):
    pass


def test_a_project_of_somebody_else_that_names_the_contract_is_taken_as_it_is(systems: Systems, tmp_path: Path) -> None:
    systems.order(projects={"P7": {"contract_number": "C-O1", "stage": "In Delivery", "client_id": "CL1"}})
    made = subjects(systems, tmp_path)[0].open().make(order_for("create_project"), False)
    assert (made.reference, made.own) == ("P7", False)
    assert list(systems.look()["projects"]) == ["P7"]


def test_what_was_made_before_a_refusal_is_taken_back(systems: Systems) -> None:
    plan = {
        "kind": "dimension_service", "http": {"url": systems.url}, "entities": [DYNAMICS, NETSUITE],
        "companies": {"DE01": "de1"},
    }  # fmt: skip
    systems.order(refuse="netsuite")
    for _ in range(2):  # whoever died on the way comes again
        with pytest.raises(Skippable, match="never taken; project is taken back"):
            opened(plan).make(order_for("provision_erp"), False)
    assert [row["ProjectStage"] for row in systems.look()["entities"]["dynamics"]] == ["Finished"]


def test_a_key_that_is_somebody_elses_is_refused(systems: Systems, tmp_path: Path) -> None:
    doer = next(each for each in subjects(systems, tmp_path) if each.name == "dynamics").open()
    doer.make(order_for("provision_erp"), False)
    with pytest.raises(Skippable, match="is not ours, whose ExternalId P9"):
        doer.make(order_for("provision_erp", project_id="P9"), False)


def test_a_file_waits_for_its_answer(tmp_path: Path) -> None:
    plan = {"kind": "dimension_file", "folder": str(tmp_path), "fields": {"project": "{project_id}"}, "answers": True}
    doer, order = opened(plan), order_for("provision_erp")
    with pytest.raises(NotYet, match="is not answered yet"):
        doer.make(order, False)
    [name] = [path.name for path in (tmp_path / "outbound").glob("*.csv")]
    assert (tmp_path / "outbound" / f"{name}.sha256").read_text().endswith(f"  {name}\n")
    inbound = tmp_path / "inbound"
    inbound.mkdir()
    (inbound / name).write_text("status,number,reason\nrejected,,no such company\n")
    with pytest.raises(Skippable, match="no such company"):
        doer.make(order, False)
    (inbound / name).write_text("status,number,reason\nperhaps,,\n")
    with pytest.raises(Fatal, match="neither accepted nor rejected"):
        doer.make(order, False)
    (inbound / name).write_text("status,number,reason\naccepted,4711,\n")
    assert doer.make(order, False).results == (("erp_project_number", "4711"),)


@pytest.mark.parametrize(("in_doubt", "said"), [("repeat", 2), ("leave", 1)])
def test_a_webhook_that_cannot_be_asked_repeats_itself_or_leaves_it_to_a_person(
    systems: Systems, in_doubt: str, said: int
) -> None:
    doer = opened({"kind": "webhook", "url": f"{systems.url}/hook/secret", "shape": "slack", "in_doubt": in_doubt})
    order = order_for("announce")
    doer.make(order, False)
    if in_doubt == "leave":
        with pytest.raises(Skippable, match="look there, and say it by hand"):
            doer.make(order, True)
    else:
        doer.make(order, True)
    texts = [each["text"] for each in systems.look()["said"]]
    assert len(texts) == said
    assert texts[0].startswith("Rollout &amp; more &lt;x&gt; is set up: contract C-O1 with Acme")
    assert [text.endswith("(This may have been said before.)") for text in texts] == [False, True][:said]
    assert doer.undo(order) is Undone.IN_USE
