"""Trace context: what is one, what it passes on to, and the spans made of it where OpenTelemetry is installed."""

import sys
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from state import MemoryStore, State
from streams.engine.tracing import PassOn, Spans, trace_of, traces_of, tracing
from streams.intake.change import Unreadable
from streams.intake.deadletter import dead_letter
from streams.step import Context, Headers, Output, Record, Step, Task

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = f"00-{TRACE}-{PARENT}-01"


def parent(number: int) -> Headers:
    """The headers of a trace of its own."""
    return (("traceparent", f"00-{number:032x}-{number:016x}-01".encode()),)


def record(key: str | None, headers: Headers = (), offset: int = 0) -> Record:
    return Record("toy.orders", key, 1, 0, 2, offset, headers)


@pytest.mark.parametrize(
    "told",
    [
        TRACED,
        f"00-{TRACE}-{PARENT}-00",
        f"00-{TRACE}-{PARENT}-ff",
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-a-later-version-adds",
    ],
)
def test_a_trace_parent_is_taken_as_it_is(told: str) -> None:
    assert trace_of((("traceparent", told.encode()),)) == (("traceparent", told.encode()),)


@pytest.mark.parametrize(
    "told",
    [
        "",
        TRACED.upper(),
        TRACED[:-1],
        f"{TRACED}-more",
        f" {TRACED}",
        f"{TRACED}\n",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"01-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0g",
        f"00_{TRACE}_{PARENT}_01",
        f"cc-{TRACE}-{PARENT}-01more",
    ],
)
def test_what_is_no_trace_parent_is_not_passed_on(told: str) -> None:
    assert trace_of((("traceparent", told.encode()), ("tracestate", b"vendor=1"))) == ()


@pytest.mark.parametrize(
    ("headers", "passed"),
    [
        ((), ()),
        ((("tracestate", b"vendor=1"),), ()),
        ((("other", b"1"), *parent(1), ("more", b"2")), parent(1)),
        ((("tracestate", b"vendor=1"), *parent(1)), (*parent(1), ("tracestate", b"vendor=1"))),
        ((*parent(1), ("tracestate", b"")), (*parent(1), ("tracestate", b""))),
        ((("traceparent", None),), ()),
        ((*parent(1), ("tracestate", None)), parent(1)),
    ],
)
def test_of_the_headers_only_trace_context_is_passed_on(headers: Headers, passed: Headers) -> None:
    assert trace_of(headers) == passed


def test_each_key_has_the_context_of_its_last_traced_record() -> None:
    records = [
        record("a", parent(1)),
        record("b", parent(2)),
        record("a", parent(3)),
        record("a"),
        record("b", (("traceparent", b"none"),)),
        record("c"),
        record(None, parent(4)),
    ]
    assert traces_of("account", records, PassOn()) == {"a": parent(3), "b": parent(2), None: parent(4)}


