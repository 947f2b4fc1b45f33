"""`throughline replay` at its edges: files, options, standard input and output. What it cannot use is said, exit 2."""

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streams.rules.billing import trigger_id
from tests.support.command import Json, as_lines, replay, replay_files, replay_piped
from tests.support.feed import firm


def _lines() -> list[Json]:
    feed = firm().at("2026-02-04T09:00:00Z")
    feed.entry("T1")
    return feed.records


NOT_RECORDS = {
    "cut off": ('{"topic": "crm.Account", "key"', "no JSON: "),
    "no JSON at all": ("hello", "no JSON: "),
    "nested without end": ("[" * 5000 + "]" * 5000, "no JSON: "),
    "a list": ("[1]", "not a JSON object with topic, key and value"),
    "no topic": ('{"key": "A1", "value": null}', "not a JSON object with topic, key and value"),
    "no key": ('{"topic": "crm.Account", "value": null}', "not a JSON object with topic, key and value"),
    "no value": ('{"topic": "crm.Account", "key": "A1"}', "not a JSON object with topic, key and value"),
    "a number for topic": ('{"topic": 1, "key": "A1", "value": null}', "topic must be a text, key a text or null"),
    "a list for key": (
        '{"topic": "crm.Account", "key": [], "value": null}',
        "topic must be a text, key a text or null",
    ),
    "half a character": (
        r'{"topic": "crm.\ud800", "key": "A1", "value": null}',
        "topic must be a text, key a text or null",
    ),
}


@pytest.mark.parametrize(("line", "message"), NOT_RECORDS.values(), ids=NOT_RECORDS)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, message: str) -> None:
    content = as_lines(_lines()) + line.encode() + b"\n"
    ran = replay(tmp_path, content)
    assert ran.code == 2
    assert ran.said.startswith(f"throughline: {tmp_path / 'in.jsonl'}:{len(_lines()) + 1}: {message}")
    assert ran.said.count("\n") == 1
    assert ran.billed() == {"T1": ["800.00"]}  # what came before was written


