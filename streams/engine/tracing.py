"""Trace context: W3C's headers pass from what came in to what came of it.

An output carries the context of the last record taken in under its key since the last commit; where only one record was
traced, all outputs of the commit carry its context. Where OpenTelemetry is installed, every traced record also makes a
span of the step, and outputs carry that.
"""

import re
from collections.abc import Iterable
from typing import Any, Protocol

from streams.step import Headers, Record

_IDS = rb"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT = re.compile(rb"00-%b|(?!00|ff)[0-9a-f]{2}-%b(-.*)?" % (_IDS, _IDS))
"""Version 00, or a later one, which may say more; ids of zeros alone are none."""

_NAMES = ("traceparent", "tracestate")


class Tracing(Protocol):
    """What is made of the trace context of a record."""

    def passed_on(self, step: str, record: Record, trace: Headers) -> Headers:
        """Return the headers for what comes of a traced record."""


class PassOn:
    """Passes trace context on as it came."""

    def passed_on(self, step: str, record: Record, trace: Headers) -> Headers:  # noqa: ARG002
        """Return the headers that came."""
        return trace


class Spans:
    """Makes a span of every traced record, by OpenTelemetry's global tracer."""

    def __init__(self) -> None:
        import opentelemetry.propagate  # noqa: PLC0415, optional
        import opentelemetry.trace  # noqa: PLC0415

        self._tracer: Any = opentelemetry.trace.get_tracer("throughline")
        self._kind = opentelemetry.trace.SpanKind.CONSUMER
        self._propagate = opentelemetry.propagate

    def passed_on(self, step: str, record: Record, trace: Headers) -> Headers:
        """Return the headers of a span that is a child of the record's."""
        carrier = {name: value.decode("ascii", "replace") for name, value in trace}
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
        }
        context = self._propagate.extract(carrier)
        with self._tracer.start_as_current_span(f"process {step}", context, self._kind, attributes):
            injected: dict[str, str] = {}
            self._propagate.inject(injected)
        return tuple((name, value.encode()) for name, value in injected.items()) or trace


def tracing() -> Tracing:
    """Return spans where OpenTelemetry is installed, else what passes the context on."""
    try:
        return Spans()
    except ImportError:
        return PassOn()


def trace_of(headers: Headers) -> Headers:
    """Return the trace context in a record's headers, or nothing where there is none or it is none."""
    found = {name: value for name, value in headers if name in _NAMES and value is not None}
    parent = found.get("traceparent")
    if parent is None or not _TRACEPARENT.fullmatch(parent):
        return ()
    return tuple((name, found[name]) for name in _NAMES if name in found)


def traces_of(step: str, records: Iterable[Record], made: Tracing) -> dict[str | None, Headers]:
    """Return the headers to pass on by key, of the records that are traced."""
    return {
        record.key: made.passed_on(step, record, trace)
        for record in records
        if record.headers and (trace := trace_of(record.headers))
    }
