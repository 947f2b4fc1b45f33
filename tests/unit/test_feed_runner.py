"""The runner of a feed: when it asks, what it lands, how it waits and how it ends; the clock is the test's."""

from collections.abc import Iterator, Mapping
from threading import Event

import pytest

from connect.feeds.contract import SEQUENCE_MAX, Batch, Change, Fatal, Memory, Retriable, position
from connect.feeds.runner import Landed, NotLanded, Runner, Surroundings
from connect.settings import Pace

PACE = Pace(poll_ms=5_000, heartbeat_ms=10_000, backoff_first_ms=1_000, backoff_max_ms=4_000)
NOON = 1_772_366_400_000

Step = Batch | Exception


class Script:
    """A source that gives what each look is told to give. It notes what it was asked with."""

    def __init__(self, *looks: list[Step]) -> None:
        self.looks = list(looks)
        self.asked: list[dict[str, bytes]] = []
        self.closed = 0

    def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
        self.asked.append(dict(memory))
        for step in self.looks.pop(0) if self.looks else []:
            if isinstance(step, Exception):
                raise step
            yield step
        if not self.looks:
            stop.set()

    def close(self) -> None:
        self.closed += 1


class Landing:
    """A landing that keeps what it is given, and fails when told to."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)
        self.opened = 0
        self.landed: list[tuple[Batch, bool]] = []
        self.memory: dict[str, bytes] = {}
        self.closed = 0

    def open(self) -> Mapping[str, bytes]:
        self.opened += 1
        return self.memory

    def land(self, batch: Batch, now: int, beat: bool) -> Landed:  # noqa: ARG002
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure
        self.landed.append((batch, beat))
        for key, value in batch.memory.items():
            if value is None:
                self.memory.pop(key, None)
            else:
                self.memory[key] = value
        return Landed({}, {}, None)

    def close(self) -> None:
        self.closed += 1


class Told:
    def __init__(self) -> None:
        self.said: list[str] = []

    def landed(self, landed: Landed) -> None:  # noqa: ARG002
        self.said.append("landed")

    def answered(self, at_ms: int) -> None:
        self.said.append(f"answered {at_ms - NOON}")

    def gap(self) -> None:
        self.said.append("gap")

    def failed(self, how: str) -> None:
        self.said.append(f"failed {how}")

    def waited(self, why: str, seconds: float) -> None:
        self.said.append(f"waits {seconds:g} s: {why}")

    @property
    def waits(self) -> list[str]:
        return [said for said in self.said if said.startswith("waits")]


class Run:
    """A runner with everything around it."""

    def __init__(self, source: Script, landing: Landing | None = None, chance: float = 1.0, pace: Pace = PACE) -> None:
        self._pace = pace
        self.source, self.landing, self.told = source, landing or Landing(), Told()
        self.stop = Event()
        self.now = NOON
        self._chance = chance

    def __call__(self, once: bool = False) -> "Run":
        def wait(seconds: float) -> bool:
            self.now += round(seconds * 1000)
            return self.stop.is_set()

        outside = Surroundings(lambda: self.now, lambda: self._chance, wait)
        Runner("feed", self.source, self.landing, self.told, self._pace, outside, self.stop).run(once)
        return self

    @property
    def beats(self) -> list[bool]:
        return [beat for _, beat in self.landing.landed]


def test_a_source_is_asked_from_what_was_landed_and_again_after_a_pause() -> None:
    run = Run(
        Script([Batch(memory={"a": b"1", "b": b"1"}), Batch(memory={"a": b"2", "b": None})], [Batch(alive=True)])
    )()
    assert run.source.asked == [{}, {"a": b"2"}]
    assert run.told.waits == ["waits 5 s: poll", "waits 5 s: poll"]
    assert (run.source.closed, run.landing.closed, run.landing.opened) == (1, 1, 1)


def test_the_memory_a_source_holds_is_that_of_the_last_batch_landed() -> None:
    class Looking(Script):
        def batches(self, memory: Memory, stop: Event) -> Iterator[Batch]:
            yield Batch(memory={"a": b"1"})
            self.asked.append(dict(memory))
            yield Batch(memory={"a": None})
            self.asked.append(dict(memory))
            stop.set()

    assert Run(Looking())().source.asked == [{"a": b"1"}, {}]


def test_heartbeats_come_at_most_once_an_interval_and_only_from_a_source_that_answers() -> None:
    silence, sign = Batch(), Batch(alive=True)
    run = Run(Script([silence], [sign], [sign], [sign], [silence], [sign]))()
    assert run.beats == [False, True, False, True, False, True]
    change = Change("hr.Worker", "E1", "c", None, {}, NOON, 1)
    assert Run(Script([Batch((change,))]))().beats == [True]


def test_heartbeats_go_on_between_looks_that_are_far_apart_if_the_last_one_was_answered() -> None:
    pace = PACE._replace(poll_ms=35_000)
    run = Run(Script([Batch(alive=True)], [Batch()], [Batch(alive=True)]), pace=pace)()
    assert run.beats == [True, True, True, True, False, True]
    assert run.told.waits == ["waits 35 s: poll"] * 3


def test_a_heartbeat_between_looks_that_is_not_landed_opens_the_landing_anew() -> None:
    landing = Landing(None, NotLanded("the broker went away"))
    run = Run(Script([Batch(memory={"a": b"1"})], [Batch(alive=True)]), landing, pace=PACE._replace(poll_ms=35_000))()
    assert run.landing.opened == 2
    assert run.source.asked == [{}, {"a": b"1"}]


def test_a_gap_is_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    run = Run(Script([Batch(gaps=("events of an hour are gone", "one more"), alive=True)]))()
    assert run.told.said.count("gap") == 2
    assert "feed: a gap: events of an hour are gone" in caplog.text


def test_errors_are_waited_out_longer_and_longer_until_something_is_landed() -> None:
    error = Retriable("busy")
    run = Run(Script([error], [error], [error], [error], [Batch(alive=True), error], [Batch()]))()
    assert run.told.waits[:5] == [
        "waits 1 s: backoff", "waits 2 s: backoff", "waits 4 s: backoff", "waits 4 s: backoff", "waits 1 s: backoff",
    ]  # fmt: skip
    assert run.told.said.count("failed retriable") == 5


def test_jitter_is_full() -> None:
    assert Run(Script([Retriable("busy")], []), chance=0.0)().told.waits[0] == "waits 0 s: backoff"
    assert Run(Script([Retriable("busy")], []), chance=0.5)().told.waits[0] == "waits 0.5 s: backoff"


@pytest.mark.parametrize("asked", [0, 1, 250, 900_000])
def test_a_wait_that_is_asked_for_is_kept_whatever_chance_and_limit_say(asked: int) -> None:
    run = Run(Script([Retriable("busy", retry_after_ms=asked)], [Batch()]), chance=0.0)()
    assert run.told.waits[0] == f"waits {asked / 1000:g} s: asked"


def test_a_fatal_error_ends_it_and_closes_everything() -> None:
    run = Run(Script([Batch(memory={"a": b"1"}), Fatal("wrong password")]))
    with pytest.raises(Fatal, match="wrong password"):
        run()
    assert run.told.said[-1] == "failed fatal"
    assert (run.source.closed, run.landing.closed) == (1, 1)
    assert run.landing.memory == {"a": b"1"}


def test_a_defect_is_not_taken_for_an_error_of_the_source() -> None:
    run = Run(Script([ZeroDivisionError("a defect")]))
    with pytest.raises(ZeroDivisionError):
        run()
    assert (run.source.closed, run.landing.closed) == (1, 1)


def test_what_may_not_have_landed_is_asked_for_again_from_what_did() -> None:
    batch = Batch(memory={"a": b"1"})
    run = Run(Script([batch, Batch(memory={"a": b"2"})], [batch]), Landing(None, NotLanded("brokers are away")))()
    assert run.landing.opened == 2
    assert run.source.asked == [{}, {"a": b"1"}]


def test_once_ends_where_the_source_ends_or_is_up_to_date() -> None:
    assert len(Run(Script([Batch()], [Batch()]))(once=True).source.asked) == 1
    run = Run(Script([Batch(alive=True), Batch(memory={"never": b"1"})], []))(once=True)
    assert [batch.alive for batch, _ in run.landing.landed] == [True]
    assert run.told.waits == []


def test_once_waits_for_a_source_that_is_busy() -> None:
    run = Run(Script([Retriable("busy")], [Batch(memory={"a": b"1"})], []))(once=True)
    assert run.told.waits == ["waits 1 s: backoff"]
    assert run.landing.memory == {"a": b"1"}


def test_a_feed_that_is_stopped_lands_no_further_batch() -> None:
    run = Run(Script([Batch(memory={"a": b"1"}), Batch(memory={"a": b"2"})], []))

    class Stopping(Landing):
        def land(self, batch: Batch, now: int, beat: bool) -> Landed:
            run.stop.set()
            return super().land(batch, now, beat)

    run.landing = Stopping()
    assert run().landing.memory == {"a": b"1"}


def test_positions_rise_with_time_then_with_the_sequence() -> None:
    places = [position(NOON), position(NOON, 1), position(NOON, SEQUENCE_MAX), position(NOON + 1)]
    assert places == sorted(set(places))
    assert position(4_102_444_800_000, SEQUENCE_MAX) < 2**63
    for at_ms, sequence in ((-1, 0), (NOON, -1), (NOON, SEQUENCE_MAX + 1)):
        with pytest.raises(ValueError, match="a sequence is from 0 to 1048575"):
            position(at_ms, sequence)
