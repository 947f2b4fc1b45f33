"""Settings: `throughline.toml`, overridden by environment variables `THROUGHLINE_KEY` and `THROUGHLINE_SECTION__KEY`.

Every key has a default that works with the embedded broker, and says in its description what it is for.
"""

import os
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError as UnreadableVariableError,
    TomlConfigSettingsSource,
)

SETTINGS_FILE = Path("throughline.toml")
PREFIX = "THROUGHLINE_"


class SettingsError(Exception):
    """A settings file or variable cannot be used; the message names where, which key, what it is and what to do."""


class Guarantee(StrEnum):
    """What a crash may do to what is written."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class Contracts(BaseModel):
    """Where the schemas of what travels come from, and how source rows are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry_url: str | None = Field(
        default=None,
        description="URL of a Confluent-compatible schema registry, the same for all workers and commands; absent: the "
        "ids shipped with the contracts.",
    )
    schemas_file: Path | None = Field(
        default=None,
        description="JSON file of further writer schemas by id, for feeds recorded elsewhere. Needs no registry.",
    )
    mappings_folder: Path | None = Field(
        default=None, description="Folder with one mapping file a system; absent: the mappings shipped."
    )
    further_mappings: tuple[Path, ...] = Field(
        default=(),
        description="Mapping files beside those of the folder: of systems that not everyone has, such as "
        "`connect/tryton/tryton.yaml`. Their topics are read, too.",
    )
    ownership_file: Path | None = Field(
        default=None, description="File that says which system owns which field; absent: the one shipped."
    )
    passed_schemas: tuple[int, ...] = Field(
        default=(),
        description="Ids of schemas that lack what a mapping reads, and are let through: deletes apply, other rows are "
        "refused one by one. Of ids that nobody knows, records become dead letters. A feed that is held names the id.",
    )


