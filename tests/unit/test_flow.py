"""How much a target is asked: its limit, its rate, and when it is left alone."""

import pytest

from streams.delivery.flow import Circuit, Flow, Pace
from streams.sinks.contract import Trouble

pytestmark = pytest.mark.unit


def flow(**pace: float) -> Flow:
    return Flow(Pace(**pace), lambda: 1.0)  # type: ignore[arg-type]


def one(subject: Flow, now: float, trouble: Trouble | None = None, retry_after_ms: int | None = None) -> None:
    subject.begin(now)
    subject.end(now, now, trouble, retry_after_ms)


def test_so_many_calls_at_once_and_no_more() -> None:
    subject = flow(calls_at_once=2)
    for _ in range(2):
        assert subject.wait_ms(0) == 0
        subject.begin(0)
    assert subject.wait_ms(0) is None
    subject.end(0, 50, None)
    assert subject.wait_ms(50) == 0


def test_a_rate_is_kept_to_though_calls_are_quick() -> None:
    subject = flow(calls_at_once=10, calls_per_second=4)
    began: list[float] = []
    now = 0.0
    while len(began) < 5:
        wait = subject.wait_ms(now)
        assert wait is not None
        if wait == 0:
            began.append(now)
            one(subject, now)
        now += wait
    assert began == [0, 250, 500, 750, 1_000]


def test_the_limit_falls_once_for_all_calls_that_were_under_way_and_rises_again_call_by_call() -> None:
    subject = flow(calls_at_once=10)
    for _ in range(10):
        subject.begin(0)
    for _ in range(10):
        subject.end(0, 100, Trouble.BUSY)
    assert subject.limit == 8
    now = 101.0
    for _ in range(30):
        one(subject, now)
    assert subject.limit == 10
    one(subject, 200, Trouble.BUSY)
    one(subject, 300, Trouble.BUSY)
    assert subject.limit == 7


def test_where_one_call_is_too_much_it_waits_longer_and_longer() -> None:
    subject = flow(calls_at_once=1, rest_ms_first=100, rest_ms_max=300)
    waits, now = [], 0.0
    for _ in range(4):
        one(subject, now, Trouble.BUSY)
        wait = subject.wait_ms(now)
        assert wait is not None
        waits.append(wait)
        now += wait
    assert waits == [100, 200, 300, 300]


@pytest.mark.parametrize("trouble", [Trouble.BUSY, Trouble.DOWN])
def test_a_wait_that_is_asked_for_is_kept_to_by_all_calls(trouble: Trouble) -> None:
    subject = flow(calls_at_once=4)
    one(subject, 0, trouble, 7_000)
    assert subject.wait_ms(1_000) == 6_000
    assert subject.wait_ms(7_000) == 0


def test_a_record_that_is_locked_holds_up_nothing_else() -> None:
    subject = flow(calls_at_once=4, failures_max=1)
    one(subject, 0, Trouble.RECORD, 7_000)
    assert (subject.wait_ms(0), subject.circuit(0)) == (0, Circuit.CLOSED)


def test_after_failures_in_a_row_it_is_left_alone_and_then_tried_by_one_call() -> None:
    subject = flow(calls_at_once=4, failures_max=3, rest_ms_first=1_000, rest_ms_max=3_000)
    one(subject, 0, Trouble.DOWN)
    one(subject, 0, Trouble.DOWN)
    one(subject, 0)  # not in a row
    for _ in range(3):
        assert subject.circuit(0) is Circuit.CLOSED
        one(subject, 0, Trouble.DOWN)
    rests, now = [], 0.0
    for _ in range(3):
        assert subject.circuit(now) is Circuit.OPEN
        wait = subject.wait_ms(now)
        assert wait is not None
        rests.append(wait)
        now += wait
        assert subject.circuit(now) is Circuit.HALF_OPEN
        assert subject.wait_ms(now) == 0
        subject.begin(now)
        assert subject.wait_ms(now) is None, "one call tries it, and no more"
        subject.end(now, now, Trouble.DOWN)
    assert rests == [1_000, 2_000, 3_000]
    now += 3_000
    one(subject, now)
    assert subject.circuit(now) is Circuit.CLOSED
    assert subject.limit == 4


def test_calls_that_were_under_way_when_it_was_left_alone_make_the_rest_no_longer() -> None:
    subject = flow(calls_at_once=8, failures_max=2, rest_ms_first=1_000)
    for _ in range(8):
        subject.begin(0)
    for _ in range(8):
        subject.end(0, 100, Trouble.DOWN)
    assert subject.wait_ms(100) == 1_000


def test_many_clients_do_not_all_come_back_at_one_moment() -> None:
    waits = set()
    for chance in (0.0, 0.5, 1.0):
        subject = Flow(Pace(failures_max=1, rest_ms_first=1_000), lambda chance=chance: chance)  # type: ignore[misc]
        one(subject, 0, Trouble.DOWN)
        waits.add(subject.wait_ms(0))
    assert waits == {500, 750, 1_000}


def test_workers_share_what_a_target_allows() -> None:
    subject = flow(calls_at_once=15, calls_per_second=100)
    subject.share(0.5)
    assert subject.limit == 7
    subject.begin(0)
    assert subject.wait_ms(0) == 20
    subject.share(1.0)
    for _ in range(200):
        one(subject, 0)
    assert subject.limit == 15  # it is the target's own again, call by call
    subject.share(0.01)
    assert subject.limit == 1


@pytest.mark.parametrize(
    "wrong", [{"calls_at_once": 0}, {"calls_per_second": -1}, {"failures_max": 0}, {"rest_ms_first": 0}]
)
def test_a_pace_that_could_never_call_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="pace: "):
        Pace(**wrong)
