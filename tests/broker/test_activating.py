"""Commands of an activation done, refused, taken back and retried, step by step with the clock in hand."""

from typing import Any

import pytest

from outside.errors import Fatal, Retriable, Skippable
from streams.delivery.limits import LEASE_MS
from streams.domain.calendar import moment
from streams.step import Output, Record
from tests.broker.activation_bench import (
    DOER_OF,
    HOUR,
    NOON,
    SECOND,
    Bench,
    Killed,
    command,
    events,
    matters,
    outcomes,
)

pytestmark = pytest.mark.broker

SHELL, DIMENSION, ANNOUNCE = "create_project", "provision_erp", "announce"
STEPS = (SHELL, DIMENSION, ANNOUNCE)


def test_each_step_is_done_by_whom_the_file_names_and_told() -> None:
    bench = Bench()
    out = bench.ask("validate") + bench.ask(SHELL) + bench.ask(DIMENSION) + bench.ask(ANNOUNCE)
    assert events(out) == [(step, state) for step in STEPS for state in ("asked", "made")]
    assert outcomes(out) == [(SHELL, ()), (DIMENSION, ())]
    assert bench.told == ["psa makes", "erp makes", "hook makes"]
    assert bench.places["psa"].orders[0][0].argument("region") == "EMEA"
    told = [o.value for o in out if o.topic == "activation.events"]
    assert told[1]["results"] == {"doer": "psa", "reference": "psa-1", "from": "psa"}
    assert len({each["event_id"] for each in told}) == len(told)


@pytest.mark.parametrize(
    ("plan", "arguments"),
    [
        ({"shells": [{"doer": "psa", "countries": ["FR"], "region": "EMEA"}]}, {"country": "DE"}),
        ({"shells": [{"doer": "psa", "legal_entities": ["US01"], "region": "AMER"}]}, {}),
        ({"shells": []}, {}),
        ({}, {"closes_on": "2026-01-29"}),
    ],
)
def test_what_no_rule_fits_or_was_closed_long_ago_is_peoples(plan: dict[str, Any], arguments: dict[str, str]) -> None:
    bench = Bench(**plan)
    assert bench.ask(SHELL, arguments=arguments) == []
    assert bench.told == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("point", ["before the commit", "before the call", "after the effect", "before the outcome"])
def test_whoever_dies_at_any_point_leaves_one_of_each(step: str, point: str) -> None:
    bench = Bench()
    for asked in STEPS:
        if asked != step:
            bench.ask(asked)
            continue
        _die_at(bench, point, step)
        bench.start()
        if point == "before the commit":  # nothing was acknowledged: it comes again
            bench.ask(step)
        out = bench.tick(bench.now)
        assert events(out)[-1:] in ([(step, "made")], []), out
    assert bench.told == ["psa makes", "erp makes", "hook makes"]
    assert [place.made for place in bench.places.values()] == [{"O1": True}] * 3
    if point in ("after the effect", "before the outcome"):
        assert [in_doubt for _, in_doubt in bench.places[DOER_OF[step]].orders] == [False, True]


def _die_at(bench: Bench, point: str, step: str) -> None:
    """Go on until a point, and no further: what was not committed by then is gone."""
    task, now = bench.task, bench.now
    task.receive([Record("activation.commands", "O1", command(step, now), now, 0, 0)], now)
    bench.settle(now)
    if point == "before the commit":
        return
    task.take_outputs()
    if point == "before the call":
        task.context.released = True
        bench.task.state.flush()
    elif point == "after the effect":
        bench.places[DOER_OF[step]].answers = [Killed()]
        with pytest.raises(Killed):
            task.commit()
    else:
        task.commit()
        bench.settle(now)