class Sinks(BaseModel):
    """Where postings go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets_file: Path | None = Field(
        default=None,
        description="File of the ERPs that postings go to, by name: where each is and who we are; absent: every ERP is "
        "a file exchange in `sinks.folder`.",
    )
    folder: Path = Field(
        default=Path("throughline-exchange"),
        description="Folder of the managed file exchange: outgoing batches and the ERP's acknowledgements. Not used "
        "where `sinks.targets_file` is given.",
    )
    batch_lines_max: int = Field(default=1_000, ge=1, le=100_000, description="Postings in one batch file, at most.")
    batch_seconds_max: float = Field(
        default=5.0, gt=0, le=86_400, description="Seconds that the first posting of a batch waits for others, at most."
    )
    poll_seconds: float = Field(
        default=0.5,
        gt=0,
        le=3_600,
        description="Seconds between two looks for acknowledgements in a folder.",
    )


class Settings(BaseSettings):
    """All settings of a worker. Values are checked when read; nothing changes afterwards."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    brokers: str = Field(
        default="127.0.0.1:9092",
        pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$",
        description="Kafka bootstrap addresses, `host:port`, several joined by commas.",
    )
    group: str = Field(
        default="throughline",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Consumer group. Workers of one group share the partitions; its offsets belong to its state.",
    )
    partitions: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="Partitions of every topic. Fixed when topics are made: keys and state follow it.",
    )
    guarantee: Guarantee = Field(
        default=Guarantee.EXACTLY_ONCE,
        description="`exactly_once`: outputs, state and offsets in one transaction. `at_least_once`: without "
        "transactions; a crash may write outputs twice.",
    )
    state_folder: Path = Field(
        default=Path("throughline-state"),
        description="Folder of this worker's databases, one for each partition, and of the identity it goes by. One "
        "worker a folder.",
    )
    state_memory_mb: int = Field(
        default=128,
        ge=8,
        le=1_000_000,
        description="Megabytes that state takes in memory, about: half for the databases, half for decoded values.",
    )
    checkpoint_interval_ms: int = Field(
        default=100,
        ge=10,
        le=60_000,
        description="Milliseconds from one checkpoint's end to the next, at most, while records arrive; from its "
        "beginning where all there was has been taken in.",
    )
    checkpoint_records_max: int = Field(
        default=20_000,
        ge=1,
        le=1_000_000,
        description="Records taken into a checkpoint, about: it begins early when so many have been.",
    )
    transaction_timeout_ms: int = Field(
        default=15_000,
        ge=1_000,
        le=900_000,
        description="Milliseconds after which brokers abort a transaction of a worker that is gone. Others wait so "
        "long for its partitions at most.",
    )
    patience_s: float = Field(
        default=120.0,
        ge=1,
        le=3_600,
        description="Seconds that a checkpoint is tried while brokers do not answer; then the worker ends.",
    )
    static_membership: bool = Field(
        default=True,
        description="Whether a worker that comes back within `session_timeout_s` finds its partitions as it left them. "
        "Its partitions also wait so long when it is stopped for good.",
    )
    session_timeout_s: float = Field(
        default=8.0, ge=1, le=300, description="Seconds after which a silent worker's partitions go to another."
    )
    stall_s: float = Field(
        default=60.0,
        ge=1,
        le=3_600,
        description="Seconds without progress on a partition that has records waiting, after which the worker ends.",
    )
    connect_url: str = Field(
        default="http://127.0.0.1:8083",
        pattern=r"^https?://[^\s]+$",
        description="URL of a Kafka Connect worker, for `throughline connect`.",
    )
    sources_kept_days: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Days that `topics apply` has source topics keep records, by the time these carry; absent: for "
        "good. A history that is loaded with times of its own may be older than any limit.",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="Port of /metrics, /health and /ready; 0: off.",
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address of this machine or container at which they are answered. They need no login: `0.0.0.0` is "
        "for a network of your own.",
    )
    policy_file: Path | None = Field(
        default=None, description="Thresholds and deadlines of the rules; absent: the policy shipped."
    )
    routing_file: Path | None = Field(
        default=None,
        description="Which ERP books what, and from which day of service on; absent: the routing shipped, by which "
        "the ERP of each legal entity books everything.",
    )
    activation_file: Path | None = Field(
        default=None,
        description="Who sets up deals that were won: projects, ERP dimensions, announcements; absent: people do.",
    )
    epochs: Mapping[str, int] = Field(
        default_factory=dict,
        description="Epoch by feed (`source.name`), 0 where absent; what was loaded (`history`, `history.NAME`) goes "
        "before all. Raise it when a source was restored or replaced.",
    )
    feeds: tuple[str, ...] = Field(
        default=(),
        description="Names of API feeds that the worker runs beside its steps. A feed runs in one program at a time.",
    )
    connectors_folder: Path | None = Field(
        default=None,
        description="Folder with the configuration files of connectors and feeds; absent: those shipped.",
    )
    feeds_expected: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")], ...] = Field(
        default=(),
        description="Feeds (`source.name`) that must be heard: their heartbeats are read, and `feed_stalled` says "
        "which are silent, also those that were never heard.",
    )
    contracts: Contracts = Field(default_factory=Contracts, description="Schemas, mappings and ownership.")
    sinks: Sinks = Field(default_factory=Sinks, description="Targets of postings.")

    @field_validator("epochs")
    @classmethod
    def _no_negative_epoch(cls, epochs: Mapping[str, int]) -> Mapping[str, int]:
        for feed, epoch in epochs.items():
            if epoch < 0:
                raise ValueError(f"the epoch of feed {feed} is {epoch}; an epoch is 0 or more")
        return epochs

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003, named by pydantic-settings
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments come before environment variables, and those before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(file: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings: overrides, then environment, then file, then defaults.

    `file` None reads `throughline.toml` of the current folder where there is one. Raises `SettingsError`.
    """
    if file is not None and not file.is_file():
        raise SettingsError(f"{file}: there is no such settings file; give the path of a TOML file")
    source = file or SETTINGS_FILE
    _refuse_unknown_variables()

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=source)

    try:
        return FromFile(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_fault(source, overrides, fault) for fault in error.errors())) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source}: {error}; the file must be TOML, lines like `partitions = 4`") from error
    except UnreadableVariableError as error:
        raise SettingsError(
            f"environment: {error}; give a JSON object, or one variable a key such as {PREFIX}SINKS__FOLDER"
        ) from error


def _refuse_unknown_variables() -> None:
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX):
            key = name.upper().removeprefix(PREFIX).split("__")[0].lower()
            if key not in Settings.model_fields:
                raise SettingsError(
                    f"environment variable {name}: there is no setting {key}; remove it, or use one of "
                    f"{', '.join(Settings.model_fields)}"
                )


def _fault(source: Path, overrides: Mapping[str, Any], fault: Mapping[str, Any]) -> str:
    keys = [str(part) for part in fault["loc"]]
    variable = PREFIX + "__".join(keys).upper()
    if keys and keys[0] in overrides:
        where = "argument"
    elif any(name.upper() in (variable, PREFIX + keys[0].upper()) for name in os.environ if keys):
        where = f"environment variable {variable}"
    else:
        where = str(source)
    if fault["type"] == "extra_forbidden":
        return f"{where}: there is no setting {'.'.join(keys)}; remove it or correct its name"
    meant = _description(keys)
    return f"{where}: {'.'.join(keys)} = {fault['input']!r}: {fault['msg']}" + (f". Meant is: {meant}" if meant else "")


def _description(keys: list[str]) -> str:
    fields: Mapping[str, Any] = Settings.model_fields
    found = ""
    for key in keys:
        if key not in fields:
            break
        found = fields[key].description or found
        fields = getattr(fields[key].annotation, "model_fields", {})
    return found
