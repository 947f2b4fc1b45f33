"""Replay: the whole topology over files, without a broker. It is how users rehearse a policy change or a backfill."""

import base64
import gzip
import heapq
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from io import BufferedReader
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

import msgspec
import orjson

from schemas.codec import RECORD_BYTES_MAX
from state.spill import Budget, SpillingStore
from streams.domain.calendar import instant
from streams.domain.made import made
from streams.intake.change import Change, NativeChange, Unreadable
from streams.intake.fields import shown
from streams.intake.reading import Reader
from streams.progress import Progress
from streams.simulator import Simulator
from streams.step import Record
from streams.topics import DEAD_LETTERS
from streams.topology import Rulebook, topology

_UNFLUSHED_MAX = 12_000
_STATE_BYTES_MAX = 384 * 1024 * 1024
"""State kept in memory; beyond that, the steps with most of it move theirs to a temporary folder."""

_encode = msgspec.json.Encoder(decimal_format="string").encode
_FLUSH_CHECK = 0xFF
_LATEST_MS: Final = instant(datetime.max.replace(tzinfo=UTC, microsecond=0))
_INT64: Final = 2**63
_LEVELS_MAX: Final = 4_000
_BRACKETS_MAX: Final = 200
"""Brackets in a line above which its nesting is looked at."""
LINE_BYTES_MAX = 32 * 1024 * 1024
"""A line as long is not read on: a file that is one line, or unpacks to one, must not fill the memory."""


class UnusableInput(Exception):
    """A file or a line that replay cannot take; the text names file and line."""


class Lines:
    """The records of one file, in its order; `-` is standard input, gzip is recognised."""

    def __init__(self, path: str, stream: IO[bytes], progress: Progress) -> None:
        self._path = path
        self._stream = stream
        self._progress = progress

    def __iter__(self) -> Iterator[Record]:
        number, timestamp = 0, 0
        while line := self._line():
            number += 1
            if len(line) == LINE_BYTES_MAX:
                raise self._unusable(number, f"the line is longer than {LINE_BYTES_MAX:,} bytes")
            if line.isspace():
                continue
            record = self._record(number, line, timestamp)
            timestamp = record.timestamp
            self._progress.done(len(line))
            yield record

    def _line(self) -> bytes:
        try:
            return self._stream.readline(LINE_BYTES_MAX)
        except (EOFError, zlib.error, OSError) as error:
            raise UnusableInput(f"{self._path}: cannot be read to the end: {error}") from error

    def _record(self, number: int, line: bytes, previous: int) -> Record:
        content = self._parsed(number, line)
        try:
            topic, key = content["topic"], content["key"]
            in_bytes = "value_base64" in content
            value = content["value_base64"] if in_bytes else content["value"]
        except (KeyError, TypeError):
            raise self._unusable(number, "not a JSON object with topic, key and value") from None
        named = (type(topic) is str and topic.isascii()) or _is_text(topic)
        if not named or not ((type(key) is str and key.isascii()) or key is None or _is_text(key)):
            raise self._unusable(number, "topic must be a text, key a text or null")
        timestamp, partition = content.get("timestamp", previous), content.get("partition", 0)
        offset, headers = content.get("offset", number - 1), content.get("headers") or ()
        try:
            if in_bytes:
                value = _bytes(value)
            if not (
                type(timestamp) is type(partition) is type(offset) is int
                and 0 <= timestamp <= _LATEST_MS
                and 0 <= partition < _INT64
                and 0 <= offset < _INT64
            ):
                raise ValueError(_misplaced(timestamp, partition, offset))
            return made(Record, (topic, key, value, timestamp, partition, offset, headers and _headers(headers)))
        except ValueError as error:
            # What is wrong with a record does not stop the others: it comes out in the place of its line.
            original = value.original if isinstance(value, Unreadable) else value
            told = Unreadable("InvalidRecord", str(error), "VALUE_CONVERTER", original)
            return Record(topic, key, told, previous, 0, number - 1)

    def _unusable(self, number: int, fault: str) -> UnusableInput:
        return UnusableInput(f"{self._path}:{number}: {fault}")

    def _parsed(self, number: int, line: bytes) -> Any:
        try:
            content, plain = orjson.loads(line), line.count(b"[") + line.count(b"{") <= _BRACKETS_MAX
        except orjson.JSONDecodeError as error:
            try:
                # Some writers put NaN or Infinity for a number: that spoils the record, not the file.
                content, plain = json.loads(line), False
            except (ValueError, RecursionError):
                raise self._unusable(number, f"no JSON: {error}") from None
        if isinstance(content, dict) and content.get("value") is not None:
            if len(line) > RECORD_BYTES_MAX:
                told = f"too large: {len(line)} bytes, the limit is {RECORD_BYTES_MAX}"
                content["value"] = Unreadable("Undecodable", told, "VALUE_CONVERTER", content["value"])
            elif not plain:
                content["value"] = _sound(content["value"])
        return content


def _misplaced(timestamp: Any, partition: Any, offset: Any) -> str:
    if type(timestamp) is not int or not 0 <= timestamp <= _LATEST_MS:
        return f"timestamp {shown(timestamp)} is no count of milliseconds from 1970 to 9999"
    name, number = "partition", partition
    if type(partition) is int and 0 <= partition < _INT64:
        name, number = "offset", offset
    return f"{name} {shown(number)} is no whole number from 0 to {_INT64 - 1}"


