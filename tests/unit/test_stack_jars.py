"""Fetching jars against their checksums, with a Maven of the test's own."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stack.errors import StackError, silent
from stack.jars import cache_folder, checksum, class_path, read_checksums, verify
from stack.maven import pom, settings
from stack.versions import PartVersion
from tests.support.programs import put_program

VERSIONS = """
[java]
least = 17
[maven]
central = "https://central.example/maven2"
plugin = "a.plugin:copier:1.0"
[parts.toy]
version = "2.0"
image = "org/toy:{version}"
jars = ["org.toy:toy:{version}"]
"""
# Writes down how it was called, and leaves two jars where it was told to.
MAVEN = """
echo "$@" >> "$CALLS"
for word in "$@"; do
  case $word in -DoutputDirectory=*) into=${word#*=} ;; esac
done
echo "[INFO] Downloaded from central: toy-2.0.jar"
printf one > "$into/toy-2.0.jar"
printf two > "$into/needed-1.0.jar"
"""
SUMS = {
    "jars/needed-1.0.jar": hashlib.sha256(b"two").hexdigest(),
    "jars/toy-2.0.jar": hashlib.sha256(b"one").hexdigest(),
}


class Place:
    """Pins, a cache, and a folder on the PATH with nothing in it but what the test puts there."""

    def __init__(self, folder: Path) -> None:
        self.pins, self.cache, self.programs, self.calls = (folder / name for name in ("pins", "cache", "bin", "calls"))
        self.pins.mkdir()
        (self.pins / "versions.toml").write_text(VERSIONS, encoding="utf-8")
        self.pin(SUMS)

    def pin(self, sums: dict[str, str]) -> None:
        lines = [f"{checksum}  {name}\n" for name, checksum in sums.items()]
        (self.pins / "toy.sha256").write_text("".join(lines), encoding="utf-8")

    def class_path(self, say: Callable[[str], None] = silent) -> str:
        return class_path("toy", say, self.pins)

    def fetched(self) -> Path:
        (folder,) = (path for path in self.cache.iterdir() if path.is_dir())
        return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    put_program(place.programs, "mvn", MAVEN)
    monkeypatch.setenv("PATH", str(place.programs))
    monkeypatch.setenv("STACK_CACHE", str(place.cache))
    monkeypatch.setenv("CALLS", str(place.calls))
    return place


def test_jars_are_fetched_once_and_put_on_the_class_path(place: Place) -> None:
    said: list[str] = []
    first = place.class_path(said.append)
    folder = place.fetched()
    assert folder.name.startswith("toy-2.0-")
    assert first == f"{folder}/jars/needed-1.0.jar:{folder}/jars/toy-2.0.jar"
    assert said == [f"toy 2.0: fetching 2 jars into {folder}"]
    assert place.class_path(said.append) == first
    assert len(said) == 1
    (call,) = place.calls.read_text(encoding="utf-8").splitlines()
    assert "--batch-mode --strict-checksums --global-settings" in call
    assert "-DincludeScope=runtime" in call
    assert call.endswith(" a.plugin:copier:1.0:copy-dependencies")


def test_other_checksums_are_another_folder(place: Place) -> None:
    place.class_path()
    before = place.fetched()
    place.pin(dict(reversed(SUMS.items())))
    after = Path(place.class_path().split(":", maxsplit=1)[0]).parents[1]
    assert after != before
    assert before.is_dir()


def test_a_wrong_jar_from_the_repository_is_not_kept(place: Place) -> None:
    place.pin({**SUMS, "jars/toy-2.0.jar": "0" * 64})
    with pytest.raises(StackError) as refused:
        place.class_path()
    found = SUMS["jars/toy-2.0.jar"]
    assert f"toy-2.0.jar: its SHA-256 is {found}, and {'0' * 64} was expected. It came so from the repo" in str(
        refused.value
    )
    assert [path.name for path in place.cache.iterdir() if path.is_dir()] == []


def test_a_jar_that_changed_in_the_cache_is_not_used(place: Place) -> None:
    place.class_path()
    (place.fetched() / "jars" / "toy-2.0.jar").write_bytes(b"other")
    with pytest.raises(StackError, match=r"toy-2\.0\.jar: its SHA-256 is .* Remove .*, so that it is fetched again"):
        place.class_path()


def test_two_at_once_fetch_once(place: Place, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    put_program(place.programs, "mvn", f"read -r _ < {gate}\n{MAVEN}")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("waiting for"):
            gate.write_text("go\n", encoding="utf-8")  # the first one fetches only now

    with ThreadPoolExecutor(2) as both:
        first, second = (both.submit(place.class_path, say) for _ in range(2))
        assert first.result() == second.result()
    assert "waiting for another fetch of toy 2.0" in said
    assert len(place.calls.read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    "lines",
    [
        ["[INFO] working", "[ERROR] Could not transfer toy -> [Help 1]", "[ERROR]", "[ERROR] Re-run Maven with -X"],
        ["Could not transfer toy"],
    ],
)
def test_what_maven_says_is_passed_on(place: Place, lines: list[str]) -> None:
    put_program(place.programs, "mvn", "\n".join([*(f"echo '{line}'" for line in lines), "exit 1"]))
    with pytest.raises(StackError) as refused:
        place.class_path()
    assert str(refused.value) == (
        "Maven cannot fetch toy 2.0: Could not transfer toy\n"
        "It needs the network, or a mirror in ~/.m2/settings.xml; run the same command again"
    )


def test_without_maven_the_package_is_named(place: Place) -> None:
    (place.programs / "mvn").unlink()
    with pytest.raises(StackError, match=r"no Maven \(mvn\) on the PATH.*: apt install default-jre-headless maven$"):
        place.class_path()


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STACK_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "throughline" / "stack"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "throughline" / "stack"
    monkeypatch.setenv("STACK_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.jar": b"1", "b.jar": b"2"}, None),
        ({"a.jar": b"1"}, "b.jar: the jar is missing"),
        ({"a.jar": b"1", "b.jar": b"2", "c.jar": b"3"}, "c.jar: nobody asked for this jar"),
        ({"a.jar": b"1", "b.jar": b"3"}, f"b.jar: its SHA-256 is {hashlib.sha256(b'3').hexdigest()}, and "),
    ],
)
def test_a_folder_holds_the_jars_expected_and_no_others(
    tmp_path: Path, files: dict[str, bytes], said: str | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    expected = {"a.jar": hashlib.sha256(b"1").hexdigest(), "b.jar": hashlib.sha256(b"2").hexdigest()}
    if said is None:
        verify(tmp_path, expected)
        assert {name: checksum(tmp_path / name) for name in files} == expected
        return
    with pytest.raises(StackError) as refused:
        verify(tmp_path, expected)
    assert str(refused.value).startswith(f"{tmp_path}/{said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: not a checksum and a jar"),
        (f"{'0' * 64}  a.jar\n{'0' * 63}  b.jar\n", ":2: not a checksum and a jar"),
        (f"{'0' * 64}  ../a.jar\n", ":1: not a checksum and a jar"),
        (f"{'0' * 64}  /a.jar\n", ":1: not a checksum and a jar"),
        (f"{'0' * 64}  lib/../a.jar\n", ":1: not a checksum and a jar"),
    ],
)
def test_a_wrong_list_of_checksums_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "toy.sha256"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(StackError) as refused:
        read_checksums(file)
    assert str(refused.value).startswith(f"{file}{said}")


def test_the_project_for_maven_asks_for_the_jars_and_no_more() -> None:
    part = PartVersion(
        version="2.0", image="org/toy:{version}", jars=("org.toy:toy_2.13:{version}", "org.log:log-core:1.5")
    )
    assert pom("toy", part).splitlines() == [
        '<project xmlns="http://maven.apache.org/POM/4.0.0">',
        "  <modelVersion>4.0.0</modelVersion>",
        "  <groupId>throughline.stack</groupId><artifactId>toy</artifactId><version>2.0</version>"
        "<packaging>pom</packaging>",
        "  <dependencies>",
        "    <dependency><groupId>org.toy</groupId><artifactId>toy_2.13</artifactId><version>2.0</version>"
        "</dependency>",
        "    <dependency><groupId>org.log</groupId><artifactId>log-core</artifactId><version>1.5</version>"
        "</dependency>",
        "  </dependencies>",
        "</project>",
    ]
    assert "<mirrorOf>*</mirrorOf><url>https://central.example/m?a&amp;b</url>" in settings(
        "https://central.example/m?a&b"
    )
