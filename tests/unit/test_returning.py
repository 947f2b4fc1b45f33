"""What a member that is back subscribes to, from what the group gives it."""

import pytest

from streams.engine.transport.returning import Returning

OWN = {"time", "clients", "lookups"}


def asked(returning: Returning, *given: set[str]) -> list[frozenset[str] | None]:
    return [returning.names(topics) for topics in given]


def test_what_is_given_of_all_topics_is_taken_over_and_whatever_comes_later_too() -> None:
    assert asked(Returning(OWN, static=True), OWN, {"time"}, set()) == [None, None, None]


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"time"}, {"time"}),
        ({"time", "gone"}, {"time"}),  # some were added, some taken out
        ({"gone"}, {"gone"}),  # nothing is as it was
    ],
)
def test_who_is_given_too_little_names_what_it_was_given_and_then_its_own_topics_once(
    given: set[str], first: set[str]
) -> None:
    returning = Returning(OWN, static=True)
    assert asked(returning, given, given) == [frozenset(first), frozenset(OWN)]
    assert not returning.over
    assert asked(returning, {"time"}, {"time"}) == [None, None]  # what is missing still, others have
    assert returning.over


def test_what_was_taken_out_alone_needs_no_new_share() -> None:
    assert asked(Returning(OWN, static=True), OWN | {"gone"}) == [None]


def test_who_is_given_nothing_takes_that_over_as_others_have_all_then() -> None:
    assert asked(Returning(OWN, static=True), set()) == [None]


def test_a_member_that_has_not_been_there_before_is_given_its_share_at_once() -> None:
    assert asked(Returning(OWN, static=False), {"time"}) == [None]