def _bytes(text: Any) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise ValueError("value_base64 is no base64") from None


def _headers(headers: Any) -> tuple[tuple[str, bytes], ...]:
    try:
        return tuple((str(name), base64.b64decode(value)) for name, value in headers)
    except (TypeError, ValueError):
        raise ValueError("headers are no list of [name, base64 value]") from None


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return bool(value.encode()) or not value
    except UnicodeEncodeError:  # half a character
        return False


def _sound(value: Any) -> Any:
    """Return a value if it can be kept and written again, else what is wrong with it."""
    try:
        orjson.dumps(value)
    except TypeError as error:  # half characters, numbers over 64 bits, nested too deeply
        return Unreadable("Undecodable", f"no value that can be kept: {error}", "VALUE_CONVERTER", value)
    return value


def open_input(path: str, stack: ExitStack, progress: Progress) -> Lines:
    """Open one input; raises UnusableInput if that cannot be done."""
    if path == "-" and sys.stdin is None:
        raise UnusableInput("-: standard input is closed")
    try:
        raw: Any = sys.stdin.buffer if path == "-" else stack.enter_context(Path(path).open("rb"))  # noqa: SIM115
        start = raw.peek(2)[:2]
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror}") from error
    if path != "-":
        progress.expect(Path(path).stat().st_size * (8 if start == b"\x1f\x8b" else 1))
    if start == b"\x1f\x8b":
        unpacked: Any = BufferedReader(stack.enter_context(gzip.GzipFile(fileobj=raw)))
        return Lines(path, unpacked, progress)
    return Lines(path, raw, progress)


def run(records: Iterable[Record], simulator: Simulator, reader: Reader, until: int | None) -> None:
    """Take each record to quiescence, then commit; at the end move the clock on."""
    for number, record in enumerate(records):
        for part in reader.split(record):
            _take(part, simulator, reader)
        simulator.settle()  # once: a changed key is two parts, and one commit
        if not number & _FLUSH_CHECK:
            simulator.flush(_UNFLUSHED_MAX)
    if until is not None:
        simulator.advance(until)


def _take(record: Record, simulator: Simulator, reader: Reader) -> None:
    read = reader.read(record)
    if read is None:
        return
    step = "intake"
    if isinstance(read, Change):
        if read.refusal is None and read.cause.occurred_at > simulator.now:
            simulator.advance(read.cause.occurred_at)
    elif reader.is_native(record.topic):
        step = "assembly"
        if isinstance(read, NativeChange) and read.refusal is None and read.cause.occurred_at > simulator.now:
            simulator.advance(read.cause.occurred_at)
    topic, key, _, timestamp, partition, offset, headers = record
    simulator.feed_to(step, made(Record, (topic, key, read, timestamp, partition, offset, headers)))


def merged(inputs: list[Lines]) -> Iterable[Record]:
    """Return the records of one file in its order, those of several by timestamp."""
    if len(inputs) == 1:
        return inputs[0]
    return heapq.merge(*inputs, key=lambda record: record.timestamp)


def as_line(record: Record) -> bytes:
    """Return a derived record as one line of JSON: decimals as text, times in RFC 3339 UTC."""
    topic, key, value, timestamp, _, _, headers = record
    if not headers and type(value) is dict and topic != DEAD_LETTERS:
        return _encode({"topic": topic, "key": key, "value": value, "timestamp": timestamp}) + b"\n"
    line: dict[str, Any] = {"topic": topic, "key": key}
    if isinstance(value, bytes):
        line["value_base64"] = base64.b64encode(value).decode()
    else:
        line["value"] = value
    line["timestamp"] = timestamp
    if headers:
        line["headers"] = [[name, base64.b64encode(content).decode()] for name, content in headers]
    if topic == DEAD_LETTERS:
        return _as_it_came(line) + b"\n"
    return _encode(line) + b"\n"


def _as_it_came(line: dict[str, Any]) -> bytes:
    if sys.getrecursionlimit() < _LEVELS_MAX:  # as many levels are read, and must be written again
        sys.setrecursionlimit(_LEVELS_MAX)
    return json.dumps(line).encode()  # even what JSON has no number for


def replay(
    paths: list[str], out: IO[bytes], rulebook: Rulebook, reader: Reader, until: datetime | None, progress: Progress
) -> int:
    """Run files through the topology and write what is derived; return how many records came in.

    Raises `UnusableInput`, `state.rocks.StoreUnavailable` and, if what is derived cannot be written, OSError.
    """

    def deliver(record: Record) -> None:
        out.write(as_line(record))

    with ExitStack() as stack:
        spilled = Path(stack.enter_context(TemporaryDirectory(prefix="throughline-replay-")))
        budget, numbers = Budget(_STATE_BYTES_MAX), count()
        simulator = Simulator(
            topology(rulebook, reader), deliver, store=lambda: SpillingStore(spilled / str(next(numbers)), budget)
        )
        stack.callback(simulator.close)
        inputs = [open_input(path, stack, progress) for path in paths]
        run(merged(inputs), simulator, reader, None if until is None else instant(until))
    progress.finish()
    return progress.records