def test_what_fails_is_tried_again_later_and_later_and_a_person_hears_of_it() -> None:
    bench = Bench()
    bench.places["psa"].answers = [Retriable("no answer") for _ in range(5)]
    assert events(bench.ask(SHELL)) == [(SHELL, "asked"), (SHELL, "retrying")]
    waits, now = [], NOON
    out: list[Output] = []
    while not bench.told:
        due = bench.task.next_due()
        assert due is not None
        waits.append((due - now) // SECOND)
        now = due
        out = bench.tick(now)
    assert waits == [1, 2, 4, 8, 16]
    assert events(out) == [(SHELL, "made")]
    assert matters(out) == [("activation_doer", "resolved")]
    assert [in_doubt for _, in_doubt in bench.places["psa"].orders] == [False, True, True, True, True, True]


def test_the_wait_that_was_asked_for_is_kept_and_what_was_not_sent_is_in_no_doubt() -> None:
    bench = Bench()
    bench.places["psa"].answers = [Retriable("busy", 90_000, nothing_sent=True)]
    bench.ask(SHELL)
    assert bench.tick(NOON + 89 * SECOND) == []
    assert events(bench.tick(NOON + 90 * SECOND)) == [(SHELL, "made")]
    assert [in_doubt for _, in_doubt in bench.places["psa"].orders] == [False, False]


def test_what_takes_too_long_is_given_up_and_told_and_goes_on_when_somebody_asks() -> None:
    bench = Bench(give_up_after_hours=1)
    bench.places["psa"].answers = [Retriable("no answer") for _ in range(100)]
    out, now = bench.ask(SHELL), NOON
    while (due := bench.task.next_due()) is not None and due > now:
        now = due
        out += bench.tick(now)
    assert HOUR <= now - NOON < HOUR + 600 * SECOND
    assert events(out)[-1] == (SHELL, "gave_up")
    [(step, (reason,))] = outcomes(out)
    assert step == SHELL
    assert reason.startswith("given up after ")
    assert reason.endswith("no answer")
    bench.places["psa"].answers = []
    again = bench.ask(SHELL, now + HOUR, arguments={"asked_by": "ada"})
    assert events(again) == [(SHELL, "asked"), (SHELL, "made")]
    assert outcomes(again) == [(SHELL, ())]
    retried = [o.value for o in again if o.topic == "audit.trail" and o.value["action"] == "activation_retried"]
    assert [each["after"]["asked_by"] for each in retried] == ["ada"]


def test_what_a_person_must_mend_is_told_at_once_and_goes_on_by_itself_once_it_is() -> None:
    bench = Bench()
    bench.places["psa"].answers = [Fatal("wrong password"), Fatal("wrong password")]
    out = bench.ask(SHELL)
    assert events(out) == [(SHELL, "asked"), (SHELL, "retrying")]
    assert outcomes(out) == [(SHELL, ("wrong password",))]
    assert matters(out) == [("activation_doer", "open")]
    assert events(bench.tick(NOON + 60 * SECOND)) == []  # the same is said once
    out = bench.tick(NOON + 120 * SECOND)
    assert (events(out), outcomes(out)) == ([(SHELL, "made")], [(SHELL, ())])
    assert matters(out) == [("activation_doer", "resolved")]


def test_a_doer_that_is_not_in_the_file_any_more_holds_only_its_own() -> None:
    bench = Bench()
    bench.absent["hook"] = Fatal("there is no doer hook")
    assert matters(bench.ask(ANNOUNCE)) == [("activation_doer", "open")]
    assert events(bench.ask(SHELL)) == [(SHELL, "asked"), (SHELL, "made")]
    bench.absent.clear()
    assert events(bench.tick(NOON + 60 * SECOND)) == [(ANNOUNCE, "made")]


def refused(bench: Bench) -> list[Any]:
    bench.ask(SHELL)
    bench.places["erp"].answers = [Skippable("no such company")]
    return bench.ask(DIMENSION)


def test_a_refusal_takes_back_the_project_that_nobody_has_touched() -> None:
    bench = Bench()
    out = refused(bench)
    assert events(out) == [(DIMENSION, "asked"), (DIMENSION, "refused"), (SHELL, "compensated")]
    assert outcomes(out) == [
        (DIMENSION, ("no such company",)),
        (DIMENSION, ("no such company", "project psa-1, made for it, is cancelled")),
    ]
    assert bench.told == ["psa makes", "psa undoes"]
    assert bench.places["psa"].made == {"O1": False}
    actions = [o.value["action"] for o in out if o.topic == "audit.trail"]
    assert actions == ["activation_refused", "activation_compensated"]


def test_a_retry_takes_the_project_up_again_before_the_erp_is_asked() -> None:
    bench = Bench()
    refused(bench)
    out = bench.ask(DIMENSION, NOON + HOUR, arguments={"asked_by": "ada"})
    assert events(out) == [(SHELL, "asked"), (SHELL, "made"), (DIMENSION, "asked"), (DIMENSION, "made")]
    assert bench.told == ["psa makes", "psa undoes", "psa makes", "erp makes"]


def test_a_project_in_which_somebody_works_is_left_and_that_is_said() -> None:
    bench = Bench()
    bench.places["psa"].in_use = True
    out = refused(bench)
    assert events(out)[-1] == (SHELL, "kept")
    assert outcomes(out)[-1] == (
        DIMENSION, ("no such company", "project psa-1 is left: somebody works with it"),
    )  # fmt: skip
    again = bench.ask(DIMENSION, NOON + HOUR, arguments={"asked_by": "ada"})
    assert events(again) == [(DIMENSION, "asked"), (DIMENSION, "made")]


def test_a_project_whose_making_was_never_confirmed_is_taken_back_too() -> None:
    bench = Bench()
    bench.places["psa"].answers = [Retriable("no answer")]
    bench.ask(SHELL)
    bench.places["psa"].made["O1"] = True  # it had its effect, and the feed shows it
    bench.places["erp"].answers = [Skippable("no such company")]
    assert events(bench.ask(DIMENSION))[-1] == (SHELL, "compensated")
    assert bench.places["psa"].made == {"O1": False}


def test_a_project_of_somebody_elses_making_is_never_taken_back() -> None:
    bench = Bench()
    bench.places["psa"].theirs = True
    assert events(refused(bench)) == [(DIMENSION, "asked"), (DIMENSION, "refused")]
    assert bench.told == ["psa makes"]


@pytest.mark.parametrize("point", ["before the call", "after the effect", "before the outcome"])
def test_whoever_dies_while_it_takes_back_takes_back_once(point: str) -> None:
    bench = Bench(later=True)
    bench.ask(SHELL)
    bench.run_calls()
    bench.tick(NOON)
    bench.ask(DIMENSION)
    bench.places["erp"].answers = [Skippable("no such company")]
    bench.run_calls()
    bench.tick(NOON)  # commits that the project is being taken back
    if point != "before the call":
        bench.run_calls()
    if point == "before the outcome":
        bench.settle(NOON)
    bench.start()
    out = bench.tick(NOON)
    bench.run_calls()
    out += bench.tick(NOON)
    assert events(out)[-1] == (SHELL, "compensated")
    assert bench.told == ["psa makes", "psa undoes"]


def test_a_retry_while_the_project_is_taken_back_takes_it_up_again() -> None:
    bench = Bench(later=True)
    bench.ask(SHELL)
    bench.run_calls()
    bench.tick(NOON)
    bench.ask(DIMENSION)
    bench.places["erp"].answers = [Skippable("no such company")]
    bench.run_calls()
    bench.tick(NOON)
    assert events(bench.ask(DIMENSION, arguments={"asked_by": "ada"})) == []
    said = []
    for _ in range(4):
        bench.run_calls()
        said += events(bench.tick(NOON))
    assert said == [
        (SHELL, "compensated"), (SHELL, "asked"), (SHELL, "made"), (DIMENSION, "asked"), (DIMENSION, "made"),
    ]  # fmt: skip
    assert bench.told == ["psa makes", "psa undoes", "psa makes", "erp makes"]


def test_taking_back_is_tried_again_too() -> None:
    bench = Bench()
    bench.ask(SHELL)
    bench.places["erp"].answers = [Skippable("no such company")]
    bench.places["psa"].answers = [Retriable("no answer")]
    assert events(bench.ask(DIMENSION))[-1] == (SHELL, "retrying")
    assert events(bench.tick(NOON + SECOND)) == [(SHELL, "compensated")]


def test_an_announcement_that_cannot_be_made_is_a_matter_of_its_own() -> None:
    bench = Bench()
    bench.places["hook"].answers = [Skippable("look there")]
    out = bench.ask(ANNOUNCE)
    assert (events(out)[-1], outcomes(out)) == ((ANNOUNCE, "refused"), [])
    [opened] = [o.value for o in out if o.topic == "exceptions"]
    assert opened["message"] == "look there; put it right, then `throughline activation retry O1`"
    out = bench.ask(ANNOUNCE, NOON + HOUR, arguments={"asked_by": "ada"})
    assert matters(out) == [("announcement", "resolved")]
    assert bench.ask(ANNOUNCE) == []
    assert bench.told == ["hook makes"]


def test_what_is_asked_for_again_is_looked_for_again() -> None:
    bench = Bench()
    bench.ask(SHELL)
    bench.places["psa"].made.clear()  # somebody has deleted it
    assert events(bench.ask(SHELL, NOON + 24 * HOUR, attempt=2)) == [(SHELL, "asked"), (SHELL, "made")]
    assert bench.told == ["psa makes", "psa makes"]


def test_what_somebody_has_done_by_hand_is_not_tried_any_more() -> None:
    bench = Bench()
    bench.ask(SHELL)
    bench.places["erp"].answers = [Retriable("no answer") for _ in range(9)]
    bench.ask(DIMENSION)
    # The ledger asks for the next step once the feed has shown this one.
    assert events(bench.ask(ANNOUNCE, NOON + SECOND // 2)) == [(ANNOUNCE, "asked"), (ANNOUNCE, "made")]
    assert bench.tick(NOON + HOUR) == []
    assert bench.told == ["psa makes", "hook makes"]


def test_a_call_under_way_for_what_somebody_has_done_by_hand_is_the_last() -> None:
    bench = Bench(later=True)
    bench.ask(DIMENSION)
    bench.ask(ANNOUNCE)
    bench.places["erp"].answers = [Skippable("it exists")]
    bench.run_calls()
    assert events(bench.tick(NOON)) == [(ANNOUNCE, "made")]
    assert outcomes(bench.tick(NOON + HOUR)) == []


def test_a_project_is_not_taken_back_once_the_erp_knows_it_all_the_same() -> None:
    bench = Bench()
    bench.ask(SHELL)
    bench.places["erp"].answers = [Skippable("no such company")]
    bench.places["psa"].answers = [Retriable("no answer")]
    bench.ask(DIMENSION)
    bench.ask(ANNOUNCE, NOON + SECOND // 2)
    assert bench.tick(NOON + HOUR) == []
    assert bench.places["psa"].made == {"O1": True}


def test_what_was_due_before_anybody_did_it_is_peoples_unless_one_asks() -> None:
    bench = Bench()
    assert bench.ask(SHELL, due_at=moment(NOON - 1)) == []
    out = bench.ask(SHELL, due_at=moment(NOON - 1), arguments={"asked_by": "ada"})
    assert events(out) == [(SHELL, "asked"), (SHELL, "made")]


def test_who_takes_over_waits_until_nothing_that_was_promised_can_begin_any_more() -> None:
    bench = Bench(later=True)
    bench.ask(ANNOUNCE)
    bench.takes_over_after_ms = 0
    bench.start()
    bench.tick(NOON + LEASE_MS - 1)
    bench.run_calls()
    assert bench.places["hook"].calls == 1  # the former life's
    bench.tick(NOON + LEASE_MS)
    bench.run_calls()
    assert [in_doubt for _, in_doubt in bench.places["hook"].orders] == [False, True]


@pytest.mark.parametrize("begins", ["released", "late"])
def test_a_call_does_not_begin_once_somebody_else_may_have_made_it(begins: str) -> None:
    bench = Bench(lease_s=60.0 if begins == "released" else 0.0, later=True)
    bench.ask(ANNOUNCE)
    if begins == "released":
        bench.task.release()
    bench.run_calls()
    assert bench.told == []
    bench.tick(NOON)
    bench._lease_s = 60.0
    bench.start()
    bench.tick(NOON)
    bench.run_calls()
    bench.tick(NOON)
    assert bench.told == ["hook makes"]