SPOILED = {
    "no base64": ({"value_base64": "%"}, "value_base64 is no base64", "%"),
    "a number for base64": ({"value_base64": 7}, "value_base64 is no base64", 7),
    "a text for timestamp": (
        {"timestamp": "now"}, "timestamp 'now' is no count of milliseconds from 1970 to 9999", {"a": 1},
    ),
    "a timestamp past all dates": (
        {"timestamp": 2**62},
        "timestamp 4611686018427387904 is no count of milliseconds from 1970 to 9999",
        {"a": 1},
    ),
    "headers without values": ({"headers": ["x"]}, "headers are no list of [name, base64 value]", {"a": 1}),
    "a text for offset": (
        {"offset": "7"}, "offset '7' is no whole number from 0 to 9223372036854775807", {"a": 1},
    ),
    "a partition below 0": (
        {"partition": -1}, "partition -1 is no whole number from 0 to 9223372036854775807", {"a": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "message", "original"), SPOILED.values(), ids=SPOILED)
def test_what_is_wrong_beside_the_value_is_a_dead_letter(
    tmp_path: Path, fields: Json, message: str, original: object
) -> None:
    records = _lines()
    records.insert(-1, {"topic": "crm.Account", "key": "A9", "value": {"a": 1}, **fields})
    ran = replay(tmp_path, records)
    assert (ran.code, ran.said, ran.billed()) == (0, "", {"T1": ["800.00"]})
    [letter] = ran.dead_letters()
    assert (letter["key"], letter["value"]) == ("A9", original)
    assert letter["said"] == {
        "topic": "crm.Account",
        "partition": "0",
        "offset": str(len(records) - 2),
        "exception.class.name": "InvalidRecord",
        "exception.message": message,
        "stage": "VALUE_CONVERTER",
    }
    assert [told["reasons"] for told in ran.exceptions()] == [[message]]


def test_a_dead_letter_may_be_nested_as_deeply_as_can_be_read(tmp_path: Path) -> None:
    lines = as_lines(_lines()).splitlines()
    lines.insert(-1, b'{"topic": "crm.Account", "key": "A9", "value": ' + b"[" * 1020 + b"]" * 1020 + b"}")
    ran = replay_piped(b"\n".join(lines), "--quiet", "-")
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.count(b"[" * 1020 + b"]" * 1020) == 1


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.replay.LINE_BYTES_MAX", 1000)
    ran = replay(tmp_path, gzip.compress(b"\n" + b"x" * 2000))
    assert ran.code == 2
    assert ran.said == f"throughline: {tmp_path / 'in.jsonl'}:2: the line is longer than 1,000 bytes\n"


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    ran = replay(tmp_path, b'{"topic": "crm.Account", "key": "\xff", "value": null}\n')
    assert ran.code == 2
    assert ran.said.startswith(f"throughline: {tmp_path / 'in.jsonl'}:1: no JSON: ")


def test_blank_lines_and_a_missing_newline_at_the_end_are_no_fault(tmp_path: Path) -> None:
    content = b"\n" + as_lines(_lines()).replace(b"\n", b"\r\n\r\n").rstrip()
    ran = replay(tmp_path, content)
    assert (ran.code, ran.said, ran.billed()) == (0, "", {"T1": ["800.00"]})


def test_an_empty_file_derives_nothing(tmp_path: Path) -> None:
    ran = replay(tmp_path, b"")
    assert (ran.code, ran.said, ran.records) == (0, "", [])


def test_gzip_is_recognised_whatever_the_file_is_called(tmp_path: Path) -> None:
    assert replay(tmp_path, gzip.compress(as_lines(_lines()))).billed() == {"T1": ["800.00"]}


def test_a_truncated_gzip_file_is_named(tmp_path: Path) -> None:
    ran = replay(tmp_path, gzip.compress(as_lines(_lines()))[:-20])
    assert ran.code == 2
    assert ran.said == (
        f"throughline: {tmp_path / 'in.jsonl'}: cannot be read to the end: "
        "Compressed file ended before the end-of-stream marker was reached\n"
    )


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(as_lines(_lines()), mtime=0))
    content[100:120] = b"\xff" * 20
    ran = replay(tmp_path, bytes(content))
    assert ran.code == 2
    assert ran.said.startswith(f"throughline: {tmp_path / 'in.jsonl'}: cannot be read to the end: ")


def test_several_files_are_merged_by_timestamp(tmp_path: Path) -> None:
    # The entry is in the first file, its firm in the second, gzipped. A file after the other would hold the entry.
    records = _lines()
    first, second = tmp_path / "psa.jsonl", tmp_path / "others.jsonl.gz"
    first.write_bytes(as_lines(records[-1:]))
    second.write_bytes(gzip.compress(as_lines(records[:-1])))
    ran = replay_files(tmp_path / "out.jsonl", [str(first), str(second)])
    one_file = replay(tmp_path, records)
    assert ran.code == 0
    assert _without_offsets(ran.records) == _without_offsets(one_file.records)


def _without_offsets(records: list[Json]) -> list[Json]:
    # A cause names the place in its own file.
    values = [{**record["value"], "cause": None, "audit_id": None} for record in records]
    return [{**record, "value": value} for record, value in zip(records, values, strict=True)]


def test_records_without_a_timestamp_stay_where_they_are(tmp_path: Path) -> None:
    records = _lines()
    for record in records[1:]:
        del record["timestamp"]
    other = tmp_path / "other.jsonl"
    later = firm().at("2026-03-04T09:00:00Z")
    later.entry("T2", hours="1")
    other.write_bytes(as_lines([{**later.records[-1], "key": "P1"}]))
    main = tmp_path / "main.jsonl"
    main.write_bytes(as_lines(records))
    ran = replay_files(tmp_path / "out.jsonl", [str(other), str(main)])
    assert list(ran.billed()) == ["T1", "T2"]


