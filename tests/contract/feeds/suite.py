"""The contract suite of feeds: what each must do, whatever its system. A system joins by a subclass and a fixture.

A subclass gives the fixture `subject`, a system without rows.
"""

import email.utils
from random import Random

import pytest

from connect.feeds.contract import Fatal
from tests.contract.feeds.station import Station, Topics
from tests.contract.feeds.subjects import HttpSubject, Subject
from tests.contract.simulators.faults import WHEN, Killed


def landed(topics: Topics) -> list[tuple[str, str]]:
    return [(change.op, change.key) for change in topics.changes]


class FeedContract:
    """Holds for every feed."""

    def test_what_is_there_lands_once_and_then_nothing_more(self, subject: Subject) -> None:
        station = Station(subject.configuration())
        for number in range(7):
            subject.put(number, 1, station.tick(1.3))
        station.poll()
        assert station.topics.rows() == subject.rows()
        assert len(station.topics.changes) == 7
        for _ in range(3):
            station.tick(30)
            station.poll(2)
        assert len(station.topics.changes) == 7
        station.topics.verify_once()
        assert station.topics.rejects == []

    def test_what_is_new_changed_or_gone_lands_once_each(self, subject: Subject) -> None:
        station = Station(subject.configuration())
        for number in range(5):
            subject.put(number, 1, station.tick(1.3))
        station.poll()
        before = len(station.topics.changes)
        subject.put(5, 1, station.tick(700))
        subject.put(1, 2, station.tick(1.3))
        subject.remove(3, station.tick(1.3))
        station.tick(30)
        station.poll(3)
        assert station.topics.rows() == subject.rows()
        assert len(station.topics.changes) == before + 3
        assert [change.op for change in station.topics.changes[before:]].count("d") == 1
        station.topics.verify_once()

    def test_a_row_that_is_gone_and_comes_back_lands_again(self, subject: Subject) -> None:
        station = Station(subject.configuration())
        subject.put(1, 1, station.tick(1.3))
        subject.put(2, 1, station.tick(1.3))
        station.poll()
        subject.remove(1, station.tick(40))
        station.tick(5)
        station.poll(2)
        subject.put(1, 3, station.tick(40))
        station.tick(5)
        station.poll(2)
        assert station.topics.rows() == subject.rows()
        assert [change.op for change in station.topics.changes][2:] in (["d", "c"], ["d", "u"])
        station.topics.verify_once()

    def test_a_source_that_has_nothing_is_alive(self, subject: Subject) -> None:
        station = Station(subject.configuration())
        station.poll(4)
        assert station.topics.changes == []
        assert len(station.told.answered_ms) >= 4
        # Polls are a minute apart, heartbeats a minute and a half: one comes between two polls.
        assert [beat - station.topics.beats[0] for beat in station.topics.beats] == [0, 90_000, 180_000]

    @pytest.mark.parametrize("when", WHEN[::2])
    def test_the_feed_may_be_killed_at_each_commit(self, subject: Subject, when: str) -> None:
        step = 0
        while True:
            station = Station(subject.configuration())
            subject.begin_anew()
            station.topics.faults.order(step, when, Killed())
            self._history(subject, station)
            assert station.topics.rows() == subject.rows(), f"killed {when} commit {step}"
            station.topics.verify_once()
            if not station.deaths:
                break
            step += 1
        assert step > 5

    @pytest.mark.parametrize("seed", range(4))
    def test_any_history_with_deaths_anywhere_lands_once(self, subject: Subject, seed: int) -> None:
        random, station = Random(seed), Station(subject.configuration())
        for version in range(1, 25):
            for _ in range(random.randint(0, 4)):
                number, now = random.randint(0, 9), station.tick(random.choice([0.2, 1.3, 400]))
                if random.random() < 0.25:
                    subject.remove(number, now)
                else:
                    subject.put(number, version, now)
            if random.random() < 0.6:
                station.topics.faults.order(random.randint(0, 6), random.choice(WHEN[::2]), Killed())
            station.tick(random.choice([1.5, 20]))
            station.poll_on(random.randint(1, 2))
        station.topics.faults.clear()
        station.tick(2)
        station.poll_on(2)
        assert station.topics.rows() == subject.rows(), f"seed {seed}"
        station.topics.verify_once()
        assert station.deaths > 3

    def _history(self, subject: Subject, station: Station) -> None:
        for number in range(4):
            subject.put(number, 1, station.tick(1.3))
        station.tick(2)
        station.poll_on()
        subject.put(1, 2, station.tick(400))
        subject.put(4, 1, station.tick(0.2))
        subject.remove(2, station.tick(1.3))
        station.tick(2)
        station.poll_on(2)


