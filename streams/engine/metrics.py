"""What a worker tells Prometheus, in base units: what goes in and out, how far behind it is, what it costs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from streams.engine.feed_metrics import FeedMetrics
from streams.engine.histogram import CountedHistogram
from streams.engine.outcomes import Outcomes
from streams.engine.transport.producer import Encoded
from streams.step import Step

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
_LATENCY_SECONDS = (*_SECONDS, 120.0, 300.0, 600.0, 1_800.0)
_BYTES = tuple(float(4**power) for power in range(5, 15))
_PARTITION = ["topic", "partition"]
_REBALANCES = ("assigned", "revoked", "lost")
_REQUEST_OUTCOMES = ("ok", "retriable", "fatal")
_TOPIC, _VALUE = itemgetter(0), itemgetter(2)  # of an `Encoded`


def bytes_of(values: Iterable[bytes | None]) -> int:
    """Return how many bytes some values have; a tombstone has none."""
    return sum(map(len, filter(None, values)))


class Metrics:
    """The figures of one worker."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._flow()
        self._lags()
        self._checkpoints()
        self._states()
        self._work()
        self.outcomes = Outcomes(self.registry)
        self.feeds = FeedMetrics(self.registry)

    def expect(self, steps: Iterable[Step]) -> None:
        """Begin what a topology will count at zero: Prometheus sees an increase only over what was there before."""
        for step in steps:
            self._busy.labels(step.name)
            for topic in step.reads:
                for counter in (self._records_in, self._bytes_in, self._redelivered):
                    counter.labels(step.name, topic)
            for topic in step.writes:
                for counter in (self._records_out, self._bytes_out):
                    counter.labels(topic)

    def _counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"throughline_{name}_total", documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"throughline_{name}", documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"throughline_{name}", documentation, registry=self.registry, buckets=buckets)

    # -- what goes in and out

    def _flow(self) -> None:
        self._records_in = self._counter("records_in", "Records taken in.", ["step", "topic"])
        self._bytes_in = self._counter("bytes_in", "Bytes of values taken in.", ["step", "topic"])
        self._redelivered = self._counter(
            "records_redelivered", "Records delivered again after they were applied, and skipped.", ["step", "topic"]
        )
        self._busy = self._counter("step_busy_seconds", "Time spent in steps.", ["step"])
        self._records_out = self._counter("records_out", "Records written and committed.", ["topic"])
        self._bytes_out = self._counter("bytes_out", "Bytes of values written and committed.", ["topic"])
        self._latency = CountedHistogram(
            "throughline_output_latency_seconds",
            "From a record's timestamp to the commit of what came of it; every record counts.",
            _LATENCY_SECONDS,
        )
        self.registry.register(self._latency)

    def taken_in(self, step: str, topic: str, records: int, size: int, seconds: float) -> None:
        """Count records a step took in, the bytes of their values, and the time it took."""
        self._records_in.labels(step, topic).inc(records)
        self._bytes_in.labels(step, topic).inc(size)
        self._busy.labels(step).inc(seconds)

    def redelivered(self, step: str, topic: str, records: int) -> None:
        """Count records that came again and were skipped."""
        self._redelivered.labels(step, topic).inc(records)

    def written(self, outputs: Sequence[Encoded]) -> int:
        """Count outputs that are committed, and return how many bytes their values have."""
        values: defaultdict[str, list[bytes | None]] = defaultdict(list)
        for topic, neighbours in groupby(outputs, _TOPIC):  # what is called for each output is C
            values[topic].extend(map(_VALUE, neighbours))
        total = 0
        for topic, written in values.items():
            size = bytes_of(written)
            self._records_out.labels(topic).inc(len(written))
            self._bytes_out.labels(topic).inc(size)
            total += size
        return total

    def latency(self, seconds: float, records: int) -> None:
        """Observe how old records were when what came of them was committed."""
        self._latency.observe(seconds, records)

    # -- what steps count themselves

    def _work(self) -> None:
        self._duplicates = self._counter(
            "duplicates_dropped", "Old or repeated versions of rows, which change nothing.", ["step"]
        )
        self._requests = self._counter("sink_requests", "Requests to ERPs, by outcome.", ["system", "outcome"])
        self._counted = self._counter("counted", "What else steps count, by name.", ["step", "name"])
        self._parked = self._gauge("parked_records", "Records that wait for a partner or a mapping.", ["partition"])
        self._parked_age = self._gauge(
            "parked_oldest_age_seconds", "Age of the record that has been parked longest; 0 without any.", ["partition"]
        )

    def counted(self, step: str, counts: Mapping[str, int]) -> None:
        """Add what a step counted since the last checkpoint; `sink/SYSTEM/OUTCOME` is a request to an ERP."""
        for name, amount in counts.items():
            if name == "duplicates":
                self._duplicates.labels(step).inc(amount)
            elif name.startswith("sink/"):
                _, system, outcome = name.split("/", 2)
                self._expect_system(system)
                self._requests.labels(system, outcome).inc(amount)
            else:
                self._counted.labels(step, name).inc(amount)

    def _expect_system(self, system: str) -> None:
        for outcome in _REQUEST_OUTCOMES:
            self._requests.labels(system, outcome)
        self.outcomes.expect_system(system)

    def parked(self, partition: int, records: int, oldest_age_s: float) -> None:
        """Set how many records of a partition are parked, and since how many seconds the first of them."""
        self._parked.labels(str(partition)).set(records)
        self._parked_age.labels(str(partition)).set(oldest_age_s)

    # -- how far behind

    def _lags(self) -> None:
        self._lag = self._gauge("lag_records", "Records not yet taken in.", _PARTITION)
        self._lag_seconds = self._gauge(
            "lag_seconds", "Age of the last record taken in, while others wait; 0 when none does.", _PARTITION
        )
        self._still = self._gauge(
            "without_progress_seconds", "For how long records have waited of which none was taken in, at worst."
        )
        self._feed_age = self._gauge(
            "feed_age_seconds", "Since when nothing of a feed was taken in, of those that must be heard.", ["feed"]
        )
        self._held = self._gauge(
            "held_partitions", "Partitions of a topic that are held, for a column, or for an unknown schema.",
            ["topic", "column"],
        )  # fmt: skip
        self._rebalances = self._counter("rebalances", "Assignments that began or ended.", ["event"])
        for event in _REBALANCES:
            self._rebalances.labels(event)
        self._assigned = self._gauge("assigned_partitions", "Partitions this worker holds.")
        self._ready = self._gauge("ready", "1 while all partitions held are restored, else 0.")

    def lag(self, topic: str, partition: int, records: int, seconds: float) -> None:
        """Set how many records of a partition wait, and how old is what was taken in last."""
        self._lag.labels(topic, str(partition)).set(records)
        self._lag_seconds.labels(topic, str(partition)).set(seconds)

    def still(self, seconds: float) -> None:
        """Set for how long the partition that stands still longest has not moved, though records wait; 0 if all do."""
        self._still.set(seconds)

    def feed_age(self, feed: str, seconds: float) -> None:
        """Set since when nothing of a feed was taken in, on any partition held."""
        self._feed_age.labels(feed).set(seconds)

    def held(self, partitions: Mapping[tuple[str, str], int]) -> None:
        """Set how many partitions are held, by topic and column; the column is empty where a schema is unknown."""
        for (topic, column), count in partitions.items():
            self._held.labels(topic, column).set(count)

    def rebalanced(self, event: str, partitions: int) -> None:
        """Count an assignment that began (`assigned`) or ended (`revoked`, `lost`)."""
        self._rebalances.labels(event).inc()
        self._assigned.set(partitions)
        # What was said of partitions stands no longer: another worker may hold them now.
        for gauge in (
            self._lag, self._lag_seconds, self._held, self._feed_age, self._parked, self._parked_age, self._state_bytes,
            self._restore_left,
        ):  # fmt: skip
            gauge.clear()
        self._restore_seconds.set(0)

    def ready(self, ready: bool) -> None:
        """Set whether all partitions held are restored."""
        self._ready.set(ready)

    # -- checkpoints

    def _checkpoints(self) -> None:
        self._checkpoint = self._histogram(
            "checkpoint_seconds", "From the beginning of a round to its end, state included.", _SECONDS
        )
        self._checkpoint_bytes = self._histogram(
            "checkpoint_bytes", "Values written by a round: outputs and changelog.", _BYTES
        )
        self._aborted = self._counter("transactions_aborted", "Transactions that were aborted and written again.")

    def checkpoint(self, seconds: float, size: int) -> None:
        """Observe how long a checkpoint took, and how many bytes it wrote."""
        self._checkpoint.observe(seconds)
        self._checkpoint_bytes.observe(size)

    def aborted(self) -> None:
        """Count a transaction that was aborted."""
        self._aborted.inc()

    # -- state

    def _states(self) -> None:
        self._state_bytes = self._gauge("state_bytes", "Bytes of a partition's database.", ["partition"])
        self._memory_bytes = self._gauge(
            "state_memory_bytes", "Bytes of state in memory, by what holds them.", ["part"]
        )
        self._misses = self._counter("state_cache_misses", "Values that had to be read from the databases.")
        self._hits = self._counter(
            "state_cache_hits", "Values that were found in memory: an estimate, counted in one round of 64."
        )
        self._loads_told = self._hits_told = 0
        self._restore_left = self._gauge(
            "restore_left_records",
            "Records of the changelog still to be read before the partition works.",
            ["partition"],
        )

        self._restored = self._counter("restore_records", "Records of the changelog that were read.")
        self._restore_seconds = self._gauge("restore_left_seconds", "How long the restore will take, at most.")

    def restored(self, records: int, left_s: float) -> None:
        """Count records of the changelog that were read, and set how long the rest will take."""
        self._restored.inc(records)
        self._restore_seconds.set(left_s)

    def state(self, partition: int, size: int) -> None:
        """Set the size of a partition's database."""
        self._state_bytes.labels(str(partition)).set(size)

    def memory(self, database: int, cache: int, loads: int, hits: int) -> None:
        """Set what databases and decoded values take in memory, and how many values were read, and found there."""
        self._memory_bytes.labels("database").set(database)
        self._memory_bytes.labels("cache").set(cache)
        self._misses.inc(loads - self._loads_told)
        self._hits.inc(hits - self._hits_told)
        self._loads_told, self._hits_told = loads, hits

    def restore_left(self, partition: int, records: int) -> None:
        """Set how much of a partition is still to be restored."""
        self._restore_left.labels(str(partition)).set(records)
