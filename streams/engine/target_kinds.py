"""The kinds of targets: the settings of each, and how its sinks are made.

Owns what a file of targets may say of a target. Does not own reading it (`targets`), nor what a target is asked
(`streams.sinks`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from outside.http import Answer, Http
from outside.http_settings import HttpSettings
from streams.domain.posting import Posting
from streams.sinks.contract import Sink
from streams.sinks.dynamics import Dynamics, DynamicsMapping
from streams.sinks.netsuite import NetSuite, NetSuiteMapping
from streams.sinks.oracle import OracleFusion, OracleMapping
from streams.sinks.rest import LATE_MS_MAX, Rest
from streams.sinks.sap import Sap, SapMapping, Session as SapSession
from streams.sinks.sftp_settings import SftpSettings
from streams.sinks.target_mapping import TargetMapping, target_names
from streams.sinks.tryton import Tryton
from streams.sinks.tryton_books import read_mapping
from streams.sinks.tryton_rpc import TrytonRpc, TrytonSettings, session_of

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)
_Waits = Field(
    default=None,
    ge=0,
    le=86_400,
    description="Seconds that the first posting of a batch waits for others; absent: `sinks.batch_seconds_max`.",
)
_Mapping = Field(description="Mapping file of the target, from the folder of this file.")
_PerSecond = Field(
    default=0.0, ge=0, le=1_000, alias="calls_per_second", description="Calls a second, at most; 0: any number."
)


class FileSettings(BaseModel):
    """A managed file exchange, in a folder here or over SFTP."""

    model_config = _STRICT

    kind: Literal["file"]
    folder: Path = Field(description="Folder of all exchanges; each target has one of its name within.")
    sftp: SftpSettings | None = Field(default=None, description="The machine where the folder is; absent: this one.")
    batch_seconds_max: float | None = _Waits


class ApiSettings(HttpSettings):
    """A target behind an API: beside these, what all that is reached by HTTP has."""

    model_config = _STRICT

    kind: str
    mapping: Path = _Mapping
    requests_at_once: int = Field(
        default=4, ge=1, le=100, alias="calls_at_once", description="Calls under way at one moment, at most."
    )
    requests_per_second: float = _PerSecond
    late_ms_max: int = Field(
        default=LATE_MS_MAX,
        ge=0,
        le=86_400_000,
        alias="late.ms.max",
        description="Milliseconds after which a call that was given up is certainly not carried out any more, and "
        "searches show what was booked.",
    )


class DynamicsSettings(ApiSettings):
    """Dynamics 365, which takes several postings with a call."""

    postings_per_call: int = Field(default=1, ge=1, le=100, description="Postings in one batch; 1: no batches.")
    batch_seconds_max: float | None = _Waits


class TrytonTargetSettings(TrytonSettings):
    """Tryton, which is called one call at a time."""

    model_config = _STRICT

    kind: Literal["tryton"]
    mapping: Path = _Mapping
    requests_at_once: Literal[1] = Field(default=1, alias="calls_at_once", description="Calls under way: 1.")
    requests_per_second: float = _PerSecond
    batch_seconds_max: float | None = _Waits


class Share(Protocol):
    """One sink's share in the client of its target: the last one that is closed closes it."""

    def answer(self, method: str, url: str, **more: Any) -> Answer:
        """Make a request, as `Http.answer` does."""

    def request(self, method: str, url: str, **more: Any) -> Answer:
        """Make a request, as `Http.request` does."""

    def close(self) -> None:
        """Give the share back."""


MakesSinks = Callable[[Http], Callable[[Share], Sink[Posting]]]
"""For a new client of a target: what makes sinks over shares in it."""


class Kind(NamedTuple):
    """One kind of target behind an API."""

    settings: type[HttpSettings]
    read: Callable[[Path], Any]
    """Reads a mapping file. Raises `schemas.lined_yaml.UnusableFile`."""
    sinks: Callable[[str, Any, Any, Callable[[], int]], MakesSinks]
    """(name, settings, mapping, clock) to what makes sinks."""


def _names(model: type[TargetMapping]) -> Callable[[Path], Any]:
    return lambda path: target_names(path, model)


def _rest(name: str, settings: ApiSettings, share: Share, clock: Callable[[], int]) -> Rest:
    return Rest(name, settings.url, share, clock, settings.timeout_ms, settings.late_ms_max)


def _netsuite(name: str, settings: ApiSettings, names: Any, clock: Callable[[], int]) -> MakesSinks:
    return lambda _: lambda share: NetSuite(_rest(name, settings, share, clock), names, settings.requests_at_once)


def _oracle(name: str, settings: ApiSettings, names: Any, clock: Callable[[], int]) -> MakesSinks:
    return lambda _: lambda share: OracleFusion(_rest(name, settings, share, clock), names, settings.requests_at_once)


def _dynamics(name: str, settings: DynamicsSettings, names: Any, clock: Callable[[], int]) -> MakesSinks:
    at_once, per_call = settings.requests_at_once, settings.postings_per_call
    return lambda _: lambda share: Dynamics(_rest(name, settings, share, clock), names, at_once, per_call)


def _sap(name: str, settings: ApiSettings, names: Any, clock: Callable[[], int]) -> MakesSinks:
    def made(_: Http) -> Callable[[Share], Sink[Posting]]:
        session = SapSession()  # the cookies of one client are those of one session
        at_once = settings.requests_at_once
        return lambda share: Sap(_rest(name, settings, share, clock), names, at_once, session)

    return made


def _tryton(name: str, settings: TrytonTargetSettings, mapping: Any, _clock: Callable[[], int]) -> MakesSinks:
    def made(http: Http) -> Callable[[Share], Sink[Posting]]:
        session = session_of(http, settings)
        return lambda share: Tryton(name, TrytonRpc(share, session, settings.timeout_ms), mapping)

    return made


KINDS: Final = {
    "netsuite": Kind(ApiSettings, _names(NetSuiteMapping), _netsuite),
    "oracle": Kind(ApiSettings, _names(OracleMapping), _oracle),
    "dynamics": Kind(DynamicsSettings, _names(DynamicsMapping), _dynamics),
    "sap": Kind(ApiSettings, _names(SapMapping), _sap),
    "tryton": Kind(TrytonTargetSettings, read_mapping, _tryton),
}
"""The kinds of targets behind an API; `file` is the other one."""
