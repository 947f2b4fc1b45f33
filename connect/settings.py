"""Settings of feeds: what a configuration file's `config` may hold, checked, each key with what it is for.

Keys are written as Kafka Connect's are, in small letters with dots. A class of feeds has a model that extends
`FeedSettings`; what is wrong is told with file, key and what is meant.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connect.configuration import CLASS, Configuration, UnusableConfiguration

S = TypeVar("S", bound="FeedSettings")
_GATHERED: Final = frozenset({"tables", "columns"})
"""Fields of models under which keys of a kind are gathered: no keys of a file."""


class Pace(NamedTuple):
    """How often a source is asked: milliseconds between two polls, two heartbeats, and two tries after errors."""

    poll_ms: int = 60_000
    heartbeat_ms: int = 10_000
    backoff_first_ms: int = 1_000
    backoff_max_ms: int = 300_000


class FeedSettings(BaseModel):
    """What every feed has."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    connector_class: str = Field(alias=CLASS, description="The class of the feed.")
    poll_ms: int = Field(
        default=60_000,
        ge=100,
        le=86_400_000,
        alias="poll.interval.ms",
        description="Milliseconds between the end of one look at the source and the next.",
    )
    heartbeat_ms: int = Field(
        default=10_000,
        ge=100,
        le=3_600_000,
        alias="heartbeat.interval.ms",
        description="Milliseconds between two heartbeats, at least. There are none while the source does not answer; "
        "between two looks, they say that it answered the last one.",
    )
    backoff_first_ms: int = Field(
        default=1_000,
        ge=1,
        le=3_600_000,
        alias="backoff.first.ms",
        description="Milliseconds waited after a first error, at most; each further one doubles that.",
    )
    backoff_max_ms: int = Field(
        default=300_000,
        ge=1,
        le=86_400_000,
        alias="backoff.max.ms",
        description="Milliseconds waited after an error, at most, unless the source asks for more.",
    )

    @property
    def lands_history(self) -> bool:
        """Whether all that it lands is history, as the names that are reserved for that say."""
        return False

    @property
    def pace(self) -> Pace:
        """Return how often the source is asked."""
        return Pace(self.poll_ms, self.heartbeat_ms, self.backoff_first_ms, self.backoff_max_ms)


class ComparedSettings(BaseModel):
    """What every feed has that finds by itself which rows are gone."""

    gone_percent_max: int = Field(
        default=50,
        ge=0,
        le=100,
        alias="gone.percent.max",
        description="How many per cent of the rows of a kind may be gone at once, beside the last two. More are not "
        "deleted, but told as a gap: a right that was withdrawn looks just so.",
    )


def with_columns(values: Any) -> Any:
    """Gather the settings of single fields, whose keys begin with the field's name (`CostRates.path`), in `columns`."""
    if not isinstance(values, Mapping):
        return values
    columns = {key: value for key, value in values.items() if "." in key and key[:1].isupper()}
    return {**{key: value for key, value in values.items() if key not in columns}, "columns": columns}


def checked(model: type[S], configuration: Configuration, settings: Mapping[str, str], file: Path | None = None) -> S:
    """Return the settings of a feed, with every reference resolved, as its model has them.

    Raises:
        UnusableConfiguration: One is missing, unknown or wrong. What is said holds no value: it may be a secret.
    """
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        where = configuration.name if file is None else str(file)
        faults = [_fault(model, fault) for fault in error.errors(include_input=False)]
        raise UnusableConfiguration(f"{where}: {'; '.join(faults)}") from None


def _fault(model: type[FeedSettings], fault: Mapping[str, Any]) -> str:
    # What is gathered from keys of a kind stands in the file without the name under which it is gathered.
    key = ".".join(str(part) for part in fault["loc"] if part not in _GATHERED) or "config"
    if fault["type"] == "extra_forbidden":
        known = ", ".join(sorted(name for name, _ in described(model) if name not in _GATHERED))
        return f"{key}: there is no such setting; remove it or correct its name (there are {known})"
    meant = dict(described(model)).get(key)
    said = str(fault["msg"]).removeprefix("Value error, ")
    return f"{key}: {said}" + (f". Meant is: {meant}" if meant else "")


def described(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the keys of a model, as a configuration file has them, with what each is for."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field.description or ""
