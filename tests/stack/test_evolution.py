"""Tables of the PSA are altered while rows flow: what passes unnoticed, what is held, and how it goes on."""

from collections.abc import Iterator

import pytest

from tests.stack.altered import Altered
from tests.stack.waiting import eventually

ENTRIES, MILESTONES = "psa.public.time_entries", "psa.public.milestones"
AMOUNT = "amount: {kind: money, optional: true,"
HOURS = "hours: {kind: hours, doc: Hours worked.}"


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Altered]:
    made = Altered(tmp_path_factory.mktemp("altered"))
    try:
        made.milestone("M1", amount="100")
        made.milestone("M2", amount="200")
        eventually(lambda: made.billed().keys() >= {"M1", "M2"})
        yield made
    finally:
        made.stop()


def alright(firm: Altered) -> bool:
    """Whether nothing was refused or is held."""
    return (firm.held(), firm.refused(), firm.dead_letters()) == ({}, {}, [])


def test_what_takes_nothing_away_passes_unnoticed(firm: Altered) -> None:
    for number, statement in enumerate(
        [
            "alter table public.milestones add column note text",
            "alter table public.milestones add column priority integer not null default 3",
            "alter table public.milestones drop column note",
            "alter table public.milestones alter column amount type numeric(24, 6)",
            "alter table public.time_entries add column note text",
            "alter table public.time_entries alter column hours type numeric(12, 4)",
        ]
    ):
        known = firm.schema_ids("milestones")
        firm.sql(statement)
        firm.milestone(f"A{number}", amount="10.5")
        eventually(lambda item=f"A{number}": item in firm.billed())  # type: ignore[misc]
        assert (len(firm.schema_ids("milestones")) > len(known)) == (number < 4)
        firm.entries_bill()
    assert alright(firm)


def test_a_column_that_is_dropped_holds_its_topic_alone_until_it_is_back_and_the_table_read_anew(firm: Altered) -> None:
    firm.sql("alter table public.milestones drop column amount")
    firm.sql("update public.milestones set name = 'changed', updated_at = now() where id = 'M1'")
    firm.sql("delete from public.milestones where id = 'M2'")
    firm.milestone("M3")
    eventually(lambda: bool(firm.held()))
    firm.entries_bill()
    ((place, why),) = firm.held().items()
    assert place.rpartition("/")[0] == MILESTONES
    assert why.startswith(
        f"{MILESTONES}: table public.milestones has no column amount; it was numeric(20,4); new in it: "
    )
    assert firm.held_columns() == {(MILESTONES, "amount"): 1.0}
    assert firm.log().count(f" ERROR throughline.worker: held: {why} (") == 1
    # Nothing of what came since is taken in, and nothing is taken back.
    assert {item: f"{amount:.2f}" for item, amount in firm.billed().items() if item in ("M1", "M2", "M3")} == {
        "M1": "100.00", "M2": "200.00",
    }  # fmt: skip

    # The column is back, with other values than it had, and no row says so by itself.
    firm.sql("alter table public.milestones add column amount numeric(20, 4) default 500")
    passed = int(why.partition("pass schema id ")[2].partition(" ")[0])
    firm.start_worker(contracts__passed_schemas=f"[{passed}]")
    eventually(lambda: firm.refused().keys() == {"M1", "M3"})
    eventually(lambda: "M2" not in firm.billed())
    firm.entries_bill()
    firm.pipeline.run("connect", "snapshot", "milestones")
    eventually(lambda: firm.refused() == {})
    firm.entries_bill()
    read_anew = ("M1", "M3", *(f"A{number}" for number in range(6)))
    milestones = {item: f"{amount:.2f}" for item, amount in firm.billed().items() if item[0] in "MA"}
    assert milestones == dict.fromkeys(read_anew, "500.00")
    assert alright(firm)


def test_a_column_that_is_renamed_holds_its_topic_alone_until_the_mapping_says_so(firm: Altered) -> None:
    firm.sql("alter table public.milestones rename column amount to fee")
    firm.milestone("M4", fee="400")
    firm.sql("update public.milestones set fee = 150, updated_at = now() where id = 'M1'")
    eventually(lambda: bool(firm.held()))
    firm.entries_bill()
    ((_, why),) = firm.held().items()
    assert "has no column amount; it was numeric(20,4); new in it: priority (integer), fee (numeric(20,4))." in why
    assert firm.held_columns() == {(MILESTONES, "amount"): 1.0}
    assert f"{firm.billed()['M1']:.2f}" == "500.00"

    firm.map_anew(AMOUNT, "fee: {kind: money, optional: true, as: amount, formerly: [amount],")
    firm.start_worker()
    eventually(lambda: "M4" in firm.billed())
    assert f"{firm.billed()['M1']:.2f}" == "150.00"
    assert alright(firm)


def test_a_type_that_changes_holds_its_topic_alone_until_the_mapping_says_so(firm: Altered) -> None:
    firm.sql("alter table public.time_entries alter column hours type text")
    eventually(lambda: bool(firm.held()))
    firm.milestone("M5", fee="600")
    eventually(lambda: "M5" in firm.billed())
    ((place, why),) = firm.held().items()
    assert place.rpartition("/")[0] == ENTRIES
    assert "has column hours as text, which cannot be read as hours; it was numeric(9,4). Say" in why
    assert firm.held_columns() == {(ENTRIES, "hours"): 1.0}

    firm.map_anew(HOURS, "hours: {kind: hours, text: true, doc: Hours worked.}")
    firm.start_worker()
    firm.entries_bill()
    assert alright(firm)


def test_a_registry_with_a_rule_stops_the_connector_instead_and_status_says_why(firm: Altered) -> None:
    firm.compatibility("BACKWARD")
    firm.sql("alter table public.milestones add column approver text not null default 'x'")
    firm.sql("alter table public.milestones alter column approver drop default")
    firm.milestone("M6", fee="700", approver="ada")
    eventually(lambda: firm.status()[0] == 1)
    code, out, err = firm.status()
    assert (code, out.splitlines()[1].split()[:4]) == (1, ["psa", "RUNNING", "1", "FAILED"])
    assert "RuleViolationException: Incompatible artifact: psa.public.milestones-value" in err
    firm.compatibility(None)
    firm.pipeline.run("connect", "restart", "psa", "--failed-only")
    eventually(lambda: "M6" in firm.billed())
    assert alright(firm)


def test_in_the_end_what_is_billed_is_what_the_database_says(firm: Altered) -> None:
    firm.entries.stop()
    assert firm.entries.written > 100
    eventually(lambda: firm.billed() == firm.worth("fee"))
    assert alright(firm)
