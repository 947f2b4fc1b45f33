"""`throughline connect` as a script uses it: what it prints, and its exit codes."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from connect.configuration import CONNECTORS_FOLDER
from schemas.debezium import HEARTBEAT_PREFIX
from streams.cli import app
from tests.support.connect import CONFIG, Clock, SimulatedConnect, simulated_connect

NO_BROKERS = "127.0.0.1:1"
NOW_MS = 1_800_000_000_000
TRACE = "java.io.IOException: the host is gone\n\tat a.b(C.java:1)\n"


class Ran(NamedTuple):
    code: int
    out: list[str]
    err: str


class Desk:
    """The command line on a simulated Connect, with a folder of connector files."""

    def __init__(self, connect: SimulatedConnect, folder: Path) -> None:
        self.connect, self.folder = connect, folder

    def write(self, name: str, **settings: str) -> None:
        config = CONFIG | {key.replace("_", "."): value for key, value in settings.items()}
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{name}.json").write_text(json.dumps({"name": name, "config": config}), "utf-8")

    def run(self, *words: str, folder: bool = False) -> Ran:
        command = ["connect", *words, *(("--folder", str(self.folder)) if folder else ())]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        return Ran(result.exit_code, [line.rstrip() for line in result.stdout.splitlines()], result.stderr)

    def apply(self, *words: str) -> Ran:
        return self.run("apply", *words, folder=True)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("connect.commands._patience", Clock().patience)
    with simulated_connect() as connect:
        monkeypatch.setenv("THROUGHLINE_CONNECT_URL", connect.url)
        monkeypatch.setenv("THROUGHLINE_BROKERS", NO_BROKERS)
        monkeypatch.setattr("streams.engine.newest._ANSWER_SECONDS_MAX", 0.1)
        folder = tmp_path / "connectors"
        folder.mkdir()
        yield Desk(connect, folder)


def test_apply_ends_with_0_where_all_is_as_wanted_and_with_1_where_a_dry_run_differs(desk: Desk) -> None:
    desk.write("psa")
    assert desk.apply("--dry-run").code == 1
    assert desk.apply() == Ran(0, ["psa: is made, 3 settings", "psa: running"], "")
    assert desk.apply("--dry-run") == Ran(0, ["psa: as it should be"], "")
    assert desk.apply("psa") == Ran(0, ["psa: as it should be", "psa: running"], "")


def test_apply_ends_with_1_where_a_setting_is_refused_or_a_task_fails(desk: Desk) -> None:
    desk.write("psa")
    desk.connect.order(faults={"slot.name": ["is required"]})
    refused = desk.apply()
    assert (refused.code, refused.out[0]) == (1, "psa: slot.name: is required")
    desk.connect.order(faults={}, ends={"psa": TRACE})
    assert desk.apply().code == 1
    assert desk.run("restart", "psa", "--failed-only") == Ran(0, ["psa: running"], "")
    assert desk.run("restart", "psa", "--failed-only") == Ran(0, ["psa: nothing of it has failed", "psa: running"], "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no file of a connector is there; --folder names another folder"),
        ("{", "psa.json: file: Invalid JSON"),
        ('{"name": "psa", "config": {"tasks.max": "1"}}', "config has no connector.class"),
        (
            '{"name": "psa", "config": {"connector.class": "a", "database.password": "open-sesame"}}',
            "psa: database.password has its secret written out",
        ),
    ],
)
def test_files_that_cannot_be_used_end_with_2(desk: Desk, content: str | None, said: str) -> None:
    if content is not None:
        (desk.folder / "psa.json").write_text(content, "utf-8")
    ran = desk.apply()
    assert (ran.code, ran.out) == (2, [])
    assert said in ran.err
    assert "open-sesame" not in ran.err


def test_a_name_without_a_file_ends_with_2_and_says_which_there_are(desk: Desk) -> None:
    desk.write("psa")
    assert "no file is named nobody; there are psa" in desk.apply("nobody").err


def test_no_answer_ends_with_2(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("psa")
    monkeypatch.setenv("THROUGHLINE_CONNECT_URL", "http://127.0.0.1:1")
    ran = desk.apply()
    assert (ran.code, ran.out) == (2, [])
    assert "check the setting connect_url" in ran.err


def test_status_without_an_answer_of_connect_shows_what_else_is_known_and_ends_with_2(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("psa")
    desk.write("hr", connector_class="throughline.workday")
    monkeypatch.setenv("THROUGHLINE_CONNECT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("connect.commands.time.time_ns", lambda: 60_000_000_000)
    newest = {"__debezium-heartbeat.psa": 56_000, "__debezium-heartbeat.hr": 1_000}
    monkeypatch.setattr(
        "streams.engine.asked.newest_records",
        lambda _brokers, topics: {topic: newest[topic] for topic in topics if topic in newest},
    )
    ran = desk.run("status", "--age-max", "30", folder=True)
    assert [re.split(r"  +", line) for line in ran.out] == [
        ["feed", "state", "tasks", "newest", "behind", "slot lag", "log", "snapshot"],
        ["hr", "feed", "-", "59 s ago", *"----"],
        ["psa", "unknown", "-", "4 s ago", *"----"],
    ]
    assert "hr: nothing came for 30 s or longer\n" in ran.err
    assert ran.err.count("not known: Connect at http://127.0.0.1:1 does not answer (") == 1
    assert ran.code == 2
    stray = desk.run("status", "nobody", folder=True)
    assert (stray.code, stray.out) == (2, [])
    assert f"{desk.folder} has no nobody, and what Connect has is not known: Connect at " in stray.err


def test_status_ends_with_2_where_connect_will_not_say(desk: Desk) -> None:
    desk.write("psa")
    desk.connect.order(starting=100)
    ran = desk.run("status", folder=True)
    assert (ran.code, re.split(r"  +", ran.out[1])[:2]) == (2, ["psa", "unknown"])


def test_settings_that_cannot_be_used_end_with_2(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHLINE_CONNECT_URL", "127.0.0.1:8083")
    ran = desk.run("restart", "psa")
    assert ran.code == 2
    assert "connect_url = '127.0.0.1:8083'" in ran.err


def test_status_lists_connectors_and_feeds_and_what_no_file_names(desk: Desk) -> None:
    desk.write("psa")
    desk.write("stray")
    desk.apply()
    (desk.folder / "stray.json").unlink()
    desk.write("hr", connector_class="throughline.workday")
    ran = desk.run("status", folder=True)
    rows = [re.split(r"  +", line) for line in ran.out]
    assert rows == [
        ["feed", "state", "tasks", "newest", "behind", "slot lag", "log", "snapshot"],
        ["hr", "feed", *"------"],
        ["psa", "RUNNING", "1 RUNNING", *"-----"],
        ["stray", "RUNNING", "1 RUNNING", *"-----"],
    ]
    assert ran.code == 0
    assert ran.err.count(f"not known: brokers {NO_BROKERS}") == 1


def test_status_ends_with_1_where_one_failed_is_missing_or_is_silent_for_too_long(desk: Desk) -> None:
    desk.write("psa")
    assert desk.run("status", folder=True).code == 1
    desk.connect.order(ends={"psa": TRACE})
    desk.apply()
    ran = desk.run("status", "psa", folder=True)
    assert ran.code == 1
    assert "psa: task 0 failed: java.io.IOException: the host is gone" in ran.err
    desk.run("restart", "psa")
    assert desk.run("status", folder=True).code == 0
    silent = desk.run("status", "--age-max", "60", folder=True)
    assert (silent.code, "psa: not known when anything came" in silent.err) == (1, True)
    assert desk.run("status", "nobody", folder=True).code == 2


class Topics:
    """What topics say: when anything came, and what a sink has still to take."""

    def __init__(self, newest: dict[str, int], oldest_ms: int) -> None:
        self._newest, self._oldest_ms = newest, oldest_ms

    def newest(self, topics: Iterable[str]) -> dict[str, int]:
        return {topic: self._newest[topic] for topic in topics if topic in self._newest}

    def absent(self, topics: Iterable[str]) -> list[str]:  # noqa: ARG002
        return []

    def behind(self, group: str, chosen: Callable[[str], bool]) -> tuple[int, int | None]:
        assert (group, chosen("facts"), chosen("others")) == ("connect-analytics", True, False)
        return 1_234, self._oldest_ms

    def notices(self, topic: str) -> list[dict[str, str]]:
        raise AssertionError(topic)

    def count_since(self, topic: str, since_ms: int) -> int:
        raise AssertionError(topic, since_ms)


def test_age_max_tells_of_a_sink_that_takes_nothing_and_not_of_feeds_that_nobody_has(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connect.commands.time", SimpleNamespace(time_ns=lambda: 1_000_000 * NOW_MS))
    topics = Topics({f"{HEARTBEAT_PREFIX}{name}": NOW_MS - 1_000 for name in ("hr", "psa")}, NOW_MS - 90_500)
    monkeypatch.setattr("streams.engine.asked.TopicsAsked", lambda _settings: topics)
    desk.write("psa", topic_prefix="psa")
    desk.write("analytics", topics="facts")
    desk.apply()
    for name, kind in {"hr": "workday", "crm": "salesforce", "history": "files"}.items():
        desk.write(name, connector_class=f"throughline.{kind}")
    fresh = desk.run("status", "--age-max", "120", folder=True)
    assert (fresh.code, fresh.err) == (0, "")
    cells = {line.split("  ")[0]: [*filter(None, re.split(r"  +", line))] for line in fresh.out}
    assert cells["analytics"] == ["analytics", "RUNNING", "1 RUNNING", "-", "1,234, 1 min old", "-", "-", "-"]
    assert cells["crm"] == ["crm", "feed", "-", "never", "-", "-", "-", "-"]
    assert cells["hr"] == ["hr", "feed", "-", "1 s ago", "-", "-", "-", "-"]
    late = desk.run("status", "--age-max", "60", folder=True)
    assert (late.code, late.err) == (1, "analytics: what it has still to take is 60 s old, or older\n")
    monkeypatch.setenv("THROUGHLINE_FEEDS_EXPECTED", '["crm", "hr"]')
    expected = desk.run("status", "--age-max", "120", folder=True)
    assert (expected.code, expected.err) == (1, "crm: nothing ever came\n")


def test_offsets_are_shown_and_forgotten_only_where_stopped_and_meant(desk: Desk) -> None:
    desk.write("psa")
    desk.apply()
    shown = desk.run("offsets", "psa")
    assert json.loads("".join(shown.out)) == [{"partition": {"server": "psa"}, "offset": {"lsn": 100}}]
    running = desk.run("offsets", "psa", "--reset", "--yes")
    assert (running.code, running.err) == (1, "psa is RUNNING; stop it first: `throughline connect stop psa`\n")
    assert desk.run("stop", "psa") == Ran(0, ["psa: stopped"], "")
    unsure = desk.run("offsets", "psa", "--reset")
    assert (unsure.code, "say it with --yes" in unsure.err) == (2, True)
    assert desk.run("offsets", "psa", "--reset", "--yes").code == 0
    assert desk.run("offsets", "psa").out == ["[]"]
    assert desk.run("resume", "psa") == Ran(0, ["psa: running"], "")


def test_pause_and_delete(desk: Desk) -> None:
    desk.write("psa")
    desk.apply()
    assert desk.run("pause", "psa") == Ran(0, ["psa: paused"], "")
    assert desk.run("delete", "psa").code == 2
    assert desk.run("delete", "psa", "--yes").code == 0
    assert desk.run("restart", "psa").code == 2


@pytest.mark.parametrize(
    "words",
    [["restart"], ["offsets"], ["pause"], ["stop"], ["resume"], ["delete", "--yes"], ["offsets", "--reset", "--yes"]],
)
def test_a_name_that_connect_does_not_have_ends_with_2_and_says_what_it_is(desk: Desk, words: list[str]) -> None:
    desk.write("psa")
    desk.write("hr", connector_class="throughline.workday")
    said = {
        "nobody": "Connect has no connector nobody; `throughline connect status` lists those there are",
        "psa": "Connect has no connector psa yet; `throughline connect apply psa` makes it",
        "hr": "hr is a feed, and no connector: Connect does not run it, `throughline feed hr` does",
    }
    command, *options = words
    for name, why in said.items():
        assert desk.run(command, name, *options, folder=True) == Ran(2, [], f"throughline: {why}\n")
    (desk.folder / "broken.json").write_text("{", "utf-8")
    assert "Connect has no connector hr;" in desk.run(command, "hr", *options, folder=True).err


def test_of_a_sink_and_of_a_source_is_said_what_is_true_of_it(desk: Desk) -> None:
    desk.write("psa", slot_name="psa_capture")
    desk.write("facts", topics="analytics.delivery")
    assert desk.apply("psa").code == 0
    for name, anew in (
        ("psa", "begin anew with a first snapshot"),
        ("facts", "write again all that is still in its topics"),
    ):
        desk.apply(name)
        desk.run("stop", name)
        unsure = desk.run("offsets", name, "--reset")
        told = (
            f"throughline: {name} would forget how far it has read, and {anew}; if that is meant, say it with --yes\n"
        )
        assert unsure == Ran(2, [], told)
    left = "psa: removed; if it is not to come back, drop its replication slot psa_capture, too"
    assert desk.run("delete", "psa", "--yes") == Ran(0, [left], "")
    assert desk.run("delete", "facts", "--yes") == Ran(0, ["facts: removed"], "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["apply", "nobody"], "no file is named nobody; there are ours"),
        (["status", "nobody"], "neither our-connectors nor Connect has nobody"),
        (["snapshot", "a", "--connector", "nobody"], "no file is named nobody; there are ours"),
        (["restart", "ours"], "Connect has no connector ours yet"),
        (["offsets", "ours"], "Connect has no connector ours yet"),
        (["pause", "ours"], "Connect has no connector ours yet"),
        (["stop", "ours"], "Connect has no connector ours yet"),
        (["resume", "ours"], "Connect has no connector ours yet"),
        (["delete", "ours", "--yes"], "Connect has no connector ours yet"),
    ],
)
def test_files_are_those_of_the_folder_that_is_named_else_of_the_setting_else_those_shipped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    desk.folder = desk.folder.with_name("our-connectors")
    desk.write("ours")
    ran = desk.run(*words)
    assert (ran.code, said in ran.err) == (2, False)
    monkeypatch.setenv("THROUGHLINE_CONNECTORS_FOLDER", "our-connectors")
    ran = desk.run(*words)
    assert (ran.code, said in ran.err) == (2, True)
    others = desk.folder.with_name("others")
    others.mkdir()
    ran = desk.run(*words, "--folder", str(others))
    assert (ran.code, said in ran.err) == (2, False)


def test_the_watch_reads_the_files_of_the_folder_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk.folder / "broken.json").write_text("{", "utf-8")
    nowhere = ("watch", "--host", "300.0.0.1")
    assert "--host 300.0.0.1 --port 9188" in desk.run(*nowhere).err
    monkeypatch.setenv("THROUGHLINE_CONNECTORS_FOLDER", str(desk.folder))
    assert "broken.json: file: Invalid JSON" in desk.run(*nowhere).err
    assert "--host 300.0.0.1 --port 9188" in desk.run(*nowhere, "--folder", str(CONNECTORS_FOLDER)).err


def test_topics_that_are_not_there_are_told_and_nothing_is_changed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write("facts", topics="analytics.delivery")
    monkeypatch.setattr("streams.engine.asked.known_topics", lambda _: {})
    assert desk.apply() == Ran(
        1,
        [
            "facts: these of its topics are not there: analytics.delivery",
            "nothing was changed: `throughline topics apply` makes those of feeds and mappings; correct other names",
        ],
        "",
    )


def test_where_the_brokers_do_not_answer_that_is_said_and_the_rest_goes_on(desk: Desk) -> None:
    desk.write("facts", topics="analytics.delivery")
    ran = desk.apply()
    assert ran.code == 0
    assert ran.out[0].startswith(f"not known whether all topics are there: brokers {NO_BROKERS}: ")
    assert ran.out[1:] == ["facts: is made, 4 settings", "facts: running"]


@pytest.mark.parametrize(
    ("tables", "options", "said"),
    [
        (["nowhere"], [], "connectors that capture public.nowhere: none; name one with --connector"),
        (["nowhere"], ["--connector", "psa"], "it does not capture public.nowhere; its tables are public.a"),
        (["a"], ["--connector", "nobody"], "no file is named nobody; there are deaf, other, psa"),
        (["a"], [], "connectors that capture public.a: other, psa; name one with --connector"),
        (["psa.public.a"], [], r"psa: it has no database\.hostname"),
        (["psa.public.b"], ["--connector", "psa"], "it does not capture public.b; its tables are public.a"),
        (["a"], ["--connector", "deaf"], "deaf: it has no signal.data.collection, and takes no requests"),
        (["a"], ["--connector", "psa"], "psa: it has no database.hostname; give a DSN with --dsn"),
        (["a"], ["--connector", "psa", "--dsn", "host=127.0.0.1 port=1"], "psa: its database: .*refused"),
    ],
)
def test_requests_that_cannot_be_made_end_with_2(desk: Desk, tables: list[str], options: list[str], said: str) -> None:
    captured = {"table_include_list": "public.a"}
    desk.write("psa", **captured, signal_data_collection="public.debezium_signal", topic_prefix="psa")
    desk.write("other", **captured, signal_data_collection="public.debezium_signal")
    desk.write("deaf", **captured)
    ran = desk.run("snapshot", *tables, *options, folder=True)
    assert (ran.code, ran.out) == (2, [])
    assert re.search(said, ran.err)
