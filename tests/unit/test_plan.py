"""Plans as C takes them: what is no plan is refused and crashes nothing; what is declined goes to the fallback."""

from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from schemas.plan import COMPILED, Planner, Tuples, Unplanned, plan
from schemas.pure_codec import HEAD

pytestmark = pytest.mark.skipif(not COMPILED, reason="the compiled codec was not built: no C compiler at set-up")

NO_PLACE = -1


class Pair(NamedTuple):
    one: int
    two: int


class Loose(tuple[int, int]):
    """Of plain tuples, but its instances have a dict."""


def nothing(_: Any) -> bytes:
    return b"declined"


def field(name: Any = "a", node: Any = 0, mode: Any = "kept", place: Any = NO_PLACE, absent: Any = None) -> Any:
    return name, node, mode, place, absent


NO_NODES: list[tuple[Any, ...]] = [
    (),
    ((),),
    (5,),
    (("text",),),
    (("fixed",),),
    (("fixed", -1),),
    (("enum", ["A"]),),
    (("enum",),),
    (("decimal", Decimal, 0, 0),),
    (("decimal", Decimal, 5, -1),),
    (("decimal", Decimal),),
    (("array", 0, False),),
    (("array", 1, False), ("long",)),
    (("long",), ("array", -1, False)),
    (("long",), ("array", 2**40, False)),
    (("null",), ("array", 0, False)),
    (("long",), ("map", "0", False)),
    (("long",), ("union", (0, 5), ("long", "x"), False)),
    (("long",), ("union", [0], ("long",), False)),
    (("long",), ("union", ("0",), ("long",), False)),
    (("long",), ("union", (0,), ([],), False)),
    (("long",), ("record", [], None, None, NO_PLACE)),
    (("long",), ("record", (5,), None, None, NO_PLACE)),
    (("long",), ("record", (field(name=5),), None, None, NO_PLACE)),
    (("long",), ("record", (field(node=1),), None, None, NO_PLACE)),
    (("long",), ("record", (field(mode="lost"),), None, None, NO_PLACE)),
    (("long",), ("record", (field(mode="conditional"),), None, None, NO_PLACE)),
    (("long",), ("record", (field(mode="conditional"),) * 5, None, ("a", "b"), NO_PLACE)),
    (("long",), ("record", (field(),), None, "ab", NO_PLACE)),
    (("long",), ("record", (field(),), None, ("a", 5), NO_PLACE)),
    (("long",), ("record", (field(place=0),), None, Pair, 2)),
    (("long",), ("record", (field(place=0), field(place=0)), None, Pair, 2)),
    (("long",), ("record", (field(place=0), field(place=1), field(place=1)), None, Pair, 2)),
    (("long",), ("record", (field(place=0), field(place=2)), None, Pair, 2)),
    (("long",), ("record", (field(place=0), field(place=-2)), None, Pair, 2)),
    (("long",), ("record", (field(place=0), field(place=1)), None, Loose, 2)),
    (("long",), ("record", (field(place=0), field(place=1)), None, list, 2)),
    (("long",), ("record", (field(place=0), field(place=1)), None, "Pair", 2)),
    (("long",), ("record", (field(place=0), field(place=1), field(mode="type-name", place=0)), None, Pair, 2)),
]


@pytest.mark.parametrize("nodes", NO_NODES)
def test_what_is_no_plan_is_refused(nodes: tuple[Any, ...]) -> None:
    with pytest.raises(Unplanned):
        plan(nodes, b"", nothing)


@pytest.mark.parametrize("payload", [b"", b"\x00" * 4, bytearray(b"\x00" * 6), memoryview(b"\x00" * 6), "text", None])
def test_what_are_no_bytes_goes_to_the_fallback(payload: Any) -> None:
    made = plan((("long",),), b"", nothing)
    assert (made.decode(payload), made.declined) == (b"declined", 1)
    assert (made.decode(b"\x00" * 5 + b"\x0e"), made.declined) == (7, 1)


def test_what_the_fallback_raises_is_raised() -> None:
    def fail(_: Any) -> bytes:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        plan((("long",),), b"", fail).encode("x")


def test_an_interrupt_is_no_reason_to_ask_the_fallback() -> None:
    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    made = plan((("long",), ("called", 0, interrupted)), b"", nothing)
    with pytest.raises(KeyboardInterrupt):
        made.decode(HEAD.pack(0, 7) + b"\x02")
    assert made.declined == 0


def test_a_fault_of_what_is_called_is_left_to_the_fallback() -> None:
    made = plan((("long",), ("called", 0, "no function")), b"", nothing)
    assert made.decode(HEAD.pack(0, 7) + b"\x02") == b"declined"


def test_tuples_are_those_of_their_class_and_no_others() -> None:
    nodes = (("long",), ("record", (field("two", place=1), field("one", place=0)), None, Pair, 2))
    made = plan(nodes, b"head", nothing)
    assert made.encode(Pair(1, 2)) == b"head\x04\x02"
    read = made.decode(b"....." + b"\x04\x02")
    assert (read, type(read)) == (Pair(1, 2), Pair)
    for other in ((1, 2), [1, 2], {"one": 1, "two": 2}, None, Loose((1, 2)), tuple.__new__(Pair, (1,))):
        assert made.encode(other) == b"declined"


def test_a_record_without_a_class_has_no_plan_of_tuples() -> None:
    from fastavro import parse_schema  # noqa: PLC0415

    schema: Any = parse_schema({"type": "record", "name": "Pair", "fields": [{"name": "three", "type": "long"}]})
    for classes, told in (({}, "no class holds Pair"), ({"Pair": Pair}, "Pair has no three")):
        with pytest.raises(Unplanned, match=told):
            Planner(schema, Tuples(classes, {})).whole()
