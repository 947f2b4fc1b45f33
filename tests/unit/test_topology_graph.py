"""The topology: what is declared, that it fits together, and how it is printed."""

from collections.abc import Sequence

from typer.testing import CliRunner

from streams.cli import app
from streams.config import Settings
from streams.engine.worker import steps_of
from streams.graph import as_mermaid, as_text
from streams.step import Context, Record, Step, fan_in
from streams.topics import INTERNAL, PUBLIC, SOURCES, TOPICS, Role
from streams.topology import topology
from tests.support.streams import reader, rulebook

STEPS = topology(rulebook(), reader())


class Idle:
    """A step that does nothing."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def on_records(self, records: Sequence[Record]) -> None:
        """Nothing is taken in."""

    def on_timer(self, key: str) -> None:
        """Nothing is timed."""

    def before_commit(self) -> None:
        """Nothing waits."""


def _step(name: str, reads: tuple[str, ...], writes: tuple[str, ...]) -> Step:
    return Step(name, "some id", reads, writes, Idle, {"b": int, "a": int})


def test_every_source_topic_is_read_by_intake_alone() -> None:
    readers = fan_in(STEPS)
    for topic in SOURCES:
        assert [step.name for step in readers[topic.name]] == ["intake"]


def test_every_internal_topic_has_a_writer_and_a_reader() -> None:
    written = {topic for step in STEPS for topic in step.writes}
    readers = fan_in(STEPS)
    for topic in INTERNAL:
        assert topic.name in written
        assert readers[topic.name]


def test_only_known_topics_are_read_and_written() -> None:
    for step in STEPS:
        for topic in step.writes:
            assert TOPICS[topic].role in (Role.INTERNAL, Role.PUBLIC), f"{step.name} writes {topic}"
    read = {topic for step in STEPS for topic in step.reads}
    assert read <= {*TOPICS, *rulebook().mappings.topics}


def test_the_public_topics_are_those_of_the_contract() -> None:
    assert {topic.name for topic in PUBLIC} == {
        "billing.triggers", "margin.updates", "drift.alerts", "exceptions", "dead.letters", "activation.commands",
        "activation.events", "erp.postings", "erp.receipts", "analytics.delivery", "audit.trail",
    }  # fmt: skip


def test_the_source_topics_are_those_of_the_contract() -> None:
    feeds = {
        "psa.public": "clients resources projects milestones assignments time_entries expenses",
        "crm": "Account Opportunity Contract ContractAmendment",
        "hr": "Worker",
        "erp": "LegalEntity Customer Project Invoice CostPosting RevenueSchedule FxRate Period",
    }
    assert {t.name for t in SOURCES} == {f"{feed}.{name}" for feed, names in feeds.items() for name in names.split()}


def test_no_two_steps_remember_under_one_name() -> None:
    tables = [name for step in STEPS for name in step.remembers]
    assert sorted(tables) == sorted(set(tables))


def test_names_of_steps_tell_them_apart() -> None:
    names = [step.name for step in STEPS]
    assert names == ["intake", "people", "ledger", "margins", "drift", "analytics"]


def test_the_graph_as_text() -> None:
    steps = [_step("one", ("psa.public.clients", "psa.public.projects", "crm.Account"), ("facts.contract",))]
    assert as_text(steps) == (
        "one  (keyed by some id)\n    <- psa.*\n    <- crm.*\n    -> facts.contract\n    remembers a, b\n"
    )


def test_the_graph_as_mermaid() -> None:
    steps = [_step("one", ("hr.Worker",), ("facts.person",)), _step("two", ("facts.person",), ("exceptions",))]
    assert as_mermaid(steps).splitlines() == [
        "flowchart LR",
        "    one[one]",
        "    two[two]",
        "    hr_all([hr.*])",
        "    facts_person([facts.person])",
        "    exceptions([exceptions])",
        "    hr_all --> one",
        "    one --> facts_person",
        "    facts_person --> two",
        "    two --> exceptions",
    ]


def test_the_command_prints_both_with_the_step_that_posts() -> None:
    plain = CliRunner().invoke(app, ["topology"])
    picture = CliRunner().invoke(app, ["topology", "--mermaid"])
    steps, _ = steps_of(Settings())
    assert [step.name for step in steps] == [*(step.name for step in STEPS), "posting"]
    assert (plain.exit_code, plain.stdout) == (0, as_text(steps))
    assert (picture.exit_code, picture.stdout) == (0, as_mermaid(steps))
