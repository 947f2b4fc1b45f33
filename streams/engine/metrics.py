"""What a worker tells Prometheus: records in and out by topic, lag, checkpoints, and what steps count."""

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

_CHECKPOINT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


class PortError(Exception):
    """The port for /metrics cannot be had."""


class Metrics:
    """The figures of one worker, in base units."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._records_in = Counter(
            "throughline_records_in_total", "Records taken in.", ["step", "topic"], registry=self.registry
        )
        self._redelivered = Counter(
            "throughline_records_redelivered_total",
            "Records delivered again after they were applied, and skipped.",
            ["step", "topic"],
            registry=self.registry,
        )
        self._records_out = Counter(
            "throughline_records_out_total", "Records written.", ["topic"], registry=self.registry
        )
        self._bytes_out = Counter(
            "throughline_bytes_out_total", "Bytes of values written.", ["topic"], registry=self.registry
        )
        self._lag = Gauge(
            "throughline_lag_records",
            "Records not yet acknowledged.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self._checkpoint = Histogram(
            "throughline_checkpoint_seconds",
            "Time from the first record of a round to its acknowledgement.",
            registry=self.registry,
            buckets=_CHECKPOINT_BUCKETS,
        )
        self._counted = Counter(
            "throughline_counted_total", "What steps count, by name.", ["step", "name"], registry=self.registry
        )

    def taken_in(self, step: str, topic: str, records: int) -> None:
        """Count records a step took in."""
        self._records_in.labels(step, topic).inc(records)

    def redelivered(self, step: str, topic: str) -> None:
        """Count a record that came again and was skipped."""
        self._redelivered.labels(step, topic).inc()

    def written(self, topic: str, size: int) -> None:
        """Count an output of `size` bytes."""
        self._records_out.labels(topic).inc()
        self._bytes_out.labels(topic).inc(size)

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Set how many records of a partition are not yet acknowledged."""
        self._lag.labels(topic, str(partition)).set(records)

    def checkpoint(self, seconds: float) -> None:
        """Observe how long a checkpoint took."""
        self._checkpoint.observe(seconds)

    def counted(self, step: str, counts: Mapping[str, int]) -> None:
        """Add what a step counted since the last checkpoint."""
        for name, amount in counts.items():
            self._counted.labels(step, name).inc(amount)

    def serve(self, port: int) -> None:
        """Answer `/metrics` on loopback at the given port, in a thread of its own; 0 serves nothing.

        Raises `PortError` for a port that cannot be had.
        """
        if not port:
            return
        try:
            start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as error:
            raise PortError(
                f"metrics_port = {port}: {error.strerror}; give a port of 127.0.0.1 that is free, or 0"
            ) from error
