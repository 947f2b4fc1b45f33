"""The targets of postings, by the names that legal entities give them: one YAML file says where each is and who we are.

Owns reading that file with the mapping of each target, and opening sinks: those of one target share a client, and so
its login and its pace. Does not own what a target is asked.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from outside import errors, references
from outside.http import Answer, Http, Requests
from outside.http_settings import HttpSettings, opened
from schemas.lined_yaml import LinedFile, UnusableFile, load
from streams.domain.posting import Posting
from streams.sinks.contract import Fatal, Sink
from streams.sinks.dynamics import Dynamics, DynamicsMapping
from streams.sinks.file_exchange import FileExchanges
from streams.sinks.netsuite import NetSuite, NetSuiteMapping
from streams.sinks.oracle import OracleFusion, OracleMapping
from streams.sinks.rest import Rest
from streams.sinks.sap import Sap, SapMapping, Session
from streams.sinks.target_mapping import TargetMapping, TargetNames, target_names

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=100)]
Opener = Callable[[], Sink[Posting]]


class TargetsFile(BaseModel):
    """The file as it stands: the settings of each target are checked by its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    targets: Mapping[Name, Mapping[str, Any]] = Field(min_length=1)


class FileSettings(BaseModel):
    """A managed file exchange."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["file"]
    folder: Path = Field(description="Folder of all exchanges; each target has one of its name within.")


class ApiSettings(HttpSettings):
    """A target behind an API: beside these, what all that is reached by HTTP has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    mapping: Path = Field(description="Mapping file of the target, from the folder of this file.")
    requests_at_once: int = Field(
        default=4, ge=1, le=100, alias="calls_at_once", description="Calls under way at one moment, at most."
    )
    requests_per_second: float = Field(
        default=0.0, ge=0, le=1_000, alias="calls_per_second", description="Calls a second, at most; 0: any number."
    )


class DynamicsSettings(ApiSettings):
    """Dynamics 365, which takes several postings with a call."""

    postings_per_call: int = Field(default=1, ge=1, le=100, description="Postings in one batch; 1: no batches.")


class Kind(NamedTuple):
    """One kind of target behind an API."""

    settings: type[ApiSettings]
    mapping: type[TargetMapping]
    sinks: Callable[[Any, TargetNames[Any]], Callable[[Rest], Sink[Posting]]]
    """(settings, mapping) to what makes sinks of one client."""


def _netsuite(settings: ApiSettings, names: TargetNames[NetSuiteMapping]) -> Callable[[Rest], Sink[Posting]]:
    return lambda rest: NetSuite(rest, names, settings.requests_at_once)


def _oracle(settings: ApiSettings, names: TargetNames[OracleMapping]) -> Callable[[Rest], Sink[Posting]]:
    return lambda rest: OracleFusion(rest, names, settings.requests_at_once)


def _dynamics(settings: DynamicsSettings, names: TargetNames[DynamicsMapping]) -> Callable[[Rest], Sink[Posting]]:
    return lambda rest: Dynamics(rest, names, settings.requests_at_once, settings.postings_per_call)


def _sap(settings: ApiSettings, names: TargetNames[SapMapping]) -> Callable[[Rest], Sink[Posting]]:
    session = Session()  # the cookies of one client are those of one session
    return lambda rest: Sap(rest, names, settings.requests_at_once, session)


KINDS: Final = {
    "netsuite": Kind(ApiSettings, NetSuiteMapping, _netsuite),
    "oracle": Kind(ApiSettings, OracleMapping, _oracle),
    "dynamics": Kind(DynamicsSettings, DynamicsMapping, _dynamics),
    "sap": Kind(ApiSettings, SapMapping, _sap),
}
"""The kinds of targets behind an API; `file` is the other one."""


class Uncounted:
    """Who counts requests: nobody."""

    def requested(self, status: str) -> None:
        """A request was answered."""

    def held(self, seconds: float) -> None:
        """A request was held back."""


class Surroundings(NamedTuple):
    """What targets are opened with: who counts the requests of each, the time, and how it is waited."""

    told: Callable[[str], Requests] = lambda _name: Uncounted()
    clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    hold: Callable[[float], object] = time.sleep


