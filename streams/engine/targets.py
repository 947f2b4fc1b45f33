"""The targets of postings, by the names that legal entities give them: one YAML file says where each is and who we are.

Owns reading that file with the mapping of each target, and opening sinks: those of one target share a client, and so
its login and its pace. Does not own what a target is asked, nor the settings of each kind (`target_kinds`).
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from outside import errors, references
from outside.http import Answer, Http, Requests, Uncounted, shown as shown_url
from outside.http_settings import HttpSettings, grant_of, opened
from schemas.lined_yaml import LinedFile, UnusableFile, load, shown
from streams.domain.posting import Posting
from streams.engine.target_kinds import KINDS, FileSettings, Kind, MakesSinks
from streams.sinks.contract import Fatal, Sink
from streams.sinks.file_exchange import NAMES, FileExchanges
from streams.sinks.sftp_connection import Unusable, see_files
from streams.sinks.sftp_files import SftpFiles
from streams.sinks.sftp_settings import SftpSettings

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=100)]
Opener = Callable[[], Sink[Posting]]


class TargetsFile(BaseModel):
    """The file as it stands: the settings of each target are checked by its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    targets: Mapping[Name, Mapping[str, Any]] = Field(min_length=1)


class Surroundings(NamedTuple):
    """What targets are opened with: who counts the requests of each, the time, and how it is waited."""

    told: Callable[[str], Requests] = lambda _name: Uncounted()
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    hold: Callable[[float], object] = time.sleep


@dataclass(frozen=True)
class NamedTarget:
    """One target: where it is, how it may be called, and `open`, which returns a new sink of it, or raises `Fatal`.

    `place` is a URL or a folder, `mapping` its mapping file. `calls_per_second` 0 is any number; `batch_seconds_max`
    None is as the worker's settings have it.
    """

    name: str
    kind: str
    place: str
    mapping: str
    calls_at_once: int
    calls_per_second: float
    batch_seconds_max: float | None
    open: Opener


