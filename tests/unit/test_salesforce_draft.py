"""A batch in the making: what lands at which position, and what is remembered."""

from typing import Any

import pytest

from connect.feeds.contract import SEQUENCE_MAX, Change, position
from connect.feeds.salesforce.draft import Draft, Record
from connect.feeds.salesforce.events import Order
from connect.feeds.salesforce.known import (
    Horizon,
    Stream,
    horizon,
    horizon_bytes,
    outdated,
    row_key,
    stream,
    stream_bytes,
)
from connect.feeds.salesforce.objects import Field, Kind, Object

ACCOUNT = Object("Account", "Account", "crm.Account", "Id", None, (Field("Name", "Name", Kind.TEXT),), None)
CONTRACT = Object("Contract", "Contract", "crm.Contract", "ContractNumber", "ContractNumber", (), None)
END_OF_SECOND = position(5_999, SEQUENCE_MAX)


class Landed:
    """A feed's memory, and the drafts that are landed into it."""

    def __init__(self) -> None:
        self.memory: dict[str, bytes] = {}

    def land(self, draft: Draft) -> list[Change]:
        batch = draft.batch()
        for key, value in batch.memory.items():
            if value is None:
                self.memory.pop(key, None)
            else:
                self.memory[key] = value
        return [*batch.changes]

    def event(self, at_ms: int, row: dict[str, Any] | None, sequence: int = 1, read: Object = ACCOUNT,
              record_id: str = "1") -> list[Change]:  # fmt: skip
        draft = Draft(self.memory)
        draft.merged(read, record_id, row, Order(at_ms, at_ms, sequence))
        return self.land(draft)

    def query(self, at_ms: int, row: dict[str, Any] | None, read: Object = ACCOUNT, record_id: str = "1",
              **how: Any) -> list[Change]:  # fmt: skip
        draft = Draft(self.memory)
        draft.found(read, Record(record_id, row, at_ms, at_ms), **how)
        return self.land(draft)


def row(name: str) -> dict[str, Any]:
    return {"Id": "1", "Name": name}


def test_an_event_stands_at_its_commit_and_sequence() -> None:
    (change,) = Landed().event(5_200, row("A"), 3)
    assert change == Change("crm.Account", "1", "c", None, row("A"), 5_200, position(5_200, 3))


def test_a_reading_stands_at_the_end_of_its_second() -> None:
    (change,) = Landed().query(5_000, row("A"), first=True, snapshot=True)
    assert change == Change("crm.Account", "1", "r", None, row("A"), 5_000, END_OF_SECOND, True)


def test_what_follows_a_reading_in_the_same_second_stands_above_it() -> None:
    landed = Landed()
    landed.query(5_000, row("A"))
    (change,) = landed.event(5_900, row("B"))
    assert change == Change("crm.Account", "1", "u", row("A"), row("B"), 5_900, END_OF_SECOND + 1)
    (change,) = landed.event(7_000, row("C"))
    assert change.position == position(7_000, 1)


def test_a_reading_that_answers_a_late_event_stands_at_the_event() -> None:
    landed = Landed()
    landed.event(5_200, row("A"))
    (change,) = landed.query(5_000, row("B"), order=Order(8_000, 1, 2))
    assert (change.op, change.position, change.happened_ms) == ("u", position(8_000, 2), 8_000)


def test_commits_of_one_millisecond_rise() -> None:
    landed = Landed()
    places = [landed.event(5_000, row(name))[0].position for name in "ABC"]
    assert places == [position(5_000, 1), position(5_000, 2), position(5_000, 3)]


def test_a_sequence_beyond_its_bits_does_not_run_into_the_time() -> None:
    landed = Landed()
    (first,) = landed.event(5_000, row("A"), SEQUENCE_MAX + 5)
    (second,) = landed.event(5_000, row("B"), SEQUENCE_MAX + 6)
    assert (first.position, second.position) == (position(5_000, SEQUENCE_MAX), position(5_001))


