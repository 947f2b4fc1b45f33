"""A generated firm at work on a pipeline: its PSA by SQL, its other systems simulated, or as records of their feeds."""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import psycopg
from confluent_kafka.schema_registry import SchemaRegistryClient

from firm.database import PsaDatabase, is_psa
from firm.wire import Record
from live.outside import Outside
from live.pipeline import Pipeline, PipelineError
from schemas.registry import Confluent
from streams.engine.feeding import Feed, SourceBytes

ROWS_OF_A_TRANSACTION = 50
_AGAIN_SECONDS = 0.2
_AWAY_SECONDS_MAX = 120.0


class FirmAtWork:
    """Writes changes of a firm where they belong, in their order. A database that is away is waited for.

    `outside`: the firm's other systems; without them, their changes are written as the records that feeds would land.
    """

    def __init__(self, pipeline: Pipeline, outside: Outside | None = None) -> None:
        self._outside = outside
        self._dsn = pipeline.psa_dsn
        self._database: PsaDatabase | None = None
        self._client = SchemaRegistryClient({"url": pipeline.registry.confluent_url})
        self._feed = Feed(pipeline.kafka.bootstrap, SourceBytes(Confluent(self._client)))

    def write(self, changes: Iterable[Record]) -> int:
        """Write changes; return how many. Raises `PipelineError` if the database stays away, and `FeedError`."""
        written = 0
        for place, run in groupby(changes, self._place):
            if place == "psa":
                for part in _parts(run):
                    self._apply(part)
                    written += len(part)
            elif place == "outside" and self._outside is not None:
                written += self._outside.write(run)
            else:
                written += self._feed.write(run, lambda _number, _change: None)
        return written

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._leave()

    def _place(self, change: Record) -> str:
        if is_psa(change):
            return "psa"
        return "topics" if self._outside is None or not self._outside.owns(change) else "outside"

    def _leave(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    def _apply(self, changes: Sequence[Record]) -> None:
        until = time.monotonic() + _AWAY_SECONDS_MAX
        while True:
            try:
                if self._database is None:
                    self._database = PsaDatabase(self._dsn)
                self._database.apply(changes)
            except psycopg.Error as error:  # whether it was committed is unknown: rows are written whole
                if self._database is not None and not self._database.is_broken:
                    raise
                self._leave()
                if time.monotonic() > until:
                    raise PipelineError(f"the PSA's database is away: {error}") from error
                time.sleep(_AGAIN_SECONDS)  # nobody tells when it is back
            else:
                return


def _parts(changes: Iterator[Record]) -> Iterator[list[Record]]:
    part: list[Record] = []
    for change in changes:
        part.append(change)
        if len(part) == ROWS_OF_A_TRANSACTION:
            yield part
            part = []
    if part:
        yield part
