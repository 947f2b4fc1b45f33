"""The compiled codec and the pure one: the same value or the same refusal, whatever the schema, record or bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from schemas.codec import Codec, Undecodable, Unencodable
from schemas.contracts import Contract, Level, avro_fault
from schemas.plan import COMPILED
from schemas.registry import Recorded
from tests.properties.avro import ANY, Schema, alike, fitting, schemas, successor

pytestmark = pytest.mark.skipif(not COMPILED, reason="the compiled codec was not built: no C compiler at set-up")

HEAD = b"\x00\x00\x00\x00\x07"


def codecs(schema: Schema, reader: Schema | None = None) -> tuple[Codec, Codec]:
    """The compiled and the pure codec of one topic, written under one schema and read under another, or the same."""
    contract = Contract("topic", Level.BACKWARD, Path("topic.avsc"), reader or schema)
    recorded = Recorded({7: schema})
    compiled, pure = (Codec(recorded, {"topic": contract}, compiled=wanted) for wanted in (True, False))
    return compiled, pure


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    try:
        return "gives", call()
    except (Undecodable, Unencodable) as error:
        return "refuses", str(error)


def assert_alike(one: tuple[str, Any], other: tuple[str, Any]) -> None:
    assert one[0] == other[0], (one, other)
    if one[0] == "gives":
        assert alike(one[1], other[1]), (one, other)
    else:
        assert one == other


def declined(codec: Codec) -> int:
    return sum(way.declined for way in codec.ways())


@st.composite
def written(draw: Any) -> tuple[Schema, Any]:
    """A schema and a record that fits it."""
    schema, named = draw(schemas())
    return schema, draw(fitting(schema, named))


@given(written())
def test_what_fits_is_written_and_read_alike(case: tuple[Schema, Any]) -> None:
    schema, record = case
    compiled, pure = codecs(schema)
    payload = outcome(lambda: pure.encode("topic", record))
    assert_alike(outcome(lambda: compiled.encode("topic", record)), payload)
    if payload[0] == "gives":
        assert_alike(
            outcome(lambda: compiled.decode("topic", payload[1])), outcome(lambda: pure.decode("topic", payload[1]))
        )


@st.composite
def spoilt(draw: Any) -> tuple[Schema, Any]:
    """A schema and a record one value of which is anything at all, one more or one less."""
    schema, named = draw(schemas())
    return schema, _spoilt(draw, draw(fitting(schema, named)))


def _spoilt(draw: Any, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 9)) == 0:
            return {key: kept for key, kept in value.items() if key != name}
        if draw(st.integers(0, 9)) == 0:
            return {**value, "-type" if draw(st.booleans()) else "more": 1}
        return {**value, name: _spoilt(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _spoilt(draw, value[place]), *value[place + 1 :]]
    return draw(ANY)


@given(spoilt())
def test_what_may_not_fit_is_written_or_refused_alike(case: tuple[Schema, Any]) -> None:
    schema, record = case
    if not isinstance(record, dict):
        return
    compiled, pure = codecs(schema)
    assert_alike(outcome(lambda: compiled.encode("topic", record)), outcome(lambda: pure.encode("topic", record)))


@st.composite
def mutated(draw: Any) -> tuple[Schema, bytes]:
    """A schema and bytes: of a record that fits it, some changed, cut or added; or any bytes."""
    schema, named = draw(schemas())
    kind = draw(st.sampled_from(["any", "cut", "changed", "longer"]))
    outcome_ = outcome(lambda: codecs(schema)[1].encode("topic", draw(fitting(schema, named))))
    if kind == "any" or outcome_[0] == "refuses":
        return schema, HEAD + draw(st.binary(max_size=40))
    body = bytearray(outcome_[1][len(HEAD) :])
    if kind == "cut" and body:
        del body[draw(st.integers(0, len(body) - 1)) :]
    elif kind == "longer":
        body += draw(st.binary(min_size=1, max_size=3))
    for _ in range(draw(st.integers(1, 3)) if body and kind == "changed" else 0):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return schema, HEAD + bytes(body)


@given(mutated())
def test_whatever_bytes_are_read_or_refused_alike(case: tuple[Schema, bytes]) -> None:
    schema, payload = case
    compiled, pure = codecs(schema)
    assert_alike(outcome(lambda: compiled.decode("topic", payload)), outcome(lambda: pure.decode("topic", payload)))


@st.composite
def succeeded(draw: Any) -> tuple[Schema, Schema, bytes]:
    """A writer's schema, a later reader's, and bytes of the writer's, changed now and then."""
    schema, payload = draw(mutated()) if draw(st.integers(0, 3)) == 0 else draw(untouched())
    return schema, draw(successor(schema)), payload


@st.composite
def untouched(draw: Any) -> tuple[Schema, bytes]:
    schema, record = draw(written())
    how, payload = outcome(lambda: codecs(schema)[1].encode("topic", record))
    return schema, payload if how == "gives" else HEAD


@given(succeeded())
def test_what_an_older_writer_wrote_is_read_or_refused_alike(case: tuple[Schema, Schema, bytes]) -> None:
    schema, reader, payload = case
    if avro_fault(reader):
        return
    compiled, pure = codecs(schema, reader)
    assert_alike(outcome(lambda: compiled.decode("topic", payload)), outcome(lambda: pure.decode("topic", payload)))
