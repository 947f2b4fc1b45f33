"""Rows that a connector reads anew on request, while changes go on: they mend what was missed, and undo no change."""

from typing import Any

from tests.support.feed import Feed
from tests.support.streams import file_run

ENTRIES = "psa.public.time_entries"
Json = dict[str, Any]


def firm() -> Feed:
    feed = Feed().masters()
    feed.contract()
    feed.project()
    return feed


def at(record: Json, lsn: int) -> Json:
    """A change as a Debezium connector tells where it stands in the log."""
    source = {name: value for name, value in record["value"]["source"].items() if name != "position"}
    return {**record, "value": {**record["value"], "source": {**source, "snapshot": "false", "lsn": lsn}}}


def reread(record: Json, reached: int) -> Json:
    """The row of a change, read anew when the log had been read up to there."""
    told = at(record, 0)
    source = {**told["value"]["source"], "snapshot": "incremental", "lsn": None, "sequence": f'["{reached}","7"]'}
    return {**told, "value": {**told["value"], "op": "r", "before": None, "source": source}}


def billed(feed: Feed, *records: Json) -> list[str]:
    """The amounts of all triggers and reversals of entry T1."""
    masters = [record for record in feed.records if record["topic"] != ENTRIES]
    written = file_run([*masters, *records])
    assert not [record for record in written if record["topic"] == "dead.letters"]
    return [
        record["value"]["amount"]
        for record in written
        if record["topic"] == "billing.triggers" and record["value"]["source_id"] == "T1"
    ]


def test_a_row_that_was_never_seen_is_taken_in() -> None:
    feed = firm()
    entry = feed.entry("T1", hours="8")
    assert billed(feed, reread(entry, 500)) == ["800.00"]


def test_a_row_that_is_as_it_was_known_changes_nothing() -> None:
    feed = firm()
    entry = feed.entry("T1", hours="8")
    assert billed(feed, at(entry, 100), reread(entry, 500), reread(entry, 600)) == ["800.00"]


def test_a_change_that_was_missed_is_mended() -> None:
    feed = firm()
    entry, missed = feed.entry("T1", hours="8"), feed.entry("T1", hours="6")
    assert billed(feed, at(entry, 100), reread(missed, 500)) == ["800.00", "-800.00", "600.00"]


def test_a_change_of_a_transaction_that_was_open_while_the_row_was_read_is_not_taken_for_an_old_one() -> None:
    feed = firm()
    entry, changed = feed.entry("T1", hours="8"), feed.entry("T1", hours="6")
    assert billed(feed, at(entry, 100), reread(entry, 500), at(changed, 400)) == ["800.00", "-800.00", "600.00"]
    assert billed(feed, reread(entry, 500), at(changed, 400)) == ["800.00", "-800.00", "600.00"]


def test_what_was_seen_before_stays_seen() -> None:
    feed = firm()
    entry, changed = feed.entry("T1", hours="8"), feed.entry("T1", hours="6")
    seen = [at(entry, 100), at(changed, 200)]
    assert billed(feed, *seen, reread(changed, 500), *seen) == ["800.00", "-800.00", "600.00"]


def test_a_reading_that_comes_again_undoes_no_later_change() -> None:
    feed = firm()
    entry, changed = feed.entry("T1", hours="8"), feed.entry("T1", hours="6")
    first = reread(entry, 500)
    assert billed(feed, first, at(changed, 600), first) == ["800.00", "-800.00", "600.00"]
    assert billed(feed, first, at(changed, 400), first) == ["800.00", "-800.00", "600.00"]


def test_a_reading_without_a_place_in_the_log_is_a_dead_letter() -> None:
    feed = firm()
    lost = reread(feed.entry("T1"), 500)
    lost["value"]["source"]["sequence"] = None
    written = file_run([lost])
    (letter,) = [record for record in written if record["topic"] == "dead.letters"]
    (told,) = [record["value"] for record in written if record["topic"] == "exceptions"]
    assert told["reasons"] == ["sequence None does not say how far the log had been read"]
    assert letter["key"] == "P1"
