"""Archives of a part: fetched from a repository of the test's own, unpacked, and their jars compared."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stack.errors import StackError, silent
from stack.jars import fetched

VERSIONS = """
[java]
least = 17
[maven]
central = "https://central.example/maven2"
plugin = "a.plugin:copier:1.0"
[parts.toy]
version = "2.0"
image = "org/toy:{version}"
archives = ["org.toy:toy-app:{version}:all"]
"""
PATH = "/org/toy/toy-app/2.0/toy-app-2.0-all.tar.gz"


def packed(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as content:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            content.addfile(member, io.BytesIO(text))
    return archive.getvalue()


class Repository:
    """Serves what the test puts there; `cut` bytes are missing at the end."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut = 0
        self.asked: list[str] = []
        repository = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked.append(self.path)
                content = repository.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write((content or b"")[: len(content or b"") - repository.cut])

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository()
    monkeypatch.setenv("STACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STACK_REPOSITORY", served.url)
    (tmp_path / "versions.toml").write_text(VERSIONS, encoding="utf-8")
    sums = {name: hashlib.sha256(text).hexdigest() for name, text in (("a.jar", b"one"), ("lib/b.jar", b"two"))}
    lines = [f"{checksum}  toy-app/{name}\n" for name, checksum in sums.items()]
    (tmp_path / "toy.sha256").write_text("".join(lines), encoding="utf-8")
    thread = Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def nothing_is_kept(folder: Path) -> bool:
    return not [path for path in (folder / "cache").iterdir() if path.is_dir()]


def test_an_archive_is_fetched_once_and_lies_unpacked(repository: Repository, tmp_path: Path) -> None:
    repository.files[PATH] = packed({"a.jar": b"one", "lib/b.jar": b"two", "README": b"read"})
    folder = fetched("toy", silent, tmp_path)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "toy-app/README",
        "toy-app/a.jar",
        "toy-app/lib/b.jar",
    ]
    assert fetched("toy", silent, tmp_path) == folder
    assert repository.asked == [PATH]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.jar": b"one", "lib/b.jar": b"2"}, "toy-app/lib/b.jar: its SHA-256 is "),
        ({"a.jar": b"one"}, "toy-app/lib/b.jar: the jar is missing"),
        ({"a.jar": b"one", "lib/b.jar": b"two", "c.jar": b"three"}, "toy-app/c.jar: nobody asked for this jar"),
        ({"../a.jar": b"one"}, "cannot be unpacked"),
    ],
)
def test_an_archive_that_holds_something_else_is_not_kept(
    repository: Repository, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    repository.files[PATH] = packed(files)
    with pytest.raises(StackError, match=said):
        fetched("toy", silent, tmp_path)
    assert nothing_is_kept(tmp_path)


def test_one_that_is_cut_off_or_not_there_is_not_kept(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=f"^{repository.url}{PATH} cannot be fetched: Not Found. It needs the network"):
        fetched("toy", silent, tmp_path)
    repository.files[PATH], repository.cut = packed({"a.jar": b"one", "lib/b.jar": b"two"}), 10
    with pytest.raises(StackError, match=f"^{repository.url}{PATH} (cannot be fetched|was cut off)"):
        fetched("toy", silent, tmp_path)
    assert nothing_is_kept(tmp_path)
    repository.cut = 0
    assert fetched("toy", silent, tmp_path).is_dir()


def test_what_is_no_archive_is_said(repository: Repository, tmp_path: Path) -> None:
    repository.files[PATH] = b"<html>"
    with pytest.raises(StackError, match=rf"toy-app-2\.0-all\.tar\.gz from {repository.url} cannot be unpacked"):
        fetched("toy", silent, tmp_path)
