"""A generated firm dropped as files: what lands is what intake reads as the firm's own changes."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from firm.history import History
from firm.size import FirmSize
from schemas.codec import Codec
from schemas.mapping import load_mappings
from schemas.registry import Manifest
from streams.engine.feed_bytes import Feed, FeedBytes
from streams.engine.transport.producer import Encoded
from streams.intake.change import Change
from streams.intake.reading import Reader
from streams.step import Record
from tests.contract.feeds.station import NOON, Station, put

Row = dict[str, Any]


def final_rows(size: FirmSize) -> dict[str, list[tuple[str, Row]]]:
    """The rows that the firm's history leaves, by topic, each with its record key."""
    mappings = load_mappings().topics
    rows: dict[str, dict[str, tuple[str, Row]]] = {}
    for change in History(size).records():
        after = change.value["after"]
        if after is not None:
            rows.setdefault(change.topic, {})[mappings[change.topic].identity_of(after)] = (change.key, after)
    return {topic: list(found.values()) for topic, found in rows.items()}


def as_csv(rows: list[Row]) -> str:
    columns = sorted({name for row in rows for name in row})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(column) for column in columns]
        writer.writerow(json.dumps(cell) if isinstance(cell, list | bool) else cell for cell in cells)
    return text.getvalue()


def test_every_row_of_every_topic_is_taken_in_as_it_was(tmp_path: Path) -> None:
    wanted = final_rows(FirmSize(60, 3, days=60))
    for topic, rows in wanted.items():
        put(tmp_path / f"{topic}.csv", as_csv([row for _, row in rows]))
    run = Station({"connector.class": "throughline.files", "folder": str(tmp_path)})
    run.poll()
    assert run.topics.rejects == []
    mappings, codec = load_mappings(), Codec(Manifest())
    reader, own = Reader(mappings, codec.decode_change), Reader(mappings, lambda *_: {})
    encoder, found = FeedBytes(Feed("history", "files"), Manifest()), dict[str, dict[str, Any]]()
    for change in run.topics.changes:
        encoded = encoder.change(change, NOON)
        assert isinstance(encoded, Encoded), encoded
        read = reader.read(Record(change.topic, change.key, encoded.value, encoded.timestamp, 0, 0))
        assert isinstance(read, Change)
        found.setdefault(change.topic, {})[read.id] = (read.scope, read.row, read.refusal and read.refusal.kind)
    for topic, rows in wanted.items():
        for key, row in rows:
            source = {"name": "x", "ts_ms": NOON, "position": 1}
            read = own.read(Record(topic, key, {"op": "r", "after": row, "source": source}, NOON, 0, 0))
            assert isinstance(read, Change)
            # What the firm itself tells wrongly is refused here as there.
            assert found[topic][read.id] == (read.scope, read.row, read.refusal and read.refusal.kind), topic
        assert len(found[topic]) == len(rows)
    assert set(found) == set(mappings.topics) & set(wanted)
    assert len(found) >= 18