class NamedTargets:
    """The targets of one file. May be used by several threads."""

    def __init__(self, targets: Mapping[str, NamedTarget]) -> None:
        self._targets = targets

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all targets, in the order of the file."""
        return tuple(self._targets)

    def target(self, name: str) -> NamedTarget:
        """Return a target. Raises ValueError if there is none of the name."""
        target = self._targets.get(name)
        if target is None:
            raise ValueError(f"there is no target {name!r}; there are: {', '.join(self._targets)}")
        return target

    def open(self, name: str) -> Sink[Posting]:
        """Return a new sink of a target.

        Raises:
            ValueError: There is no such target.
            Fatal: Its key or its folder cannot be used.
        """
        return self.target(name).open()


def names_in(path: Path) -> tuple[str, ...]:
    """Return the names of a file of targets, without their settings, which may need secrets. Raises `UnusableFile`."""
    return tuple(load(path, TargetsFile).content.targets)


def load_targets(
    path: Path, environment: Mapping[str, str] = os.environ, surroundings: Surroundings | None = None
) -> NamedTargets:
    """Read a file of targets, the mapping of each, and the keys by which it is logged in. No target is spoken to.

    Raises:
        UnusableFile: A ValueError that names file, line and key of all that is wrong, and no value: it may be a secret.
    """
    reading = _Reading(load(path, TargetsFile), environment, surroundings or Surroundings())
    targets: dict[str, NamedTarget] = {}
    faults: list[str] = []
    for name in reading.file.content.targets:
        try:
            targets[name] = reading.target(name)
        except UnusableFile as error:
            faults.extend(error.faults)
    if faults:
        raise UnusableFile(faults)
    return NamedTargets(targets)


class _Reading:
    """Makes targets of what a file says of them."""

    def __init__(
        self, file: LinedFile[TargetsFile], environment: Mapping[str, str], surroundings: Surroundings
    ) -> None:
        self.file = file
        self._folder = file.path.parent
        self._environment = environment
        self._surroundings = surroundings

    def target(self, name: str) -> NamedTarget:
        given = self._resolved((name,), self.file.content.targets[name])
        kind = given.get("kind")
        if kind == "file":
            return self._exchange(name, self._checked(name, given, FileSettings))
        if not isinstance(kind, str) or kind not in KINDS:
            known = ", ".join([*KINDS, "file"])
            raise self._fault((name, "kind"), f"kind must be one of {known}")
        return self._behind_api(name, kind, self._checked(name, given, KINDS[kind].settings), KINDS[kind])

    def _behind_api(self, name: str, kind: str, settings: Any, made: Kind) -> NamedTarget:
        if settings.key_file is not None:
            settings = settings.model_copy(update={"key_file": self._folder / settings.key_file})
        path = self._folder / settings.mapping
        sinks = made.sinks(name, settings, made.read(path), self._surroundings.clock)
        client = _Client(name, settings, sinks, self._surroundings)
        try:
            if settings.key_file is not None:
                grant_of(settings).form(self._surroundings.clock())  # what it signs is not sent
        except errors.CannotGoOn as error:
            raise self._fault((name, "auth.key.file"), str(error)) from None
        waits = getattr(settings, "batch_seconds_max", None)
        pace = settings.requests_at_once, settings.requests_per_second
        return NamedTarget(name, kind, shown_url(settings.url), shown(path), *pace, waits, client.open)

    def _exchange(self, name: str, settings: FileSettings) -> NamedTarget:
        if not NAMES.fullmatch(name):
            raise self._fault((name,), "it names files: use small letters, digits and hyphens")
        if settings.sftp is None:
            folder = self._folder / settings.folder
            exchanges, place = FileExchanges(folder), shown(folder)
        else:
            sftp = self._with_paths(settings.sftp)
            try:
                see_files(sftp)
            except Unusable as error:
                raise self._fault((name, "sftp"), f"sftp: {error}") from None
            exchanges = FileExchanges(settings.folder, SftpFiles(sftp), sftp.timeout_seconds * 1000)
            place = f"sftp://{sftp.host}:{sftp.port}/{settings.folder}"
        return NamedTarget(name, "file", place, "", 1, 0.0, settings.batch_seconds_max, lambda: exchanges.open(name))

    def _with_paths(self, settings: SftpSettings) -> SftpSettings:
        paths = {"known_hosts": self._folder / settings.known_hosts}
        if settings.key_file is not None:
            paths["key_file"] = self._folder / settings.key_file
        return settings.model_copy(update=paths)

    def _resolved(self, place: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings with what their references refer to."""
        found: dict[str, Any] = {}
        for key, value in given.items():
            try:
                if isinstance(value, dict):
                    found[key] = self._resolved((*place, key), value)
                else:
                    is_text = isinstance(value, str)
                    found[key] = references.resolved(value, self._environment, self._folder) if is_text else value
            except LookupError as error:
                raise self._fault((*place, key), f"{key}: {error.args[0]}") from None
        return found

    def _checked(self, name: str, given: Mapping[str, Any], model: type[Any]) -> Any:
        try:
            return model.model_validate(given)
        except ValidationError as error:
            faults: list[str] = []
            for fault in error.errors():
                said = [*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")]
                faults += self._fault((name, *map(str, fault["loc"])), ": ".join(said)).faults
            raise UnusableFile(faults) from None  # what is left out may be a secret

    def _fault(self, place: tuple[str, ...], said: str) -> UnusableFile:
        return UnusableFile([self.file.fault(("targets", *place), f"{place[0]}: {said}")])


class _Client:
    """The one client of a target, while any of its sinks is open."""

    def __init__(self, name: str, settings: HttpSettings, sinks: MakesSinks, surroundings: Surroundings) -> None:
        self._name = name
        self._settings = settings
        self._sinks = sinks
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._open: tuple[Http, Callable[[Any], Sink[Posting]]] | None = None
        self._users = 0

    def open(self) -> Sink[Posting]:
        told, clock, hold = self._surroundings
        with self._lock:
            if self._open is None:
                try:
                    http = opened(self._settings, told(self._name), clock, hold)
                except errors.CannotGoOn as error:
                    raise Fatal(f"{self._name}: {error}") from error
                self._open = http, self._sinks(http)
            self._users += 1
            http, sink_over = self._open
        return sink_over(_Share(http, self._given_back))

    def _given_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._open is not None:
                self._open[0].close()
                self._open = None


class _Share:
    """One sink's share in a client."""

    def __init__(self, http: Http, given_back: Callable[[], None]) -> None:
        self._http = http
        self._given_back: Callable[[], None] | None = given_back

    def answer(self, method: str, url: str, **more: Any) -> Answer:
        return self._http.answer(method, url, **more)

    def request(self, method: str, url: str, **more: Any) -> Answer:
        return self._http.request(method, url, **more)

    def close(self) -> None:
        given_back, self._given_back = self._given_back, None
        if given_back is not None:
            given_back()
