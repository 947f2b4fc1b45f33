"""Reading: records become changes; an update that changes its key becomes two; a row version counts once."""

from typing import Any

import pytest

from schemas.codec import Codec
from schemas.contracts import load_contracts
from schemas.json_view import JsonView
from schemas.registry import Manifest
from streams.domain.fact import Cause
from streams.domain.kept import Kept
from streams.intake.change import Change, Heartbeat, Refusal, Unreadable
from streams.intake.memory import after, is_new
from streams.intake.reading import Reader
from streams.replay import run
from streams.simulator import Simulator
from streams.step import Record
from streams.topology import topology
from tests.support.feed import Feed, firm
from tests.support.streams import Collected, file_run, reader, record_of, rulebook

pytestmark = pytest.mark.usefixtures("codec_path")

ENTRIES = "psa.public.time_entries"


def _record(content: dict[str, Any]) -> Record:
    return record_of(content, 7)


def _change(content: dict[str, Any], by: Reader | None = None) -> Change:
    read = (by or reader()).read(_record(content))
    assert isinstance(read, Change)
    return read


def _entry(**source: Any) -> dict[str, Any]:
    feed = firm()
    content = feed.entry("T1")
    content["value"]["source"].update(source)
    return content


def test_a_change_says_where_it_stands_and_when_it_happened() -> None:
    content = _entry(position=42, ts_ms=1_770_000_000_000)
    change = _change(content)
    assert (change.kind, change.scope, change.id, change.deleted) == ("TimeEntry", "P1", "T1", False)
    assert change.cause == Cause(ENTRIES, 0, 7, 42, 0, 1_770_000_000_000)


def test_a_delete_is_known_by_its_old_row() -> None:
    feed = firm()
    feed.entry("T1")
    change = _change(feed.delete(ENTRIES, "T1"))
    assert (change.id, change.row, change.deleted, change.refusal) == ("T1", None, True, None)


def test_a_delete_needs_no_more_than_the_identity() -> None:
    feed = firm()
    content = feed.add(ENTRIES, "d", {"id": "T1"}, None)
    content["key"] = "P1"
    assert (_change(content).scope, _change(content).id) == ("P1", "T1")


@pytest.mark.parametrize("key", ["P2", "p1", None])
def test_a_delete_under_a_key_that_its_row_never_had_is_refused(key: str | None) -> None:
    feed = firm()
    feed.entry("T1")
    content = {**feed.delete(ENTRIES, "T1"), "key": key}
    if key is None:
        read = reader().read(_record(content))
        assert isinstance(read, Unreadable)
        assert read.message == "the record has no key"
        return
    change = _change(content)
    assert change.refusal == Refusal("validation_failed", (f"record key {key!r} is not 'P1', its row's",))
    assert (change.scope, change.deleted, change.raw) == (key, True, None)


@pytest.mark.parametrize("op", ["c", "u", "r"])
def test_creates_updates_and_snapshot_reads_say_the_same(op: str) -> None:
    content = _entry()
    content["value"]["op"] = op
    assert _change(content).row == _change(_entry()).row


def test_a_real_debezium_source_gives_its_lsn_for_position() -> None:
    content = _entry(lsn=99)
    del content["value"]["source"]["position"]
    assert _change(content).cause.position == 99


def test_a_feed_that_was_restored_has_a_higher_epoch() -> None:
    restored = Reader(rulebook().mappings, lambda *_: {}, {"psa": 2})
    assert _change(_entry(), restored).cause.epoch == 2
    assert _change(_entry(name="other"), restored).cause.epoch == 0


@pytest.mark.parametrize(
    ("name", "epoch"),
    [("history", -1), ("history.2019", -1), ("history.own", 3), ("historyx", 0), ("psa.history", 0), (None, 0)],
)
def test_what_was_loaded_counts_before_everything_live(name: str | None, epoch: int) -> None:
    by = Reader(rulebook().mappings, lambda *_: {}, {"history.own": 3})
    for _ in range(2):
        assert _change(_entry(name=name, position=2**62), by).cause.epoch == epoch