class Echo:
    """Writes a record on under its key, under another, and to all partitions."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def on_records(self, records: Sequence[Record]) -> None:
        for taken in records:
            self._context.emit("echoes", taken.key, taken.value)
            self._context.emit("elsewhere", "x", taken.value)
            self._context.emit_to_all("everywhere", "y", taken.value)

    def on_timer(self, key: str) -> None: ...

    def before_commit(self) -> None:
        self._context.emit("sums", "a", 1)


def outputs_of(records: Sequence[Record]) -> list[Output]:
    """What a step writes in a commit in which it took in some records."""
    step = Step("echo", "key", ("toy.orders",), ("echoes", "elsewhere", "everywhere", "sums"), Echo)
    task = Task(step, 0, 2, State(MemoryStore()))
    task.context.traces.update(traces_of(step.name, records, PassOn()))
    task.receive(records, 0)
    task.before_commit(0)
    return task.take_outputs()


def carried(outputs: Sequence[Output], topic: str) -> list[Headers]:
    return [output.headers for output in outputs if output.topic == topic]


def test_of_several_traced_records_each_passes_to_the_outputs_of_its_key() -> None:
    outputs = outputs_of([record("a", parent(1)), record("b", parent(2)), record("c")])
    assert carried(outputs, "echoes") == [parent(1), parent(2), ()]
    assert carried(outputs, "elsewhere") == [(), (), ()]
    assert carried(outputs, "everywhere") == [()] * 6
    assert carried(outputs, "sums") == [parent(1)]


def test_where_one_record_was_traced_all_that_comes_of_the_commit_carries_its_context() -> None:
    outputs = outputs_of([record("a"), record("b", parent(2))])
    assert {output.headers for output in outputs} == {parent(2)}


def test_where_nobody_traces_nothing_is_carried() -> None:
    assert {output.headers for output in outputs_of([record("a"), record("b")])} == {()}


def test_a_dead_letter_keeps_the_context_it_came_with_once() -> None:
    came = record("a", parent(1))
    value, headers = dead_letter(came, Unreadable("Undecodable", "too short", "VALUE_CONVERTER", b"x"))
    context = Task(Step("echo", "key", (), (), Echo), 0, 1, State(MemoryStore())).context
    context.traces["a"] = parent(7)
    context.emit("dead.letters", "a", value, headers)
    assert [given for given in context.outputs[0].headers if given[0] == "traceparent"] == [*parent(1)]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans made from here on. The tracer is this test's own: the global one can be set only once."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer", provider.get_tracer)
    return exporter


def test_a_traced_record_makes_a_span_whose_parent_it_is_and_outputs_carry_the_span(
    spans: InMemorySpanExporter,
) -> None:
    came = record("a", (("traceparent", TRACED.encode()), ("tracestate", b"vendor=1")), offset=41)
    passed = traces_of("account", [came, record("b")], tracing())
    (span,) = spans.get_finished_spans()
    assert span.parent is not None
    assert (span.name, f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (
        "process account", TRACE, PARENT,
    )  # fmt: skip
    assert span.context.span_id != span.parent.span_id
    assert span.kind is SpanKind.CONSUMER
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "toy.orders",
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 41,
    }
    parent_of_outputs = f"00-{TRACE}-{span.context.span_id:016x}-01".encode()
    assert passed == {"a": (("traceparent", parent_of_outputs), ("tracestate", b"vendor=1"))}


def test_two_steps_make_a_chain_of_spans(spans: InMemorySpanExporter) -> None:
    first = traces_of("account", [record("a", (("traceparent", TRACED.encode()),))], tracing())
    traces_of("journal", [record("a", first["a"])], tracing())
    account, journal = spans.get_finished_spans()
    assert journal.parent is not None
    assert [f"{span.context.trace_id:032x}" for span in (account, journal)] == [TRACE, TRACE]
    assert (journal.name, journal.parent.span_id) == ("process journal", account.context.span_id)


def test_a_trace_that_is_not_sampled_makes_no_span_and_stays_unsampled(spans: InMemorySpanExporter) -> None:
    passed = traces_of("account", [record("a", (("traceparent", f"00-{TRACE}-{PARENT}-00".encode()),))], tracing())
    (_, told), *_ = passed["a"]
    assert spans.get_finished_spans() == ()
    assert told.startswith(f"00-{TRACE}-".encode())
    assert told.endswith(b"-00")


def test_opentelemetry_that_nobody_set_up_passes_the_context_on_as_it_came() -> None:
    came = record("a", (("traceparent", TRACED.encode()), ("tracestate", b"vendor=1")))
    assert isinstance(tracing(), Spans)
    assert traces_of("account", [came], tracing()) == {"a": came.headers}


def test_without_opentelemetry_the_context_passes_on_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.propagate", None)
    came = record("a", parent(1))
    assert isinstance(tracing(), PassOn)
    assert traces_of("account", [came], tracing()) == {"a": parent(1)}