class Targets:
    """The targets of one file. May be used by several threads."""

    def __init__(self, openers: Mapping[str, Opener]) -> None:
        self._openers = openers

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all targets, in the order of the file."""
        return tuple(self._openers)

    def open(self, name: str) -> Sink[Posting]:
        """Return a new sink of a target.

        Raises:
            ValueError: There is no such target.
            Fatal: Its key or its folder cannot be used.
        """
        opener = self._openers.get(name)
        if opener is None:
            raise ValueError(f"there is no target {name!r}; there are: {', '.join(self._openers)}")
        return opener()


def load_targets(
    path: Path, environment: Mapping[str, str] = os.environ, surroundings: Surroundings | None = None
) -> Targets:
    """Read a file of targets and the mapping of each.

    Raises:
        UnusableFile: A ValueError that names file, line and key of all that is wrong, and no value: it may be a secret.
    """
    file = load(path, TargetsFile)
    openers: dict[str, Opener] = {}
    faults: list[str] = []
    for name in file.content.targets:
        try:
            openers[name] = _opener(file, name, environment, surroundings or Surroundings())
        except UnusableFile as error:
            faults.extend(error.faults)
    if faults:
        raise UnusableFile(faults)
    return Targets(openers)


def _opener(
    file: LinedFile[TargetsFile], name: str, environment: Mapping[str, str], surroundings: Surroundings
) -> Opener:
    given = _resolved(file, name, environment)
    kind = given.get("kind")
    if kind == "file":
        exchanges = FileExchanges(file.path.parent / _checked(file, name, given, FileSettings).folder)
        return lambda: exchanges.open(name)
    if kind not in KINDS:
        known = ", ".join([*KINDS, "file"])
        raise UnusableFile([file.fault(("targets", name, "kind"), f"{name}: kind must be one of {known}")])
    settings = _checked(file, name, given, KINDS[kind].settings)
    if settings.key_file is not None:
        settings = settings.model_copy(update={"key_file": file.path.parent / settings.key_file})
    names = target_names(file.path.parent / settings.mapping, KINDS[kind].mapping)
    return _Client(name, settings, KINDS[kind].sinks(settings, names), surroundings).open


def _resolved(file: LinedFile[TargetsFile], name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return a target's settings with what their references refer to."""
    found: dict[str, Any] = {}
    for key, value in file.content.targets[name].items():
        try:
            found[key] = references.resolved(value, environment) if isinstance(value, str) else value
        except LookupError as error:
            raise UnusableFile([file.fault(("targets", name, key), f"{name}: {key}: {error.args[0]}")]) from None
    return found


def _checked(file: LinedFile[TargetsFile], name: str, given: Mapping[str, Any], model: type[Any]) -> Any:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = [
            file.fault(
                ("targets", name, *fault["loc"]),
                ": ".join([name, *map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")]),
            )
            for fault in error.errors()
        ]
        raise UnusableFile(faults) from None  # what is left out may be a secret


class _Client:
    """The one client of a target, while any of its sinks is open."""

    def __init__(
        self, name: str, settings: ApiSettings, sink: Callable[[Rest], Sink[Posting]], surroundings: Surroundings
    ) -> None:
        self._name = name
        self._settings = settings
        self._sink = sink
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._http: Http | None = None
        self._users = 0

    def open(self) -> Sink[Posting]:
        told, clock, hold = self._surroundings
        with self._lock:
            if self._http is None:
                try:
                    self._http = opened(self._settings, told(self._name), clock, hold)
                except errors.CannotGoOn as error:
                    raise Fatal(f"{self._name}: {error}") from error
            self._users += 1
            share = _Share(self._http, self._given_back)
        return self._sink(Rest(self._name, self._settings.url, share, clock, self._settings.timeout_ms))

    def _given_back(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._http is not None:
                self._http.close()
                self._http = None


class _Share:
    """One sink's share in a client: the last one that is closed closes it."""

    def __init__(self, http: Http, given_back: Callable[[], None]) -> None:
        self._http = http
        self._given_back: Callable[[], None] | None = given_back

    def answer(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return self._http.answer(method, url, params=params, content=content, headers=headers)

    def close(self) -> None:
        given_back, self._given_back = self._given_back, None
        if given_back is not None:
            given_back()
