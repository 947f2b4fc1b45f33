"""What is fetched for a part: once, into a cache, and its jars are compared with their checksums whenever used.

In a part's folder, `jars` holds the jars that Maven resolved, and each archive lies unpacked in a folder by its name.
The checksums of each part are committed beside this module, as `sha256sum` writes them. The cache is `STACK_CACHE`
where that is set, else `throughline/stack` in the user's cache folder; a folder in it is named by part, version and
checksums, so that trees with different pins share it.
"""

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from stack.download import download, repository
from stack.errors import Say, StackError
from stack.locked import locked
from stack.maven import copy_dependencies
from stack.versions import PINS, versions

CACHE_VARIABLE = "STACK_CACHE"

Checksums = Mapping[str, str]
"""Path of a jar in its part's folder -> its SHA-256 in hex."""

JARS = "jars"
_LINE = re.compile(r"([0-9a-f]{64})  ((?!\.|/)(?:(?!/\.|//)[^\n])+\.jar)")


def cache_folder() -> Path:
    """The folder of everything fetched."""
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "throughline" / "stack"


def checksums_file(name: str, pins: Path = PINS) -> Path:
    """Where the checksums of a part are written down."""
    return pins / f"{name}.sha256"


def read_checksums(file: Path) -> Checksums:
    """Read a file as `sha256sum` writes it.

    Raises:
        StackError: It is missing, empty, or has another kind of line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StackError(f"{file}: cannot be read: {error.strerror}; write it with `python -m stack.lock`") from None
    found = [_LINE.fullmatch(line) for line in lines]
    wrong = next((number for number, match in enumerate(found, 1) if match is None), None)
    if wrong is not None or not lines:
        raise StackError(f"{file}:{wrong or 1}: not a checksum and a jar; write it with `python -m stack.lock`")
    return {match[2]: match[1] for match in found if match is not None}


def checksum(jar: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with jar.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def jars_in(folder: Path) -> dict[str, Path]:
    """All jars in a folder and below, by their path in it."""
    return {jar.relative_to(folder).as_posix(): jar for jar in sorted(folder.rglob("*.jar"))}


def verify(folder: Path, expected: Checksums) -> None:
    """Compare the jars of a folder with their checksums.

    Raises:
        StackError: A jar is missing, is not expected, or holds something else.
    """
    there = jars_in(folder)
    for name in sorted(expected.keys() | there.keys()):
        if name not in there:
            raise StackError(f"{folder / name}: the jar is missing")
        if name not in expected:
            raise StackError(f"{folder / name}: nobody asked for this jar")
        found = checksum(there[name])
        if found != expected[name]:
            raise StackError(f"{folder / name}: its SHA-256 is {found}, and {expected[name]} was expected")


def class_path(name: str, say: Say, pins: Path = PINS) -> str:
    """The class path of a part's jars, after fetching what the cache lacks.

    Raises:
        StackError: A jar cannot be fetched, or one is not what was written down.
    """
    return ":".join(str(jar) for jar in sorted((fetched(name, say, pins) / JARS).glob("*.jar")))


def fetched(name: str, say: Say, pins: Path = PINS) -> Path:
    """The folder of a part in the cache, after fetching it if the cache has none.

    Raises:
        StackError: Something cannot be fetched, or a jar is not what was written down.
    """
    part, sums = versions(pins).parts[name], checksums_file(name, pins)
    expected = read_checksums(sums)
    folder = cache_folder() / f"{name}-{part.version}-{checksum(sums)[:8]}"
    with locked(folder.parent / f"{folder.name}.lock", f"another fetch of {name} {part.version}", say):
        if not folder.is_dir():
            say(f"{name} {part.version}: fetching {len(expected)} jars into {folder}")
            _fetch(name, pins, folder, expected, say)
    try:
        verify(folder, expected)
    except StackError as error:
        raise StackError(f"{error}. Remove {folder}, so that it is fetched again") from None
    return folder


def fetch_into(folder: Path, name: str, say: Say, pins: Path = PINS) -> None:
    """Fetch all that a part asks for into a new folder, whatever its checksums.

    Raises:
        StackError: Something cannot be fetched or unpacked.
    """
    part, maven = versions(pins).parts[name], versions(pins).maven
    folder.mkdir()
    if part.jars:
        copy_dependencies(name, part, maven, folder / JARS, say)
    for archive in part.archives_wanted():
        packed = folder.parent / f"{archive.artifact}.tar.gz"
        download(f"{repository(maven.central)}/{archive.path}", packed, say)
        try:
            _unpack(packed, folder / archive.artifact)
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise StackError(f"{archive.path} from {repository(maven.central)} cannot be unpacked: {error}") from None
        packed.unlink()


def _unpack(packed: Path, folder: Path) -> None:
    """Write the files of an archive below a folder. Raises tarfile.TarError for one that would lie elsewhere."""
    with tarfile.open(packed) as content:
        for member in content:
            path = (folder / member.name).resolve()
            if not path.is_relative_to(folder.resolve()) or not (member.isfile() or member.isdir()):
                raise tarfile.TarError(f"{member.name} is no file or folder below the archive's own")
            found = content.extractfile(member)
            if found is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    shutil.copyfileobj(found, file)


def _fetch(name: str, pins: Path, folder: Path, expected: Checksums, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as partial:
        whole = Path(partial, "whole")
        fetch_into(whole, name, say, pins)
        try:
            verify(whole, expected)
        except StackError as error:
            raise StackError(
                f"{error}. It came so from the repository: do not use it unless you know why. "
                f"A jar that was damaged on its way is fetched again once it is gone from ~/.m2/repository"
            ) from None
        whole.rename(folder)