@pytest.mark.parametrize("live", [{"op": "u"}, {"op": "r"}, {"op": "d"}])
def test_a_loaded_version_is_never_new_once_anything_live_was_seen(live: dict[str, str]) -> None:
    loaded = _change(_entry(name="history", position=2**62))
    content = _entry(position=0)
    if live["op"] == "d":
        content["value"] |= {"op": "d", "before": content["value"]["after"], "after": None}
    seen = _change(content)
    assert is_new(loaded, None)
    assert is_new(seen, after(loaded, None, loaded.row, refused=False))
    kept = after(seen, None, seen.row, refused=False)
    assert not is_new(loaded, kept)
    assert not is_new(loaded, after(seen, after(loaded, None, loaded.row, refused=False), seen.row, refused=False))


@pytest.mark.parametrize(
    ("topic", "fields", "key", "identity"),
    [
        ("erp.FxRate", {}, "USD:EUR:2026-02-01", "USD:EUR:2026-02-01"),
        ("erp.Period", {}, "LE1:2026-02", "LE1:2026-02"),
        ("erp.Project", {"ProjectId": "P1"}, "P1", "P1"),
        ("crm.ContractAmendment", {"Id": "M1"}, "C1", "M1"),
        ("erp.Invoice", {"Id": "I1"}, "P1", "I1"),
        ("erp.RevenueSchedule", {"Id": "S1"}, "S1", "S1"),
        ("psa.public.milestones", {"id": "M1"}, "P1", "M1"),
    ],
)
def test_keys_and_identities(topic: str, fields: dict[str, Any], key: str, identity: str) -> None:
    change = _change(Feed().put(topic, **fields))
    assert (change.scope, change.id, change.refusal) == (key, identity, None)


def test_a_tombstone_a_heartbeat_and_what_is_no_change() -> None:
    assert reader().read(Record(ENTRIES, "P1", None, 5)) is None
    assert reader().read(Record("__debezium-heartbeat.psa", "{}", {"ts_ms": 1}, 5)) == Heartbeat("psa", 5)
    assert reader().read(Record(ENTRIES, "P1", [], 5)) == Unreadable(
        "InvalidEnvelope", "the value is no change envelope", "TRANSFORMATION", []
    )


def test_a_topic_without_mapping_is_refused_and_kept() -> None:
    content = {**_entry(), "topic": "tryton.public.party_party"}
    change = _change(content)
    assert change.kind == ""
    assert change.refusal == Refusal(
        "unmapped_value", ("no_mapping: no mapping file declares topic tryton.public.party_party",)
    )
    assert change.raw == content["value"]["after"]


# -- an update that changes its record key


@pytest.mark.parametrize("key", ["P1", "P2"])
def test_an_update_that_changes_its_key_is_a_delete_and_a_create(key: str) -> None:
    feed = firm()
    before = feed.entry("T1")["value"]["after"]
    content = {**feed.add(ENTRIES, "u", before, {**before, "project_id": "P2"}), "key": key}
    gone, made = reader().split(_record(content))
    assert (gone.key, gone.value["op"], gone.value["after"]) == ("P1", "d", None)
    assert (made.key, made.value["op"], made.value["before"]) == ("P2", "c", None)
    assert gone.value["before"] == before
    assert made.value["after"]["project_id"] == "P2"


def test_an_update_in_bytes_that_changes_its_key_is_a_delete_and_a_create_too() -> None:
    feed = firm()
    feed.project(id="P2")
    before = feed.entry("T1")["value"]["after"]
    feed.add(ENTRIES, "u", before, {**before, "project_id": "P2"})
    codec = Codec(Manifest())
    records = []
    for offset, content in enumerate(feed.records):
        native = JsonView(load_contracts()[content["topic"]].schema).native(content["value"])
        records.append(record_of({**content, "value": codec.encode(content["topic"], native)}, offset))
    collected = Collected()
    run(records, Simulator(topology(rulebook(), reader()), collected), reader(), None)
    billed = [(told["project_id"], told["amount"]) for told in collected.of("billing.triggers")]
    assert billed == [("P1", "800.00"), ("P1", "-800.00"), ("P2", "800.00")]


@pytest.mark.parametrize(
    "change",
    [
        {"hours": "7"},  # another field
        {},  # nothing
    ],
)
def test_any_other_update_stays_whole(change: dict[str, Any]) -> None:
    feed = firm()
    before = feed.entry("T1")["value"]["after"]
    record = _record(feed.add(ENTRIES, "u", before, {**before, **change}))
    assert reader().split(record) == [record]


