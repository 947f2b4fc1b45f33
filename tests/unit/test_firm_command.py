"""`throughline generate`: files plain and packed, standard output, topics, and what is said when it cannot be done."""

import gzip
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from firm.commands import generate, generate_into
from firm.history import History
from firm.jsonl import line_of
from firm.progress import Progress
from firm.size import FirmSize
from firm.topics import SOURCE_TOPICS, Target, Told, paced
from firm.wire import Record
from tests.unit.firm_fields import FIELDS

SIZE = FirmSize(40, seed=9, days=40)
ARGUMENTS = ["--time-entries", "40", "--seed", "9", "--days", "40"]


def lines() -> bytes:
    return b"".join(map(line_of, History(SIZE).records()))


def run(*arguments: str, into: object = None) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(generate if into is None else generate_into(into))  # type: ignore[arg-type]
    return CliRunner().invoke(app, [*ARGUMENTS, *arguments])


def test_it_writes_a_replay_file(tmp_path: Path) -> None:
    out = tmp_path / "firm.jsonl"
    result = run("--out", str(out))
    assert result.exit_code == 0
    assert out.read_bytes() == lines()
    first = orjson.loads(lines().splitlines()[0])
    assert set(first) == {"topic", "key", "value", "timestamp"}
    assert set(first["value"]) == {"before", "after", "op", "ts_ms", "source"}
    assert set(first["value"]["source"]) == {"connector", "name", "ts_ms", "snapshot", "position"}


def test_a_name_ending_in_gz_packs_it_the_same_each_time(tmp_path: Path) -> None:
    first, second = tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz"
    run("--out", str(first))
    run("--out", str(second))
    assert gzip.decompress(first.read_bytes()) == lines()
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("out", [[], ["--out", "-"]])
def test_without_a_file_it_goes_to_standard_output(out: list[str]) -> None:
    result = run(*out)
    assert result.stdout_bytes == lines()
    assert "records to" in result.stderr


def test_quiet_says_nothing(tmp_path: Path) -> None:
    assert run("--out", str(tmp_path / "firm.jsonl"), "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--time-entries", "0"], "time entries: 0"),
        (["--start", "yesterday"], "'yesterday' is no date"),
        (["--start", "1969-12-31"], "start: 1969-12-31 is not within the years 1971 and 2100"),
        (["--start", "9999-12-01"], "start: 9999-12-01 is not within the years 1971 and 2100"),
        (["--dirty", "7"], "dirty: 7.0"),
        (["--rate", "0"], "--rate: 0 records a second"),
        (["--out", "x.jsonl", "--brokers", "b:9092"], "not both"),
        (["--brokers", "b:9092"], "writes files only"),
    ],
)
def test_what_cannot_be_done_is_named(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    result = run("--out", str(tmp_path / "missing" / "firm.jsonl"))
    assert result.exit_code == 2
    assert "firm.jsonl: cannot be written: No such file or directory" in result.stderr


class Broker:
    """Topics that keep what is written to them."""

    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.written: list[Record] = []

    def open(self, target: Target) -> "Broker":
        self.targets.append(target)
        return self

    def write(self, records: Iterable[Record], told: Told) -> int:
        for number, record in enumerate(records, 1):
            self.written.append(record)
            told(number, record)
        return len(self.written)


def test_with_brokers_the_same_records_go_into_topics() -> None:
    broker = Broker()
    result = run("--brokers", "b:9092", "--group", "team", "--open-records-max", "50", into=broker.open)
    assert result.exit_code == 0
    assert broker.targets == [Target("b:9092", "team", 50, SOURCE_TOPICS)]
    assert b"".join(map(line_of, broker.written)) == lines()
    assert "records to b:9092" in result.stderr


def test_brokers_that_cannot_be_reached_are_named() -> None:
    def unreachable(target: Target) -> Broker:
        raise OSError(f"{target.brokers} does not answer")

    result = run("--brokers", "b:9092", into=unreachable)
    assert result.exit_code == 2
    assert "b:9092: cannot be written: b:9092 does not answer" in result.stderr


def test_the_source_topics_are_those_of_the_domain() -> None:
    assert set(SOURCE_TOPICS) == set(FIELDS)


class Clock:
    """A clock that moves when somebody waits, or is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds


def some_records(count: int) -> list[Record]:
    return [Record("crm.Account", str(number), {}, number) for number in range(count)]


def test_records_are_never_given_faster_than_their_rate() -> None:
    clock = Clock()
    given = [clock.now() for _ in paced(some_records(1_000), 200, clock.now, clock.wait)]
    assert len(given) == 1_000
    assert all(number / 200 <= at + 0.5 for number, at in enumerate(given))
    assert clock.now() == pytest.approx(4.5)


def test_a_slow_reader_is_not_made_to_wait() -> None:
    clock = Clock()
    for _ in paced(some_records(300), 100, clock.now, clock.wait):
        clock.seconds += 0.02
    assert clock.now() == pytest.approx(6)


def test_a_rate_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="rate: 0"):
        next(paced(some_records(1), 0, Clock().now, Clock().wait))


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def watched(out: StringIO) -> str:
    clock = Clock()
    progress = Progress(out=out, clock=clock.now)
    for record in progress.watched(some_records(4_096), lambda record: (record.timestamp + 1) / 4_096):
        clock.seconds += 0.002
        assert record.topic == "crm.Account"
    progress.end("to x")
    return out.getvalue()


def test_a_log_gets_a_line_every_few_seconds() -> None:
    assert watched(StringIO()).splitlines() == [
        "2,048 records, 500 a second, 4 s left",
        "4,096 records, 500 a second, 0 s left",
        "4,096 records to x in 8.2 s, 500 a second",
    ]


def test_a_terminal_gets_one_line_that_is_rewritten() -> None:
    text = watched(Terminal())
    assert text.count("\n") == 1
    assert text.endswith("\r\x1b[K4,096 records to x in 8.2 s, 500 a second\n")
