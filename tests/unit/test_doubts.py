"""What a target is asked about: when, once, and who waits for it."""

import pytest

from streams.delivery.doubts import QUESTION_MAX, Doubts

pytestmark = pytest.mark.unit


def asked(doubts: Doubts, now: int) -> list[list[str]]:
    return list(doubts.questions(now))


def test_each_is_asked_about_once_its_time_has_come_and_no_other_waits_for_it() -> None:
    doubts = Doubts()
    doubts.add("late", "C1", 90)
    doubts.add("soon", "C2", 10)
    assert (doubts.next_at(), asked(doubts, 9)) == (10, [])
    assert asked(doubts, 10) == [["soon"]]
    assert (doubts.next_at(), asked(doubts, 89), asked(doubts, 90)) == (90, [], [["late"]])
    assert doubts.next_at() is None


def test_all_that_wait_for_one_are_let_go_by_its_answer() -> None:
    doubts = Doubts()
    doubts.add("p", "C1", 0)
    doubts.add("p", "C2", 0)
    assert asked(doubts, 0) == [["p"]]
    doubts.add("p", "C3", 0)  # while it is asked about
    assert asked(doubts, 0) == []
    assert list(doubts.answered(["p"])) == [("p", {"C1", "C2", "C3"})]
    assert list(doubts.answered(["p"])) == []


def test_a_question_without_an_answer_is_asked_again_and_nothing_before_it_may_be() -> None:
    doubts = Doubts()
    doubts.add("p", "C1", 0)
    [question] = asked(doubts, 0)
    doubts.failed(question, 50)
    doubts.add("q", "C1", 20)
    assert (doubts.failures, doubts.next_at(), asked(doubts, 49)) == (1, 50, [])
    assert asked(doubts, 50) == [["p", "q"]]
    assert list(doubts.answered(["p"])) == [("p", {"C1"})]
    assert doubts.failures == 0


def test_an_answer_says_nothing_of_what_was_doubted_anew_since_it_was_asked() -> None:
    doubts = Doubts()
    doubts.add("p", "C1", 0)
    assert asked(doubts, 0) == [["p"]]
    doubts.add("p", "C1", 30)
    assert list(doubts.answered(["p"])) == []
    assert (doubts.next_at(), asked(doubts, 30)) == (30, [["p"]])
    assert list(doubts.answered(["p"])) == [("p", {"C1"})]


def test_what_was_answered_otherwise_is_asked_about_no_more() -> None:
    doubts = Doubts()
    doubts.add("p", "C1", 0)
    assert doubts.drop("p") == {"C1"}
    assert (doubts.drop("p"), doubts.next_at(), asked(doubts, 0)) == (set(), None, [])


def test_a_question_names_so_many_and_the_rest_goes_in_the_next() -> None:
    doubts = Doubts()
    for number in range(QUESTION_MAX + 1):
        doubts.add(f"{number:04d}", "C1", 0)
    assert [len(question) for question in asked(doubts, 0)] == [QUESTION_MAX, 1]
