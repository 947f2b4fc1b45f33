"""The room: which parts, on which ports, and what a folder remembers of them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from stack import room
from stack.connect import Connect
from stack.connect_files import properties
from stack.errors import StackError
from stack.kafka import Kafka
from stack.parts import NAMES
from stack.room import Room
from stack.variables import write
from tests.support.programs import put_program

SHIPPED = [*(Path(room.__file__).parents[1] / "connect").glob("*/*.json")]
RUN_ALREADY: set[str] = set()


class Standing:
    """A part that starts at once; what was asked of it is written down."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self._told = name, told

    def pids(self) -> list[int | None]:
        return [1, 2 if self.name in RUN_ALREADY else None]

    def stop(self) -> None:
        self._told.append(f"stop {self.name}")

    def launch(self) -> None:
        self._told.append(f"launch {self.name}")

    def wait(self) -> None:
        self._told.append(f"wait {self.name}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []

    def part(_: Room, name: str, brokers: int | None, first_port: int | None) -> Standing:
        said.append(f"{name} brokers={brokers} port={first_port}")
        return Standing(name, said)

    monkeypatch.setattr(Room, "_part", part)
    monkeypatch.setattr(room, "_NEEDS", dict.fromkeys(NAMES, ()))
    return said


def started(told: list[str]) -> list[str]:
    return [line for line in told if line.startswith(("launch", "wait"))]


def test_all_parts_start_in_two_waves(tmp_path: Path, told: list[str]) -> None:
    Room(tmp_path, told.append).up()
    assert started(told) == [
        "launch kafka", "launch postgresql", "wait kafka", "wait postgresql",
        "launch registry", "launch connect", "launch prometheus",
        "wait registry", "wait connect", "wait prometheus",
    ]  # fmt: skip
    assert [line for line in told if line.startswith("starting")] == [
        "starting kafka, postgresql",
        "starting registry, connect, prometheus",
    ]


def test_what_runs_is_told_apart_from_what_is_started(
    tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.RUN_ALREADY", {"kafka", "postgresql", "connect"})
    Room(tmp_path, told.append).up()
    assert [line for line in told if "start" in line or "already" in line] == [
        "kafka, postgresql: up already",
        "starting registry, prometheus",
        "connect: up already",
    ]


def test_it_is_said_what_is_stopped_and_removed(tmp_path: Path) -> None:
    said: list[str] = []
    place = Room(tmp_path / "room", said.append)
    place.down(wipe=False)
    (tmp_path / "room").mkdir()
    place.down(wipe=False)
    place._lay_out(None, None)
    broker = place._part("kafka", None, None)
    assert isinstance(broker, Kafka)
    broker.brokers[0].folder.mkdir()
    broker.brokers[0].daemon.start(["/bin/sleep", "600"])
    place.down(wipe=True)
    folder = tmp_path / "room"
    assert said == [
        f"nothing was started in {folder}",
        f"nothing runs in {folder}",
        "stopping kafka",
        f"removing what was kept in {folder}",
    ]
    assert not folder.exists()


def test_variables_are_of_what_was_started_and_for_us_alone(tmp_path: Path, told: list[str]) -> None:
    Room(tmp_path, told.append).up()
    file = tmp_path / "env"
    assert (file.read_text("utf-8"), file.stat().st_mode & 0o777) == ("", 0o600)
    assert told[-1] == f"settings for a shell: set -a; . {file}; set +a"


def test_variables_lead_to_each_part_and_connect_is_given_those_that_its_connectors_ask_for(tmp_path: Path) -> None:
    place = Room(tmp_path, lambda _: None)
    place._lay_out(None, None)
    parts = {name: place._part(name, None, None) for name in ("kafka", "postgresql", "registry", "connect")}
    (tmp_path / "postgresql" / "password").write_text("it's\n", "ascii")
    found = place.variables()
    words = {name: found.pop(f"{name}_DATABASE_PASSWORD") for name in ("PSA", "ANALYTICS", "TRYTON")}
    assert len({*words.values()}) == 3
    of_tables = {
        f"{name.upper()}_DATABASE_{key}": value
        for name, role in (("psa", "debezium"), ("analytics", "analytics_sink"), ("tryton", "tryton_capture"))
        for key, value in {"HOST": "127.0.0.1", "PORT": "19432", "NAME": name, "USER": role}.items()
    }
    assert found == {
        "THROUGHLINE_BROKERS": "127.0.0.1:19092",
        "THROUGHLINE_CONTRACTS__REGISTRY_URL": "http://127.0.0.1:19081/apis/ccompat/v7",
        "THROUGHLINE_CONNECT_URL": "http://127.0.0.1:19083",
        "REGISTRY_URL": "http://127.0.0.1:19081",
        "PGHOST": "127.0.0.1", "PGPORT": "19432", "PGDATABASE": "postgres", "PGUSER": "throughline",
        "PGPASSWORD": "it's",
        **of_tables,
    }  # fmt: skip
    given = place.connect().environment()
    assert given == {**of_tables, "REGISTRY_URL": "http://127.0.0.1:19081"} | {
        f"{name}_DATABASE_PASSWORD": word for name, word in words.items()
    }
    shipped = {value for file in SHIPPED for value in re.findall(r"\$\{env:(\w+)\}", file.read_text("utf-8"))}
    assert {name for name in shipped if "_DATABASE_" in name or name == "REGISTRY_URL"} <= given.keys()
    assert {(tmp_path / "postgresql" / f"{name}-password").stat().st_mode & 0o777 for name in ("psa", "tryton")} == {
        0o600
    }
    assert parts["connect"].pids() == [None]

    write(tmp_path / "env", place.variables())
    told = subprocess.run(
        ["/bin/sh", "-c", f'. {tmp_path}/env; printf %s "$PGPASSWORD"'], capture_output=True, check=True
    )
    assert told.stdout == b"it's"


def test_connect_that_was_started_with_other_variables_is_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Connect, "command", lambda _: ["/bin/sleep", "600"])
    first = Connect(tmp_path, "a:1", variables={"REGISTRY_URL": "a"}, say=said.append)
    first.launch()
    (pid,) = first.pids()
    first.launch()
    assert (first.pids(), said) == ([pid], [])
    second = Connect(tmp_path, "a:1", variables={"REGISTRY_URL": "b"}, say=said.append)
    second.launch()
    assert said == ["connect: it was started before what its connectors come to, and is started anew"]
    assert second.daemon.variables()["REGISTRY_URL"] == "b"
    assert second.pids() not in ([pid], [None])
    second.kill()
    assert second.daemon.variables() == {}
    first.kill()


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["kafka"], ["kafka"]),
        (["postgresql"], ["postgresql"]),
        (["connect"], ["kafka", "connect"]),
        (["registry", "postgresql"], ["kafka", "postgresql", "registry"]),
        (["tryton"], ["postgresql", "tryton"]),
    ],
)
def test_a_part_starts_with_what_it_stands_on_and_no_other(
    tmp_path: Path, told: list[str], names: list[str], parts: list[str]
) -> None:
    Room(tmp_path, told.append).up(names, 3, 29_092)
    assert [line for line in told if "=" in line] == [f"{name} brokers=3 port=29092" for name in parts]