def test_the_clock_moves_on_to_until(tmp_path: Path) -> None:
    feed = firm().at("2026-02-05T08:00:00Z")
    feed.expense("X1", approved_at="2026-02-05T08:00:00Z")
    for until, late in (("2026-02-06T07:59:59Z", []), ("2026-02-06T08:00:00Z", ["expense_late:X1"])):
        alerts = replay(tmp_path, feed.records, "--until", until).of("drift.alerts")
        assert [alert["alert_id"] for alert in alerts if alert["kind"] == "expense_late"] == late


@pytest.mark.parametrize("zone", ["", "+00:00", "Z"])
def test_until_without_a_zone_is_utc(tmp_path: Path, zone: str) -> None:
    feed = firm(BillingType="Retainer", PeriodicFee="10", EndDate=None, StartDate="2026-03-01")
    early = replay(tmp_path, feed.records, "--until", f"2026-02-28T23:59:59{zone}")
    on_time = replay(tmp_path, feed.records, "--until", f"2026-03-01T00:00:00{zone}")
    assert (early.billed(), on_time.billed()) == ({}, {"C1:2026-03": ["10.00"]})


def test_an_until_before_the_records_changes_nothing(tmp_path: Path) -> None:
    plain = replay(tmp_path, _lines())
    assert replay(tmp_path, _lines(), "--until", "2020-01-01T00:00:00Z").records == plain.records


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("tomorrow", "--until 'tomorrow' is no time: write it as 2026-01-31T00:00:00Z"),
        ("2026-02-30", "--until '2026-02-30' is no time: write it as 2026-01-31T00:00:00Z"),
        ("9999-12-31T00:00:00Z", "--until 9999-12-31T00:00:00Z is out of range: the last year is 9998"),
    ],
)
def test_a_bad_until_is_named(tmp_path: Path, until: str, message: str) -> None:
    ran = replay(tmp_path, _lines(), "--until", until)
    assert (ran.code, ran.said, ran.records) == (2, f"throughline: {message}\n", [])