def test_what_is_known_already_lands_nothing() -> None:
    landed = Landed()
    landed.event(5_200, row("A"))
    assert landed.query(5_000, row("A")) == []
    assert landed.event(6_200, row("A")) == []


def test_a_deletion_has_the_row_before_and_only_if_there_was_one() -> None:
    landed = Landed()
    assert landed.query(5_000, None) == []
    assert landed.memory == {}
    landed.query(5_000, row("A"))
    (change,) = landed.query(9_000, None)
    assert (change.op, change.before, change.after) == ("d", row("A"), None)
    assert landed.query(9_000, None) == []
    (change,) = landed.query(9_000, row("A"))
    assert (change.op, change.position) == ("c", position(9_999, SEQUENCE_MAX) + 1)


def test_a_changed_key_is_a_deletion_and_a_create() -> None:
    landed = Landed()
    landed.query(5_000, {"ContractNumber": "C1"}, CONTRACT)
    changes = landed.event(7_000, {"ContractNumber": "C2"}, read=CONTRACT)
    assert [(change.key, change.op, change.position) for change in changes] == [
        ("C1", "d", position(7_000, 1)), ("C2", "c", position(7_000, 1)),
    ]  # fmt: skip


def test_a_number_used_again_stands_above_what_it_was_before() -> None:
    landed = Landed()
    landed.query(5_000, {"ContractNumber": "C1"}, CONTRACT)
    (gone,) = landed.query(5_000, None, CONTRACT)
    (change,) = landed.event(5_500, {"ContractNumber": "C1"}, read=CONTRACT, record_id="2")
    assert (change.op, change.position) == ("c", gone.position + 1)


def test_a_number_taken_over_before_it_was_given_up_is_not_deleted_then() -> None:
    landed = Landed()
    landed.query(5_000, {"ContractNumber": "C1", "Cap": "1"}, CONTRACT)
    (taken,) = landed.event(7_000, {"ContractNumber": "C1", "Cap": "2"}, read=CONTRACT, record_id="2")
    assert (taken.op, taken.before) == ("u", {"ContractNumber": "C1", "Cap": "1"})
    changes = landed.event(7_100, {"ContractNumber": "C2", "Cap": "1"}, read=CONTRACT)
    assert [(change.key, change.op) for change in changes] == [("C2", "c")]


@pytest.mark.parametrize("number", [None, ""])
def test_a_row_without_its_key_is_refused_once(number: str | None) -> None:
    memory: dict[str, bytes] = {}
    for rejects in (1, 0):
        draft = Draft(memory)
        draft.found(CONTRACT, Record("1", {"ContractNumber": number}, 5_000, 5_000))
        batch = draft.batch()
        assert (len(batch.rejects), batch.changes) == (rejects, ())
        memory |= {key: value for key, value in batch.memory.items() if value is not None}


def test_deleted_records_are_forgotten_after_a_time() -> None:
    landed = Landed()
    landed.query(5_000, row("A"))
    landed.query(5_000, None)
    landed.query(5_000, row("B"), record_id="2")
    assert outdated(landed.memory, ACCOUNT, position(5_000)) == []
    assert outdated(landed.memory, ACCOUNT, position(9_000)) == [row_key(ACCOUNT, "1")]


def test_how_far_was_read_is_remembered_as_it_is() -> None:
    memory = {"horizon/Account": horizon_bytes(Horizon(7, False, "w")), "stream": stream_bytes(Stream(b"\0\xff", 9))}
    assert horizon(memory, "Account") == Horizon(7, False, "w")
    assert horizon(memory, "Contract") == Horizon(None, False, "")
    assert stream(memory) == Stream(b"\0\xff", 9)
    assert stream({}) == Stream(None, 0)
    assert stream({"stream": stream_bytes(Stream(None, 9))}) == Stream(None, 9)
