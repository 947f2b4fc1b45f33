"""What is particular to a topic as a target."""

from streams.domain.posting import Status
from tests.contract.station import NOON, Item, Station
from tests.contract.targets import TopicTarget


def test_a_fact_is_shipped_as_it_was_given_and_its_place_is_the_receipt() -> None:
    station = Station(target := TopicTarget())
    item = Item(1, "P7")
    station.log = [item]
    station.settle(NOON)
    sent = target.deliverable(item)
    [(partition, [(key, value, headers)])] = [(at, some) for at, some in enumerate(target.log.records) if some]
    assert (key, value) == ("P7", b"fact 1\xff")
    assert headers == {
        "posting_id": sent.posting_id.encode(),
        "fact_id": sent.trigger_id.encode(),
        "kind": b"billing",
    }
    assert station.last(item).document_id == f"analytics.delivery-{partition}-0"


def test_the_bytes_of_a_fact_survive_a_restart() -> None:
    station = Station(target := TopicTarget())
    station.log = [Item(1, "P7")]
    target.be_busy()
    station.turn(NOON)
    station.restart()
    station.turn(NOON)
    assert [value for records in target.log.records for _, value, _ in records] == [b"fact 1\xff"]


def test_facts_of_one_key_follow_each_other_and_other_keys_do_not_wait() -> None:
    station = Station(target := TopicTarget())
    station.log = [Item(1, "P1"), Item(2, "P1"), Item(3, "P2")]
    station.turn(NOON)
    assert [station.history(item) for item in station.log] == [
        ["pending", "sent"],
        ["pending", "sent", "pending"],  # it was to follow in the same call
        ["pending", "sent"],
    ]
    target.answer(NOON)
    station.turn(NOON + 1)
    assert station.last(station.log[0]).status is Status.POSTED
    station.turn(NOON + 2)
    assert station.last(station.log[1]).status is Status.SENT


def test_a_fact_overtaken_by_a_failed_one_would_be_out_of_order() -> None:
    station = Station(target := TopicTarget())
    station.log = [Item(1, "P1"), Item(2, "P1")]
    target.log.answers_lost.append(False)
    station.turn(NOON)
    target.answer(NOON)
    station.settle(NOON)
    assert target.arrived() == [target.deliverable(item).trigger_id for item in station.log]
    assert station.history(station.log[0])[:4] == ["pending", "sent", "unknown", "pending"]
    assert station.last(station.log[0]).attempts == 2


def test_a_fact_on_its_way_is_found_as_sent_and_one_that_arrived_by_its_place() -> None:
    target = TopicTarget()
    sink = target.open()
    first, second = (target.deliverable(Item(number, f"P{number}")) for number in (1, 2))
    sink.post([first], NOON)
    assert [(r.posting_id, r.status) for r in sink.find([first.posting_id, second.posting_id])] == [
        (first.posting_id, Status.SENT)
    ]
    [receipt] = target.open().find([first.posting_id, second.posting_id])
    assert (receipt.trigger_id, receipt.status) == (first.trigger_id, Status.POSTED)
    assert (receipt.document_id or "").startswith("analytics.delivery-")