def test_a_policy_of_ones_own_is_rehearsed(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "streams" / "policy.yaml"
    own = tmp_path / "own.yaml"
    own.write_text(
        shipped.read_text().replace("limits: {warning: 0.80, critical: 1}", "limits: {warning: 0.5, critical: 1}")
    )
    feed = firm(BillingType="T&M NTE", Cap="1600").at("2026-02-04T09:00:00Z")
    feed.entry("T1")
    assert [a["kind"] for a in replay(tmp_path, feed.records).of("drift.alerts")] == []
    [alert] = replay(tmp_path, feed.records, "--policy", str(own)).of("drift.alerts")
    assert (alert["alert_id"], alert["severity"], alert["threshold"]) == ("cap_burn:C1", "warning", "0.500000")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    gone, source, out = tmp_path / "gone.jsonl", tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(as_lines(_lines()))
    for inputs, options, message in (
        ([str(gone)], [], f"{gone}: cannot be read: No such file or directory"),
        ([str(tmp_path)], [], f"{tmp_path}: cannot be read: Is a directory"),
        ([str(source)], ["--policy", str(gone)], f"{gone}: cannot be read: No such file or directory"),
        ([str(source)], ["--schemas", str(gone)], f"{gone}: cannot be read: No such file or directory"),
    ):
        ran = replay_files(out, inputs, *options)
        assert (ran.code, ran.said) == (2, f"throughline: {message}\n")


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(as_lines(_lines()))
    for out, message in (
        (tmp_path / "no" / "out.jsonl", "cannot be written: No such file or directory"),
        (tmp_path, "cannot be written: Is a directory"),
        (Path("/dev/full"), "cannot be written to the end: No space left on device"),
    ):
        ran = replay_files(out, [str(source)])
        assert (ran.code, ran.said) == (2, f"throughline: {out}: {message}\n")


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(as_lines(_lines()))
    ran = replay_files(source, [str(source)])
    assert ran.code == 2
    assert ran.said == f"throughline: {source} is read: write what is derived to another file\n"
    assert source.read_bytes() == as_lines(_lines())


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_and_output(tmp_path: Path, packed: bool) -> None:
    content = as_lines(_lines())
    result = replay_piped(gzip.compress(content) if packed else content, "--quiet", "-")
    assert (result.returncode, result.stderr) == (0, b"")
    assert [json.loads(line) for line in result.stdout.splitlines()] == replay(tmp_path, content).records


def test_the_same_input_gives_the_same_bytes() -> None:
    # One invoice for triggers of many months: their alerts must not resolve in an order of the moment. One customer
    # that changes hands touches two clients at once.
    feed = firm()
    feed.put("crm.Account", Id="A2")
    feed.contract(ContractNumber="C2", AccountId="A2")
    feed.project(id="P2", contract_number="C2")
    feed.at("2026-07-01T09:00:00Z")
    lines = []
    for month in range(1, 7):
        feed.entry(f"T{month}", work_date=f"2026-{month:02d}-10")
        trigger = trigger_id("C1", "time_entry", f"T{month}", 0)
        lines.append({"LineId": str(month), "TriggerId": trigger, "MilestoneId": None, "Amount": "800"})
    feed.entry("T9", project_id="P2")
    feed.at("2026-07-03T09:00:00Z").put("erp.Invoice", Id="I1", Lines=lines)
    feed.put("erp.Customer", Id="CU1", CrmAccountId="A2")
    runs = {replay_piped(as_lines(feed.records), "--quiet", "-", hash_seed=seed).stdout for seed in range(1, 4)}
    assert len(runs) == 1


CLOSED = {
    "standard input": ("- --out {out} <&-", 2, "throughline: -: standard input is closed\n"),
    "standard output": ("{source} >&-", 2, "throughline: -: standard output is closed\n"),
    "standard error": ("{source} --out {out} 2>&-", 0, ""),
    "a reader that has seen enough": ("--quiet {source} | true; exit ${{PIPESTATUS[0]}}", 1, ""),
}


@pytest.mark.parametrize(("arguments", "code", "said"), CLOSED.values(), ids=CLOSED)
def test_a_closed_stream_is_no_traceback(tmp_path: Path, arguments: str, code: int, said: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(as_lines(_lines()) + b"\n" * 1000)
    command = f"{sys.executable} -c 'from streams.cli import main; main()' replay "
    line = command + arguments.format(source=source, out=tmp_path / "out.jsonl")
    result = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, check=False, text=True)
    assert (result.returncode, result.stderr) == (code, said)


def test_an_interrupt_ends_a_run_without_a_traceback(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from streams.cli import main; main()",
        "replay",
        "-",
        "--out",
        str(tmp_path / "o"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.write(as_lines(_lines() * 3000))
        child.stdin.flush()
        child.send_signal(signal.SIGINT)
        said = child.stderr.read().decode()
        assert child.wait(timeout=30) == 130
        assert "Traceback" not in said


def test_progress_goes_to_standard_error() -> None:
    result = replay_piped(as_lines(_lines()), "-")
    assert result.returncode == 0
    assert result.stderr.decode().startswith(f"replay: {len(_lines())} records in ")
    assert all(line.startswith(b"{") for line in result.stdout.splitlines())


def test_a_broken_line_on_standard_input_is_named_without_a_traceback() -> None:
    result = replay_piped(b"{}\n", "--quiet", "-")
    assert result.returncode == 2
    assert result.stderr == b"throughline: -:1: not a JSON object with topic, key and value\n"


def test_state_that_moves_to_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record for _ in range(2) for record in _lines()]
    in_memory = replay(tmp_path, records)
    monkeypatch.setattr("streams.replay._STATE_BYTES_MAX", 0)
    monkeypatch.setattr("streams.replay._UNFLUSHED_MAX", 0)
    monkeypatch.setattr("streams.replay._FLUSH_CHECK", 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    on_disk = replay(tmp_path, records)
    assert on_disk == in_memory
    assert in_memory.billed() == {"T1": ["800.00"]}
    assert not list(tmp_path.glob("throughline-replay-*"))  # what was put there is gone