def test_an_unknown_part_is_refused_and_nothing_starts(tmp_path: Path, told: list[str]) -> None:
    with pytest.raises(StackError) as refused:
        Room(tmp_path / "room", told.append).up(["kafka", "oracle"])
    assert str(refused.value) == f"there is no part oracle; there is {', '.join(NAMES)}"
    assert told == []
    assert not (tmp_path / "room").exists()


def test_ports_lie_beside_kafkas(tmp_path: Path) -> None:
    place = Room(tmp_path, lambda _: None)
    place._lay_out(None, None)
    ports = {name: place._part(name, None, None).lines()[0].address for name in NAMES}
    assert ports == {
        "kafka": "127.0.0.1:19092",
        "postgresql": "127.0.0.1:19432",
        "registry": "127.0.0.1:19081",
        "connect": "127.0.0.1:19083",
        "prometheus": "127.0.0.1:19090",
        "tryton": "127.0.0.1:19000",
    }
    place._lay_out(29_092, None)
    moved = {name: place._part(name, None, 29_092).lines()[0].address for name in NAMES}
    assert moved["connect"] == "127.0.0.1:29083"
    again = {line.name: line.address for line in Room(tmp_path, lambda _: None).lines()}
    assert again == {"kafka 1": moved.pop("kafka"), **moved}
    assert {line.pid for line in place.lines()} == {None}


def test_a_room_on_free_ports_stays_on_them(tmp_path: Path) -> None:
    place = Room(tmp_path, lambda _: None)
    place._lay_out(0, None)
    first = [place._part(name, None, 0).lines()[0].address for name in NAMES]
    assert len({*first}) == len(NAMES)
    assert "127.0.0.1:19092" not in first
    assert [place._part(name, None, None).lines()[0].address for name in NAMES] == first


def test_a_layout_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "room.json").write_text("[", encoding="utf-8")
    with pytest.raises(StackError, match=r"room\.json: cannot be read .* remove it, and name the ports again"):
        Room(tmp_path, lambda _: None)._part("registry", None, None)
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "port.json").write_text('"x"', encoding="utf-8")
    (tmp_path / "room.json").write_text(json.dumps({}), encoding="utf-8")
    Room(tmp_path, lambda _: None).kafka()
    with pytest.raises(StackError, match=r"port\.json: says no port .* remove the folder"):
        Room(tmp_path, lambda _: None)._part("registry", None, None)


def test_what_a_part_needs_is_looked_for_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("stack.tools.DEBIAN_POSTGRESQL", tmp_path / "debian")
    put_program(tmp_path / "bin", "java", """echo 'openjdk version "17.0.1"' >&2""")
    with pytest.raises(StackError, match=r"^there is no PostgreSQL on the PATH or in .*: apt install postgresql$"):
        Room(tmp_path / "room", lambda _: None).up()
    assert not (tmp_path / "room").exists()


def test_a_worker_of_connect_keeps_as_many_copies_as_there_are_brokers() -> None:
    assert {key: value for key, value in properties("a:1,b:2,c:3", 3).items() if key.endswith("factor")} == {
        "config.storage.replication.factor": "3",
        "offset.storage.replication.factor": "3",
        "status.storage.replication.factor": "3",
    }