@pytest.mark.parametrize(
    "before", [None, {"id": "T1"}, "?", *({"id": "T1", "project_id": key} for key in (5, None, ["P0"]))]
)
def test_without_the_old_key_an_update_stays_whole(before: Any) -> None:
    feed = firm()
    after = feed.entry("T1")["value"]["after"]
    content = feed.add(ENTRIES, "u", None, after)
    content["value"]["before"] = before
    record = _record(content)
    assert reader().split(record) == [record]


# -- the replay guard


def _version(position: int, epoch: int = 0, deleted: bool = False) -> Change:
    cause = Cause(ENTRIES, 0, 0, position, epoch, 0)
    return Change("TimeEntry", ENTRIES, "P1", "T1", None, deleted, None, None, cause)


def _reading(position: int, epoch: int = 0) -> Change:
    return _version(position, epoch)._replace(reread=True)


GUARD: dict[str, tuple[Change, Kept[Any] | None, bool]] = {
    "never seen": (_version(0), None, True),
    "later": (_version(11), Kept(0, 10, True, None), True),
    "the same": (_version(10), Kept(0, 10, True, None), False),
    "older": (_version(9), Kept(0, 10, True, None), False),
    "a create at the position of a delete": (_version(10), Kept(0, 10, False, None), True),
    "a delete at the position of a delete": (_version(10, deleted=True), Kept(0, 10, False, None), False),
    "a delete at the position of a create": (_version(10, deleted=True), Kept(0, 10, True, None), False),
    "a stale create after a delete": (_version(9), Kept(0, 10, False, None), False),
    "a later create after a delete": (_version(11), Kept(0, 10, False, None), True),
    "a higher epoch, a lower position": (_version(1, epoch=1), Kept(0, 10, True, None), True),
    "a lower epoch, a higher position": (_version(11, epoch=0), Kept(1, 10, True, None), False),
    "read anew, never seen": (_reading(0), None, True),
    "read anew since": (_reading(11), Kept(0, 10, True, None), True),
    "read anew before": (_reading(9), Kept(0, 10, True, None), False),
    "read anew before a delete": (_reading(9), Kept(0, 10, False, None), False),
    "the same reading again": (_reading(20), Kept(0, 10, True, None, reread=20), False),
    "a later reading": (_reading(21), Kept(0, 10, True, None, reread=20), True),
    "read anew in a higher epoch": (_reading(1, epoch=1), Kept(0, 10, True, None, reread=20), True),
    "a change from before a reading that comes after it": (_version(11), Kept(0, 10, True, None, reread=20), True),
    "a change that was seen before a reading": (_version(10), Kept(0, 10, True, None, reread=20), False),
}


@pytest.mark.parametrize(("change", "kept", "new"), GUARD.values(), ids=GUARD)
def test_the_replay_guard(change: Change, kept: Kept[Any] | None, new: bool) -> None:
    assert is_new(change, kept) is new


def test_a_reading_does_not_move_the_position_that_changes_are_held_against() -> None:
    assert after(_reading(20), None, "row", False) == Kept(0, 0, True, "row", False, 20)
    assert after(_reading(20), Kept(0, 10, False, None), "row", False) == Kept(0, 10, True, "row", False, 20)
    assert after(_version(15), Kept(0, 10, True, None, reread=20), "row", True) == Kept(0, 15, True, "row", True, 20)
    assert after(_reading(3, epoch=1), Kept(0, 10, True, None, reread=20), "row", False) == Kept(
        1, 0, True, "row", False, 3
    )
    assert after(_version(3, epoch=1), Kept(0, 10, True, None, reread=20), "row", False) == Kept(1, 3, True, "row")


def test_rows_of_one_id_under_different_keys_have_guards_of_their_own() -> None:
    feed = firm()
    feed.project(id="P2")
    first = feed.entry("T1")["value"]["after"]
    feed.add(ENTRIES, "c", None, {**first, "project_id": "P2"}, position=1)
    amounts = [r["value"]["amount"] for r in file_run(feed.records) if r["topic"] == "billing.triggers"]
    assert amounts == ["800.00"]  # the copy under P2 is older than what is in force, not a duplicate of it