class HttpContract(FeedContract):
    """Holds for every feed whose system is asked over HTTP."""

    def test_a_wait_that_the_system_asks_for_is_waited_for_to_the_millisecond(self, subject: HttpSubject) -> None:
        station = Station(subject.configuration(), chance=lambda: 0.0)
        subject.put(1, 1, station.tick(1))
        date = email.utils.formatdate((station.now // 1000) + 17 + 23, usegmt=True)
        for status, asked in ((429, "17"), (503, date)):
            subject.program.order("fault", kind="status", status=status, retry_after=asked)
        station.poll()
        assert [wait for wait in station.told.waits if wait.why != "poll"] == [("asked", 17.0), ("asked", 23.0)]
        assert station.told.failures == ["retriable", "retriable"]
        assert len(station.topics.changes) == 1

    def test_without_it_waits_double_up_to_their_limit(self, subject: HttpSubject) -> None:
        station = Station(subject.configuration())
        subject.put(1, 1, station.tick(1))
        for status in (500, 429, 502, 503, 504, 429):
            subject.program.order("fault", kind="status", status=status)
        station.poll()
        waits = [wait.seconds for wait in station.told.waits if wait.why == "backoff"]
        assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
        assert len(station.topics.changes) == 1

    def test_chance_makes_a_wait_shorter_and_never_longer(self, subject: HttpSubject) -> None:
        chances = iter([0.0, 0.25, 0.999])
        station = Station(subject.configuration(), chance=lambda: next(chances))
        for _ in range(3):
            subject.program.order("fault", kind="status", status=500)
        station.poll()
        assert [wait.seconds for wait in station.told.waits if wait.why == "backoff"] == [0.0, 0.5, 0.999 * 4]

    def test_after_an_answer_waits_begin_anew(self, subject: HttpSubject) -> None:
        station = Station(subject.configuration())
        for _ in range(2):
            subject.program.order("fault", kind="status", status=500)
        station.poll()
        subject.program.order("fault", kind="status", status=500)
        station.poll()
        assert [wait.seconds for wait in station.told.waits if wait.why == "backoff"] == [1.0, 2.0, 1.0]

    @pytest.mark.parametrize("fault", [{"kind": "cut"}, {"kind": "hang", "seconds": 5}, {"kind": "page"}])
    def test_an_answer_that_is_not_whole_is_asked_for_again(
        self, subject: HttpSubject, fault: dict[str, object]
    ) -> None:
        station = Station(subject.configuration())
        for number in range(7):
            subject.put(number, 1, station.tick(1.3))
        for after in (0, 1, 2):
            subject.program.order("fault", after=after, **fault)
        station.tick(2)
        station.poll(5)
        assert station.topics.rows() == subject.rows()
        station.topics.verify_once()
        assert station.told.failures == ["retriable"] * 3

    def test_there_is_no_heartbeat_while_the_system_does_not_answer(self, subject: HttpSubject) -> None:
        station = Station(subject.configuration())
        station.poll()
        for _ in range(40):
            subject.program.order("fault", kind="status", status=500)
        silent_from = station.now
        station.poll()
        (first, second) = station.topics.beats
        assert first < silent_from
        assert second - silent_from > 40 * 7_000  # it answered again after all these waits
        assert station.told.answered_ms[-1] == second

    def test_a_token_that_ends_between_two_pages_is_renewed(self, subject: HttpSubject) -> None:
        station = Station(subject.configuration())
        for number in range(7):
            subject.put(number, 1, station.tick(1.3))
        station.tick(2)
        subject.program.order("token", requests=1)
        station.poll(3)
        assert station.topics.rows() == subject.rows()
        assert station.told.failures == []
        assert "401" in station.told.statuses
        station.topics.verify_once()

    def test_a_refusal_ends_the_feed_and_says_what_the_system_said(self, subject: HttpSubject) -> None:
        station = Station(subject.configuration())
        body = {"error": {"code": "Forbidden", "message": "no right to read"}}
        subject.program.order("fault", kind="status", status=403, body=body)
        with pytest.raises(Fatal, match=rf"{subject.program.url}/\S+: 403: Forbidden no right to read$") as refused:
            station.poll()
        assert "token" not in str(refused.value)
        assert station.told.failures == ["fatal"]
        assert (station.topics.changes, station.topics.beats) == ([], [])

    def test_wrong_credentials_end_the_feed(self, subject: HttpSubject) -> None:
        station = Station({**subject.configuration(), "auth.client.secret": "hidden"})
        with pytest.raises(Fatal, match=r"401: invalid_client no such client; the credentials are refused") as refused:
            station.poll()
        assert "hidden" not in str(refused.value)

    def test_an_answer_that_is_too_large_ends_the_feed(self, subject: HttpSubject) -> None:
        station = Station({**subject.configuration(), "answer.bytes.max": "2048"})
        subject.program.order("fault", kind="large", bytes=4096)
        with pytest.raises(Fatal, match=r"more than 2048 bytes; ask for smaller pages"):
            station.poll()

    @pytest.mark.parametrize("pages", [1, 2, 3])
    def test_rows_that_move_while_pages_are_read_are_neither_lost_nor_doubled(
        self, subject: HttpSubject, pages: int
    ) -> None:
        station = Station(subject.configuration())
        for number in range(9):
            subject.put(number, 1, station.tick(1.3))
        station.tick(2)
        now = station.now
        # While a page was read, one of its rows goes, another moves to the end.
        orders = [{"do": "put", "id": "1", "record": subject.record(1, 2, now)}]
        subject.program.order("meanwhile", pages=pages, orders=orders)
        subject._rows[subject.identity(1)] = subject.row(1, 2, now)
        station.poll()
        subject.remove(0, station.tick(20))
        orders = [{"do": "put", "id": "2", "record": subject.record(2, 2, station.tick(1))}]
        subject.program.order("meanwhile", pages=pages, orders=orders)
        subject._rows[subject.identity(2)] = subject.row(2, 2, station.now)
        station.tick(2)
        station.poll(3)
        assert station.topics.rows() == subject.rows()
        station.topics.verify_once()
        assert [change.op for change in station.topics.changes].count("d") == 1
